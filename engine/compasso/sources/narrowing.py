"""Ask a database for the rows beyond a cursor alone, so that no others travel.

The database may give more rows than are wanted, never fewer: the planner looks at each again. So
where a database orders values in another way than the planner does, the condition here is wider.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from compasso.sources.base import Since
from compasso.sources.files import quote_name, quote_text

_NUMBERS = frozenset({"SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"})
_TIMES = frozenset({"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"})
# A text that is a time for sure, and that begins with its day: the order of such texts is, but for
# their zones, the order of their times. All other texts are given: the planner knows better.
_TIME_PATTERN = (
    "^[0-9]{4}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
    r"([ T]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
    "(Z|[+-](0[0-9]|1[0-4])(:[0-5][0-9])?)?)?$"
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# A text that is a time may have a zone, and then its day is not the day in UTC.
_ZONES = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL over the alias `q` with one parameter; `value` is DuckDB's SQL of the parameter."""

    sql: str
    value: str


def conditions(dialect: str, since: Since) -> list[Condition]:
    """What to ask, the first that the database takes; none if all rows are needed."""
    found = _DIALECTS[dialect](f"q.{quote_name(since.column)}", since)
    return [c for c in found if c is not None]


def narrowed(query: str, condition: Condition, columns: str = "*") -> str:
    """The query with the condition around it."""
    # The query may end in a comment, so the bracket stands in a line of its own.
    return f"SELECT {columns} FROM (\n{query}\n) AS q WHERE {condition.sql}"


def texts_as_text(types: Mapping[str, str]) -> str:
    """The columns for SQLite, whose driver takes a column's type from the rows that it sees."""
    return ", ".join(
        f"CAST(q.{quote_name(name)} AS TEXT) AS {quote_name(name)}"
        if kind == "VARCHAR"
        else f"q.{quote_name(name)}"
        for name, kind in types.items()
    )


def _value(since: Since) -> str:
    return f"CAST({quote_text(since.value)} AS {since.order})"


def _duckdb(column: str, since: Since) -> list[Condition | None]:
    """The same engine as the planner's: its very comparison."""
    typed = f"try_cast({column} AS {since.order})"
    return [Condition(f"{typed} >= ? OR {typed} IS NULL", _value(since))]


def _postgresql(column: str, since: Since) -> list[Condition | None]:
    typed = Condition(f"{column} >= $1 OR {column} IS NULL", _value(since))
    text = f'{column} COLLATE "C" >= $1 OR {column} IS NULL'
    if since.order == "VARCHAR":
        # char(n) is compared without the blanks at its end.
        value = quote_text(since.value.rstrip(" "))
        return [Condition(f"{text} OR getdatabaseencoding() <> 'UTF8'", value)]
    by_day = _by_day(since, f"{text} OR {column} !~ {quote_text(_TIME_PATTERN)}")
    return [typed if since.order in _NUMBERS | _TIMES else None, by_day]


def _sqlite(column: str, since: Since) -> list[Condition | None]:
    text = f"{column} COLLATE BINARY >= ? OR {column} IS NULL"
    if since.order == "VARCHAR":
        other = "(SELECT encoding FROM pragma_encoding) <> 'UTF-8'"
        return [Condition(f"{text} OR {other}", quote_text(since.value))]
    if since.order in _NUMBERS:
        # A column of texts would be compared with the number's text.
        texts = f"typeof({column}) IN ('text', 'blob')"
        return [Condition(f"{column} >= ? OR {column} IS NULL OR {texts}", _value(since))]
    # SQLite makes of the 30th of February the 2nd of March, and takes some texts that are no times.
    known = f"date({column}, '+0 days') IS substr({column}, 1, 10)"
    return [_by_day(since, f"{text} OR NOT ({known} AND {column} NOT GLOB '*[ z]')")]


def _by_day(since: Since, sql: str) -> Condition | None:
    """Times that are kept as texts: in the order of their days, if they begin with the year."""
    if since.order != "TIMESTAMP" or _DAY.match(since.value) is None:
        return None
    try:
        day = date.fromisoformat(since.value[:10]) - _ZONES
    except (ValueError, OverflowError):
        return None
    return Condition(sql, quote_text(day.isoformat()))


_DIALECTS: Mapping[str, Callable[[str, Since], list[Condition | None]]] = {
    "duckdb": _duckdb,
    "postgresql": _postgresql,
    "sqlite": _sqlite,
}
