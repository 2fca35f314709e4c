"""Contact fields: list, read, create, delete (API facts: section 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from compasso.sandbox.errors import ApiError, invalid
from compasso.sandbox.fields import CONTACT
from compasso.sandbox.settings import MAX_CUSTOM_FIELDS
from compasso.sandbox.store import Account

_ID = re.compile(r"[A-Za-z][A-Za-z0-9_()\[\]{}-]{0,149}\Z")
_TYPES = {
    "text", "email", "phone", "integer", "decimal", "date", "checkbox", "radio", "boolean",
}  # fmt: skip
_KEYS = {
    "id", "name", "type", "required", "defaultValue", "defaultCountryCode", "maxLength",
    "minValue", "maxValue", "minDate", "maxDate", "options",
}  # fmt: skip

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
    "id": {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9_()\[\]{}-]{0,149}$"},
    "name": {"type": "string", "minLength": 1},
    "type": {"type": "string", "enum": sorted(_TYPES)},
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
        "properties": {**_CREATE, "custom": {"type": "boolean"}, "readOnly": {"type": "boolean"}},
        "required": ["id", "name", "type", "required", "custom", "readOnly"],
    },
}


def system_fields() -> list[dict[str, Any]]:
    """Connectif's own fields that can be written."""
    return [
        {"id": n, "name": n.lstrip("_"), "type": r.kind, "custom": False, "readOnly": False,
         "required": False}
        for n, r in CONTACT.items()
    ]  # fmt: skip


def list_fields(account: Account) -> list[dict[str, Any]]:
    """All contact fields."""
    return [*system_fields(), *account.list("fields")]


def create_field(account: Account, body: Any) -> dict[str, Any]:
    """POST /contact-fields/. Raises 422."""
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object.")
    problems = list(_problems(account, body))
    if problems:
        raise invalid(problems)
    record = {**body, "custom": True, "readOnly": False}
    account.put("fields", [record])
    return record


def _problems(account: Account, body: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [(k, "Property is not allowed") for k in body if k not in _KEYS]
    identity, kind = body.get("id"), body.get("type")
    if not isinstance(identity, str) or not _ID.match(identity) or identity == "id":
        found.append(("id", "Value is not valid"))
    elif identity in account.records["fields"] or identity in CONTACT:
        found.append(("id", "Value is already in use"))
    if not isinstance(body.get("name"), str) or not body["name"]:
        found.append(("name", "Value is required"))
    if kind not in _TYPES:
        found.append(("type", "Value is not valid"))
    if not isinstance(body.get("required"), bool):
        found.append(("required", "Value is required"))
    elif body["required"] and "defaultValue" not in body:
        found.append(("defaultValue", "Value is required"))
    if (kind == "phone") != ("defaultCountryCode" in body):
        found.append(("defaultCountryCode", "Goes with phone fields, and only with them"))
    if kind != "text" and "maxLength" in body:
        found.append(("maxLength", "Only text fields have it"))
    if (kind in {"checkbox", "radio"}) != bool(body.get("options")):
        found.append(("options", "Go with checkbox and radio fields, and only with them"))
    if len(account.records["fields"]) >= MAX_CUSTOM_FIELDS:
        found.append(("id", "The store has 140 custom fields already"))
    return found


def delete_field(account: Account, identity: str) -> bool:
    """DELETE /contact-fields/{id}: whether there was one. System fields stay."""
    record = account.records["fields"].get(identity)
    if record is None:
        if identity in CONTACT:
            raise ApiError(400, "A system field cannot be deleted.")
        return False
    account.remove("fields", record)
    return True
