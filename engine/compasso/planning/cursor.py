"""A cursor: the column that tells which rows are newer than those of the last apply.

What is remembered is the greatest value that was there when the last plan that was applied to
its end began to read, so a row that comes in meanwhile is read the next time. It counts only
while the state and the mapping are as they were then, no record failed and no row was rejected:
in every other case the whole source is read, and nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from compasso.mapping.quoting import quote_name, quote_text
from compasso.model import CompassoError, Diagnostic
from compasso.sources import Since, Source
from compasso.sources.base import FILE, ROW
from compasso.spec import Sync
from compasso.spec.problems import did_you_mean

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MARK = "cursor"
# In which order the values of a text column run: by time, else by number, else as text.
_ORDERS = ("TIMESTAMP", "DOUBLE", "VARCHAR")


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a source was read: the SQL type that orders the column, and the greatest value."""

    order: str
    value: str | None

    def text(self) -> str:
        """As the state keeps it."""
        return f"{_MARK} {self.order} {'' if self.value is None else self.value}"


def parse_cursor(text: str | None) -> Cursor | None:
    """What the state remembers; None if that is nothing, or something else."""
    mark, _, rest = (text or "").partition(" ")
    order, _, value = rest.partition(" ")
    return Cursor(order, value) if mark == _MARK and value else None


def check_cursor(sync: Sync, columns: Mapping[str, str]) -> list[Diagnostic]:
    """What is wrong with a sync's `cursor` over these columns."""
    name = sync.source.options.get("cursor")
    if name is None or name in columns:
        return []
    return [
        Diagnostic(
            message=f"cursor names the column {name!r}, which the source does not have",
            position=sync.position("source", "cursor"),
            text=f"cursor: {name}",
            hint=did_you_mean(str(name), columns),
        )
    ]


def follows_cursor(sync: Sync) -> bool:
    """Whether newer rows alone can tell what changed.

    They cannot when records are to go whose rows are gone, when the first row of a key counts,
    when another column than the cursor orders the rows, or when a record is made of several.
    """
    ordered = (sync.order_by or "").removesuffix(" asc")
    return (
        sync.source.options.get("cursor") is not None
        and sync.missing == "keep"
        and sync.duplicates != "first"
        and ordered in {"", sync.source.options["cursor"]}
        and sync.lines is None
        and sync.stock is None
    )


def furthest(connection: DuckDBPyConnection, sync: Sync, source: Source) -> Cursor:
    """How far the source reaches now. Asked before the rows are read."""
    column = f"source.{quote_name(str(sync.source.options['cursor']))}"
    kind = source.columns[str(sync.source.options["cursor"])]
    orders = _ORDERS if kind == "VARCHAR" else (kind,)
    asked = [
        f"count(try_cast({column} AS {o})), max(try_cast({column} AS {o}))::VARCHAR" for o in orders
    ]
    row = connection.execute(
        f"SELECT count({column}), {', '.join(asked)} FROM ({source.relation}) AS source"
    ).fetchone()
    if row is None or not row[0]:
        return Cursor(orders[-1], None)
    for place, order in enumerate(orders):
        if row[1 + 2 * place] == row[0]:
            return Cursor(order, row[2 + 2 * place])
    return Cursor(orders[-1], row[-1])


def _bound(sync: Sync, since: Cursor) -> str:
    """The SQL of the least value that is read. Raises CompassoError when `lookback` is said of a
    column without time."""
    bound = f"CAST({quote_text(str(since.value))} AS {since.order})"
    lookback = sync.source.lookback_seconds
    if not lookback:
        return bound
    if not since.order.startswith(("TIMESTAMP", "DATE")):
        raise CompassoError(
            Diagnostic(
                message=f"lookback needs a cursor of times, and {sync.source.options['cursor']} "
                "has other values",
                position=sync.position("source", "lookback"),
                hint="leave lookback out, or name a column with times",
            )
        )
    return f"({bound} - INTERVAL {int(lookback)} SECOND)"


def wanted(connection: DuckDBPyConnection, sync: Sync, since: Cursor | None) -> Since | None:
    """What to ask a source for that can choose rows itself; None: all of them."""
    if since is None:
        return None
    try:
        bound = _bound(sync, since)
    except CompassoError:  # it is said of the whole source, if it is still so there
        return None
    row = connection.execute(f"SELECT typeof({bound}), ({bound})::VARCHAR").fetchone()
    return None if row is None else Since(str(sync.source.options["cursor"]), row[0], row[1])


def newer(sync: Sync, source: Source, since: Cursor) -> Source:
    """The source without the rows that are older than the cursor less `lookback`.

    A row whose cursor is empty, or of another form than the others, is always read. Raises
    CompassoError when `lookback` is said of a column without time.
    """
    column = f"source.{quote_name(str(sync.source.options['cursor']))}"
    bound = _bound(sync, since)
    value = f"try_cast({column} AS {since.order})"
    relation = source.relation
    if not source.numbered:  # rows keep the numbers that they have in the whole source
        several = f"PARTITION BY {FILE}" if len(source.files) > 1 else ""
        relation = f"SELECT *, row_number() OVER ({several}) AS {ROW} FROM ({relation})"
    return replace(
        source,
        relation=f"SELECT * FROM ({relation}) AS source WHERE {value} >= {bound} "
        f"OR {value} IS NULL",
        numbered=True,
    )
