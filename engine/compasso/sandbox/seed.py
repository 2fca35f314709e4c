"""Puts things into the simulated account that the API cannot make, or makes one by one.

`POST /_sandbox/seed` takes a JSON object of lists, all optional:

- contacts: {"_email" and/or "_externalId", and fields}
- products: {"productId", and fields}
- purchases: as POST /purchases/ takes them, with "triggerPurchaseEvent" (false by default)
- contact_fields: as POST /contact-fields/ takes them
- coupon_sets: {"name", "type": "single" | "multiple", "code", "quantity", "codes": […], "assigned"}
- workflows: {"name", "status": "draft" | "active" | "finished", "couponSetIds", "contactFieldIds"}
- segments: {"name", "contacts": [e-mail, external id or id …] and/or "where": {field: value}}
- integrations: {"name"} and what POST /custom-integrations/ takes
- event_types: as POST …/custom-event-types/ takes them
- reports: {"name"}
- authorised_domains: ["shop.example"]

Coupon sets, workflows, segments, integrations, event types and reports may bring their "id" (24 hex digits). A
coupon set or a field that a workflow names must be there, or come in the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from compasso.sandbox import coupons, definitions, events, purchases
from compasso.sandbox.checking import problems_of
from compasso.sandbox.errors import ApiError
from compasso.sandbox.fields import CellError
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.store import iso, new_id

_NAME = {"type": "string", "minLength": 1}
_ID = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
_IDS = {"type": "array", "items": {"type": "string"}}
_COUNT = {"type": ["integer", "null"], "minimum": 0}
_SHAPES: Mapping[str, Mapping[str, Any]] = {
    "coupon_sets": {
        "type": "object",
        "properties": {
            "id": _ID,
            "name": _NAME,
            "type": {"enum": ["single", "multiple"]},
            "code": _NAME,
            "quantity": _COUNT,
            "codes": _IDS,
            "assigned": {"type": "integer", "minimum": 0},
        },
        "required": ["name", "type"],
        "additionalProperties": False,
    },
    "workflows": {
        "type": "object",
        "properties": {
            "id": _ID,
            "name": _NAME,
            "status": {"enum": ["draft", "active", "finished"]},
            "couponSetIds": _IDS,
            "contactFieldIds": _IDS,
        },
        "required": ["name"],
        "additionalProperties": False,
    },
    "segments": {
        "type": "object",
        "properties": {"id": _ID, "name": _NAME, "contacts": _IDS, "where": {"type": "object"}},
        "required": ["name"],
        "additionalProperties": False,
    },
    "reports": {
        "type": "object",
        "properties": {"id": _ID, "name": _NAME},
        "required": ["name"],
        "additionalProperties": False,
    },
}


class SeedError(Exception):
    """An item that cannot be put in; the message says which and why."""


def seed(sandbox: Sandbox, body: Any) -> dict[str, list[str]]:
    """Put everything in; the ids of what was made, by kind. Raises SeedError.

    Items before the one that fails stay: a seed is for an account that can be thrown away.
    """
    if not isinstance(body, dict):
        raise SeedError(f"a seed is an object with some of {', '.join(_MAKERS)}")
    if unknown := sorted(set(body) - set(_MAKERS)):
        raise SeedError(f"unknown: {', '.join(unknown)}; known: {', '.join(_MAKERS)}")
    made: dict[str, list[str]] = {}
    for kind, make in _MAKERS.items():  # in an order in which each finds what it names
        if not isinstance(body.get(kind, []), list):
            raise SeedError(f"{kind} must be a list")
        made |= {kind: []} if kind in body else {}
        for place, item in enumerate(body.get(kind, ())):
            if kind in _SHAPES and (problems := problems_of(_SHAPES[kind], item)):
                told = "; ".join(f"{path or 'item'}: {reason}" for path, reason in problems)
                raise SeedError(f"{kind}[{place}]: {told}")
            try:
                made[kind].append(make(sandbox, item))
            except (ApiError, CellError) as error:
                told = error.reasons if isinstance(error, ApiError) else str(error)
                raise SeedError(f"{kind}[{place}]: {told}") from None
            except (KeyError, TypeError, AttributeError) as error:
                raise SeedError(f"{kind}[{place}]: {error} is missing or wrong") from None
    return made


def _contact(sandbox: Sandbox, item: Mapping[str, Any]) -> str:
    key = "_externalId" if "_externalId" in item else "_email"
    fields = {n: v for n, v in item.items() if n != key}
    identity: str = sandbox.records.patch_contact(key, item[key], fields)[0]["id"]
    return identity


def _product(sandbox: Sandbox, item: Mapping[str, Any]) -> str:
    fields = {n: v for n, v in item.items() if n != "productId"}
    identity: str = sandbox.records.patch_product(item["productId"], fields)[0]["id"]
    return identity


def _purchase(sandbox: Sandbox, item: Mapping[str, Any]) -> str:
    body = {n: v for n, v in item.items() if n != "triggerPurchaseEvent"}
    record, _ = purchases.create(sandbox, body, bool(item.get("triggerPurchaseEvent", False)))
    return str(record["id"])


def _field(sandbox: Sandbox, item: Mapping[str, Any]) -> str:
    status = sandbox.behaviour.field_status
    return str(definitions.create_field(sandbox.account, item, status)["id"])


def _coupon_set(sandbox: Sandbox, item: Mapping[str, Any]) -> str:
    identity, now = item.get("id") or new_id(), iso(sandbox.now())
    codes = item.get("codes", [])
    single = item["type"] == "single"
    if single != ("code" in item) or (single and codes):
        raise ApiError(400, "a single set has a `code`, a multiple one may have `codes`")
    quantity = item.get("quantity") if single else len(codes)
    assigned = item.get("assigned", 0)
    record = {
        "id": identity,
        "name": item["name"],
        "type": item["type"],
        **({"code": item["code"]} if single else {}),
        "quantity": quantity,
        "assigned": assigned,
        "__assigned": assigned,
        "createdAt": now,
    }
    record["available"] = coupons.available(record)
    sandbox.account.put("coupon_sets", [record])
    for place, code in enumerate(codes):
        made = coupons.new_code(sandbox.account, identity, code)
        sandbox.account.put("coupons", [{**made, "assigned": place < assigned}])
    return str(identity)


def _workflow(sandbox: Sandbox, item: Mapping[str, Any]) -> str:
    for set_id in item.get("couponSetIds", ()):
        if sandbox.account.get("coupon_sets", set_id) is None:
            raise ApiError(400, f"there is no coupon set {set_id}")
    now = iso(sandbox.now())
    record = {
        "id": item.get("id") or new_id(),
        "name": item["name"],
        "status": item.get("status", "active"),
        "createdAt": now,
        "updatedAt": now,
        "__couponSetIds": item.get("couponSetIds", []),
        "__contactFieldIds": item.get("contactFieldIds", []),
    }
    sandbox.account.put("workflows", [record])
    return str(record["id"])


def _plain(kind: str) -> Callable[[Sandbox, Mapping[str, Any]], str]:
    def make(sandbox: Sandbox, item: Mapping[str, Any]) -> str:
        record = {"id": new_id(), **item}
        sandbox.account.put(kind, [record])
        return str(record["id"])

    return make


def _integration(sandbox: Sandbox, item: Mapping[str, Any]) -> str:
    body = {"eventsEnabled": True, **{n: v for n, v in item.items() if n != "id"}}
    record = events.create_integration(sandbox, body)
    if "id" in item:
        sandbox.account.remove("integrations", record)
        sandbox.account.put("integrations", [{**record, "id": item["id"]}])
    return str(item.get("id", record["id"]))


def _event_type(sandbox: Sandbox, item: Mapping[str, Any]) -> str:
    known = sandbox.account.list("integrations")
    if known:
        integration = known[0]
    else:
        body = {"name": "Seeded", "eventsEnabled": True}
        integration = events.create_integration(sandbox, body)
    body = {n: v for n, v in item.items() if n != "id"}
    record = events.create_type(sandbox, integration["id"], body)
    if "id" in item:
        sandbox.account.remove("event_types", record)
        sandbox.account.put("event_types", [{**record, "id": item["id"]}])
    return str(item.get("id", record["id"]))


def _domain(sandbox: Sandbox, item: Any) -> str:
    store = sandbox.account.get("store", "store") or {"id": "store"}
    domains = [*store.get("authorisedDomains", []), str(item)]
    sandbox.account.put("store", [{**store, "authorisedDomains": domains}])
    return str(item)


_MAKERS: Mapping[str, Callable[[Sandbox, Any], str]] = {
    "authorised_domains": _domain,
    "contact_fields": _field,
    "contacts": _contact,
    "products": _product,
    "purchases": _purchase,
    "coupon_sets": _coupon_set,
    "workflows": _workflow,
    "segments": _plain("segments"),
    "integrations": _integration,
    "event_types": _event_type,
    "reports": _plain("reports"),
}
