"""The typed client of the whole API, over real HTTP against the sandbox."""

import ast
import asyncio
import re
from pathlib import Path

import httpx
import pytest

import compasso.connectif.api
from compasso.connectif import Client, LostAnswer
from compasso.connectif.api import Refused, connect, custom_fields
from compasso.connectif.client import Answer
from compasso.model import CompassoError
from compasso.sandbox import RunningSandbox
from compasso.sandbox.endpoints import endpoints
from compasso.sandbox.settings import Behaviour, SandboxSettings

PACKAGE = Path(compasso.connectif.api.__file__).parent
FIELD = {
    "id": "sports",
    "name": "Sports",
    "type": "checkbox",
    "required": False,
    "options": [{"id": "t", "label": "Tennis"}],
}
PRODUCT = {"name": "Shoe", "unitPrice": 10, "productDetailUrl": "https://s.es/1"}
PURCHASE = {
    "purchaseId": "A-1",
    "contactEmail": "ana@x.es",
    "purchaseDate": "2024-03-01T10:00:00.000Z",
    "totalPrice": 20.0,
    "totalQuantity": 2,
    "products": [{"productId": "P/1", "quantity": 2, "price": 20.0}],
}
EVENT_TYPE = {
    "name": "Review",
    "category": "receive",
    "alias": "review",
    "fields": [
        {"id": "mail", "name": "E-mail", "type": "email", "required": True, "isPrimaryKey": True}
    ],
}


@pytest.fixture
def sandbox():
    settings = SandboxSettings(
        requests_per_minute=10_000,
        import_min_seconds=0,
        export_min_seconds=0,
        behaviour=Behaviour(coupon_counter_seconds=0),
    )
    with RunningSandbox(settings) as running:
        yield running


def seed(sandbox, **kinds):
    answer = httpx.post(f"{sandbox.url}/_sandbox/seed", json=kinds)
    assert answer.status_code == 201, answer.text
    return answer.json()


def fault(sandbox, **rule):
    assert httpx.post(f"{sandbox.url}/_sandbox/faults", json=rule).is_success


def use(sandbox, work):
    """Run `work(connectif)` with a client of that account."""

    async def running():
        async with connect("id:secret", base_url=sandbox.url, requests_per_minute=10_000) as api:
            return await work(api)

    return asyncio.run(running())


async def people(api):
    made = await api.contacts.patch({"_name": "Ana"}, email="Ana+1@X.es")
    assert (made["_email"], made["_name"]) == ("ana+1@x.es", "Ana")
    await api.contacts.patch({"_externalId": "7/a"}, email="ana+1@x.es")
    found = await api.contacts.get(external_id="7/a")
    assert found == await api.contacts.get(email="ana+1@x.es")
    changed = await api.contacts.patch({"_points": 5}, external_id="7/a")
    assert (changed["_points"], custom_fields(changed)) == (5, {})
    assert await api.contacts.delete(external_id="7/a") is True
    assert await api.contacts.delete(email="ana+1@x.es") is False
    await api.contacts.patch_by_old_path("eva@x.es", {"_name": "Eva"})
    assert (await api.contacts.get_by_old_path("eva@x.es"))["_name"] == "Eva"
    assert await api.contacts.delete_by_old_path("eva@x.es") is True
    assert await api.contacts.get(email="eva@x.es") is None


async def fields(api):
    assert (await api.contact_fields.create(FIELD))["custom"] is True
    assert (await api.contact_fields.get("sports"))["options"] == FIELD["options"]
    ids = [field["id"] async for field in api.contact_fields.list()]
    assert len(ids) == len(set(ids)) > 20  # more than a page
    assert {"sports", "_email"} <= set(ids)
    ana = await api.contacts.patch({"sports": ["t"]}, email="ana@x.es")
    assert custom_fields(ana) == {"sports": ["t"]}
    assert await api.contact_fields.delete("sports") is True
    assert await api.contact_fields.get("sports") is None


async def shop(api):
    product = await api.products.patch("P/1", PRODUCT)
    assert (product["productId"], product["availability"]) == ("P/1", "instock")
    assert await api.products.get("P/1") == await api.products.get(id=product["id"]) == product
    await api.contacts.patch({}, email="ana@x.es")
    purchase = await api.purchases.create(PURCHASE, trigger_event=False)
    assert await api.purchases.get("A-1") == await api.purchases.get(id=purchase["id"]) == purchase
    await api.purchases.delete(id=purchase["id"])
    await api.purchases.create(PURCHASE)
    await api.purchases.delete("A-1")
    assert await api.purchases.get("A-1") is None
    assert await api.products.delete(id=product["id"]) is True
    assert await api.products.delete("P/1") is False


async def events(api):
    made = await api.custom_integrations.create("Shop", events_enabled=True, more={"color": "#fff"})
    where = made["id"]
    assert (await api.custom_integrations.patch(where, {"name": "Store"}))["color"] == "#fff"
    assert (await api.custom_integrations.get(where))["name"] == "Store"
    assert [i["id"] async for i in api.custom_integrations.list()] == [where]
    event_type = await api.custom_event_types.create(where, EVENT_TYPE)
    assert [t["id"] async for t in api.custom_event_types.list()] == [event_type["id"]]
    assert (await api.custom_event_types.get(event_type["id"]))["alias"] == "review"
    event = {"mail": "luis@x.es"}
    await api.custom_events.send(event, alias="review", create_contact=True)
    await api.custom_events.send(event, type_id=event_type["id"])
    assert await api.custom_event_types.delete(event_type["id"]) is True
    assert await api.custom_integrations.delete(where) is True


async def files(api, folder, set_id):
    csv = folder / "codes.csv"
    csv.write_text("code\nA\nB\nA\n")
    started = await api.imports.create("coupons", csv, coupon_set_id=set_id)
    done = await api.imports.wait(started["id"])
    assert (done["status"], done["success"], done["errors"]) == ("finished", 2, 1)
    assert await api.imports.error_report(done["id"], folder / "report.csv") is True
    assert "in the coupon set already" in (folder / "report.csv").read_text()
    assert [i["id"] async for i in api.imports.list()] == [done["id"]]
    assert await api.imports.delete(done["id"]) is True
    assert await api.imports.get(done["id"]) is None

    export = await api.exports.create("contacts", date_format="L", version="v3")
    assert (await api.exports.wait(export["id"]))["status"] == "finished"
    await api.exports.download(export["id"], folder / "contacts.zip")
    assert (folder / "contacts.zip").read_bytes()[:2] == b"PK"
    assert [e["id"] async for e in api.exports.list()] == [export["id"]]
    assert await api.exports.delete(export["id"]) is True
    assert await api.exports.get(export["id"]) is None


def test_every_endpoint_of_the_api_has_a_method(sandbox, tmp_path):
    made = seed(
        sandbox,
        coupon_sets=[{"name": "Summer", "type": "multiple"}],
        workflows=[{"name": "Welcome"}],
        reports=[{"name": "Sales"}],
    )
    [set_id], [workflow_id], [report_id] = (
        made[kind] for kind in ("coupon_sets", "workflows", "reports")
    )

    async def tour(api):
        assert (await api.store.get())["name"]
        await people(api)
        await fields(api)
        await shop(api)
        await events(api)
        await files(api, tmp_path, set_id)
        assert [w["name"] async for w in api.workflows.list()] == ["Welcome"]
        assert (await api.workflows.get(workflow_id))["status"] == "active"
        [summer] = [s async for s in api.coupon_sets.list()]
        assert summer == await api.coupon_sets.get(set_id)
        assert (summer["available"], summer["assigned"]) == (2, 0)
        report = await api.exports.create_report(report_id, "2024-03-01", "2024-03-31")
        assert report["exportType"] == "data-explorer"

    use(sandbox, tour)
    seen = {(r["method"], r["path"]) for r in httpx.get(f"{sandbox.url}/_sandbox/requests").json()}
    for endpoint in endpoints():
        pattern = re.compile(re.sub(r"\{\w+\}", ".+", endpoint.public_path))
        called = [p for m, p in seen if m == endpoint.method and pattern.fullmatch(p)]
        assert called, f"no method of the client calls {endpoint.method} {endpoint.public_path}"


def test_a_refusal_has_status_code_problems_and_details(sandbox):
    async def unknown(api):
        await api.purchases.create(PURCHASE)

    with pytest.raises(Refused) as refused:
        use(sandbox, unknown)
    assert (refused.value.status, refused.value.code) == (400, "E0101")
    assert "POST /purchases/: 400 E0101" in str(refused.value)

    seed(sandbox, contacts=[{"_email": "ana@x.es"}])
    with pytest.raises(Refused) as refused:
        use(sandbox, unknown)
    assert refused.value.details["productIds"] == ["P/1"]

    with pytest.raises(Refused) as refused:
        use(sandbox, lambda api: api.contacts.patch({"_points": "x"}, email="ana@x.es"))
    assert refused.value.problems == (("/_points", "Value is not valid"),)


@pytest.mark.parametrize(
    "work",
    [
        lambda api: api.purchases.create(PURCHASE),
        lambda api: api.custom_events.send({}, alias="review"),
        lambda api: api.exports.create("contacts"),
        lambda api: api.contact_fields.create(FIELD),
    ],
)
def test_a_call_that_creates_is_sent_once_and_said_to_be_lost(sandbox, work):
    fault(sandbox, kind="timeout_after", seconds=0.05)
    with pytest.raises(LostAnswer):
        use(sandbox, work)
    assert len(httpx.get(f"{sandbox.url}/_sandbox/requests").json()) == 1


@pytest.mark.parametrize("rule", [{"kind": "status"}, {"kind": "reset"}, {"kind": "truncate"}])
def test_a_call_that_may_be_repeated_gets_through(sandbox, rule):
    fault(sandbox, **rule)
    made = use(sandbox, lambda api: api.contacts.patch({"_name": "Ana"}, email="ana@x.es"))
    assert made["_name"] == "Ana"


def test_waiting_ends_when_it_has_lasted_too_long(sandbox, tmp_path):
    fault(sandbox, kind="export_stuck")

    async def wait(api):
        export = await api.exports.create("contacts")
        with pytest.raises(CompassoError, match="has no file"):
            await api.exports.download(export["id"], tmp_path / "x.zip")
        await api.exports.wait(export["id"], timeout=0.5)

    with pytest.raises(CompassoError, match=r"has not ended after 0.5 s: it is inProgress"):
        use(sandbox, wait)


def test_waiting_for_what_is_not_there_says_so(sandbox):
    with pytest.raises(CompassoError, match="there is no import"):
        use(sandbox, lambda api: api.imports.wait("0" * 24))


@pytest.mark.parametrize(
    "work",
    [
        lambda api: api.contacts.get(),
        lambda api: api.contacts.get(email="a@x.es", external_id="7"),
        lambda api: api.products.get(),
        lambda api: api.purchases.get("A", id="0" * 24),
        lambda api: api.custom_events.send({}),
    ],
)
def test_two_keys_or_none_are_a_mistake_of_the_caller(sandbox, work):
    with pytest.raises(ValueError, match="give either"):
        use(sandbox, work)
    assert httpx.get(f"{sandbox.url}/_sandbox/requests").json() == []


def test_the_key_goes_to_no_other_host_than_the_base_url():
    """A link of a page that leads elsewhere is followed on our own host."""
    asked = []

    async def answer(request):
        asked.append(str(request.url))
        links = {} if len(asked) > 1 else {"next": "https://evil.example/api/imports/?page=2"}
        return httpx.Response(200, json={"links": links, "results": [{"id": str(len(asked))}]})

    async def running():
        api = connect("id:secret", base_url="https://api.test/api")
        client = api.client
        again = Client(
            client.base_url, lambda: "a:b", client.budget, client.clock, httpx.MockTransport(answer)
        )
        async with api, again:
            return [item["id"] async for item in again.pages("/imports/")]

    assert asyncio.run(running()) == ["1", "2"]
    assert asked == ["https://api.test/api/imports/", "https://api.test/api/imports/?page=2"]


def test_an_error_without_json_is_a_refusal_too():
    refused = Refused("GET /x", Answer(418, None, "I am a teapot"))
    assert (refused.status, refused.code, refused.problems) == (418, None, ())
    assert "I am a teapot" in str(refused)


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda p: p.name)
def test_the_typed_client_stands_alone(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("compasso"):
            assert node.module.startswith(("compasso.connectif", "compasso.model")), node.module


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda p: p.name)
def test_every_method_that_calls_the_api_names_its_source(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        doc = ast.get_docstring(node) or ""
        if re.match(r"(GET|POST|PATCH|DELETE) ", doc):
            assert re.search(r"\b[DHC]\d|a guess", doc), f"{path.name}: {node.name}"
