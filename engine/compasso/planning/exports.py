"""Exports: which pieces of time are missing at a destination, or no longer as they should be.

A piece is one export of Connectif, of at most 31 days that have ended. The state keeps one
record a piece, with the last day that had ended when it was exported (`asOf`). While a day may
still change (`lookback`), it is a piece of its own and is exported again with every new day. So
pieces never overlap, and a piece that is written again replaces just itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from compasso.model import Batch, CompassoError, Diagnostic, Json, Route
from compasso.spec import Export
from compasso.state import Record

MAX_SPAN = timedelta(days=31)  # documented for activities and data-explorer (D10)
# The request itself, on average two polls, and one for the address of the file (measured with
# the sandbox). The file is fetched from elsewhere and costs none.
EXPORT_REQUESTS = 4
CONTACTS = "contacts"  # the piece of contacts that are replaced as a whole
_ONE = timedelta(days=1)
_DEFINITION = 16  # hex digits of the digest that the state keeps


@dataclass(frozen=True, slots=True)
class Piece:
    """One export. `first` and `last` are its days, both included; None for contacts."""

    key: str
    as_of: str
    first: date | None = None
    last: date | None = None
    whole: str | None = None  # all days of a destination that is replaced

    def row(self, definition: str) -> dict[str, Json]:
        """The piece as a record of the target `exports`."""
        given: dict[str, Json] = {
            "piece": self.key,
            "from": self.first.isoformat() if self.first else None,
            "to": self.last.isoformat() if self.last else None,
            "asOf": self.as_of,
            "range": self.whole,
            "definition": definition,
        }
        return {name: value for name, value in given.items() if value is not None}


def pieces_of(export: Export, records: Iterable[Record], now: datetime) -> list[Piece]:
    """All pieces that the destination must have at this time, those it has included."""
    today = now.astimezone(ZoneInfo(export.timezone)).date()
    everything = list(records)
    known = [r for r in everything if r.fields.get("definition") == definition_of(export)]
    if export.what == "contacts":
        return _snapshots(export, known, today)
    yesterday = today - _ONE
    first = resolve_day(str(export.start), today)
    last = min(resolve_day(export.end, today), yesterday)
    if first > last:
        return []
    if export.mode == "replace":
        lately = min(yesterday, last + timedelta(days=export.lookback_days)).isoformat()
        runs = cut(first, last, export.window_days, export.timezone)
        whole = f"{first}/{last}"
        return [
            Piece(f"part-{number}", lately, a, b, whole) for number, (a, b) in enumerate(runs, 1)
        ]
    return _appended(export, everything, first, last, yesterday)


def definition_of(export: Export) -> str:
    """What is exported and where to, as the state keeps it."""
    return export.fingerprint[:_DEFINITION]


def resolve_day(text: str, today: date) -> date:
    """The day that a spec names: 2026-01-01, -7d, yesterday."""
    if text == "yesterday":
        return today - _ONE
    if text.startswith("-"):
        return today - timedelta(days=int(text[1:-1]))
    return date.fromisoformat(text)


def bounds(first: date, last: date, timezone: str) -> tuple[datetime, datetime]:
    """The first and the last moment of some days, in UTC, to the millisecond."""
    zone = ZoneInfo(timezone)
    begin = datetime.combine(first, time(), zone).astimezone(UTC)
    end = datetime.combine(last + _ONE, time(), zone).astimezone(UTC)
    return begin, end - timedelta(milliseconds=1)


def cut(first: date, last: date, days: int, timezone: str) -> list[tuple[date, date]]:
    """Cut some days into runs of at most `days`, none of which is over 31 times 24 hours.

    Where a clock is set back, 31 days are one hour too long.
    """
    runs = []
    while first <= last:
        end = min(last, first + timedelta(days=days - 1))
        begin, until = bounds(first, end, timezone)
        if until - begin > MAX_SPAN:
            end -= _ONE
        runs.append((first, end))
        first = end + _ONE
    return runs


def _snapshots(export: Export, known: Sequence[Record], today: date) -> list[Piece]:
    """Contacts as they are: one piece that is renewed, or one more each time."""
    days = {r.key: date.fromisoformat(str(r.fields["asOf"])) for r in known}
    kept = [Piece(key, day.isoformat()) for key, day in days.items()]
    if days and today - max(days.values()) < timedelta(days=export.window_days):
        return kept
    if export.mode == "replace":
        return [Piece(CONTACTS, today.isoformat())]
    return [*kept, Piece(today.isoformat(), today.isoformat())]


def _appended(
    export: Export, records: Sequence[Record], first: date, last: date, yesterday: date
) -> list[Piece]:
    """Pieces of days: those that are there keep their days, the rest is cut anew."""
    lookback = timedelta(days=export.lookback_days)

    def lately(day: date) -> str:
        return min(yesterday, day + lookback).isoformat()

    pieces = []
    covered: set[date] = set()
    for record in records:
        if "from" not in record.fields:
            continue
        a, b = (date.fromisoformat(str(record.fields[k])) for k in ("from", "to"))
        if b < first or a > last:
            continue
        pieces.append(Piece(record.key, lately(b), a, b))
        covered |= {a + timedelta(days=n) for n in range((b - a).days + 1)}
    day = first
    while day <= last:
        if day in covered:
            day += _ONE
            continue
        end = day
        final = day + lookback <= yesterday
        while final and end < last and end + _ONE not in covered:
            if end + _ONE + lookback > yesterday:
                break
            end += _ONE
        for a, b in cut(day, end, export.window_days, export.timezone):
            pieces.append(Piece(f"{a}/{b}", lately(b), a, b))
        day = end + _ONE
    return sorted(pieces, key=lambda p: p.key)


def options_of(export: Export, pieces: Sequence[Piece]) -> dict[str, Json]:
    """What the executor must know of an export beside its changes."""
    return {
        "what": export.what,
        "filters": dict(export.filters),
        "version": export.version,
        "timezone": export.timezone,
        "mode": export.mode,
        "into": dataclasses.asdict(export.into),
        # A list: their order is that of the destination, and a manifest keeps none of keys.
        "columns": [{"name": name, **dataclasses.asdict(c)} for name, c in export.columns.items()],
        "pieces": {
            p.key: {"from": str(p.first), "to": str(p.last), "as_of": p.as_of}
            if p.first
            else {"as_of": p.as_of}
            for p in pieces
        },
    }


def by_export(batches: Sequence[Batch], export: Export) -> list[Batch]:
    """The batches on their own route, with what it costs."""
    return [
        dataclasses.replace(
            b,
            route=Route.EXPORT,
            requests=EXPORT_REQUESTS * b.rows,
            reason=_reason(export, b.rows),
        )
        for b in batches
    ]


def _reason(export: Export, count: int) -> str:
    into = f"of {export.what} into {export.into.label}"
    if count == 1:
        return f"1 export {into}: about {EXPORT_REQUESTS} requests"
    return (
        f"{count:,} exports {into}: about {EXPORT_REQUESTS} requests each, five at a time at most"
    )


def check_guard(export: Export, count: int) -> None:
    """Raise CompassoError when a plan would make more exports than the guard lets through."""
    most = export.guards.max_create
    if most is not None and count > most.value:
        raise CompassoError(
            Diagnostic(
                message=f"{export.name}: the plan would make {count:,} exports, more than "
                f"max_create {most} allows",
                position=export.position("guards"),
                hint=f"if this is meant, allow it once with `--override-guards {export.name}`, "
                "or raise the limit in `guards:`",
            )
        )


def warnings(export: Export, root: Path, existing: int) -> list[str]:
    """What a reviewer should know: a file that this export did not make stays as it is."""
    into = export.into
    if existing or into.kind not in {"csv", "parquet"} or not (root / into.place).exists():
        return []
    return [
        f"the file {into.place} is there already, and this export did not make it as far as the "
        "state knows: apply overwrites no file that it did not make"
    ]
