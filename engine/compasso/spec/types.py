"""A checked project as plain frozen types: what every room above works with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeAlias

from compasso.model import CompassoError, Diagnostic, Json, Position, Priority
from compasso.spec.durations import seconds_of

# How far a total may be from the sum of its lines: an amount, not checked, or the default.
Tolerance: TypeAlias = 'float | Literal["any"] | None'


class FieldKind(StrEnum):
    """Where a field's value comes from."""

    COLUMN = "column"
    TEMPLATE = "template"
    CONSTANT = "constant"
    LINES = "lines"


@dataclass(frozen=True, slots=True)
class Cast:
    """How a value becomes another type. `formats` are strptime patterns of a date."""

    type: str
    formats: tuple[str, ...] = ()
    separator: str | None = None
    decimal: str = "."


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a mapping: a column's name, a template's text, a constant, or lines."""

    kind: FieldKind
    value: Json
    cast: Cast | None = None
    lines: LinesSpec | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of rows, or a share of them."""

    value: float
    percent: bool

    def allows(self, count: int, total: int) -> bool:
        """Whether `count` of `total` is within the limit."""
        return count <= (total * self.value / 100 if self.percent else self.value)

    def __str__(self) -> str:
        return f"{self.value:g}%" if self.percent else f"{self.value:g}"


@dataclass(frozen=True, slots=True)
class Guards:
    """What stops a plan that would do too much."""

    max_delete: Limit | None = None
    max_change: Limit | None = None
    max_create: Limit | None = None  # of coupon stocks and exports


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """When a sync is due."""

    cron: str
    timezone: str = "UTC"
    deadline_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """Where the rows come from."""

    kind: str
    location: str
    options: Mapping[str, Json] = field(default_factory=dict)
    connection: Secret | None = None  # the address of a database

    @property
    def lookback_seconds(self) -> int:
        """How far behind the cursor rows are read again."""
        return seconds_of(self.options.get("lookback")) or 0

    @property
    def label(self) -> str:
        """Where the rows come from, for people: a file, or a query without its text."""
        is_query = self.kind == "sql" and not self.location.endswith(".sql")
        return f"a query of {self.options.get('connection')}" if is_query else self.location


@dataclass(frozen=True, slots=True)
class LinesSpec:
    """The lines of a record (the products of a purchase): where they stand, and their mapping.

    origin `rows`: the rows of the source that share the record's key. `column`: a column that
    holds a list. `source`: a second source, whose column `on[0]` equals the rows' column `on[1]`.
    `tolerance` is how far the totals may be from the sum of the lines: an amount, `any`, or None
    for half a cent a line.
    """

    origin: Literal["rows", "column", "source"]
    fields: Mapping[str, FieldSpec]
    column: str | None = None
    source: SourceSpec | None = None
    on: tuple[str, str] | None = None
    tolerance: Tolerance = None


@dataclass(frozen=True, slots=True)
class SpecTest:
    """Example rows and the record that they must become (None: `when` leaves it out)."""

    rows: tuple[Mapping[str, Json], ...]
    expect: Mapping[str, Json] | None
    number: int


@dataclass(frozen=True)
class Secret:
    """A secret that is only read when it is needed, and never shown.

    `reference` is the text of the project file: `${env:NAME}` or `${file:PATH}`.
    """

    reference: str
    root: Path
    position: Position | None = None

    def reveal(self) -> str:
        """The value. Raises CompassoError when the variable or the file is not there."""
        kind, _, name = self.reference[2:-1].partition(":")
        if kind == "env":
            value = os.environ.get(name, "")
            if not value:
                raise self._missing(f"the environment variable {name} is not set", f"set {name}")
            return value.strip()
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise self._missing(f"the secret file {name} lies outside the project", "move it")
        try:
            return path.read_text("utf-8").strip()
        except OSError as error:
            raise self._missing(
                f"cannot read the secret file {name}: {error.strerror}", "make the file"
            ) from error

    def _missing(self, message: str, hint: str) -> CompassoError:
        return CompassoError(Diagnostic(message=message, position=self.position, hint=hint))

    def __repr__(self) -> str:
        return f"Secret({self.reference})"


@dataclass(frozen=True, slots=True)
class ConnectifSettings:
    """How to reach the account."""

    base_url: str = "https://api.connectif.cloud"
    api_key: Secret | None = None
    late_seconds: float = 90.0  # how long a request may be carried out after it was sent


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """Requests a minute: the account's limit, and how many of them are left for others."""

    requests_per_minute: int = 100
    reserve: int = 0


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where the state is kept."""

    backend: str = "local"
    values: Literal["full", "hashed"] = "full"
    keys: Literal["clear", "hashed"] | None = None
    history: str = "400d"

    @property
    def kept_history(self) -> timedelta | None:
        """How long the history of applies is kept; None: forever."""
        return None if self.history == "forever" else timedelta(days=int(self.history[:-1]))

    @property
    def hashed_keys(self) -> bool:
        """Whether keys rest as hashes only."""
        return self.values == "hashed" and self.keys != "clear"


@dataclass(frozen=True, slots=True)
class Stock:
    """What a `kind: coupon-stock` spec keeps in one coupon set, named by its id or its name."""

    set_id: str | None
    set_name: str | None
    min_available: int  # below this many free codes the set is filled up
    target: int  # to this many
    only_if_used: bool  # only while an active workflow uses the set

    @property
    def label(self) -> str:
        """The set, as the spec names it."""
        return self.set_name or str(self.set_id)


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """Who hears of an apply that did not go well; `on`: failure, rejects."""

    webhook: Secret | None = None
    on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sync:
    """One `kind: sync` spec; with a `stock`, one `kind: coupon-stock` spec."""

    name: str
    owner: str | None
    source: SourceSpec
    target: str
    key: tuple[str, ...]
    when: str | None
    fields: Mapping[str, FieldSpec]
    duplicates: Literal["error", "first", "last"]
    order_by: str | None
    missing: Literal["keep", "delete", "retire"]
    nulls: Literal["omit", "clear"]
    rejects_max: Limit | None
    guards: Guards
    route: Literal["auto", "calls", "import"]
    priority: Priority
    schedule: ScheduleSpec | None
    tests: tuple[SpecTest, ...]
    file: Path
    fingerprint: str
    positions: Mapping[tuple[str | int, ...], Position] = field(repr=False, compare=False)
    stock: Stock | None = None
    # What becomes of a record that cannot be changed, when its source has changed.
    on_change: Literal["report", "replace"] = "report"
    # With `missing: retire`: what puts a record out of sight, if not what its target says.
    retire: Mapping[str, Json] | None = None
    # What only this target knows, such as trigger_event of purchases; as the plan file keeps it.
    options: Mapping[str, Json] = field(default_factory=dict)

    @property
    def lines(self) -> tuple[str, LinesSpec] | None:
        """The field that is made of lines, if there is one."""
        return next(((n, f.lines) for n, f in self.fields.items() if f.lines is not None), None)

    def position(self, *path: str | int) -> Position:
        """Where a part of the spec stands; the nearest enclosing part if it is not written."""
        return nearest(self.positions, path, self.file)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the rows of an export go: a file of the project, or a table.

    `place` is the file (csv, parquet, duckdb), or the name of a connection of compasso.yml (sql).
    `products` is the file or table of an activities export's second file, if it is wanted.
    """

    kind: Literal["csv", "parquet", "duckdb", "sql"]
    place: str
    table: str | None = None
    products: str | None = None

    @property
    def label(self) -> str:
        """The place in words."""
        return self.place if self.table is None else f"{self.place} {self.table}"


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """One column of a destination: the header it is read from, and its type."""

    header: str
    type: Literal["text", "integer", "decimal", "boolean", "date", "timestamp"] = "text"


@dataclass(frozen=True)
class Export:
    """One `kind: export` spec. `start` and `end` are days as they are written."""

    name: str
    owner: str | None
    what: Literal["contacts", "activities", "data-explorer"]
    filters: Mapping[str, Json]  # as POST /exports/ takes them, without the days
    version: str | None
    start: str | None
    end: str
    window_days: int
    lookback_days: int
    timezone: str
    into: Destination
    mode: Literal["replace", "append"]
    columns: Mapping[str, ExportColumn]
    guards: Guards
    priority: Priority
    schedule: ScheduleSpec | None
    file: Path
    fingerprint: str
    positions: Mapping[tuple[str | int, ...], Position] = field(repr=False, compare=False)

    def position(self, *path: str | int) -> Position:
        """Where a part of the spec stands; the nearest enclosing part if it is not written."""
        return nearest(self.positions, path, self.file)


@dataclass(frozen=True, slots=True)
class ContactFieldSpec:
    """One field of a `kind: contact-fields` spec."""

    id: str
    name: str
    type: str
    required: bool = False
    default: Json = None
    default_country_code: str | None = None
    max_length: int | None = None
    min_value: float | None = None
    max_value: float | None = None
    min_date: str | None = None
    max_date: str | None = None
    options: tuple[Mapping[str, str], ...] = ()
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class EventTypeSpec:
    """One type of a `kind: custom-event-types` spec. `key` is the field of the contact's e-mail."""

    alias: str
    name: str
    integration: str
    key: str
    fields: tuple[ContactFieldSpec, ...]
    position: Position | None = None


@dataclass(frozen=True)
class Project:
    """A whole project in one environment."""

    root: Path
    name: str
    environment: str | None
    connectif: ConnectifSettings
    budget: BudgetSettings
    state: StateSettings
    variables: Mapping[str, Json]
    syncs: tuple[Sync, ...]
    contact_fields: tuple[ContactFieldSpec, ...]
    warnings: tuple[Diagnostic, ...] = ()
    connections: Mapping[str, Secret] = field(default_factory=dict)  # databases, by name
    exports: tuple[Export, ...] = ()
    event_types: tuple[EventTypeSpec, ...] = ()
    stocks: tuple[str, ...] = ()  # the names of all coupon stocks, whichever syncs are chosen
    quarantine_after: int = 5  # tries of a record that the API refuses
    notifications: NotificationSettings = NotificationSettings()

    @property
    def named(self) -> tuple[Sync | Export, ...]:
        """All that has a name, a schedule and a state of its own."""
        return (*self.syncs, *self.exports)


def nearest(
    positions: Mapping[tuple[str | int, ...], Position],
    path: tuple[str | int, ...],
    file: Path,
) -> Position:
    """The position of a path in a document, or of the longest part of it that is written."""
    while path and path not in positions:
        path = path[:-1]
    return positions.get(path) or Position(file, 1, 1)
