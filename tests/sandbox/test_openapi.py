"""The description of the API, and whether the sandbox keeps to it (by schemathesis)."""

from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from compasso.sandbox import SandboxSettings, create_app
from compasso.sandbox.endpoints import endpoints
from compasso.sandbox.openapi import openapi
from compasso.sandbox.reference import reference
from compasso.sandbox.seed import seed

DOCS = Path(__file__).parent.parent.parent / "docs"
KEY = {"Authorization": "apiKey id:secret"}
# What no schema can say: these need other things of the account, or a file that fits.
RULES = {
    "POST /contact-fields/": "what goes with which type of field",
    "DELETE /contact-fields/{id}": "system fields stay",
    # schemathesis makes addresses with U+FFFD in them, and does not take them for addresses.
    "PATCH /contacts/{email}": "what an address is",
    "PATCH /products/product-id/{productId}": "a new product needs three properties",
    "POST /purchases/": "the contact and the products must be there",
    "POST /custom-integrations/{id}/custom-event-types/": "exactly one primary key",
    "POST /custom-events/alias/{alias}": "the fields of the event's type",
    "POST /custom-events/id/{id}": "the fields of the event's type",
    "POST /imports/": "the file must be CSV",
    "POST /exports/": "the segment must be there, the range be short",
    "POST /exports/type/data-explorer": "the report must be there",
}
IN_USE = "Value is already in use by another contact"
FIELD = {
    "id": "sports",
    "name": "Sports",
    "type": "checkbox",
    "required": False,
    "options": [{"id": "t", "label": "Tennis"}],
}
EVENT_TYPE = {
    "id": "5cf8c05f5b4cb901091f7d98",
    "name": "Review",
    "category": "receive",
    "alias": "review",
    "fields": [
        {"id": "m", "name": "M", "type": "email", "required": True, "isPrimaryKey": True},
    ],
}


@pytest.fixture(scope="module")
def schema():
    """An account with something of everything, and its description without the key."""
    app = create_app(SandboxSettings(requests_per_minute=10**9))
    things = {
        "contact_fields": [FIELD],
        "event_types": [EVENT_TYPE],
        "coupon_sets": [{"name": "S", "type": "multiple", "codes": ["A", "B"]}],
        "workflows": [{"name": "W"}],
    }
    seed(app.state.sandbox, things)
    loaded = schemathesis.openapi.from_asgi("/_sandbox/openapi.json", app)
    raw = dict(loaded.raw_schema)
    del raw["security"]  # so that wrong requests are wrong in another way than by their key
    loaded = schemathesis.openapi.from_dict(raw)
    loaded.app = app
    return loaded


def keeps_to_it(schema, method, path, examples):
    operation = schema[path][method]
    excluded = [positive_data_acceptance] if f"{method} {path}" in RULES else []
    relaxed = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )

    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        if mode is GenerationMode.NEGATIVE and not operation.body and not operation.query:
            continue

        @relaxed
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case):
            response = case.call(headers=KEY)
            taken = excluded + ([positive_data_acceptance] if IN_USE in response.text else [])
            case.validate_response(response, excluded_checks=taken)

        check()


OPERATIONS = [
    pytest.param(e.method, e.public_path, id=f"{e.method} {e.public_path}") for e in endpoints()
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_sandbox_keeps_to_its_description(schema, method, path):
    keeps_to_it(schema, method, path, examples=5)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_sandbox_keeps_to_its_description_at_length(schema, method, path):
    keeps_to_it(schema, method, path, examples=40)


def test_the_description_has_every_endpoint_and_how_it_is_known(account):
    described = account.api.get("/_sandbox/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    for endpoint in endpoints():
        operation = described["paths"][endpoint.public_path][endpoint.method.lower()]
        assert operation["x-evidence"] == endpoint.evidence
    identities = [o["operationId"] for p in described["paths"].values() for o in p.values()]
    assert len(set(identities)) == len(identities) == len(endpoints())


def test_the_accounts_own_fields_are_in_the_description(account):
    account.seed(contact_fields=[FIELD])
    described = account.api.get("/_sandbox/openapi.json").json()
    patch = described["components"]["schemas"]["ContactPatch"]
    assert patch["properties"]["sports"]["items"]["enum"] == ["t"]


def test_every_schema_is_one():
    described = openapi(create_app(SandboxSettings()).state.sandbox)
    for schema in described["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_the_committed_list_of_endpoints_is_what_the_declarations_make():
    committed = (DOCS / "sandbox-endpoints.md").read_text("utf-8")
    assert committed == reference(), (
        "run: python -m compasso.sandbox.reference > docs/sandbox-endpoints.md"
    )


def test_an_unknown_query_parameter_is_refused(account):
    answer = account.api.get("/imports/?pagesize=5")
    assert answer.status_code == 422
    assert answer.json()["validationErrors"][0]["path"] == "/pagesize"
    assert httpx.get(f"{account.api.base_url}/imports/").status_code == 401
