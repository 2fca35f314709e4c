"""The account changed by another hand: found by drift, taken over by refresh, put right by apply."""

import json

import httpx
import pytest

from compasso.sandbox import RunningSandbox
from compasso.sandbox.settings import SandboxSettings

KEY = {"Authorization": "apiKey other:client"}
SPEC = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
missing: delete
guards: {max_delete: 100%}
fields:
  _email: email
  _name: first_name
  _points: {from: points, type: integer}
  _birthdate: {from: born, type: date}
"""
ROWS = "email,first_name,points,born\n" + "".join(
    f"u{i}@x.es,Ana,{i},1990-01-0{i + 1}\n" for i in range(5)
)


@pytest.fixture
def applied(sandbox, project, compasso):
    """A project that was applied."""
    folder = project(
        {
            "compasso.yml": "project: shop\nbudget: {requests_per_minute: 1000}\n",
            "specs/crm.yml": SPEC,
            "data/c.csv": ROWS,
        }
    )
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    return folder


def other_hand(sandbox):
    """Another client changes a name, deletes a contact, and touches a field that is not ours."""
    url = f"{sandbox.url}/contacts/email/"
    assert httpx.patch(url + "u1@x.es", json={"_name": "Eva"}, headers=KEY).is_success
    assert httpx.delete(url + "u2@x.es", headers=KEY).is_success
    assert httpx.patch(url + "u3@x.es", json={"_surname": "Ruiz"}, headers=KEY).is_success


def account(sandbox):
    found = httpx.get(f"{sandbox.url}/_sandbox/dump/contacts").json()
    return {c["_email"]: c for c in found}


def test_an_account_that_nobody_touched_has_no_drift(applied, compasso):
    ran = compasso("drift", "--project", applied, "--detailed-exitcode")
    assert (ran.code, "No drift" in ran.out) == (0, True)


def test_drift_names_what_another_hand_changed_and_changes_nothing(sandbox, applied, compasso):
    other_hand(sandbox)
    before = account(sandbox)
    ran = compasso("drift", "--project", applied, "--format", "json", "--detailed-exitcode")
    assert ran.code == 2
    found = json.loads(ran.out)
    assert found["summary"] == {"looked_at": 5, "drifted": 2, "missing": 1, "unreadable": 0}
    changed, gone = found["drifted"]
    assert changed["differences"] == [{"field": "_name", "applied": "A***", "account": "E***"}]
    assert (gone["missing"], gone["key"]) == (True, "u***@x.es")
    assert account(sandbox) == before
    assert compasso("plan", "--project", applied, "--detailed-exitcode").code == 0
    text = compasso("drift", "--project", applied, "--reveal").out
    assert '_name: "Ana" -> "Eva"' in text
    assert "u2@x.es  is not in the account" in text


@pytest.mark.parametrize("way", ["refresh", "plan --refresh"])
def test_after_a_refresh_the_next_apply_puts_the_account_right(way, sandbox, applied, compasso):
    other_hand(sandbox)
    assert compasso(*way.split(), "--project", applied).code == 0
    ran = compasso("plan", "--project", applied, "--format", "json")
    summary = json.loads(ran.out)["summary"]
    assert (summary["create"], summary["update"], summary["unchanged"]) == (1, 1, 3)
    assert compasso("apply", "--project", applied, "--auto-approve").code == 0
    found = account(sandbox)
    assert (found["u1@x.es"]["_name"], found["u2@x.es"]["_points"]) == ("Ana", 2)
    assert found["u3@x.es"]["_surname"] == "Ruiz"
    assert compasso("plan", "--project", applied, "--detailed-exitcode").code == 0


def test_a_sample_and_a_key_cost_no_more_than_they_say(sandbox, applied, compasso):
    def reads():
        seen = httpx.get(f"{sandbox.url}/_sandbox/requests").json()
        return sum(1 for r in seen if r["method"] == "GET" and r["path"].startswith("/contacts"))

    compasso("drift", "--project", applied, "--sample", 2)
    assert reads() == 2
    ran = compasso("drift", "--project", applied, "--key", "u4@x.es")
    assert reads() == 3
    assert "crm: 0 of 1 records differ (looked at 1 of 5)" in ran.out


def test_a_record_that_the_api_will_not_read_is_counted_and_not_taken_for_missing(
    sandbox, applied, compasso
):
    rule = {"kind": "status", "status": 400, "method": "GET", "path": "/contacts/email/u1"}
    httpx.post(f"{sandbox.url}/_sandbox/faults", json=rule)
    found = json.loads(compasso("drift", "--project", applied, "--format", "json").out)
    assert (found["summary"]["unreadable"], found["summary"]["drifted"]) == (1, 0)


def test_a_refused_key_stops_drift_with_the_fix(applied, compasso, monkeypatch):
    with RunningSandbox(SandboxSettings(api_key="other:key")) as strict:
        monkeypatch.setenv("CONNECTIF_BASE_URL", strict.url)
        ran = compasso("drift", "--project", applied)
    assert ran.code == 1
    assert "does not accept the API key (401)" in ran.err
    assert "topsecret" not in ran.out + ran.err
