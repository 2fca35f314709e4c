"""When the API is down, or one request alone makes it fail: in virtual time."""

import asyncio
import itertools

import pytest

from compasso.connectif import Budget, Claim, Client, NoAnswer, SqliteLedger, Unreachable
from compasso.connectif.breaker import FAILURES, PROBES
from compasso.model import ApiCall, ExitCode, Priority
from compasso.sandbox.app import create_app
from compasso.sandbox.settings import SandboxSettings
from compasso.sandbox.virtual import VirtualClock, VirtualTransport, run_virtually


class World:
    """A sandbox and a client, in virtual time."""

    def __init__(self):
        self.clock = VirtualClock()
        settings = SandboxSettings(requests_per_minute=1000, clock=self.clock.now)
        self.app = create_app(settings)
        self.box = self.app.state.sandbox

    def run(self, work):
        async def running():
            budget = Budget(1000, 0, self.clock, SqliteLedger(":memory:"))
            transport = VirtualTransport(self.app)
            async with Client(
                "http://sandbox", lambda: "a:b", budget, self.clock, transport, seed=1
            ) as client:
                return await work(client)

        return run_virtually(running(), self.clock)

    def seen(self, path=""):
        return [r for r in self.box.seen if r["path"].startswith(path)]


def patch(name):
    return ApiCall("PATCH", f"/contacts/email/{name}%40x.es", {"_name": "Ana"})


@pytest.mark.parametrize("kind", ["status", "reset", "timeout_before"])
def test_an_api_that_is_down_is_asked_a_few_times_and_then_left_alone(kind):
    world = World()
    world.box.faults.add({"kind": kind, "times": 10_000, "seconds": 1})

    async def work(client):
        calls = [client.send(patch(f"user{i}")) for i in range(8)]
        return await asyncio.gather(*calls, return_exceptions=True)

    results = world.run(work)
    assert all(type(r) is Unreachable for r in results)
    assert {r.exit_code for r in results} == {ExitCode.STOPPED}
    assert "cannot reach Connectif" in str(results[0])
    # Eight at once, those that were on their way when the circuit opened, and the probes.
    assert len(world.seen()) <= 2 * 8 + FAILURES + PROBES


def test_when_the_api_comes_back_all_get_through():
    world = World()
    world.box.faults.add({"kind": "status", "status": 502, "times": 12})

    async def work(client):
        return await asyncio.gather(*(client.send(patch(f"user{i}")) for i in range(8)))

    assert all(answer.ok for answer in world.run(work))
    assert len(world.seen()) == 8 + 12


def test_while_the_circuit_is_open_one_request_at_a_time_is_sent():
    world = World()
    world.box.faults.add({"kind": "status", "status": 503, "times": 10_000})

    async def work(client):
        calls = [client.send(patch(f"user{i}")) for i in range(8)]
        await asyncio.gather(*calls, return_exceptions=True)

    world.run(work)
    times = [r["time"] for r in world.seen()][-PROBES:]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert min(pauses) > 0.5
    assert pauses[-1] > 10  # they grow


@pytest.mark.parametrize("kind", ["status", "reset"])
def test_a_request_that_fails_alone_does_not_stop_the_others(kind):
    world = World()
    path = "/contacts/email/bad"
    world.box.faults.add({"kind": kind, "status": 500, "times": 10_000, "path": path})

    async def work(client):
        async def others():
            for i in range(60):
                assert (await client.send(patch(f"user{i}"))).ok
                await client.clock.sleep(1)

        return (await asyncio.gather(client.send(patch("bad")), others(), return_exceptions=True))[
            0
        ]

    result = world.run(work)
    if kind == "status":
        assert result.status == 500
    else:
        assert type(result) is NoAnswer
    assert len(world.seen(path)) == 8


def test_an_error_of_the_server_for_the_only_request_is_that_requests_fault():
    world = World()
    world.box.faults.add({"kind": "status", "status": 500, "times": 10_000})
    assert world.run(lambda client: client.send(patch("bad"))).status == 500


def test_a_gateway_that_is_down_is_no_fault_of_the_only_request():
    world = World()
    world.box.faults.add({"kind": "status", "status": 503, "times": 10_000})
    with pytest.raises(Unreachable):
        world.run(lambda client: client.send(patch("good")))


def test_a_request_that_waits_can_be_given_up():
    world = World()
    world.box.faults.add({"kind": "status", "status": 503, "times": 10_000})

    class GivenUpError(Exception):
        pass

    async def work(client):
        def check():
            if client.clock.monotonic() - begin > 10:
                raise GivenUpError

        begin = client.clock.monotonic()
        client.check = check
        with pytest.raises(GivenUpError):
            await client.send(patch("ana"))
        return client.clock.monotonic() - begin

    assert world.run(work) < 12


def test_who_tries_for_all_does_not_wait_for_what_is_kept_for_them():
    """With a limit of requests some are kept for who goes first. When those wait for one of the
    others to find out whether the API is back, they would wait for each other for ever."""
    world = World()
    world.box.faults.add({"kind": "status", "status": 503, "times": 9})

    async def work(client):
        left = 1

        async def high():
            nonlocal left
            answer = await client.send(patch("high"), Claim(Priority.HIGH, "high"))
            left -= 1
            return answer

        client.most = 40
        # What is left is all for that one, as soon as the API is down.
        client.kept = lambda claim: 40 * left if claim.who == "low" and world.seen() else 0
        calls = [client.send(patch(f"low{i}"), Claim(Priority.LOW, "low")) for i in range(8)]
        async with asyncio.timeout(3600):
            return await asyncio.gather(*calls, high())

    assert all(answer.ok for answer in world.run(work))
