"""Purchases, and what they do to their contacts (API facts: section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from compasso.sandbox.checking import check
from compasso.sandbox.errors import ApiError, invalid
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.settings import Behaviour
from compasso.sandbox.shapes import COUNT, DATE_TIME, ID, NUMBER, TEXT
from compasso.sandbox.store import Record, iso, new_id, shown

_EMAIL: Mapping[str, Any] = {"type": "string", "format": "email", "maxLength": 200}
_URI: Mapping[str, Any] = {"type": "string", "format": "uri"}
_TEXTS: Mapping[str, Any] = {"type": "array", "items": TEXT}
_ITEM: Mapping[str, Any] = {
    "productId": {"type": "string", "minLength": 1},
    "quantity": {"type": "integer", "minimum": 1},
    "price": NUMBER,
    "unitPrice": NUMBER,
    "name": TEXT,
    "productDetailUrl": _URI,
    "imageUrl": _URI,
    "thumbnailUrl": _URI,
    "description": TEXT,
    "brand": TEXT,
    "categories": _TEXTS,
    "tags": _TEXTS,
    "unitPriceOriginal": NUMBER,
    "unitPriceWithoutVAT": NUMBER,
    "discountedAmount": NUMBER,
    "discountedPercentage": {"type": "number", "minimum": 0, "maximum": 100},
    "rating": {"type": "number", "minimum": 0, "maximum": 5},
    "ratingCount": COUNT,
    "reviewCount": COUNT,
    "publishedAt": DATE_TIME,
    "customField1": TEXT,
    "customField2": TEXT,
    "customField3": TEXT,
}
_PURCHASE: Mapping[str, Any] = {
    "purchaseId": {"type": "string", "minLength": 1},
    "cartId": TEXT,
    "contactEmail": _EMAIL,
    "contactExternalId": {"type": "string", "minLength": 1, "maxLength": 50},
    "purchaseDate": DATE_TIME,
    "totalPrice": NUMBER,
    "totalQuantity": COUNT,
    "paymentMethod": TEXT,
}


def schemas(behaviour: Behaviour) -> dict[str, Any]:
    """The bodies of purchases; which properties are required is a guess."""

    def items(required: Iterable[str], **more: Any) -> dict[str, Any]:
        return {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {**_ITEM, **more},
                "required": list(required),
                "additionalProperties": False,
            },
        }

    create = {
        "type": "object",
        "properties": {**_PURCHASE, "products": items(behaviour.purchase_item_required)},
        "required": list(behaviour.purchase_required),
        "anyOf": [{"required": ["contactEmail"]}, {"required": ["contactExternalId"]}],
        "additionalProperties": False,
    }
    extra = {"id": ID, "contactId": ID, "createdAt": DATE_TIME, "updatedAt": DATE_TIME}
    resource = {
        "type": "object",
        "properties": {**_PURCHASE, **extra, "products": items(("id", "productId"), id=TEXT)},
        "required": ["id", "purchaseId", "purchaseDate", "products", "createdAt", "updatedAt"],
        "additionalProperties": False,
    }
    return {"PurchaseCreate": create, "Purchase": resource}


def create(sandbox: Sandbox, body: Any, trigger: bool) -> tuple[Record, int]:
    """POST /purchases/: the purchase and the status. Raises 422, and 400 E0101 to E0103."""
    behaviour = sandbox.behaviour
    declared = schemas(behaviour)["PurchaseCreate"]
    check({k: v for k, v in declared.items() if k != "anyOf"}, body)
    if not {"contactEmail", "contactExternalId"} & set(body):
        raise invalid([("contactEmail", "contactEmail or contactExternalId is required")])
    before = sandbox.account.find("purchases", "purchaseId", body["purchaseId"])
    if before is not None and behaviour.repeated_purchase == "refuse":
        raise invalid([("purchaseId", "Value is already in use")])
    if before is not None and behaviour.repeated_purchase == "replay":
        return before, 200
    contact = _contact(sandbox, body)
    products = _products(sandbox, body["products"])
    now = iso(sandbox.now())
    record = {
        "id": new_id(),
        **{n: v for n, v in body.items() if n not in {"products", "contactExternalId"}},
        "contactId": contact["id"],
        "purchaseDate": body.get("purchaseDate", now),
        "products": products,
        "createdAt": now,
        "updatedAt": now,
        "__purchaseEventTriggered": trigger,
    }
    if "_email" in contact:
        record["contactEmail"] = contact["_email"]
    with sandbox.account.transaction():
        sandbox.account.put("purchases", [record])
        recalculate(sandbox, contact["id"])
    return record, behaviour.post_status


def _contact(sandbox: Sandbox, body: Mapping[str, Any]) -> Record:
    """The buyer: by external id where there is one, else by e-mail (the order is a guess)."""
    if "contactExternalId" in body:
        key, value = "_externalId", body["contactExternalId"]
    else:
        key, value = "_email", body["contactEmail"]
    contact = sandbox.records.contact(key, value)
    if contact is None:
        raise ApiError(400, "The contact of the purchase does not exist.", code="E0101")
    return contact


def _products(sandbox: Sandbox, items: Iterable[Mapping[str, Any]]) -> list[Record]:
    products, unknown, foreign = [], [], []
    for item in items:
        known = sandbox.account.find("products", "productId", item["productId"])
        if known is None:
            unknown.append(item["productId"])
            continue
        url = item.get("productDetailUrl", known["productDetailUrl"])
        if not sandbox.records.authorised(url):
            foreign.append(known["id"])
        products.append({"id": known["id"], **item})
    if unknown:
        raise ApiError(
            400,
            f"Products {', '.join(unknown)} do not exist.",
            code="E0102",
            productIds=unknown,
        )
    if foreign:
        raise ApiError(
            400,
            f"Product {', '.join(foreign)} had URL from non authorized domain.",
            code="E0103",
            productIds=foreign,
            allowedDomains=list(sandbox.records.domains()),
        )
    return products


def remove(sandbox: Sandbox, purchase: Record) -> None:
    """Delete a purchase; its contact's sums are made again (documented, H8)."""
    with sandbox.account.transaction():
        sandbox.account.remove("purchases", purchase)
        recalculate(sandbox, purchase["contactId"])


def recalculate(sandbox: Sandbox, contact_id: str) -> None:
    """The contact's sums, from its purchases."""
    contact = sandbox.account.get("contacts", contact_id)
    if contact is None:
        return
    purchases = sandbox.account.group("purchases", contact_id)
    total = round(sum(p.get("totalPrice", 0) for p in purchases), 2)
    dates = sorted(p["purchaseDate"] for p in purchases)
    changed = {
        **contact,
        "_totalPurchases": len(purchases),
        "_totalPurchasesAmount": total,
        "_averagePurchasesAmount": round(total / len(purchases), 2) if purchases else 0,
        "_firstPurchaseDate": dates[0] if dates else None,
        "_lastPurchaseDate": dates[-1] if dates else None,
    }
    changed = {n: v for n, v in changed.items() if v is not None}
    sandbox.account.put("contacts", [changed])


def dumped(record: Record) -> Record:
    """A purchase as the dump shows it: with whether its event was triggered."""
    return {**shown(record), "purchaseEventTriggered": record["__purchaseEventTriggered"]}
