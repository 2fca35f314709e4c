"""The account's own contact fields (API facts: section 3). They go before the contacts."""

from __future__ import annotations

from urllib.parse import quote

from compasso.model import ApiCall, Change, Operation
from compasso.schemas import load_schema
from compasso.targets.base import Delivery, Target, schema_fields


def _call(change: Change, key_field: str) -> ApiCall:
    """POST creates; there is no call that changes a field (section 1, not found anywhere)."""
    if change.operation is Operation.DELETE:
        return ApiCall("DELETE", "/contact-fields/" + quote(change.key, safe=""))
    return ApiCall("POST", "/contact-fields/", {key_field: change.key, **change.fields})


def _look_up(change: Change) -> ApiCall:
    """GET of one field (section 3)."""
    return ApiCall("GET", "/contact-fields/" + quote(change.key, safe=""))


def _read(key: str, _key_field: str) -> ApiCall:
    """GET of one field (D12)."""
    return ApiCall("GET", "/contact-fields/" + quote(key, safe=""))


TARGET = Target(
    name="contact-fields",
    label="contact field",
    rank=0,
    keys=("id",),
    schema=load_schema("contact-fields"),
    fields=schema_fields("contact-fields"),
    call=_call,
    read=_read,
    required=tuple(load_schema("contact-fields")["required"]),
    can_update=False,
    spec_kind="contact-fields",
    delivery=Delivery.ONCE,
    look_up=_look_up,
)
