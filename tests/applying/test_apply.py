"""Plans applied to a sandbox over real HTTP: what is sent, what fails, what is said."""

import json
import os
import signal
import subprocess
import sys
import time

import duckdb
import httpx
import pytest

SPEC = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
route: ROUTE
missing: MISSING
guards: {max_delete: 100%}
fields:
  _email: email
  _name: first_name
  _points: {from: points, type: integer}
"""


def spec(route="auto", missing="keep"):
    return SPEC.replace("ROUTE", route).replace("MISSING", missing)


def rows(count, name="Ana"):
    lines = [f"user{i}@x.es,{name},{i}" for i in range(count)]
    return "\n".join(["email,first_name,points", *lines]) + "\n"


@pytest.fixture
def shop(project):
    """A project whose budget is that of the sandbox, so that tests do not wait."""

    def make(data, **how):
        return project(
            {
                "compasso.yml": "project: shop\nbudget: {requests_per_minute: 1000}\n",
                "specs/crm.yml": spec(**how),
                "data/c.csv": data,
            }
        )

    return make


def account(sandbox):
    found = httpx.get(f"{sandbox.url}/_sandbox/dump/contacts").json()
    return {c["_email"]: c for c in found}


def requests(sandbox):
    return httpx.get(f"{sandbox.url}/_sandbox/requests").json()


def fault(sandbox, **rule):
    assert httpx.post(f"{sandbox.url}/_sandbox/faults", json=rule).is_success


@pytest.mark.parametrize("route", ["calls", "import"])
def test_the_account_becomes_what_the_specs_say_and_the_next_plan_is_empty(
    route, sandbox, shop, compasso
):
    folder = shop(rows(20), route=route)
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    assert ran.code == 0
    summary = json.loads(ran.out)["summary"]
    assert (summary["applied"], summary["failed"], summary["skipped"]) == (20, 0, 0)
    found = account(sandbox)
    assert len(found) == 20
    assert (found["user7@x.es"]["_name"], found["user7@x.es"]["_points"]) == ("Ana", 7)
    ran = compasso("plan", "--project", folder, "--detailed-exitcode")
    assert ran.code == 0
    assert "No changes." in ran.out
    assert "topsecret" not in ran.out + ran.err


def test_only_the_changed_field_is_sent(sandbox, shop, compasso):
    folder = shop(rows(3))
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    before = len(requests(sandbox))
    shop(rows(3).replace("user1@x.es,Ana", "user1@x.es,Eva"))
    ran = compasso("apply", "--project", folder, "--auto-approve")
    assert "0 to create, 1 to update" in ran.err + ran.out
    [patch] = requests(sandbox)[before:]
    assert (patch["method"], patch["path"]) == ("PATCH", "/contacts/email/user1@x.es")
    assert account(sandbox)["user1@x.es"]["_name"] == "Eva"


def test_a_record_whose_row_is_gone_is_deleted_if_the_spec_says_so(sandbox, shop, compasso):
    folder = shop(rows(4), missing="delete")
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    shop(rows(3), missing="delete")
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    assert set(account(sandbox)) == {"user0@x.es", "user1@x.es", "user2@x.es"}


def test_a_record_that_the_api_refuses_fails_alone_with_its_reason_and_is_tried_again(
    sandbox, shop, compasso
):
    folder = shop(rows(3), route="calls")
    fault(sandbox, kind="status", status=409, method="PATCH", path="/contacts/email/user1")
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    assert ran.code == 1
    document = json.loads(ran.out)
    assert document["summary"]["applied"] == 2
    [failure] = document["failures"]
    assert failure["reason"].startswith("409")
    assert failure["key"] == "u***@x.es"
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    assert ran.code == 0
    assert json.loads(ran.out)["summary"]["applied"] == 1
    assert set(account(sandbox)) == {"user0@x.es", "user1@x.es", "user2@x.es"}


def test_rows_that_an_import_refuses_fail_alone_with_the_reports_reason(sandbox, project, compasso):
    fields = "kind: contact-fields\nfields: [{id: size, name: Size, type: text, max_length: 3}]\n"
    folder = project(
        {
            "compasso.yml": "project: shop\nbudget: {requests_per_minute: 1000}\n",
            "specs/fields.yml": fields,
            "specs/crm.yml": spec("import") + "  size: first_name\n",
            "data/c.csv": rows(3, "XL"),
        }
    )
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    # The account's rule is stricter than what the specs know: only Connectif can refuse.
    (folder / "specs" / "fields.yml").write_text(fields.replace("max_length: 3", "max_length: 9"))
    text = rows(3, "XL").replace("user1@x.es,XL", "user1@x.es,XXXXL")
    (folder / "data" / "c.csv").write_text(text.replace("user2@x.es,XL", "user2@x.es,L"))
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    assert ran.code == 1
    document = json.loads(ran.out)
    assert (document["summary"]["applied"], document["summary"]["failed"]) == (1, 1)
    assert account(sandbox)["user2@x.es"]["size"] == "L"
    assert account(sandbox)["user1@x.es"]["size"] == "XL"


@pytest.mark.parametrize("kind", ["timeout_after", "reset", "truncate"])
def test_a_contact_field_whose_answer_was_lost_is_looked_up(kind, sandbox, project, compasso):
    folder = project(
        {"specs/fields.yml": "kind: contact-fields\nfields: [{id: size, name: Size, type: text}]\n"}
    )
    fault(sandbox, kind=kind, method="POST", path="/contact-fields", seconds=0.1)
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0


@pytest.mark.parametrize("kind", ["timeout_after", "reset", "truncate"])
def test_an_import_whose_answer_was_lost_is_looked_for_before_it_is_sent_again(
    kind, sandbox, shop, compasso
):
    folder = shop(rows(30), route="import")
    fault(sandbox, kind=kind, method="POST", path="/imports", seconds=0.1)
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    assert len(account(sandbox)) == 30
    imports = httpx.get(f"{sandbox.url}/imports/", headers={"Authorization": "apiKey a:b"}).json()[
        "results"
    ]
    assert len(imports) == 1


def test_stopped_at_its_limit_it_exits_3_and_goes_on_where_it_stopped(sandbox, shop, compasso):
    folder = shop(rows(20), route="calls")
    plan = folder / "p.plan"
    assert compasso("plan", "--project", folder, "--out", plan).code == 0
    ran = compasso("apply", plan, "--project", folder, "--max-requests", 8, "--format", "json")
    assert ran.code == 3
    document = json.loads(ran.out)
    assert document["stopped"] is True
    assert document["summary"]["requests"] == 8
    # The same plan file again, though the state has moved on: by this very plan.
    ran = compasso("apply", plan, "--project", folder, "--format", "json")
    assert ran.code == 0
    assert json.loads(ran.out)["summary"]["applied"] == 12
    assert len(account(sandbox)) == 20
    assert len([r for r in requests(sandbox) if r["method"] == "PATCH"]) == 20


def test_a_stale_and_an_altered_plan_are_refused(sandbox, shop, compasso):
    folder = shop(rows(3))
    old, other = folder / "old.plan", folder / "other.plan"
    assert compasso("plan", "--project", folder, "--out", old).code == 0
    shop(rows(3, "Eva"))
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    ran = compasso("apply", old, "--project", folder)
    assert ran.code == 1
    assert "the plan is stale: crm was changed since it was made" in ran.err
    content = bytearray(old.read_bytes())
    at = content.index(b"project")
    content[at : at + 1] = b"P"
    other.write_bytes(content)
    ran = compasso("apply", other, "--project", folder)
    assert ran.code == 1
    assert "was altered after it was made" in ran.err or "not a plan file" in ran.err


def test_without_a_terminal_it_wants_a_plan_or_approval(sandbox, shop, compasso):
    ran = compasso("apply", "--project", shop(rows(1)))
    assert ran.code == 1
    assert "there is no terminal to ask at" in ran.err
    assert requests(sandbox) == []


def start(folder, sandbox):
    environment = {
        **os.environ, "CONNECTIF_BASE_URL": sandbox.url, "CONNECTIF_API_KEY": "id:topsecret",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "compasso.cli", "apply", "--auto-approve", "--project", folder],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(sandbox, count):
    for _ in range(400):
        if len(requests(sandbox)) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("the apply did not begin")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly_and_the_next_apply_does_what_is_left(
    number, sandbox, shop, compasso
):
    folder = shop(rows(60), route="calls")
    fault(sandbox, kind="slow", seconds=0.3, times=1000, method="PATCH")
    process = start(folder, sandbox)
    wait_for(sandbox, 9)
    asked = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 3, err
    assert time.monotonic() - asked < 5
    assert "Traceback" not in out + err
    httpx.post(f"{sandbox.url}/_sandbox/faults", json={"clear": True})
    sent = len([r for r in requests(sandbox) if r["method"] == "PATCH"])
    assert 9 <= sent < 60
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    assert ran.code == 0
    assert json.loads(ran.out)["summary"]["applied"] == 60 - sent
    assert len(account(sandbox)) == 60


def test_two_applies_at_once_the_second_is_told_who_holds_the_lock(sandbox, shop, compasso):
    folder = shop(rows(60), route="calls")
    fault(sandbox, kind="slow", seconds=0.3, times=1000, method="PATCH")
    process = start(folder, sandbox)
    wait_for(sandbox, 3)
    ran = compasso("apply", "--project", folder, "--auto-approve")
    assert ran.code == 1
    assert f"process {process.pid}" in ran.err
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


@pytest.mark.parametrize("route", ["calls", "import"])
def test_killed_at_any_moment_the_next_apply_ends_as_if_nothing_had_happened(
    route, sandbox, shop, compasso
):
    folder = shop(rows(40), route=route)
    fault(sandbox, kind="slow", seconds=0.1, times=1000, method="PATCH")
    for wait in (1, 8, 20):
        process = start(folder, sandbox)
        known = len(requests(sandbox))
        for _ in range(200):
            if len(requests(sandbox)) >= known + wait or process.poll() is not None:
                break
            time.sleep(0.02)
        process.kill()
        process.communicate()
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    assert len(account(sandbox)) == 40
    ran = compasso("plan", "--project", folder, "--detailed-exitcode")
    assert ran.code == 0
    [file] = (folder / ".compasso").rglob("crm.duckdb")
    with duckdb.connect(str(file), read_only=True) as state:
        assert state.execute("SELECT count(*), count(DISTINCT key) FROM records").fetchone() == (
            40,
            40,
        )


def test_contacts_wait_for_a_field_that_could_not_be_made(sandbox, project, compasso):
    """An import with an unknown column leaves the column out and counts its rows as done."""
    fields = "kind: contact-fields\nfields: [{id: size, name: Size, type: text}]\n"
    folder = project(
        {
            "compasso.yml": "project: shop\nbudget: {requests_per_minute: 1000}\n",
            "specs/fields.yml": fields,
            "specs/crm.yml": spec("import") + "  size: first_name\n",
            "data/c.csv": rows(5),
        }
    )
    fault(sandbox, kind="status", status=422, method="POST", path="/contact-fields")
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    assert (ran.code, json.loads(ran.out)["summary"]["failed"]) == (1, 6)
    assert account(sandbox) == {}
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    assert (ran.code, json.loads(ran.out)["summary"]["applied"]) == (0, 6)
    assert account(sandbox)["user3@x.es"]["size"] == "Ana"
