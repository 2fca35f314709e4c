"""Custom events: sent, never read, changed or deleted (API facts: 9.5).

A target for each alias: `custom-events/order-shipped`. An event has no id, so what makes two
rows one event is said by the spec (`key:`), and its text is the record's key, EVENT_KEY.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from compasso.model import ApiCall, Change, FieldType
from compasso.targets.base import EVENT_KEY, Delivery, Target, TargetField

MAX_BYTES = 512 * 1024  # documented (H24)


def _call(change: Change, key_field: str) -> ApiCall:
    """POST by alias; the fields are the body (documented, D13)."""
    alias = str(change.options["alias"])
    create = str(bool(change.options.get("create_contact", False))).lower()
    return ApiCall(
        "POST",
        f"/custom-events/alias/{quote(alias, safe='')}",
        dict(change.fields),
        {"createContact": create},
    )


TARGET = Target(
    name="custom-events",
    label="event",
    rank=3,
    keys=(EVENT_KEY,),
    schema={},
    fields={EVENT_KEY: TargetField(EVENT_KEY, FieldType.TEXT, {})},
    call=_call,
    can_update=False,
    open_fields=True,
    delivery=Delivery.AT_LEAST_ONCE,
    composed_key=True,
    max_bytes=MAX_BYTES,
)


def named(alias: str) -> Target:
    """The events of one type."""
    return replace(TARGET, name=f"{TARGET.name}/{alias}")
