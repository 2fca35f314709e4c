"""Contact fields: list, read, create, delete (API facts: section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compasso.sandbox.checking import check
from compasso.sandbox.errors import ApiError, invalid
from compasso.sandbox.fields import CONTACT, READ_ONLY, check_value, custom_rule
from compasso.sandbox.settings import MAX_CUSTOM_FIELDS
from compasso.sandbox.store import Account

_TYPES = (
    "text", "email", "phone", "integer", "decimal", "date", "checkbox", "radio", "boolean",
)  # fmt: skip
_OPTIONED = {"checkbox", "radio"}
# Which properties go with which types only (documented, D12; options are a guess).
_ONLY_WITH = {
    "maxLength": {"text"},
    "minValue": {"integer", "decimal"},
    "maxValue": {"integer", "decimal"},
    "minDate": {"date"},
    "maxDate": {"date"},
    "defaultCountryCode": {"phone"},
    "options": _OPTIONED,
}
_OPTION = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 150},
        "label": {"type": "string"},
    },
    "required": ["id", "label"],
    "additionalProperties": False,
}
_CREATE: dict[str, Any] = {
    "id": {
        "type": "string",
        "pattern": r"^[A-Za-z][A-Za-z0-9_()\[\]{}-]{0,149}$",
        "not": {"const": "id"},
    },
    "name": {"type": "string", "minLength": 1},
    "type": {"type": "string", "enum": list(_TYPES)},
    "required": {"type": "boolean"},
    "defaultValue": {},
    "defaultCountryCode": {"type": "string", "pattern": "^[0-9]{1,4}$"},
    "maxLength": {"type": "integer", "minimum": 1, "maximum": 5000},
    "minValue": {"type": "number"},
    "maxValue": {"type": "number"},
    "minDate": {"type": "string", "format": "date-time"},
    "maxDate": {"type": "string", "format": "date-time"},
    "options": {"type": "array", "items": _OPTION, "maxItems": 120},
}
SCHEMAS: Mapping[str, Any] = {
    "ContactFieldCreate": {
        "type": "object",
        "properties": _CREATE,
        "required": ["id", "name", "type", "required"],
        "additionalProperties": False,
    },
    "ContactField": {
        "type": "object",
        "properties": {
            **_CREATE,
            "id": {"type": "string"},
            "custom": {"type": "boolean"},
            "readOnly": {"type": "boolean"},
            "status": {"type": "string"},
        },
        "required": ["id", "name", "type", "required", "custom", "readOnly"],
    },
}


def system_fields() -> list[dict[str, Any]]:
    """Connectif's own fields; those that cannot be written are text here (a guess)."""
    written = [
        {"id": name, "name": name.lstrip("_"), "type": rule.kind, "custom": False,
         "readOnly": False, "required": False, **_options(rule.options)}
        for name, rule in CONTACT.items()
    ]  # fmt: skip
    fixed = [
        {"id": name, "name": name.lstrip("_"), "type": "text", "custom": False,
         "readOnly": True, "required": False}
        for name in sorted(READ_ONLY) if name.startswith("_")
    ]  # fmt: skip
    return written + fixed


def _options(words: tuple[str, ...]) -> dict[str, Any]:
    return {"options": [{"id": word, "label": word} for word in words]} if words else {}


def list_fields(account: Account) -> list[dict[str, Any]]:
    """All contact fields."""
    return [*system_fields(), *account.list("fields")]


def create_field(account: Account, body: Any, status: str | None) -> dict[str, Any]:
    """POST /contact-fields/: kept, and its default put into every contact. Raises 422."""
    check(SCHEMAS["ContactFieldCreate"], body)
    if problems := _problems(account, body):
        raise invalid(problems)
    record = {**body, "custom": True, "readOnly": False}
    if status is not None:
        record["status"] = status
    account.put("fields", [record])
    if body["required"]:
        filled = {body["id"]: body["defaultValue"]}
        account.put("contacts", [{**contact, **filled} for contact in account.list("contacts")])
    return record


def _problems(account: Account, body: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    identity, kind = body["id"], body["type"]
    if identity in account.records["fields"] or identity in CONTACT or identity in READ_ONLY:
        found.append(("id", "Value is already in use"))
    for name, kinds in _ONLY_WITH.items():
        if name in body and kind not in kinds:
            found.append((name, f"Only fields of type {' and '.join(sorted(kinds))} have it"))
    if kind == "phone" and "defaultCountryCode" not in body:
        found.append(("defaultCountryCode", "Value is required"))
    if kind in _OPTIONED:
        options = [option["id"] for option in body.get("options") or ()]
        if not options:
            found.append(("options", "Value is required"))
        elif len(set(options)) < len(options):
            found.append(("options", "Ids are not unique"))
    found += _bound_problems(body) + _default_problems(body)
    if len(account.records["fields"]) >= MAX_CUSTOM_FIELDS:
        found.append(("id", "The store has 140 custom fields already"))
    return found


def _bound_problems(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for low, high in (("minValue", "maxValue"), ("minDate", "maxDate")):
        if low in body and high in body and body[low] > body[high]:
            found.append((high, f"Value is less than {low}"))
        whole = body["type"] == "integer" and low == "minValue"
        for name in (low, high) if whole else ():
            if name in body and int(body[name]) != body[name]:
                found.append((name, "Value is not an integer"))
    return found


def _default_problems(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    required, kind = body["required"], body["type"]
    if kind in {"email", "phone"}:
        found = [("required", "Fields of this type are never required")] if required else []
        return found + ([("defaultValue", "Is not allowed")] if "defaultValue" in body else [])
    if "defaultValue" not in body:
        return [("defaultValue", "Value is required")] if required else []
    value = body["defaultValue"]
    unique = not isinstance(value, list) or len({str(v) for v in value}) == len(value)
    if value in (None, "") or not unique or check_value(custom_rule(body), value):
        return [("defaultValue", "Value is not valid")]
    return []


def delete_field(account: Account, identity: str) -> bool:
    """DELETE /contact-fields/{id}: whether there was one. System fields stay. Raises 400."""
    record = account.records["fields"].get(identity)
    if record is None:
        if identity in CONTACT or identity in READ_ONLY:
            raise ApiError(400, "A system field cannot be deleted.")
        return False
    used = any(identity in w.get("__contactFieldIds", ()) for w in account.list("workflows"))
    if used:  # documented (H10)
        raise ApiError(400, "The field is used by a workflow or a segment.")
    account.remove("fields", record)
    holders = [contact for contact in account.list("contacts") if identity in contact]
    account.put("contacts", [{k: v for k, v in c.items() if k != identity} for c in holders])
    return True
