"""`kind: export`: what Connectif knows, into a file of the project or a table."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from compasso.model import Diagnostic, Json, Priority, Severity
from compasso.spec.build import build_limit, build_schedule, check_secrets
from compasso.spec.document import Document
from compasso.spec.problems import suggest
from compasso.spec.shapes import Name, ScheduleShape, Shape
from compasso.spec.types import (
    Destination,
    Export,
    ExportColumn,
    Guards,
    nearest,
)

MAX_DAYS = 31  # activities and data-explorer ranges (documented, D10)
# Seen in the documentation and in client code; the list is not known to be complete.
ACTIVITY_TYPES = (
    "purchase", "login", "register", "contact-created", "contact-merged", "custom-event",
    "newsletter-subscribe", "product-visited", "cart-product-added", "cart-product-removed",
    "web-page-visited", "email-link-clicked",
)  # fmt: skip
_ENDINGS = {
    "csv": (".csv", ".csv.gz"),
    "parquet": (".parquet",),
    "duckdb": (".duckdb", ".db"),
}
_DAY = re.compile(r"^([0-9]{4}-[0-9]{2}-[0-9]{2}|-[0-9]{1,4}d|yesterday)$")
_TABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
_DAYS = Annotated[str, Field(pattern=r"^[0-9]{1,3}d$")]
Complain: TypeAlias = Callable[..., None]


class ContactsExportShape(Shape):
    """All contacts, or those of a segment."""

    segment: str | None = Field(None, description="The id of a segment: 24 hex digits.")


class ActivitiesExportShape(Shape):
    """What contacts did."""

    types: list[str] = Field(default_factory=list, description="Activity types; none: all.")
    segment: str | None = Field(None, description="The id of a segment: 24 hex digits.")


class ReportExportShape(Shape):
    """A report of the Data Explorer."""

    report: str = Field(min_length=1, description="The id of the report.")


class WhatShape(Shape):
    """What is exported: one of the three."""

    contacts: ContactsExportShape | None = None
    activities: ActivitiesExportShape | None = None
    data_explorer: ReportExportShape | None = Field(None, alias="data-explorer")


class IntoShape(Shape):
    """Where the rows go: one of csv, parquet, duckdb, sql."""

    csv: str | None = Field(None, description="A file of the project: exports/contacts.csv")
    parquet: str | None = Field(None, description="A file of the project.")
    duckdb: str | None = Field(None, description="A DuckDB file of the project; with `table`.")
    sql: str | None = Field(
        None, description="A connection of compasso.yml, by its name; with `table`."
    )
    table: str | None = Field(None, description="The table: NAME, or SCHEMA.NAME.")
    products: str | None = Field(
        None, description="The file or table of an activities export's second file."
    )


class ColumnShape(Shape):
    """A column with a type."""

    from_: str | None = Field(None, alias="from", description="The header in Connectif's file.")
    type: Literal["text", "integer", "decimal", "boolean", "date", "timestamp"] = "text"


class ExportGuardsShape(Shape):
    """What stops a plan that would do too much."""

    max_create: int | None = Field(None, ge=1, description="The most exports of one plan.")


class ExportShape(Shape):
    """What Connectif knows, into a file of the project or a table of a database."""

    kind: Literal["export"]
    name: Name
    owner: str | None = Field(None, description="Who answers for it.")
    export: Literal["contacts", "activities"] | WhatShape = Field(
        description="contacts, activities, or one with options: {activities: {types: [purchase]}}."
    )
    from_: str | None = Field(
        None, alias="from", description="The first day: 2026-01-01, -7d (days ago) or yesterday."
    )
    to: str | None = Field(None, description="The last day. The default is yesterday.")
    window: _DAYS | None = Field(
        None,
        description="The most days of one export, up to 31d; for contacts, the days between two.",
    )
    lookback: _DAYS = Field(
        "0d", description="A day counts as final so long after its end; until then it is renewed."
    )
    timezone: str = Field("UTC", description="Where days begin: Europe/Madrid.")
    version: str | None = Field(
        None, pattern=r"^v[0-9]+$", description="The version of Connectif's file: v5."
    )
    into: IntoShape
    mode: Literal["replace", "append"]
    columns: dict[str, str | ColumnShape] = Field(
        default_factory=dict,
        description="The destination's columns: a header, or {from: HEADER, type: TYPE}.",
    )
    guards: ExportGuardsShape = Field(default_factory=ExportGuardsShape.model_construct)
    priority: Literal["low", "normal", "high"] = "normal"
    schedule: ScheduleShape | None = None


SHAPE = ExportShape


def build(
    shape: ExportShape,
    spec: Document,
    variables: Mapping[str, Json],
    problems: list[Diagnostic],
) -> list[Export]:
    """The export that the spec means; nothing if it has problems."""
    before = len(problems)

    def complain(
        path: tuple[str | int, ...],
        message: str,
        hint: str,
        text: str | None = None,
        severity: Severity = Severity.ERROR,
    ) -> None:
        place = nearest(spec.positions, path, spec.file)
        problems.append(Diagnostic(message, severity, position=place, text=text, hint=hint))

    value = dict(spec.value) if isinstance(spec.value, dict) else {}
    check_secrets(value, (), complain)
    what, filters = _what(shape, complain)
    into = _into(shape, what, complain)
    window = _window(shape, what, complain)
    _check_days(shape, what, complain)
    schedule = build_schedule(shape.schedule, complain)
    _check_timezone(shape.timezone, complain)
    most = build_limit(shape.guards.max_create, ("guards", "max_create"), complain)
    errors = [p for p in problems[before:] if p.severity is Severity.ERROR]
    if errors or into is None:
        return []
    # What makes rows of another kind: when it changes, every piece is exported again.
    meaning = json.dumps(
        [what, filters, shape.version, shape.timezone, value.get("into"), shape.mode,
         value.get("columns")],
        sort_keys=True,
    )  # fmt: skip
    return [
        Export(
            name=shape.name,
            owner=shape.owner,
            what=what,
            filters=filters,
            version=shape.version,
            start=shape.from_,
            end=shape.to or "yesterday",
            window_days=window,
            lookback_days=int(shape.lookback[:-1]),
            timezone=shape.timezone,
            into=into,
            mode=shape.mode,
            columns={name: _column(name, c) for name, c in shape.columns.items()},
            guards=Guards(max_create=most),
            priority=Priority(shape.priority),
            schedule=schedule,
            file=spec.file,
            fingerprint=hashlib.sha256(meaning.encode()).hexdigest(),
            positions=spec.positions,
        )
    ]


def _what(
    shape: ExportShape, complain: Complain
) -> tuple[Literal["contacts", "activities", "data-explorer"], dict[str, Json]]:
    given = shape.export
    if isinstance(given, str):
        return given, {}
    chosen = [c for c in (given.contacts, given.activities, given.data_explorer) if c is not None]
    if len(chosen) != 1:
        complain(
            ("export",),
            "the export must name one of contacts, activities, data-explorer",
            "export: {activities: {types: [purchase]}}",
        )
    if given.data_explorer is not None:
        return "data-explorer", {"reportId": given.data_explorer.report}
    filters: dict[str, Json] = {}
    if given.activities is not None:
        for number, name in enumerate(given.activities.types):
            near = suggest(name, ACTIVITY_TYPES)
            if name not in ACTIVITY_TYPES and near:
                complain(
                    ("export", "activities", "types", number),
                    f"the activity type {name!r} is not one of those that are known",
                    f"did you mean `{near}`? If not, leave it: the list may be incomplete",
                    severity=Severity.WARNING,
                )
        if given.activities.types:
            filters["activityTypes"] = sorted(set(given.activities.types))
    chosen_one = given.activities or given.contacts
    segment = chosen_one.segment if chosen_one is not None else None
    if segment is not None:
        filters["segmentId"] = segment
    return ("activities" if given.activities is not None else "contacts"), filters


def _window(shape: ExportShape, what: str, complain: Complain) -> int:
    most = 366 if what == "contacts" else MAX_DAYS
    days = int(shape.window[:-1]) if shape.window else (1 if what == "contacts" else MAX_DAYS)
    if not 1 <= days <= most:
        complain(
            ("window",),
            f"`window` must be 1d to {most}d",
            "Connectif exports at most 31 days at once; longer ranges are cut into pieces",
            f"window: {shape.window}",
        )
    return days


def _check_days(shape: ExportShape, what: str, complain: Complain) -> None:
    if what == "contacts":
        for key, given in (("from", shape.from_), ("to", shape.to)):
            if given is not None:
                complain(
                    (key,),
                    f"a contacts export has no `{key}`: it is the contacts as they are",
                    "leave it out; `window: 7d` makes one a week",
                )
        if shape.lookback != "0d":
            complain(("lookback",), "a contacts export has no `lookback`", "leave it out")
        return
    if shape.from_ is None:
        complain(("from",), f"an export of {what} needs `from`", "from: 2026-01-01, or from: -7d")
    for key, given in (("from", shape.from_), ("to", shape.to)):
        if given is None:
            continue
        if given == "today":
            complain(
                (key,),
                f"`{key}` can be yesterday at the latest: a day is exported when it has ended",
                f"{key}: yesterday",
                f"{key}: {given}",
            )
        elif not _is_day(given):
            complain(
                (key,),
                f"`{key}` is not a day",
                "2026-01-01, -7d (seven days ago) or yesterday",
                f"{key}: {given}",
            )
    dates = [d for d in (shape.from_, shape.to) if d is not None and re.match(r"^[0-9]{4}-", d)]
    if len(dates) == 2 and all(map(_is_day, dates)) and dates[0] > dates[1]:
        complain(("to",), "`to` is before `from`", "exchange them", f"to: {shape.to}")


def _is_day(text: str) -> bool:
    if _DAY.match(text) is None:
        return False
    try:
        return text.startswith(("-", "y")) or bool(date.fromisoformat(text))
    except ValueError:
        return False


def _check_timezone(name: str, complain: Complain) -> None:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        near = suggest(name, sorted(available_timezones()))
        complain(
            ("timezone",),
            f"there is no timezone {name!r}",
            f"did you mean `{near}`?" if near else "such as Europe/Madrid",
            f"timezone: {name}",
        )


def _column(name: str, given: str | ColumnShape) -> ExportColumn:
    if isinstance(given, str):
        return ExportColumn(given)
    return ExportColumn(given.from_ or name, given.type)


def _into(shape: ExportShape, what: str, complain: Complain) -> Destination | None:
    given = shape.into
    kinds = [k for k in ("csv", "parquet", "duckdb", "sql") if getattr(given, k) is not None]
    if len(kinds) != 1:
        complain(
            ("into",),
            "`into` must name one of csv, parquet, duckdb, sql",
            "into: {parquet: exports/activities.parquet}",
        )
        return None
    kind: Any = kinds[0]
    place = str(getattr(given, kind))
    tables = kind in {"duckdb", "sql"}
    if tables and not given.table:
        complain(("into",), f"`{kind}` needs a `table`", f"into: {{{kind}: …, table: contacts}}")
    if not tables and given.table:
        complain(("into", "table"), f"`{kind}` has no table", "leave `table` out")
    for key in ("table", "products") if tables else ():
        name = getattr(given, key)
        if name is not None and _TABLE.match(name) is None:
            complain(
                ("into", key),
                f"`{key}` is not the name of a table",
                "letters, digits and underscores: NAME or SCHEMA.NAME",
                f"{key}: {name}",
            )
    if given.products is not None and what != "activities":
        complain(("into", "products"), "only activities have a file of products", "leave it out")
    if kind == "sql":
        if _NAME.match(place) is None:
            complain(
                ("into", "sql"),
                "`sql` is not the name of a connection",
                "name the database in compasso.yml (connections: {warehouse: "
                "'${env:WAREHOUSE_URL}'}) and write sql: warehouse",
            )
            return None
        return Destination(kind, place, given.table, given.products)
    paths = [("into", kind, place)]
    if not tables and given.products is not None:
        paths.append(("into", "products", given.products))
    for _, key, path in paths:
        _check_path(kind, key, path, complain)
    return Destination(kind, place, given.table, given.products)


def _check_path(kind: str, key: str, path: str, complain: Complain) -> None:
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith(".") for part in parts)
    if not parts or path.startswith(("/", "~")) or "\\" in path or ":" in path or hidden:
        complain(
            ("into", key),
            "the file must lie inside the project, and in no hidden folder",
            "write its path relative to compasso.yml, without ..: exports/contacts.csv",
            f"{key}: {path}",
        )
    elif not path.endswith(_ENDINGS[kind]):
        complain(
            ("into", key),
            f"the name of a {kind} file ends in {' or '.join(_ENDINGS[kind])}",
            f"{key}: exports/{PurePosixPath(path).stem}{_ENDINGS[kind][0]}",
            f"{key}: {path}",
        )
