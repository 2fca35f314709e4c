"""JSON Schemas that many endpoints share, and those that follow from the rules of fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compasso.sandbox.fields import FieldRule

ID: Mapping[str, Any] = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
TEXT: Mapping[str, Any] = {"type": "string"}
NUMBER: Mapping[str, Any] = {"type": "number"}
COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 0}
DATE_TIME: Mapping[str, Any] = {"type": "string", "format": "date-time"}

_TYPES = {
    "integer": "integer", "decimal": "number", "boolean": "boolean", "checkbox": "array",
    "list": "array",
}  # fmt: skip
_FORMATS = {"email": "email", "date": "date-time"}


def closed_object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def value_schema(rule: FieldRule, *, nullable: bool) -> dict[str, Any]:
    """What JSON values a field takes. Null clears an optional field (a guess)."""
    kind = _TYPES.get(rule.kind, "string")
    schema: dict[str, Any] = {"type": kind}
    if rule.kind in _FORMATS:
        schema["format"] = _FORMATS[rule.kind]
    if rule.kind == "phone":
        schema["pattern"] = r"^\+?[0-9]{5,15}$"
    if rule.kind == "radio":
        return {"type": "string", "enum": list(rule.options)}
    if kind == "array":
        schema["items"] = {"type": "string"}
        if rule.options:
            schema["items"]["enum"] = list(rule.options)
    bounds = (("maxLength", rule.max_length), ("minimum", rule.minimum), ("maximum", rule.maximum))
    schema |= {name: value for name, value in bounds if value is not None}
    if nullable:
        schema["type"] = [kind, "null"]
    return schema


def body_schema(
    rules: Mapping[str, FieldRule], *, without: str = "", closed: bool
) -> dict[str, Any]:
    """The body of a PATCH: any of the fields but the one that is the key in the path."""
    return {
        "type": "object",
        "properties": {n: value_schema(r, nullable=True) for n, r in rules.items() if n != without},
        "additionalProperties": not closed,
    }


def record_schema(
    rules: Mapping[str, FieldRule], read_only: Mapping[str, Any], required: Sequence[str]
) -> dict[str, Any]:
    """A record as GET shows it."""
    fields = {n: value_schema(r, nullable=False) for n, r in rules.items()}
    return {
        "type": "object",
        "properties": {**read_only, **fields},
        "required": list(required),
    }
