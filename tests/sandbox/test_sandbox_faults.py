"""Faults on demand that concern files, exports and the clock (the others: tests/connectif)."""

import httpx
import pytest

CONTACTS = {"exportType": "contacts", "delimiter": ",", "dateFormat": "ISO"}


def add(account, **rule):
    assert account.api.post("/_sandbox/faults", json=rule).is_success


@pytest.fixture
def url(account):
    """The address of a finished export's file."""
    identity = account.api.post("/exports/", json=CONTACTS).json()["id"]
    account.pass_time(60)
    return account.api.get(f"/exports/{identity}").json()["fileUrl"]


def test_the_clock_can_jump_forward_and_an_address_dies(account, url):
    assert httpx.get(url).status_code == 200
    add(account, kind="clock_jump", seconds=7200)
    account.api.get("/store")
    assert httpx.get(url).status_code == 403


def test_a_clock_that_is_set_back_stops_neither_requests_nor_imports(open_account):
    account = open_account()
    add(account, kind="clock_jump", seconds=-3600, path="/store")
    assert account.upload("contacts", "_email\nana@x.es\n").status_code == 201
    before = account.api.get("/store")  # the clock jumps here
    assert before.status_code == 200
    account.pass_time(1)
    [done] = account.api.get("/imports/").json()["results"]
    assert done["status"] == "finished"


def test_the_rate_window_opens_anew_when_the_clock_is_set_back(account):
    first = account.api.get("/store")
    add(account, kind="clock_jump", seconds=-3600)
    after = account.api.get("/store")
    assert int(after.headers["X-RateLimit-Reset"]) < int(first.headers["X-RateLimit-Reset"])
    assert int(after.headers["RateLimit-Reset"]) == 60


@pytest.mark.parametrize(
    ("rule", "status"),
    [({"kind": "status", "status": 503}, 503), ({"kind": "expired_file"}, 403)],
)
def test_a_download_can_be_refused_once(account, url, rule, status):
    add(account, path="/_sandbox/files/", **rule)
    assert [httpx.get(url).status_code for _ in range(2)] == [status, 200]


@pytest.mark.parametrize("kind", ["reset", "truncate", "timeout_after", "timeout_before"])
def test_a_download_can_break_off(account, url, kind):
    add(account, kind=kind, path="/_sandbox/files/", seconds=0.05)
    with pytest.raises(httpx.TransportError):
        httpx.get(url)
    assert httpx.get(url).status_code == 200


def test_faults_for_files_leave_the_api_alone(account, url):
    add(account, kind="reset", path="/_sandbox/files/")
    add(account, kind="expired_file")
    assert account.api.get("/store").status_code == 200
    assert len(account.api.get("/_sandbox/faults").json()) == 2


def test_refused_requests_count_unless_a_switch_says_otherwise(open_account):
    for switch, above in ((True, 40), (False, 0)):
        account = open_account(count_refused=switch)
        add(account, kind="other_clients", requests=100_040 - 1)
        account.api.get("/store")
        status = account.api.get("/_sandbox/status").json()["budget"]
        assert status["used"] == 100_000 + above
