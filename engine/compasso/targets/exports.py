"""Pieces of exports: not records of Connectif, but files that it makes (API facts: section 8)."""

from __future__ import annotations

from compasso.model import ApiCall, Change, CompassoError
from compasso.schemas import load_schema
from compasso.targets.base import Target, schema_fields


def _call(_change: Change, _key_field: str) -> ApiCall:
    """An export takes several requests: its runner sends them."""
    raise CompassoError.say("an export is no single call")


TARGET = Target(
    name="exports",
    label="export",
    rank=9,  # after all that is written: an export shows what came of it
    keys=("piece",),
    schema=load_schema("exports"),
    fields=schema_fields("exports"),
    call=_call,
    required=tuple(load_schema("exports")["required"]),
    spec_kind="export",
)
