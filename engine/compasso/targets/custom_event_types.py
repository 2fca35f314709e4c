"""Types of custom events: made where they do not exist, never changed (API facts: 9.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from compasso.model import ApiCall, Change
from compasso.schemas import load_schema
from compasso.targets.base import Delivery, Target, schema_fields


def _call(change: Change, key_field: str) -> ApiCall:
    """POST under the type's integration (documented, D14)."""
    body = {k: v for k, v in change.fields.items() if k != "integration"}
    path = f"/custom-integrations/{quote(str(change.fields['integration']), safe='')}"
    return ApiCall("POST", f"{path}/custom-event-types/", {key_field: change.key, **body})


def _look_up(change: Change) -> ApiCall:
    """The list of all types: there is no call by alias (seen, C4)."""
    return ApiCall("GET", "/custom-event-types/")


def _pick(change: Change, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    listed = body.get("results")
    types = listed if isinstance(listed, list) else []
    return next((t for t in types if t.get("alias") == change.key), None)


def _differing(change: Change, record: Mapping[str, Any]) -> list[str]:
    """What matters to the syncs: the fields, by id, type, and whether they must be there."""
    wanted, found = change.fields["fields"], record.get("fields")
    same = isinstance(found, list) and _form(wanted) == _form(found)
    return [] if same else ["fields"]


def _form(fields: Any) -> dict[str, tuple[Any, bool, bool]]:
    return {
        f["id"]: (f["type"], bool(f.get("required")), bool(f.get("isPrimaryKey"))) for f in fields
    }


TARGET = Target(
    name="custom-event-types",
    label="event type",
    rank=0,
    keys=("alias",),
    schema=load_schema("custom-event-types"),
    fields=schema_fields("custom-event-types"),
    call=_call,
    can_update=False,
    spec_kind="custom-event-types",
    delivery=Delivery.ONCE,
    look_up=_look_up,
    pick=_pick,
    differing=_differing,
)
