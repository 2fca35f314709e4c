"""Custom integrations, their event types, and the events that are sent (API facts: 9.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compasso.sandbox.checking import check
from compasso.sandbox.errors import ApiError, invalid
from compasso.sandbox.fields import check_value, custom_rule
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.shapes import DATE_TIME, ID, TEXT, closed_object
from compasso.sandbox.store import Record, iso, new_id

_NAME: Mapping[str, Any] = {"type": "string", "minLength": 1}
_FIELD_TYPES = (
    "text", "email", "phone", "integer", "decimal", "date", "checkbox", "radio", "boolean",
)  # fmt: skip
_FIELD: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 150},
        "name": _NAME,
        "type": {"type": "string", "enum": list(_FIELD_TYPES)},
        "required": {"type": "boolean"},
        "isPrimaryKey": {"type": "boolean"},
        "jsonPointerPath": TEXT,
        "options": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"id": _NAME, "label": TEXT},
                "required": ["id", "label"],
                "additionalProperties": False,
            },
        },
        "defaultCountryCode": {"type": "string", "pattern": "^[0-9]{1,4}$"},
    },
    "required": ["id", "name", "type"],
    "additionalProperties": False,
}
_TYPE: Mapping[str, Any] = {
    "name": _NAME,
    "category": {"type": "string", "enum": ["send", "receive"]},
    "fields": {"type": "array", "items": _FIELD},
    "alias": {"type": "string", "minLength": 1},
    "receiveType": {"type": "string", "enum": ["api", "webhook", "web-mobile"]},
    "webhookUrl": {"type": "string", "format": "uri"},
    "webhookHeaders": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"name": _NAME, "value": {"type": "string", "maxLength": 1200}},
            "required": ["name", "value"],
            "additionalProperties": False,
        },
    },
    "icon": TEXT,
}
_INTEGRATION: Mapping[str, Any] = {
    "name": _NAME,
    "eventsEnabled": {"type": "boolean"},
    "color": TEXT,
    "description": TEXT,
    "imageUri": {"type": "string", "format": "uri"},
}
_STAMPS: Mapping[str, Any] = {"id": ID, "createdAt": DATE_TIME, "updatedAt": DATE_TIME}


SCHEMAS: Mapping[str, Any] = {
    "CustomIntegrationCreate": closed_object(_INTEGRATION, "name", "eventsEnabled"),
    "CustomIntegrationPatch": closed_object(_INTEGRATION),
    "CustomIntegration": closed_object(
        {**_STAMPS, **_INTEGRATION}, "id", "name", "eventsEnabled", "createdAt", "updatedAt"
    ),
    "CustomEventTypeCreate": closed_object(_TYPE, "name", "category", "fields"),
    "CustomEventType": closed_object(
        {**_STAMPS, "customIntegrationId": ID, **_TYPE},
        "id", "customIntegrationId", "name", "category", "fields", "createdAt", "updatedAt",
    ),
    "CustomEvent": {"type": "object"},
    "CreateCustomEventResponse": closed_object({"id": ID}, "id"),
}  # fmt: skip


def create_integration(sandbox: Sandbox, body: Any) -> Record:
    """POST /custom-integrations/. Raises 422."""
    check(SCHEMAS["CustomIntegrationCreate"], body)
    now = iso(sandbox.now())
    record = {"id": new_id(), **body, "createdAt": now, "updatedAt": now}
    sandbox.account.put("integrations", [record])
    return record


def patch_integration(sandbox: Sandbox, integration: Record, body: Any) -> Record:
    """PATCH /custom-integrations/{id}. Raises 422."""
    check(SCHEMAS["CustomIntegrationPatch"], body)
    record = {**integration, **body, "updatedAt": iso(sandbox.now())}
    sandbox.account.put("integrations", [record])
    return record


def delete_integration(sandbox: Sandbox, integration: Record) -> None:
    """Remove an integration with its event types (a guess)."""
    sandbox.account.remove("integrations", integration)
    for known in sandbox.account.list("event_types"):
        if known["customIntegrationId"] == integration["id"]:
            sandbox.account.remove("event_types", known)


def create_type(sandbox: Sandbox, integration_id: str, body: Any) -> Record:
    """POST /custom-integrations/{id}/custom-event-types/. Raises 422."""
    check(SCHEMAS["CustomEventTypeCreate"], body)
    problems = _alias_problems(sandbox, body) + _field_problems(body)
    if problems:
        raise invalid(problems)
    now = iso(sandbox.now())
    record = {
        "id": new_id(),
        "customIntegrationId": integration_id,
        **body,
        "createdAt": now,
        "updatedAt": now,
    }
    sandbox.account.put("event_types", [record])
    return record


def _alias_problems(sandbox: Sandbox, body: Mapping[str, Any]) -> list[tuple[str, str]]:
    if body["category"] == "send":
        only = [(n, "Goes with receive") for n in ("alias", "receiveType") if n in body]
        return only + ([] if "webhookUrl" in body else [("webhookUrl", "Value is required")])
    only = [(n, "Goes with send") for n in ("webhookUrl", "webhookHeaders") if n in body]
    if "alias" not in body:
        only.append(("alias", "Value is required"))
    elif sandbox.account.find("event_types", "alias", body["alias"]) is not None:
        only.append(("alias", "Value is already in use"))
    return only


def _field_problems(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    fields = body["fields"]
    found = []
    if len({field["id"] for field in fields}) < len(fields):
        found.append(("fields", "Ids are not unique"))
    for place, field in enumerate(fields):
        if (field["type"] in {"checkbox", "radio"}) != bool(field.get("options")):
            found.append((f"fields/{place}/options", "Go with checkbox and radio"))
    if body["category"] == "receive":
        keys = [f for f in fields if f.get("isPrimaryKey")]
        good = len(keys) == 1 and keys[0]["type"] == "email" and keys[0].get("required")
        if not good:  # documented (D13)
            reason = "Exactly one field is the primary key, of type email and required"
            found.append(("fields", reason))
    return found


def receive(sandbox: Sandbox, event_type: Record, body: Any, create_contact: bool) -> Record:
    """An event of a type. Raises 422, and 400 E0501 where the contact is not there."""
    problems = _event_problems(event_type["fields"], body)
    if problems:
        raise invalid(problems)
    key = next(field["id"] for field in event_type["fields"] if field.get("isPrimaryKey"))
    contact = sandbox.records.contact("_email", body[key])
    if contact is None:
        if not create_contact:
            raise ApiError(400, "The contact of the event does not exist.", code="E0501")
        contact, _ = sandbox.records.patch_contact("_email", body[key], {})
    record = {
        "id": new_id(),
        "customEventTypeId": event_type["id"],
        "alias": event_type.get("alias"),
        "contactId": contact["id"],
        "contactEmail": contact["_email"],
        "fields": dict(body),
        "createdAt": iso(sandbox.now()),
    }
    sandbox.account.put("events", [record])
    return record


def _event_problems(fields: list[Mapping[str, Any]], body: Any) -> list[tuple[str, str]]:
    """What is wrong with an event's body: strict, no field may be unknown (documented, D13)."""
    if not isinstance(body, dict):
        return [("", "Value is not an object")]
    known = {field["id"]: field for field in fields}
    found = [(name, "Property is not allowed") for name in body if name not in known]
    for name, field in known.items():
        if body.get(name) is None:
            if field.get("required"):
                found.append((name, "Value is required"))
        elif reason := check_value(custom_rule(field), body[name]):
            found.append((name, reason))
    return found
