"""The client against a real server on a bad day: over HTTP, with faults that the sandbox plays."""

import asyncio

import httpx
import pytest

from compasso.connectif import Budget, Client, LostAnswer, SqliteLedger, SystemClock
from compasso.model import ApiCall, CompassoError
from compasso.sandbox import RunningSandbox
from compasso.sandbox.app import create_app
from compasso.sandbox.settings import Behaviour, SandboxSettings
from compasso.sandbox.virtual import VirtualClock, VirtualTransport, run_virtually

PATCH = ApiCall("PATCH", "/contacts/email/ana%40x.es", {"_name": "Ana"})


@pytest.fixture
def sandbox():
    with RunningSandbox() as running:
        yield running


def faults(sandbox, *rules):
    assert httpx.post(f"{sandbox.url}/_sandbox/faults", json=list(rules)).is_success


def requests(sandbox):
    return httpx.get(f"{sandbox.url}/_sandbox/requests").json()


def use(url, work, key="id:secret", seed=1):
    """Run `work(client)` with a client of that address."""

    async def running():
        clock = SystemClock()
        budget = Budget(100, 0, clock, SqliteLedger(":memory:"))
        async with Client(url, lambda: key, budget, clock, seed=seed) as client:
            return await work(client)

    return asyncio.run(running())


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 502},
        {"kind": "status", "status": 503, "times": 2},
        {"kind": "reset"},
        {"kind": "timeout_before", "seconds": 0.1},
        {"kind": "timeout_after", "seconds": 0.1},
        {"kind": "truncate"},
        {"kind": "slow", "seconds": 0.2},
    ],
    ids=lambda rule: rule["kind"] + str(rule.get("status", "")),
)
def test_a_call_that_may_be_repeated_gets_through(sandbox, rule):
    faults(sandbox, rule)
    answer = use(sandbox.url, lambda client: client.send(PATCH))
    assert answer.ok
    [contact] = httpx.get(f"{sandbox.url}/_sandbox/dump/contacts").json()
    assert contact["_name"] == "Ana"


@pytest.mark.parametrize("kind", ["reset", "timeout_after", "truncate"])
def test_a_call_that_may_not_be_repeated_is_sent_once_and_said_to_be_lost(sandbox, kind):
    faults(sandbox, {"kind": kind, "seconds": 0.1})
    with pytest.raises(LostAnswer):
        use(sandbox.url, lambda client: client.send_once(PATCH))
    assert len(requests(sandbox)) == 1


def test_a_refusal_says_why_in_the_words_of_the_api(sandbox):
    call = ApiCall("PATCH", "/contacts/email/ana%40x.es", {"_mobilePhone": "6"})
    answer = use(sandbox.url, lambda client: client.send(call))
    assert answer.status == 422
    assert answer.reason().startswith("422: /_mobilePhone ")


def test_a_wrong_key_stops_at_once_and_names_the_remedy_but_not_the_key():
    with RunningSandbox(SandboxSettings(api_key="id:right")) as sandbox:
        with pytest.raises(CompassoError) as stopped:
            use(sandbox.url, lambda client: client.send(PATCH), key="id:wrongsecret")
        assert len(requests(sandbox)) == 1
    text = stopped.value.diagnostics[0].render()
    assert "does not accept the API key (401)" in text
    assert "compasso.yml" in text
    assert "wrongsecret" not in text


def test_no_network_is_told_with_what_is_safe(monkeypatch):
    monkeypatch.setattr("compasso.connectif.client.TRIES", 3)
    with pytest.raises(CompassoError) as stopped:
        use("http://127.0.0.1:9", lambda client: client.send(PATCH))
    text = stopped.value.diagnostics[0].render()
    assert "cannot reach Connectif at http://127.0.0.1:9" in text
    assert "what was applied is safe" in text


def test_an_error_body_that_is_not_json_is_shown_as_text(sandbox):
    answer = use(sandbox.url, lambda client: client.send(ApiCall("GET", "/nothing-here")))
    assert answer.status == 404
    assert answer.reason().startswith("404")


@pytest.mark.parametrize("behaviour", [{}, {"retry_after": False}, {"reset_is_delta": True}])
def test_a_full_window_is_waited_out_without_a_second_refusal(behaviour):
    clock = VirtualClock()
    app = create_app(
        SandboxSettings(requests_per_minute=5, clock=clock.now, behaviour=Behaviour(**behaviour))
    )

    async def running():
        # Another client has used the window up.
        app.state.sandbox.rate.take(5)
        budget = Budget(5, 0, clock, SqliteLedger(":memory:"))
        network = VirtualTransport(app)
        async with Client("http://sandbox", lambda: "a:b", budget, clock, network) as client:
            return await client.send(PATCH)

    begin = clock.now()
    assert run_virtually(running(), clock).ok
    refused = [r for r in app.state.sandbox.seen if r["status"] == 429]
    assert len(refused) == 1
    assert 60 <= clock.now() - begin < 70
