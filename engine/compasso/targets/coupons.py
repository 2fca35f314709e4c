"""Coupon codes of a set, which only an import can add (API facts: sections 6 and 7.6)."""

from __future__ import annotations

from compasso.model import ApiCall, Change, CompassoError
from compasso.schemas import load_schema
from compasso.targets.base import Target, schema_fields


def _call(_change: Change, _key_field: str) -> ApiCall:
    """There is no call for a single code (not found anywhere)."""
    raise CompassoError.say("Connectif takes coupon codes by import only")


TARGET = Target(
    name="coupons",
    label="coupon code",
    rank=1,
    keys=("code",),
    schema=load_schema("coupons"),
    fields=schema_fields("coupons"),
    call=_call,
    import_type="coupons",
    required=tuple(load_schema("coupons")["required"]),
    can_update=False,
    spec_kind="coupon-stock",
)
