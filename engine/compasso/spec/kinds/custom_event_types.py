"""`kind: custom-event-types`: the types of the events that syncs send (API facts: 9.5, D14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from compasso.model import Diagnostic, Json
from compasso.spec.document import Document
from compasso.spec.shapes import Name, OptionShape, Shape
from compasso.spec.types import ContactFieldSpec, EventTypeSpec, nearest

_CHOICE = frozenset({"checkbox", "radio"})


class EventFieldShape(Shape):
    """One field of an event."""

    id: str = Field(min_length=1, max_length=150)
    name: str = Field(min_length=1)
    type: Literal[
        "text", "email", "phone", "integer", "decimal", "date", "checkbox", "radio", "boolean"
    ]
    required: bool = False
    primary_key: bool = Field(
        False, description="The e-mail address of the event's contact: exactly one field."
    )
    default_country_code: str | None = Field(None, pattern=r"^[0-9]{1,4}$")
    options: list[OptionShape] = Field(default_factory=list, max_length=120)


class EventTypeShape(Shape):
    """One type of event, which syncs name as custom-events/ALIAS."""

    alias: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)
    name: str = Field(min_length=1)
    fields: list[EventFieldShape] = Field(min_length=1)


class CustomEventTypesShape(Shape):
    """Types of custom events of one integration. They are made where they do not exist."""

    kind: Literal["custom-event-types"]
    name: Name = "custom-event-types"
    owner: str | None = None
    integration: str = Field(
        pattern=r"^[0-9a-f]{24}$",
        description="The id of the custom integration: 24 hex digits, as its address shows it.",
    )
    events: list[EventTypeShape] = Field(min_length=1)


SHAPE = CustomEventTypesShape


def build(
    shape: CustomEventTypesShape,
    spec: Document,
    variables: Mapping[str, Json],
    problems: list[Diagnostic],
) -> list[EventTypeSpec]:
    """The event types that the spec declares."""
    result = []
    for index, event in enumerate(shape.events):
        place = nearest(spec.positions, ("events", index), spec.file)
        for message, hint in _problems(event):
            said = f"{event.alias}: {message}"
            problems.append(Diagnostic(message=said, position=place, hint=hint))
        fields = tuple(
            ContactFieldSpec(
                id=f.id,
                name=f.name,
                type=f.type,
                required=f.required or f.primary_key,
                default_country_code=f.default_country_code,
                options=tuple({"id": o.id, "label": o.label} for o in f.options),
            )
            for f in event.fields
        )
        key = next((f.id for f in event.fields if f.primary_key), "")
        result.append(EventTypeSpec(event.alias, event.name, shape.integration, key, fields, place))
    return result


def _problems(event: EventTypeShape) -> list[tuple[str, str]]:
    """What the API would refuse (D13, D14)."""
    keys = [f for f in event.fields if f.primary_key]
    found = []
    if len(keys) != 1 or keys[0].type != "email":
        found.append(
            (
                "exactly one field is the primary key, and of the type email",
                "{id: email, name: E-mail, type: email, primary_key: true}",
            )
        )
    if len({f.id for f in event.fields}) < len(event.fields):
        found.append(("two fields have the same id", "give each its own"))
    for field in event.fields:
        if (field.type in _CHOICE) != bool(field.options):
            found.append(
                (
                    f"{field.id}: options go with checkbox and radio fields, and only with them",
                    "options: [{id: a, label: A}]",
                )
            )
        if (field.type == "phone") != (field.default_country_code is not None):
            found.append(
                (
                    f"{field.id}: default_country_code goes with phone fields, and only with them",
                    'default_country_code: "34"',
                )
            )
    return found
