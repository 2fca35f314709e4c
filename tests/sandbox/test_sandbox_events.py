"""Custom events, their types and integrations, over HTTP (API facts: 9.5)."""

import pytest

FIELDS = [
    {"id": "mail", "name": "E-mail", "type": "email", "required": True, "isPrimaryKey": True},
    {"id": "score", "name": "Score", "type": "integer", "required": True},
    {
        "id": "shop",
        "name": "Shop",
        "type": "radio",
        "options": [{"id": "bcn", "label": "Barcelona"}],
    },
]
TYPE = {
    "name": "Review",
    "category": "receive",
    "receiveType": "api",
    "alias": "review",
    "fields": FIELDS,
}
EVENT = {"mail": "ana@x.es", "score": 5, "shop": "bcn"}


@pytest.fixture
def shop(account):
    account.seed(contacts=[{"_email": "ana@x.es"}], event_types=[TYPE])
    return account


def test_an_event_is_sent_by_alias_or_by_id(shop):
    [event_type] = shop.api.get("/custom-event-types/").json()["results"]
    assert shop.api.post("/custom-events/alias/review", json=EVENT).status_code == 201
    by_id = shop.api.post(f"/custom-events/id/{event_type['id']}", json=EVENT)
    assert by_id.status_code == 201
    events = shop.dump("events")
    assert [(e["alias"], e["contactEmail"]) for e in events] == [("review", "ana@x.es")] * 2
    assert events[0]["fields"] == EVENT


def test_fields_are_strict(shop):
    body = {"mail": "ana@x.es", "shop": "mad", "colour": "red"}
    answer = shop.api.post("/custom-events/alias/review", json=body)
    assert answer.status_code == 422
    paths = {e["path"] for e in answer.json()["validationErrors"]}
    assert paths == {"/score", "/shop", "/colour"}
    assert shop.dump("events") == []


def test_an_unknown_contact_is_e0501_unless_it_may_be_made(shop):
    event = {**EVENT, "mail": "eva@x.es"}
    answer = shop.api.post("/custom-events/alias/review", json=event)
    assert (answer.status_code, answer.json()["code"]) == (400, "E0501")
    answer = shop.api.post("/custom-events/alias/review?createContact=true", json=event)
    assert answer.status_code == 201
    assert shop.api.get("/contacts/eva@x.es").status_code == 200


def test_an_unknown_type_is_404_and_a_big_event_413(shop):
    assert shop.api.post("/custom-events/alias/nope", json=EVENT).status_code == 404
    assert shop.api.post(f"/custom-events/id/{'0' * 24}", json=EVENT).status_code == 404
    big = {**EVENT, "shop": "x" * (512 * 1024)}
    assert shop.api.post("/custom-events/alias/review", json=big).status_code == 413


def test_an_integration_lives_and_dies_with_its_event_types(account):
    api = account.api
    made = api.post("/custom-integrations/", json={"name": "Shop", "eventsEnabled": True})
    assert made.status_code == 201
    where = f"/custom-integrations/{made.json()['id']}"
    assert api.patch(where, json={"color": "#ff0000"}).json()["color"] == "#ff0000"
    assert api.get(where).json()["name"] == "Shop"
    assert len(api.get("/custom-integrations").json()["results"]) == 1
    created = api.post(f"{where}/custom-event-types/", json=TYPE)
    assert created.status_code == 201
    one = f"/custom-event-types/{created.json()['id']}"
    assert api.get(one).json()["alias"] == "review"
    assert api.post(f"{where}/custom-event-types/", json=TYPE).status_code == 422  # the alias
    assert api.delete(where).status_code == 204
    assert api.get(one).status_code == 404
    assert api.get(where).status_code == 404
    assert api.delete(one).status_code == 404


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"alias": None}, "/alias"),
        ({"fields": FIELDS[1:]}, "/fields"),
        ({"fields": [{**FIELDS[0], "required": False}]}, "/fields"),
        ({"webhookUrl": "https://x.es"}, "/webhookUrl"),
        ({"category": "send"}, "/alias"),
        ({"name": ""}, "/name"),
    ],
)
def test_an_event_type_that_cannot_be_is_422(account, change, path):
    made = account.api.post("/custom-integrations/", json={"name": "Shop", "eventsEnabled": True})
    where = f"/custom-integrations/{made.json()['id']}/custom-event-types/"
    body = {n: v for n, v in {**TYPE, **change}.items() if v is not None}
    answer = account.api.post(where, json=body)
    assert answer.status_code == 422
    assert path in {e["path"] for e in answer.json()["validationErrors"]}


def test_what_connectif_sends_has_an_address_and_no_alias(account):
    made = account.api.post("/custom-integrations/", json={"name": "Shop", "eventsEnabled": False})
    where = f"/custom-integrations/{made.json()['id']}/custom-event-types/"
    body = {
        "name": "Out",
        "category": "send",
        "fields": [],
        "webhookUrl": "https://x.es/hook",
        "webhookHeaders": [{"name": "X-Key", "value": "v" * 1200}],
    }
    created = account.api.post(where, json=body)
    assert created.status_code == 201
    answer = account.api.post(f"/custom-events/id/{created.json()['id']}", json={})
    assert answer.status_code == 404
