"""A rehearsal says what an apply would do, in virtual time, and changes nothing."""

import json

import httpx
import pytest

SPEC = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
missing: delete
nulls: clear
route: calls
guards: {max_delete: 100%}
fields:
  _email: email
  _name: name
  club: {from: club, type: text}
"""
FIELDS = """kind: contact-fields
fields:
  - {id: club, name: Club, type: radio, options: [{id: gold, label: Gold}, {id: blue, label: Blue}]}
"""
LIMIT = 40


def rows(people):
    return "email,name,club\n" + "".join(f"u{i}@x.es,{n},{c}\n" for i, (n, c) in people.items())


@pytest.fixture
def shop(project):
    """A project with 50 contacts; it names an account that nobody serves."""
    return project(
        {
            "compasso.yml": f"project: shop\nconnectif: {{base_url: http://127.0.0.1:9}}\n"
            f"budget: {{requests_per_minute: {LIMIT}}}\n",
            "specs/crm.yml": SPEC,
            "specs/own.yml": FIELDS,
            "data/c.csv": rows(dict.fromkeys(range(50), ("Ana", "gold"))),
        }
    )


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def rehearse(compasso, shop, *more):
    ran = compasso("rehearse", shop / "w.plan", "--project", shop, "--format", "json", *more)
    return ran.code, json.loads(ran.out)


def test_it_keeps_to_the_limit_and_leaves_everything_as_it_was(shop, compasso):
    compasso("plan", "--project", shop, "--out", shop / "w.plan")
    before = contents(shop)
    code, report = rehearse(compasso, shop)
    summary = report["summary"]
    assert code == 0
    assert (summary["applied"], summary["failed"], summary["skipped"]) == (51, 0, 0)
    assert summary["requests"] == 51  # one field, 50 contacts
    assert summary["peak_requests_in_60s"] == LIMIT
    assert summary["refused"] == 0
    assert 60 < summary["seconds"] < 70  # the last ones wait for the second minute
    assert contents(shop) == before


def test_another_limit_takes_another_time(shop, compasso):
    compasso("plan", "--project", shop, "--out", shop / "w.plan")
    quick = rehearse(compasso, shop, "--requests-per-minute", "100")[1]["summary"]
    slow = rehearse(compasso, shop, "--requests-per-minute", "10")[1]["summary"]
    assert quick["seconds"] < 60
    assert slow["peak_requests_in_60s"] == 10
    assert slow["seconds"] > 300


def test_it_foretells_what_the_apply_then_does(shop, sandbox, compasso):
    settings = shop / "compasso.yml"  # nobody waits for the second minute here
    settings.write_text(settings.read_text().replace(str(LIMIT), "1000"))
    assert compasso("apply", "--project", shop, "--auto-approve").code == 0
    people = dict.fromkeys(range(3, 50), ("Ana", "gold")) | dict.fromkeys(range(5), ("Eva", "blue"))
    people[7] = ("Ana", "")  # a radio field that is to be cleared: Connectif refuses that
    del people[0], people[49]
    (shop / "data/c.csv").write_text(rows(people))
    compasso("plan", "--project", shop, "--out", shop / "w.plan")
    code, report = rehearse(compasso, shop, "--requests-per-minute", "1000")
    seen = len(httpx.get(f"{sandbox.url}/_sandbox/requests").json())
    ran = compasso("apply", shop / "w.plan", "--project", shop, "--format", "json")
    applied = json.loads(ran.out)
    assert code == ran.code == 1
    names = ("applied", "failed", "skipped", "requests")
    assert [report["summary"][n] for n in names] == [applied["summary"][n] for n in names]
    assert report["summary"]["applied"] == 6  # 4 updates, 2 deletes
    assert [f["reason"] for f in report["failures"]] == [f["reason"] for f in applied["failures"]]
    assert "club" in report["failures"][0]["reason"]
    assert report["failures"][0]["keys"] != ["u7@x.es"], "an address is shown"
    now = httpx.get(f"{sandbox.url}/_sandbox/requests").json()
    assert len(now) - seen == applied["summary"]["requests"], "the rehearsal sent something"


def test_a_storm_is_survived_and_the_same_seed_makes_the_same_one(shop, compasso):
    compasso("plan", "--project", shop, "--out", shop / "w.plan")
    storms = [rehearse(compasso, shop, "--faults", "storm", "--seed", s)[1] for s in "557"]
    for storm in storms:
        assert storm["summary"]["applied"] + storm["summary"]["failed"] == 51
        assert storm["summary"]["peak_requests_in_60s"] <= LIMIT
    assert storms[0] == storms[1]
    assert storms[0] != storms[2]
    calm = rehearse(compasso, shop)[1]["summary"]
    assert storms[0]["summary"]["seconds"] > calm["seconds"]


def test_a_field_that_no_spec_declares_is_taken_for_granted_and_told(shop, compasso):
    (shop / "specs/own.yml").unlink()
    compasso("plan", "--project", shop, "--out", shop / "w.plan")
    code, report = rehearse(compasso, shop)
    assert code == 0
    assert report["assumed"] == ["a contact field club of type text"]


def test_text_and_markdown_say_the_same(shop, compasso):
    compasso("plan", "--project", shop, "--out", shop / "w.plan")
    text = compasso("rehearse", shop / "w.plan", "--project", shop).out
    marked = compasso("rehearse", shop / "w.plan", "--project", shop, "--format", "markdown").out
    for out in (text, marked):
        assert "Rehearsal: 51 applied, 0 failed, 0 left. 51 requests" in out
        assert "PATCH /contacts 50" in out
    assert "\x1b" not in text


def test_a_stale_plan_is_refused(shop, sandbox, compasso):
    compasso("plan", "--project", shop, "--out", shop / "w.plan")
    (shop / "data/c.csv").write_text(rows({1: ("Eva", "blue")}))
    compasso("apply", "--project", shop, "--auto-approve")
    ran = compasso("rehearse", shop / "w.plan", "--project", shop)
    assert ran.code == 1
    assert "the plan is stale" in ran.err
