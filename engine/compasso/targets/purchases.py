"""Purchases, by the shop's own id: made once, never changed (API facts: section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from compasso.model import ApiCall, Change, Json, Operation
from compasso.schemas import load_schema
from compasso.targets.base import Delivery, LineTotals, Target, schema_fields

_PATH = "/purchases/purchase-id/"
# Prices that differ by less are equal: JSON numbers pass through floating point.
_SAME_AMOUNT = 0.0005


def _call(change: Change, key_field: str) -> ApiCall:
    """POST may not be repeated; DELETE may (documented, 5.3). A change is DELETE, then POST."""
    if change.operation is Operation.DELETE:
        return _removal(change)
    body = {key_field: change.key, **(change.record or change.fields)}
    trigger = str(_triggers(change.options.get("trigger_event", True), body)).lower()
    return ApiCall("POST", "/purchases/", body, {"triggerPurchaseEvent": trigger})


def _removal(change: Change) -> ApiCall:
    """DELETE by the shop's id, which is 204 also when it is not there (documented, D16)."""
    return ApiCall("DELETE", _PATH + quote(change.key, safe=""))


def _triggers(rule: Json, body: Mapping[str, Any]) -> bool:
    """Whether workflows hear of the purchase. One without a date happened just now."""
    if not isinstance(rule, Mapping):
        return bool(rule)
    date = body.get("purchaseDate")
    return date is None or str(date)[:10] >= str(rule["since"])


def _look_up(change: Change) -> ApiCall:
    """GET by the shop's id: 404 when there is none (documented, 5.2)."""
    return ApiCall("GET", _PATH + quote(change.key, safe=""))


def _differing(change: Change, body: Mapping[str, Any]) -> list[str]:
    """The fields of a purchase in the account that are not what the change wants.

    Only what was sent is compared, and only where the resource shows it (whether it shows
    contactExternalId is a guess).
    """
    wanted = change.record or change.fields
    return [n for n, v in wanted.items() if n in body and not _equal(n, v, body[n])]


def _equal(name: str, wanted: Any, found: Any) -> bool:
    if name == "products":
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(
                all(_equal(n, v, there[n]) for n, v in line.items() if n in there)
                for line, there in zip(wanted, found, strict=True)
            )
        )
    if isinstance(wanted, (int, float)) and isinstance(found, (int, float)):
        return abs(wanted - found) < _SAME_AMOUNT
    if name in {"purchaseDate", "publishedAt"}:
        return _moment(wanted) == _moment(found)
    if name == "contactEmail":
        return str(wanted).strip().lower() == str(found).strip().lower()
    return bool(wanted == found)


def _moment(text: object) -> datetime | str:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return str(text)
    return found.replace(tzinfo=found.tzinfo or UTC)


TARGET = Target(
    name="purchases",
    label="purchase",
    rank=2,
    keys=("purchaseId",),
    schema=load_schema("purchases"),
    fields=schema_fields("purchases"),
    call=_call,
    required=("purchaseId", "totalPrice", "totalQuantity", "products"),
    any_of=("contactEmail", "contactExternalId"),
    can_update=False,
    may_double=True,  # what a repeated id does is not documented (section 10)
    person={"contactEmail": "email", "contactExternalId": "external_id"},
    look_up=_look_up,
    removal=_removal,
    differing=_differing,
    delivery=Delivery.ONCE,
    lines=LineTotals(
        "products", price=("price", "totalPrice"), count=("quantity", "totalQuantity")
    ),
    requests_a_change=2,
)
