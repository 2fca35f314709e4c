"""Custom events applied to a sandbox over real HTTP: their types, their keys, lost answers."""

import json
from collections import Counter

import httpx
import pytest

PROJECT = "project: shop\nbudget: {requests_per_minute: 6000}\n"
CONTACTS = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
fields: {_email: email, _name: first_name}
"""
TYPES = """kind: custom-event-types
integration: INTEGRATION
events:
  - alias: order-shipped
    name: Order shipped
    fields:
      - {id: email, name: E-mail, type: email, primary_key: true}
      - {id: tracking, name: Tracking, type: text, required: true}
      - {id: weight, name: Weight, type: integer}
      - {id: carrier, name: Carrier, type: radio, options: [{id: seur, label: SEUR}]}
"""
EVENTS = """kind: sync
name: shipments
source: {csv: data/s.csv}
target: custom-events/order-shipped
MORE
fields:
  email: email
  tracking: code
  weight: {from: weight, type: integer}
"""
KEY = {"Authorization": "apiKey a:b"}


@pytest.fixture
def sandbox(serve):
    return serve(6000)


@pytest.fixture
def shop(project, sandbox):
    body = {"name": "Backend", "eventsEnabled": True}
    made = httpx.post(f"{sandbox.url}/custom-integrations/", json=body, headers=KEY).json()

    def make(rows, more="", types=TYPES):
        return project(
            {
                "compasso.yml": PROJECT,
                "specs/crm.yml": CONTACTS,
                "specs/types.yml": types and types.replace("INTEGRATION", made["id"]),
                "specs/shipments.yml": EVENTS.replace("MORE", more),
                "data/c.csv": "email,first_name\nana@x.es,Ana\n",
                "data/s.csv": "email,code,weight\n" + rows,
            }
        )

    return make


def events(sandbox):
    return httpx.get(f"{sandbox.url}/_sandbox/dump/events").json()


def codes(sandbox):
    return Counter(e["fields"]["tracking"] for e in events(sandbox))


def posts(sandbox, start):
    seen = httpx.get(f"{sandbox.url}/_sandbox/requests").json()
    return [r for r in seen if r["method"] == "POST" and r["path"].startswith(start)]


def fault(sandbox, **rule):
    assert httpx.post(f"{sandbox.url}/_sandbox/faults", json=rule).is_success


def apply(compasso, folder):
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    return ran, json.loads(ran.out) if ran.out else {}


def test_the_type_is_made_then_the_contacts_then_the_events_and_none_is_sent_again(
    sandbox, shop, compasso
):
    folder = shop("ana@x.es,T1,3\nana@x.es,T2,\n")
    ran, _ = apply(compasso, folder)
    assert ran.code == 0, ran.err
    assert [e["fields"] for e in events(sandbox)] == [
        {"email": "ana@x.es", "tracking": "T1", "weight": 3},
        {"email": "ana@x.es", "tracking": "T2"},
    ]
    shop("ana@x.es,T1,3\nana@x.es,T2,\nana@x.es,T3,1\n")
    assert apply(compasso, folder)[0].code == 0
    assert codes(sandbox) == {"T1": 1, "T2": 1, "T3": 1}
    assert len(posts(sandbox, "/custom-integrations/")) == 2  # by hand, and the one type
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0


def test_a_type_that_is_there_already_is_taken_over(sandbox, shop, compasso):
    folder = shop("ana@x.es,T1,3\n")
    assert apply(compasso, folder)[0].code == 0
    assert compasso("state", "rm", "order-shipped", "--project", folder).code == 0
    ran, document = apply(compasso, folder)
    assert (ran.code, document["summary"]["failed"]) == (0, 0)


def test_the_key_says_what_makes_two_rows_one_event(sandbox, shop, compasso):
    folder = shop("ana@x.es,T1,3\n", "key: tracking")
    assert apply(compasso, folder)[0].code == 0
    shop("ana@x.es,T1,4\nana@x.es,T2,4\n", "key: tracking")
    ran = compasso("plan", "--project", folder)
    assert "1 event changed in the source since they were sent" in ran.out
    assert "T1 (weight); what was sent stays" in ran.out
    assert apply(compasso, folder)[0].code == 0
    assert codes(sandbox) == {"T1": 1, "T2": 1}
    shop("ana@x.es,T1,5\nana@x.es,T2,4\n", "key: [tracking, weight]")
    ran, document = apply(compasso, folder)
    assert document["summary"]["applied"] == 2  # another key: other events
    # No one's address is told by a key that is made of it.
    shop("ana@x.es,T9,5\n", "key: email")
    assert "ana@x.es" not in compasso("plan", "--project", folder).out


def test_an_event_of_an_unknown_contact_says_what_to_do_or_makes_the_contact(
    sandbox, shop, compasso
):
    folder = shop("eva@x.es,T1,3\n")
    ran, document = apply(compasso, folder)
    assert ran.code == 1
    [failure] = document["failures"]
    assert failure["reason"].startswith("400 E0501: its contact is not in the account. crm has no")
    assert "`create_contact: true`" in failure["reason"]
    shop("eva@x.es,T1,3\n", "create_contact: true")
    assert apply(compasso, folder)[0].code == 0
    assert codes(sandbox) == {"T1": 1}


@pytest.mark.parametrize("kind", ["timeout_after", "timeout_before", "status"])
@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_an_event_whose_answer_was_lost_is_sent_again_or_not_as_the_spec_says(
    kind, delivery, sandbox, shop, compasso
):
    folder = shop("ana@x.es,T1,3\nana@x.es,T2,3\n", f"delivery: {delivery}")
    more = {"status": 503} if kind == "status" else {"seconds": 0.1}
    fault(sandbox, kind=kind, method="POST", path="/custom-events", **more)
    ran, _ = apply(compasso, folder)
    assert ran.code == 0, ran.err
    apply(compasso, folder)  # and the next apply does not send it either
    sent = Counter(codes(sandbox).values())
    if delivery == "at_most_once":
        assert sent == ({1: 2} if kind == "timeout_after" else {1: 1})
    else:
        assert sent == ({1: 1, 2: 1} if kind == "timeout_after" else {1: 2})


def test_an_event_of_more_than_512_kb_is_rejected_by_the_plan(sandbox, shop, compasso):
    folder = shop(f"ana@x.es,{'x' * 530_000},3\nana@x.es,T2,3\n", "rejects: {max: 50%}")
    ran = compasso("plan", "--project", folder)
    assert "row 1: (event) is larger than 512 KB, the most that Connectif takes" in ran.out
    assert "1 to create" in ran.out


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (EVENTS + "  colour: code\n", "the event type order-shipped has no field `colour`"),
        (EVENTS.replace("  tracking: code\n", ""), "the mapping lacks tracking, which every event"),
        (EVENTS.replace("MORE", "key: nothing"), "the key `nothing` is not mapped"),
        (EVENTS.replace("MORE", "missing: delete"), "an event cannot be deleted"),
        (EVENTS.replace("MORE", "route: import"), "Connectif has no import of custom-events"),
        (EVENTS.replace("/order-shipped", ""), "there is no target 'custom-events'"),
        (
            EVENTS.replace("MORE", "on_change: replace"),
            "`on_change` does not exist for custom-events",
        ),
    ],
)
def test_a_wrong_spec_of_events_is_named(spec, said, shop, compasso):
    folder = shop("ana@x.es,T1,3\n")
    (folder / "specs" / "shipments.yml").write_text(spec.replace("MORE", ""))
    ran = compasso("validate", "--project", folder)
    assert ran.code == 1
    assert said in ran.err
    assert "specs/shipments.yml:" in ran.err


def test_the_types_fields_drive_the_checks(sandbox, shop, compasso):
    rows = "wrong,T1,3\nana@x.es,,3\nana@x.es,T3,many\nana@x.es,T4,1\n"
    folder = shop(rows, "rejects: {max: 100%}")
    spec = folder / "specs" / "shipments.yml"
    spec.write_text(spec.read_text() + "  carrier: {value: dhl}\n")
    ran = compasso("plan", "--project", folder, "--format", "json")
    [types, _, sync] = json.loads(ran.out)["syncs"]
    assert types["target"] == "custom-event-types"
    said = {(r["source_row"], r["message"]) for r in sync["rejects"]}
    assert {
        (1, "email is not an e-mail address"),
        (2, "tracking is missing"),
        (3, "weight is not an integer"),
        (4, "carrier must be one of: seur"),
    } <= said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (", primary_key: true", "", "exactly one field is the primary key"),
        ("type: email,", "type: text,", "exactly one field is the primary key"),
        ("id: weight", "id: email", "two fields have the same id"),
        (", options: [{id: seur, label: SEUR}]", "", "options go with checkbox and radio"),
        ("type: integer", "type: phone", "default_country_code goes with phone fields"),
        ("integration: INTEGRATION", "integration: shop", "`integration` has a character"),
    ],
)
def test_a_wrong_event_type_is_named(old, new, said, shop, compasso):
    folder = shop("ana@x.es,T1,3\n", types=TYPES.replace(old, new))
    ran = compasso("validate", "--project", folder)
    assert ran.code == 1
    assert said in ran.err


def test_a_type_that_no_spec_declares_takes_what_is_mapped(sandbox, shop, compasso):
    folder = shop("ana@x.es,T1,3\n")
    assert apply(compasso, folder)[0].code == 0
    (folder / "specs" / "types.yml").unlink()
    shop("ana@x.es,T1,3\nana@x.es,T2,4\n", types=None)
    assert apply(compasso, folder)[0].code == 0
    assert codes(sandbox) == {"T1": 1, "T2": 1}


def test_a_type_that_differs_from_the_account_is_a_warning_with_the_way_round(
    sandbox, shop, compasso
):
    folder = shop("ana@x.es,T1,3\n")
    assert apply(compasso, folder)[0].code == 0
    shop("ana@x.es,T1,3\n", types=TYPES.replace("type: integer", "type: decimal"))
    ran = compasso("plan", "--project", folder)
    assert "the event type order-shipped differs from the account (fields)" in ran.out
    assert "another alias" in ran.out
