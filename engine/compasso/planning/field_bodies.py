"""Declared fields as the API takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compasso.spec import ContactFieldSpec, EventTypeSpec


def field_bodies(specs: Sequence[ContactFieldSpec]) -> list[dict[str, Any]]:
    """Contact fields as the bodies of POST /contact-fields/."""
    bodies = []
    for spec in specs:
        body = {
            "id": spec.id,
            "name": spec.name,
            "type": spec.type,
            "required": spec.required,
            "defaultValue": spec.default,
            "defaultCountryCode": spec.default_country_code,
            "maxLength": spec.max_length,
            "minValue": spec.min_value,
            "maxValue": spec.max_value,
            "minDate": spec.min_date,
            "maxDate": spec.max_date,
            "options": [_plain(option) for option in spec.options] or None,
        }
        bodies.append({k: v for k, v in body.items() if v is not None})
    return bodies


def _plain(option: Any) -> dict[str, str]:
    if isinstance(option, dict):
        return {"id": option["id"], "label": option["label"]}
    return {"id": option.id, "label": option.label}


def event_type_bodies(specs: Sequence[EventTypeSpec]) -> list[dict[str, Any]]:
    """Event types as the bodies of POST /custom-integrations/{id}/custom-event-types/, with the
    integration beside them. Their `receiveType` is api: they come by this very call."""
    return [
        {
            "alias": spec.alias,
            "name": spec.name,
            "category": "receive",
            "receiveType": "api",
            "integration": spec.integration,
            "fields": [_event_field(body, spec.key) for body in field_bodies(spec.fields)],
        }
        for spec in specs
    ]


def _event_field(body: dict[str, Any], key: str) -> dict[str, Any]:
    return {**body, "isPrimaryKey": True} if body["id"] == key else body
