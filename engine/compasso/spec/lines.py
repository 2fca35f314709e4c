"""The lines of a record: from the checked shape to the type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compasso.spec.build import Complain, build_field
from compasso.spec.source import build_source
from compasso.spec.types import FieldKind, FieldSpec, LinesSpec, Tolerance

if TYPE_CHECKING:
    from compasso.spec.shapes import LinesOriginShape, LinesShape


def build_lines(name: str, shape: LinesShape, complain: Complain) -> FieldSpec | None:
    """A field made of lines; None if it has problems."""
    fields = {
        field: build_field((name, "fields", field), value, complain)
        for field, value in shape.fields.items()
    }
    if not fields:
        complain(("fields", name, "fields"), "the lines have no fields", "such as productId: sku")
    mapped = {n: f for n, f in fields.items() if f is not None}
    tolerance = _tolerance(shape)
    if isinstance(tolerance, float) and tolerance < 0:
        complain(("fields", name, "tolerance"), "`tolerance` cannot be negative", "such as 0.05")
    if isinstance(shape.lines, str):
        lines = LinesSpec("rows", mapped, tolerance=tolerance)
    else:
        found = _origin(name, shape.lines, mapped, tolerance, complain)
        if found is None:
            return None
        lines = found
    return FieldSpec(FieldKind.LINES, None, lines=lines)


def _tolerance(shape: LinesShape) -> Tolerance:
    given = shape.tolerance
    return given if given is None or given == "any" else float(given)


def _origin(
    name: str,
    shape: LinesOriginShape,
    fields: dict[str, FieldSpec],
    tolerance: Tolerance,
    complain: Complain,
) -> LinesSpec | None:
    at = ("fields", name, "lines")
    example = "write rows, {column: items}, or {source: {csv: data/lines.csv}, on: order_id}"
    if (shape.column is None) == (shape.source is None):
        complain(at, "the lines need either `column` or `source`", example)
        return None
    if shape.column is not None:
        if shape.on is not None:
            complain((*at, "on"), "`on` goes with `source`", "leave it out")
        return LinesSpec("column", fields, column=shape.column, tolerance=tolerance)
    source = build_source(shape.source or {}, complain, (*at, "source"))
    pair = shape.on
    if pair is None or (isinstance(pair, dict) and len(pair) != 1):
        complain(
            (*at, "on") if pair else at,
            "the second source needs `on`: which lines belong to which row",
            "on: order_id, or on: {column of the lines: column of the rows}",
        )
        return None
    on = (pair, pair) if isinstance(pair, str) else next(iter(pair.items()))
    if source is None:
        return None
    return LinesSpec("source", fields, source=source, on=on, tolerance=tolerance)
