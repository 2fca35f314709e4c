"""`kind: coupon-stock`: keep a coupon set filled with codes of a source.

To the rooms above it is a sync of the target `coupons` with a `stock`: each code of the source
is a record, which is made when the set needs it and then never again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from compasso.model import Diagnostic, Json, Priority
from compasso.spec.build import (
    build_limit,
    build_schedule,
    check_secrets,
    text_field,
)
from compasso.spec.document import Document
from compasso.spec.shapes import Name, RejectsShape, ScheduleShape, Shape
from compasso.spec.source import build_source
from compasso.spec.types import FieldKind, FieldSpec, Guards, Stock, Sync, nearest

TARGET = "coupons"
MOST_CODES = 500_000  # a set holds so many since 7 January 2026 (documented, H17)


class CouponSetShape(Shape):
    """The coupon set: by its id, or by its name as the app shows it."""

    id: str | None = Field(None, min_length=1, description="The set's id: 24 hex digits.")
    name: str | None = Field(None, min_length=1, description="The set's name, exactly.")


class StockGuardsShape(Shape):
    """What stops a plan that would do too much."""

    max_create: int | None = Field(None, ge=1, description="The most codes of one plan.")


class CouponStockShape(Shape):
    """Keep a coupon set filled: at least so many free codes, filled up from a source of codes."""

    kind: Literal["coupon-stock"]
    name: Name
    owner: str | None = Field(None, description="Who answers for it.")
    set: CouponSetShape = Field(description="The set: {name: Summer} or {id: 5cf8…}.")
    min_available: int = Field(
        ge=1, le=MOST_CODES, description="Below this many free codes, the set is filled up."
    )
    target: int = Field(
        ge=1, le=MOST_CODES, description="How many free codes there are after filling up."
    )
    source: dict[str, Any] = Field(description="Where the codes come from: any source of a sync.")
    code: str = Field(description="The column of the code, or a template.")
    when: str | None = Field(None, description="Which rows: a template that is true for them.")
    only_if_used: bool = Field(
        False, description="Fill up only while an active workflow uses the set."
    )
    rejects: RejectsShape | None = None
    guards: StockGuardsShape = Field(default_factory=StockGuardsShape.model_construct)
    priority: Literal["low", "normal", "high"] = "normal"
    schedule: ScheduleShape | None = None


SHAPE = CouponStockShape


def build(
    shape: CouponStockShape,
    spec: Document,
    variables: Mapping[str, Json],
    problems: list[Diagnostic],
) -> list[Sync]:
    """The sync that the spec means; nothing if it has problems."""
    before = len(problems)

    def complain(
        path: tuple[str | int, ...], message: str, hint: str, text: str | None = None
    ) -> None:
        place = nearest(spec.positions, path, spec.file)
        problems.append(Diagnostic(message=message, position=place, text=text, hint=hint))

    check_secrets(spec.value, (), complain)
    source = build_source(shape.source, complain)
    schedule = build_schedule(shape.schedule, complain)
    rejects = (
        build_limit(shape.rejects.max, ("rejects", "max"), complain) if shape.rejects else None
    )
    most = build_limit(shape.guards.max_create, ("guards", "max_create"), complain)
    if (shape.set.id is None) == (shape.set.name is None):
        complain(("set",), "the set needs either `id` or `name`", "set: {name: Summer sale}")
    if shape.target < shape.min_available:
        complain(
            ("target",),
            f"target: {shape.target} is less than min_available: {shape.min_available}",
            "fill up to at least as many as there must be",
        )
    if len(problems) > before or source is None:
        return []
    meaning = json.dumps([spec.value, dict(variables)], sort_keys=True, ensure_ascii=False)
    # What goes wrong with the field `code` stands at the key `code`.
    positions = dict(spec.positions)
    if ("code",) in positions:
        positions["fields",] = positions["fields", "code"] = positions["code",]
    return [
        Sync(
            name=shape.name,
            owner=shape.owner,
            source=source,
            target=TARGET,
            key=("code",),
            when=shape.when,
            fields={
                "code": text_field(shape.code, None),
                "couponSet": FieldSpec(FieldKind.CONSTANT, shape.set.name or shape.set.id),
            },
            duplicates="first",
            order_by=None,
            missing="keep",
            nulls="omit",
            rejects_max=rejects,
            guards=Guards(max_create=most),
            route="import",
            priority=Priority(shape.priority),
            schedule=schedule,
            tests=(),
            file=spec.file,
            fingerprint=hashlib.sha256(meaning.encode()).hexdigest(),
            positions=positions,
            stock=Stock(
                set_id=shape.set.id,
                set_name=shape.set.name,
                min_available=shape.min_available,
                target=shape.target,
                only_if_used=shape.only_if_used,
            ),
        )
    ]
