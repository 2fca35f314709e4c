"""The simulated Connectif over real HTTP, against what is known of the real one."""

import time

import httpx
import pytest

from compasso.sandbox import RunningSandbox
from compasso.sandbox.settings import Behaviour, SandboxSettings

KEY = {"Authorization": "apiKey id:secret"}


@pytest.fixture
def api():
    with RunningSandbox() as sandbox, httpx.Client(base_url=sandbox.url, headers=KEY) as client:
        yield client


def upload(api, kind, text, **fields):
    form = {"type": kind, "delimiter": ",", "overrideExisting": "true"}
    form["updateOnlyEmptyFields"] = "false"
    return api.post("/imports/", data={**form, **fields}, files={"file": ("f.csv", text)})


def finished(api, identity):
    for _ in range(200):
        found = api.get(f"/imports/{identity}", headers={}).json()
        if found["status"] in {"finished", "error"}:
            return found
        time.sleep(0.1)
    raise AssertionError("the import did not end")


def test_without_a_key_it_is_401_in_plain_text(api):
    answer = httpx.get(f"{api.base_url}/store")
    assert (answer.status_code, answer.text) == (401, "Unauthorized")


def test_a_contact_has_three_addresses_and_a_patch_creates_it(api):
    assert api.patch("/contacts/email/Ana%40X.es", json={"_name": "Ana"}).status_code == 200
    assert api.patch("/contacts/ana@x.es", json={"_externalId": "7"}).status_code == 200
    found = api.get("/contacts/external-id/7").json()
    assert (found["_email"], found["_name"]) == ("ana@x.es", "Ana")
    assert api.delete("/contacts/external-id/7").status_code == 204
    assert api.get("/contacts/email/ana%40x.es").status_code == 404


def test_a_wrong_value_and_an_unknown_key_are_422_with_their_paths(api):
    answer = api.patch("/contacts/ana@x.es", json={"_mobilePhone": "6", "nope": 1})
    assert answer.status_code == 422
    body = answer.json()
    assert body["title"] == "Unprocessable entity"
    assert {e["path"] for e in body["validationErrors"]} == {"/_mobilePhone", "/nope"}
    assert all(set(e) == {"name", "path", "reason"} for e in body["validationErrors"])


def test_null_clears_an_optional_field(api):
    api.patch("/contacts/ana@x.es", json={"_name": "Ana"})
    assert api.patch("/contacts/ana@x.es", json={"_name": None}).status_code == 200
    assert api.get("/contacts/ana@x.es").json().get("_name") is None


def test_a_body_that_is_not_json_is_400(api):
    answer = api.patch(
        "/contacts/ana@x.es", content=b"{", headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400


def test_a_contact_field_is_made_once_and_then_checked(api):
    field = {"id": "size", "name": "Size", "type": "text", "required": False, "maxLength": 3}
    assert api.post("/contact-fields/", json=field).status_code == 201
    assert api.post("/contact-fields/", json=field).status_code == 422
    assert api.patch("/contacts/ana@x.es", json={"size": "XL"}).status_code == 200
    assert api.patch("/contacts/ana@x.es", json={"size": "XXXL"}).status_code == 422


def test_an_import_takes_time_and_reports_each_row_that_failed(api):
    text = "_email,_name\nana@x.es,Ana\nwrong,Luis\neva@x.es,Eva\n"
    created = upload(api, "contacts", text)
    assert created.status_code == 201
    assert created.json()["status"] in {"queued", "inProgress"}
    found = finished(api, created.json()["id"])
    assert (found["total"], found["success"], found["errors"]) == (3, 2, 1)
    report = httpx.get(found["errorReportFileUrl"]).text
    assert "wrong" in report
    assert len(api.get("/_sandbox/dump/contacts").json()) == 2


def test_a_typed_cell_may_not_be_empty_in_an_import(api):
    created = upload(api, "contacts", "_email,_points\nana@x.es,\nluis@x.es,3\n")
    found = finished(api, created.json()["id"])
    assert (found["success"], found["errors"]) == (1, 1)


def test_more_than_ten_waiting_imports_are_refused(api):
    httpx.post(f"{api.base_url}/_sandbox/faults", json={"kind": "import_stuck"})
    for _ in range(11):  # one is under way, ten wait
        assert upload(api, "contacts", "_email\nana@x.es\n").status_code == 201
    answer = upload(api, "contacts", "_email\nana@x.es\n")
    assert (answer.status_code, answer.json()["code"]) == (400, "E0401")


def window(**settings):
    now = [1_000_000.0]
    made = SandboxSettings(requests_per_minute=5, clock=lambda: now[0], **settings)
    return now, RunningSandbox(made)


def test_the_window_is_sixty_seconds_from_the_first_request_and_counts_refusals():
    now, sandbox = window()
    with sandbox, httpx.Client(base_url=sandbox.url, headers=KEY) as api:
        first = api.get("/store")
        assert first.headers["X-RateLimit-Limit"] == "5"
        assert first.headers["X-RateLimit-Remaining"] == "4"
        assert first.headers["X-RateLimit-Reset"] == "1000060"
        now[0] += 59
        assert [api.get("/store").status_code for _ in range(5)] == [200] * 4 + [429]
        refused = api.get("/store")
        assert refused.text == "Too many requests, please try again later."
        assert refused.headers["Retry-After"] == "1"
        now[0] += 1
        assert api.get("/store").status_code == 200


def test_a_sliding_window_is_one_switch_away():
    now, sandbox = window(behaviour=Behaviour(sliding_window=True))
    with sandbox, httpx.Client(base_url=sandbox.url, headers=KEY) as api:
        assert api.get("/store").status_code == 200
        now[0] += 59
        assert [api.get("/store").status_code for _ in range(4)] == [200] * 4
        now[0] += 2
        assert [api.get("/store").status_code for _ in range(2)] == [200, 429]


def test_an_account_in_a_file_is_there_after_a_restart(tmp_path):
    settings = SandboxSettings(data=tmp_path / "account.sqlite")
    with RunningSandbox(settings) as sandbox:
        httpx.patch(f"{sandbox.url}/contacts/ana@x.es", json={"_name": "Ana"}, headers=KEY)
    with RunningSandbox(settings) as sandbox:
        [contact] = httpx.get(f"{sandbox.url}/_sandbox/dump/contacts").json()
    assert contact["_name"] == "Ana"


def test_every_request_is_in_the_log_with_its_status(api):
    api.get("/contacts/nobody@x.es")
    [entry] = api.get("/_sandbox/requests").json()
    assert (entry["method"], entry["path"], entry["status"]) == (
        "GET",
        "/contacts/nobody@x.es",
        404,
    )


def test_an_unknown_fault_is_refused_with_the_list(api):
    answer = api.post("/_sandbox/faults", json={"kind": "meteor"})
    assert 400 <= answer.status_code < 500
    assert "timeout_after" in answer.text


def test_the_page_shows_the_account(api):
    answer = api.get("/")
    assert answer.status_code == 200
    assert "<title>" in answer.text
