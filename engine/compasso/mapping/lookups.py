"""Jinja for what SQL cannot say: once for each distinct input, its answers joined as a table."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compasso.mapping.quoting import quote_name, quote_text
from compasso.mapping.sql import MOMENT, NotCompiled, column, storable
from compasso.mapping.templates import RowError
from compasso.temporary import working_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BATCH = 10_000
_MOST_BITS = 10_000


@dataclass(frozen=True, slots=True)
class Input:
    """A column that a template reads: its SQL, the same for Jinja as for compiled expressions."""

    name: str
    sql: str
    moment: bool = False  # a time in UTC, which the engine gives without its zone


def input_column(name: str, kind: str) -> Input:
    """The input of a column by its DuckDB type."""
    try:
        found = column(name, kind)
    except NotCompiled:
        return Input(name, f"source.{quote_name(name)}")
    return Input(name, found.sql, found.type == MOMENT)


@dataclass(frozen=True)
class Lookup:
    """The rows of the source that Jinja must answer, and how.

    The table has the inputs as in_0, in_1 …, then `value` (text), `kind` (the value's type)
    and `error`. `where` is a condition over the alias `source`, or None for all rows.
    """

    table: str
    inputs: tuple[Input, ...]
    where: str | None
    evaluate: Callable[[Mapping[str, Any]], Any]

    @property
    def join(self) -> str:
        """The condition that finds a row's answer."""
        pairs = [
            f"{self.table}.in_{i} IS NOT DISTINCT FROM {given.sql}"
            for i, given in enumerate(self.inputs)
        ]
        return " AND ".join(pairs) or "true"


def needed_lookups(
    connection: DuckDBPyConnection, relation: str, lookups: Sequence[Lookup]
) -> list[Lookup]:
    """The lookups that some row needs: where SQL answers all rows, no table is made or joined."""
    guarded = [lookup for lookup in lookups if lookup.where]
    if not guarded:
        return list(lookups)
    asked = ", ".join(f"coalesce(bool_or({lookup.where}), false)" for lookup in guarded)
    found = connection.execute(f"SELECT {asked} FROM {relation} AS source").fetchone() or ()
    idle = {lk.table for lk, needed in zip(guarded, found, strict=True) if not needed}
    return [lookup for lookup in lookups if lookup.table not in idle]


def answer_lookups(
    connection: DuckDBPyConnection, relation: str, lookups: Sequence[Lookup]
) -> None:
    """Make the lookup tables. `relation` is what FROM takes."""
    for lookup in lookups:
        _prepare(connection, relation, lookup)


def _prepare(connection: DuckDBPyConnection, relation: str, lookup: Lookup) -> None:
    inputs = [f"{given.sql} AS in_{i}" for i, given in enumerate(lookup.inputs)]
    where = f" WHERE {lookup.where}" if lookup.where else ""
    asked = f"{lookup.table}_asked"
    columns = ", ".join(inputs) or "1 AS nothing"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {asked} AS "
        f"SELECT *, row_number() OVER () AS number FROM "
        f"(SELECT DISTINCT {columns} FROM {relation} AS source{where})"
    )
    with tempfile.TemporaryDirectory(prefix="work-", dir=working_folder()) as folder:
        answers = Path(folder) / "answers.jsonl"
        _answer(connection, asked, lookup, answers)
        kept = "".join(f"q.in_{i}, " for i in range(len(inputs)))
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {lookup.table} AS SELECT {kept}a.value, a.kind, a.error "
            f"FROM {asked} AS q JOIN read_json({quote_text(str(answers))}, "
            "format='newline_delimited', maximum_object_size=33554432, "
            "columns={number: 'BIGINT', value: 'VARCHAR', kind: 'VARCHAR', error: 'VARCHAR'}) AS a "
            "USING (number)"
        )
    connection.execute(f"DROP TABLE {asked}")


def _answer(connection: DuckDBPyConnection, asked: str, lookup: Lookup, answers: Path) -> None:
    count = len(lookup.inputs)
    columns = "".join(f"in_{i}, " for i in range(count))
    last = connection.execute(f"SELECT max(number) FROM {asked}").fetchone()
    total = int(last[0] or 0) if last else 0
    with answers.open("w", encoding="utf-8") as file:
        for start in range(1, total + 1, _BATCH):
            rows = connection.execute(
                f"SELECT {columns}number FROM {asked} "
                f"WHERE number BETWEEN {start} AND {start + _BATCH - 1}"
            ).fetchall()
            for row in rows:
                pairs = zip(lookup.inputs, row[:count], strict=True)
                values = {given.name: _python(v, given.moment) for given, v in pairs}
                file.write(json.dumps({"number": row[count], **_outcome(lookup, values)}) + "\n")


def _python(value: Any, moment: bool) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.replace(tzinfo=UTC) if moment and isinstance(value, datetime) else value


def _outcome(lookup: Lookup, values: Mapping[str, Any]) -> dict[str, str | None]:
    try:
        return describe(lookup.evaluate(values))
    except RowError as error:
        return {"error": str(error)}


def describe(value: Any) -> dict[str, str | None]:
    """A Python value as text with the name of its type."""
    if value is None:
        return {"kind": "none"}
    if isinstance(value, bool):
        return {"value": str(value).lower(), "kind": "boolean"}
    if isinstance(value, int):
        if value.bit_length() > _MOST_BITS:
            return {"error": "template: a number is too large"}
        return {"value": str(value), "kind": "integer"}
    if isinstance(value, float):
        return {"value": repr(value), "kind": "decimal"}
    if isinstance(value, str):
        return {"value": value, "kind": "text"} if storable(value, nul=True) else _half()
    if isinstance(value, (date, datetime)):
        return {"value": value.isoformat(), "kind": "date"}
    try:
        kind = "list" if isinstance(value, (list, tuple)) else "json"
        if kind == "list" and not all(isinstance(item, str) for item in value):
            kind = "json"
        text = json.dumps(value, ensure_ascii=False)
        return {"value": text, "kind": kind} if storable(text) else _half()
    except (TypeError, ValueError, RecursionError):
        return {"error": f"the template gives a {type(value).__name__}, which no field can hold"}


def _half() -> dict[str, str | None]:
    return {"error": "the text holds half of a character"}


def from_clause(relation: str, lookups: Sequence[Lookup]) -> str:
    """The FROM of the mapping: the source with the answers beside each row."""
    joins = "".join(f" LEFT JOIN {lk.table} ON {lk.join}" for lk in lookups)
    return f"{relation} AS source{joins}"
