"""The fields of contacts and products, and what their values may be.

Written apart from the engine's schemas on purpose: a second opinion about the same facts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compasso.sandbox.checking import EMAIL, is_date

_PHONE = re.compile(r"\+?[0-9]{5,15}\Z")
_INTEGER = re.compile(r"[1-9][0-9]*\Z")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?\Z")
_LISTS = {"checkbox", "list"}
_TYPED = {"phone", "date", "integer", "decimal", "radio"}  # documented: no empty cells


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What one field takes. `kind` is one of the custom field types, `url` or `list`."""

    kind: str
    options: tuple[str, ...] = ()
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    min_date: str | None = None
    max_date: str | None = None
    required: bool = False  # it always has a value, so null is refused


def radio(*options: str) -> FieldRule:
    """A field that takes one of some words."""
    return FieldRule("radio", options)


TEXT, NUMBER, INTEGER = FieldRule("text"), FieldRule("decimal"), FieldRule("integer")
CONTACT: Mapping[str, FieldRule] = {
    "_email": FieldRule("email", max_length=200),
    "_externalId": FieldRule("text", max_length=50),
    "_name": TEXT,
    "_surname": TEXT,
    "_birthdate": FieldRule("date"),
    "_mobilePhone": FieldRule("phone"),
    "_mobilePhoneStatus": radio("active", "bounced", "paused"),
    "_emailStatus": radio("active", "bounced", "paused", "banned"),
    "_newsletterSubscriptionStatus": radio("subscribed", "unsubscribed", "none"),
    "_smsSubscriptionStatus": radio("subscribed", "unsubscribed", "none"),
    "_points": INTEGER,
}
PRODUCT: Mapping[str, FieldRule] = {
    "name": TEXT,
    "productDetailUrl": FieldRule("url"),
    "unitPrice": NUMBER,
    "description": TEXT,
    "imageUrl": TEXT,
    "thumbnailUrl": TEXT,
    "brand": TEXT,
    "categories": FieldRule("list"),
    "tags": FieldRule("list"),
    "relatedExternalProductIds": FieldRule("list"),
    "availability": radio("instock", "outofstock"),
    "inStockUnits": INTEGER,
    "isBlacklisted": FieldRule("boolean"),
    "priority": INTEGER,
    "unitPriceOriginal": NUMBER,
    "unitPriceWithoutVAT": NUMBER,
    "discountedAmount": NUMBER,
    "discountedPercentage": FieldRule("decimal", minimum=0, maximum=100),
    "rating": FieldRule("decimal", minimum=0, maximum=5),
    "ratingCount": INTEGER,
    "reviewCount": INTEGER,
    "publishedAt": FieldRule("date"),
    "customField1": TEXT,
    "customField2": TEXT,
    "customField3": TEXT,
}
READ_ONLY = {
    "id", "createdAt", "updatedAt", "productId", "_createdAt", "_updatedAt", "_isAnonymous",
    "_hasPushSubscriptions", "_emailBouncedReason", "_emailLastBouncedDate",
    "_emailLastSoftBounceDate", "_emailLastUnsubscribedDate", "_emailLastUnsubscribedIp",
    "_emailSoftBounces", "_totalPurchases", "_totalPurchasesAmount", "_averagePurchasesAmount",
    "_firstPurchaseDate", "_lastPurchaseDate", "_clv", "_churnRate", "_pAlive",
    "_expectedPurchases", "_rfm", "_recency", "_frequency", "_monetary",
}  # fmt: skip
PRODUCT_REQUIRED = ("name", "productDetailUrl", "unitPrice")


def custom_rule(definition: Mapping[str, Any]) -> FieldRule:
    """The rule of a custom contact field."""
    return FieldRule(
        definition["type"],
        tuple(o["id"] for o in definition.get("options") or ()),
        definition.get("maxLength"),
        definition.get("minValue"),
        definition.get("maxValue"),
        definition.get("minDate"),
        definition.get("maxDate"),
        bool(definition.get("required")),
    )


def check_value(rule: FieldRule, value: Any, max_length: int | None = None) -> str | None:
    """Why a JSON value does not fit, or None. Null clears an optional field (a guess).

    `max_length` holds for texts whose rule has none.
    """
    if value is None:
        return "A value is required" if rule.required or rule.kind == "radio" else None
    if not _fits(rule, value):
        return "Value is not valid"
    longest = max_length if rule.max_length is None else rule.max_length
    if longest is not None and isinstance(value, str) and len(value) > longest:
        return f"Value is longer than {longest} characters"
    if isinstance(value, (int, float)):
        if rule.minimum is not None and value < rule.minimum:
            return f"Value is less than {rule.minimum}"
        if rule.maximum is not None and value > rule.maximum:
            return f"Value is more than {rule.maximum}"
    if isinstance(value, str) and rule.kind == "date":
        if rule.min_date is not None and value < rule.min_date:
            return f"Value is before {rule.min_date}"
        if rule.max_date is not None and value > rule.max_date:
            return f"Value is after {rule.max_date}"
    return None


def _fits(rule: FieldRule, value: Any) -> bool:
    good = True
    if rule.kind in {"text", "url"}:
        good = isinstance(value, str)
    elif rule.kind == "email":
        good = isinstance(value, str) and EMAIL.match(value) is not None
    elif rule.kind == "phone":
        good = isinstance(value, str) and _PHONE.match(value) is not None
    elif rule.kind == "date":
        good = isinstance(value, str) and is_date(value)
    elif rule.kind == "integer":
        good = isinstance(value, int) and not isinstance(value, bool)
    elif rule.kind == "decimal":
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif rule.kind == "boolean":
        good = isinstance(value, bool)
    elif rule.kind == "radio":
        good = value in rule.options
    elif rule.kind in _LISTS:
        good = isinstance(value, list) and all(isinstance(v, str) for v in value)
        good = good and (not rule.options or set(value) <= set(rule.options))
    return good


class CellError(Exception):
    """A cell of an import file that cannot be taken."""


def read_cell(rule: FieldRule, cell: str, *, zero: bool) -> Any:
    """A cell of an import file as a JSON value (API facts: 7.4, 7.5). Raises CellError."""
    if cell == "":
        if rule.kind in _TYPED:
            raise CellError("Value is required")
        return None
    value: Any = cell
    if rule.kind == "integer":
        if _INTEGER.match(cell) is None and not (zero and cell == "0"):
            raise CellError("Value is not a valid integer")
        value = int(cell)
    elif rule.kind == "decimal":
        if _DECIMAL.match(cell) is None:
            raise CellError("Value is not a valid number")
        value = float(cell)
    elif rule.kind == "boolean":
        if cell not in {"true", "false"}:
            raise CellError("Value is not true or false")
        value = cell == "true"
    elif rule.kind == "date":
        if not is_date(cell):
            raise CellError("Value is not a valid date")
        value = f"{cell[:10]}T00:00:00.000Z" if len(cell) == 10 else cell
    elif rule.kind in _LISTS:
        value = cell.split("|")
    reason = check_value(rule, value)
    if reason:
        raise CellError(reason)
    return value
