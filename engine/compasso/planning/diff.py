"""The difference between desired and cached state, as a table of changes for each sync."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from compasso.mapping.quoting import quote_name, quote_text
from compasso.model import FieldType, Json
from compasso.planning.desired import Column, Desired
from compasso.planning.selection import Selection
from compasso.state import HASHED, Form, field_hash, key_hash

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Missing = Literal["keep", "delete", "retire"]
Nulls = Literal["omit", "clear"]


@dataclass(frozen=True)
class Diff:
    """A table `table` of changes and the counts beside it.

    The table has: operation, key, row, file, fields (JSON text, what to send), before (JSON
    text of the same fields), carry (JSON text of fields that an import must repeat), mask
    (which typed import columns are filled; bit i is the i-th of `typed`), by_call (the change
    cannot travel by import), size (bytes of its cells in an import file), row hashes, the
    digest of the source row, and the hashes of the fields for a state that keeps only those.
    """

    table: str
    desired: Desired
    typed: tuple[str, ...]
    existing: int
    create: int
    update: int
    delete: int
    unchanged: int
    kept: int  # records whose row is gone and that stay, under missing: keep
    held_back: int  # deletes that wait because a row could not be read
    form: Form | None = None
    in_order: bool = False  # whether the table is in the order of the source already


def duplicate_keys(
    connection: DuckDBPyConnection,
    desired: Desired,
    rule: Literal["error", "first", "last"],
    order_by: str | None,
) -> tuple[int, list[tuple[str, list[int]]]]:
    """Keys that valid rows share. Under first and last the losers leave the table.

    Answers how many rows gave way, and for `error` the keys with their rows (at most 100).
    """
    table = desired.name
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE doubled AS SELECT key FROM {table} "
        "WHERE problems IS NULL GROUP BY key HAVING count(*) > 1"
    )
    count = connection.execute("SELECT count(*) FROM doubled").fetchone()
    if not count or not count[0]:
        return 0, []
    if rule == "error":
        rows = connection.execute(
            f"SELECT key, list(row ORDER BY file, row) FROM {table} SEMI JOIN doubled USING (key) "
            "WHERE problems IS NULL GROUP BY key ORDER BY min(file), min(row) LIMIT 100"
        ).fetchall()
        return 0, [(key, numbers) for key, numbers in rows]
    direction = "DESC" if (order_by or "").endswith(" desc") else "ASC"
    ranked = f"ord {direction} NULLS FIRST, file, row" if order_by else "file, row"
    best = "first" if rule == "first" else "last"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE winners AS SELECT key, {best}(file ORDER BY {ranked}) AS "
        f"file, {best}(row ORDER BY {ranked}) AS row FROM {table} SEMI JOIN doubled USING (key) "
        "WHERE problems IS NULL GROUP BY key"
    )
    gone = connection.execute(
        f"DELETE FROM {table} WHERE problems IS NULL AND key IN (SELECT key FROM doubled) "
        "AND (key, file, row) NOT IN (SELECT (key, file, row) FROM winners)"
    ).fetchone()
    return (gone[0] if gone else 0), []


def diff(
    connection: DuckDBPyConnection,
    desired: Desired,
    table: str,
    selected: Selection,
    *,
    missing: Missing,
    nulls: Nulls,
) -> Diff:
    """Compare desired with cached records, of the rows that were selected."""
    target = desired.target
    retired = dict(target.retired or {}) if missing == "retire" else {}
    typed = tuple(c.field.name for c in desired.columns if c.field.import_typed)
    empty = selected.existing == 0
    hashes = _Hashes.of(desired, selected, retired, nulls)
    _pair(connection, desired, selected, empty=empty)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS {_creates(desired, typed, empty, hashes)}"
    )
    held_back = kept = 0
    if not empty:
        connection.execute(f"INSERT INTO {table} {_updates(desired, typed, nulls, hashes)}")
        if missing == "keep":
            kept = _count(connection, f"SELECT count(*) FROM {_GONE}")
        elif unknown_rows(connection, desired):
            held_back = _count(connection, f"SELECT count(*) FROM {_GONE}")
        elif missing == "delete":
            connection.execute(
                f"INSERT INTO {table} SELECT 'delete', s.key, NULL, NULL, '{{}}', "
                "coalesce(s.fields, '{}'), NULL, 0, true, 0, NULL, NULL, NULL, NULL, NULL "
                f"FROM {_GONE}"
            )
        else:
            connection.execute(_retire(table, retired, hashes))
    counts = dict(
        connection.execute(f"SELECT operation, count(*) FROM {table} GROUP BY ALL").fetchall()
    )
    valid = _count(connection, f"SELECT count(*) FROM {desired.name} WHERE problems IS NULL")
    create, update = counts.get("create", 0), counts.get("update", 0)
    retiring = _count(
        connection, f"SELECT count(*) FROM {table} WHERE operation='update' AND row IS NULL"
    )
    return Diff(
        table=table,
        desired=desired,
        typed=typed,
        existing=selected.existing,
        create=create,
        update=update,
        delete=counts.get("delete", 0),
        unchanged=selected.matched + valid - create - (update - retiring),
        kept=kept,
        held_back=held_back,
        form=hashes.form if hashes else None,
        in_order=empty and desired.in_order,
    )


@dataclass(frozen=True)
class _Hashes:
    """The hashes of fields, of desired (m) and cached (s) records, in the order of the layout."""

    form: Form
    lineage: str
    columns: Mapping[str, Column]
    retired: Mapping[str, Json]
    nulls: Nulls

    @classmethod
    def of(
        cls, desired: Desired, selected: Selection, retired: Mapping[str, Json], nulls: Nulls
    ) -> _Hashes | None:
        """None for a state that keeps values in full."""
        if selected.form is None:
            return None
        columns = {c.field.name: c for c in desired.columns}
        # A field keeps its place for ever; new ones are added behind.
        layout = dict.fromkeys((*selected.form.layout, *columns, *retired))
        form = Form(selected.form.keys, tuple(layout))
        return cls(form, selected.lineage, columns, retired, nulls)

    def new(self, column: Column) -> str:
        """The hash of a desired value; 0 when there is none."""
        return field_hash(_normal_json(column), column.field.name, self.lineage)

    def old(self, name: str, relation: str) -> str:
        """The hash of a cached value; `relation` has the list of them."""
        return f"coalesce({relation}.field_hashes[{self.form.layout.index(name) + 1}], 0)"

    def constant(self, name: str) -> str:
        """The hash of the value that a retired record has."""
        return field_hash(quote_text(json.dumps(self.retired[name])), name, self.lineage)

    def fresh(self) -> str:
        """The list of a record that is new."""
        return self._list(lambda n: self.new(self.columns[n]) if n in self.columns else "0")

    def merged(self) -> str:
        """The list of a record after its update: a value that is not sent stays.

        Over `m`, where `h0`, `h1`, ... are the hashes of the desired values.
        """
        numbers = {name: i for i, name in enumerate(self.columns)}

        def after(name: str) -> str:
            if name not in numbers:
                return self.old(name, "m")
            gone = "0" if self.nulls == "clear" else self.old(name, "m")
            value = f"m.{self.columns[name].sql}"
            return f"CASE WHEN {value} IS NULL THEN {gone} ELSE m.h{numbers[name]} END"

        return self._list(after)

    def retired_list(self) -> str:
        """The list of a record that is put out of sight."""
        return self._list(lambda n: self.constant(n) if n in self.retired else self.old(n, "s"))

    def _list(self, item: Callable[[str], str]) -> str:
        return f"[{', '.join(f'({item(n)})::UBIGINT' for n in self.form.layout)}]::UBIGINT[]"


_GONE = "known AS s SEMI JOIN (SELECT q FROM pairs WHERE r IS NULL) AS p ON p.q = s.q"


def _pair(
    connection: DuckDBPyConnection, desired: Desired, selected: Selection, *, empty: bool
) -> None:
    """Make `pairs`: which desired row (r) differs from which cached record (q).

    A row without a record is new, a record without a row is gone. Rows and records that are
    equal by their hashes are left out, so that only what differs is ever read in full.
    """
    if empty:
        return
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE pairs AS SELECT m.r, s.rowid AS q FROM (SELECT rowid AS r, "
        f"{key_hash('key', selected.lineage)} AS key_hash, problems, hash_high, hash_low FROM "
        f"{desired.name}) AS m FULL OUTER JOIN {selected.records} AS s USING (key_hash) "
        "WHERE m.r IS NULL OR (m.problems IS NULL AND (s.rowid IS NULL "
        "OR s.hash_high IS DISTINCT FROM m.hash_high OR s.hash_low IS DISTINCT FROM m.hash_low "
        "OR m.hash_high IS NULL))"
    )
    # All fields at once: each call for one of them would read the whole JSON text again.
    paths = ", ".join(quote_text(f"$.{quote_name(c.field.name)}") for c in desired.columns)
    values = (
        f"json_extract(fields, [{paths}]) AS jsons, json_extract_string(fields, [{paths}]) AS texts"
        if paths
        else "[]::JSON[] AS jsons, []::VARCHAR[] AS texts"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE known AS SELECT rowid AS q, key, fields, field_hashes, {values} FROM "
        f"{selected.records} WHERE rowid IN (SELECT q FROM pairs WHERE q IS NOT NULL)"
    )


def unknown_rows(connection: DuckDBPyConnection, desired: Desired) -> bool:
    """Whether some row of the source may be of any record: unreadable, or without a key.

    While there is one, a record that seems gone may be just that row's, so nothing is deleted.
    """
    return bool(desired.unreadable) or bool(
        _count(
            connection,
            f"SELECT count(*) FROM {desired.name} WHERE problems IS NOT NULL AND key IS NULL",
        )
    )


def _cached(column: Column, number: int) -> str:
    """The cached value of the field with this number (from 1), in the field's SQL type."""
    kind = column.field.type
    if kind is FieldType.LIST:
        return f"CAST(m.jsons[{number}] AS VARCHAR[])"
    text = f"m.texts[{number}]"
    return {
        FieldType.INTEGER: f"CAST({text} AS BIGINT)",
        FieldType.DECIMAL: f"CAST({text} AS DOUBLE)",
        FieldType.BOOLEAN: f"CAST({text} AS BOOLEAN)",
        FieldType.JSON: f"m.jsons[{number}]::VARCHAR",
    }.get(kind, text)


def _as_json(column: Column) -> str:
    if column.field.type is FieldType.JSON:
        return f"m.{column.sql}"
    if column.field.type in {FieldType.INTEGER, FieldType.BOOLEAN}:
        return f"m.{column.sql}::VARCHAR"
    return f"to_json(m.{column.sql})::VARCHAR"


def _normal_json(column: Column) -> str:
    """As `_as_json`; of JSON in the one form that equal values have."""
    value = _as_json(column)
    return f"json({value})::VARCHAR" if column.field.type is FieldType.JSON else value


_DIGESTS = "m.hash_high AS row_hash_high, m.hash_low AS row_hash_low, m.source_high, m.source_low"


def record_json(desired: Desired) -> str:
    """The SQL of a desired record (alias m) as JSON text, without the key and what is NULL."""
    pairs = []
    for column in desired.columns:
        name = quote_text(f"{json.dumps(column.field.name, ensure_ascii=False)}:")
        pairs.append(f"CASE WHEN m.{column.sql} IS NOT NULL THEN {name} || {_as_json(column)} END")
    return _object(pairs)


def _object(pairs: Sequence[str]) -> str:
    """The SQL of a JSON object's text, of pairs that may be NULL."""
    return f"'{{' || concat_ws(',', {', '.join(pairs)}) || '}}'" if pairs else "'{}'"


def _creates(desired: Desired, typed: Sequence[str], empty: bool, hashes: _Hashes | None) -> str:
    """The SELECT of records that the state does not have."""
    masks, calls, sizes = ["0"], ["false"], [_cell_size("m.key")]
    for column in desired.columns:
        there = f"m.{column.sql} IS NOT NULL"
        if column.field.name in typed:
            masks.append(f"CASE WHEN {there} THEN {1 << typed.index(column.field.name)} ELSE 0 END")
        calls.append(f"({there} AND {_only_by_call(column)})")
        sizes.append(f"CASE WHEN {there} THEN {_size(column, desired)} ELSE 0 END")
    fields = record_json(desired)
    new = "" if empty else "SEMI JOIN (SELECT r FROM pairs WHERE q IS NULL) AS p ON p.r = m.rowid "
    return (
        f"SELECT 'create' AS operation, m.key, m.row, m.file, {fields} AS fields, "
        f"'{{}}' AS before, {_carry(desired)} AS carry, ({' + '.join(masks)})::UBIGINT AS mask, "
        f"({' OR '.join(calls)}) AS by_call, ({' + '.join(sizes)})::BIGINT AS size, {_DIGESTS}, "
        f"{hashes.fresh() if hashes else 'NULL::UBIGINT[]'} AS field_hashes "
        f"FROM {desired.name} AS m {new}WHERE m.problems IS NULL"
    )


def _updates(desired: Desired, typed: Sequence[str], nulls: Nulls, hashes: _Hashes | None) -> str:
    """The SELECT of records that differ from the state, field by field.

    Whether a field differs (`d0`, `d1`, ...) is found out first, and what is written of it after:
    in plain columns, since lists of structs take four times as long.
    """
    columns = desired.columns
    pieces = [
        _piece(desired, column, number, typed, hashes) for number, column in enumerate(columns)
    ]
    every = range(len(columns))
    hashed = [f", {hashes.new(c)} AS h{i}" for i, c in enumerate(columns)] if hashes else []
    differs = [f", {_differs(c, i, nulls, hashes)} AS d{i}" for i, c in enumerate(columns)]
    mask = " + ".join(f"CASE WHEN d{i} THEN {pieces[i].bit} ELSE 0 END" for i in every)
    by_call = " OR ".join(f"(d{i} AND {pieces[i].by_call})" for i in every)
    sizes = "".join(f" + CASE WHEN d{i} THEN {pieces[i].size} ELSE 0 END" for i in every)
    return (
        "SELECT 'update' AS operation, m.key, m.row, m.file, "
        f"{_object([p.after for p in pieces])} AS fields, "
        f"{_object([p.before for p in pieces])} AS before, "
        f"{_carry(desired)} AS carry, ({mask or '0'})::UBIGINT AS mask, "
        f"({by_call or 'false'}) AS by_call, ({_always(desired)}{sizes})::BIGINT AS size, "
        f"{_DIGESTS}, {hashes.merged() if hashes else 'NULL::UBIGINT[]'} AS field_hashes "
        f"FROM (SELECT *{''.join(differs)} FROM ("
        f"SELECT m.*, s.jsons, s.texts, s.field_hashes{''.join(hashed)} FROM pairs "
        f"JOIN {desired.name} AS m ON m.rowid = pairs.r JOIN known AS s ON s.q = pairs.q"
        f") AS m) AS m WHERE {' OR '.join(f'd{i}' for i in every) or 'false'}"
    )


def _differs(column: Column, number: int, nulls: Nulls, hashes: _Hashes | None) -> str:
    """Whether the field with this number is to be sent."""
    if hashes is None:
        new = f"json(m.{column.sql})" if column.field.type is FieldType.JSON else f"m.{column.sql}"
        differs = f"{new} IS DISTINCT FROM {_cached(column, number + 1)}"
    else:
        differs = f"m.h{number} <> {hashes.old(column.field.name, 'm')}"
    return differs if nulls == "clear" else f"(m.{column.sql} IS NOT NULL AND {differs})"


@dataclass(frozen=True)
class _Piece:
    """What a field that differs adds to a change, as SQL: see `Diff`."""

    after: str
    before: str
    bit: int
    by_call: str
    size: str


def _piece(
    desired: Desired, column: Column, number: int, typed: Sequence[str], hashes: _Hashes | None
) -> _Piece:
    """What the field with this number adds."""
    name = quote_text(f"{json.dumps(column.field.name, ensure_ascii=False)}:")
    if hashes is None:
        before = f"coalesce(m.jsons[{number + 1}]::VARCHAR, 'null')"
    else:
        old = hashes.old(column.field.name, "m")
        before = f"CASE WHEN {old} = 0 THEN 'null' ELSE {quote_text(json.dumps(HASHED))} END"
    # What every line of a file holds is counted once for the line.
    always = column.field.name in desired.target.import_required
    return _Piece(
        after=f"CASE WHEN d{number} THEN {name} || coalesce({_normal_json(column)}, 'null') END",
        before=f"CASE WHEN d{number} THEN {name} || {before} END",
        bit=1 << typed.index(column.field.name) if column.field.name in typed else 0,
        by_call=_only_by_call(column),
        size="0" if always else _size(column, desired),
    )


def _only_by_call(column: Column) -> str:
    """Whether a value has no form in an import file, or only a doubtful one.

    Clearing a field has none (an empty cell is an error or leaves the field as it is), nor has
    a list item with the separator in it. A negative integer is refused by the letter of the
    help page ("must start with a digit 1-9").
    """
    value = f"m.{column.sql}"
    kind = column.field.type
    if kind is FieldType.JSON:
        return "true"
    if kind is FieldType.LIST:
        return (
            f"({value} IS NULL OR len({value}) = 0 OR contains(array_to_string({value}, ''), '|'))"
        )
    if kind is FieldType.INTEGER:
        return f"({value} IS NULL OR {value} < 0)"
    return f"({value} IS NULL)"


def _size(column: Column, desired: Desired) -> str:
    """The bytes of the field's cell in an import file, without the comma."""
    value = f"m.{column.sql}"
    kind = column.field.type
    if kind is FieldType.DATE:  # written in another form than it is kept
        written = len(datetime(2001, 2, 3, tzinfo=UTC).strftime(desired.target.import_date))
        return f"CASE WHEN {value} IS NULL THEN 0 ELSE {written} END"
    if kind is FieldType.LIST:
        value = f"array_to_string({value}, '|')"
    if kind in {FieldType.TEXT, FieldType.LIST}:
        return f"coalesce({_cell_size(value)}, 0)"
    return f"coalesce(strlen({value}::VARCHAR), 0)"


def _cell_size(value: str) -> str:
    """The bytes of a text as a cell: one that needs quotes (for the engine, # is a reason too) has
    them, and its own are doubled."""
    quotes = f"(strlen({value}) - strlen(replace({value}, '\"', '')))"
    quoted = f"CASE WHEN regexp_matches({value}, '[#\",\\n\\r]') THEN 2 + {quotes} ELSE 0 END"
    return f"(strlen({value}) + {quoted})"


def _always(desired: Desired) -> str:
    """The bytes of what every line of an import file holds: the key, and what must be there."""
    needed = [c for c in desired.columns if c.field.name in desired.target.import_required]
    return " + ".join([_cell_size("m.key"), *(_size(c, desired) for c in needed)])


def _carry(desired: Desired) -> str:
    """The columns that every import file of the target must fill, whatever changed."""
    needed = [c for c in desired.columns if c.field.name in desired.target.import_required]
    if not needed:
        return "NULL::VARCHAR"
    pairs = ", ".join(f"{quote_text(c.field.name)}, m.{c.sql}" for c in needed)
    return f"json_object({pairs})::VARCHAR"


def _retire(table: str, retired: Mapping[str, Json], hashes: _Hashes | None) -> str:
    """Updates that put records out of sight whose rows are gone, unless they are already."""
    fields = json.dumps(retired, separators=(",", ":"))
    differs = " OR ".join(
        f"json_extract(s.fields, {quote_text('$.' + quote_name(name))})::VARCHAR "
        f"IS DISTINCT FROM {quote_text(json.dumps(value))}"
        for name, value in retired.items()
    )
    if hashes is not None:
        differs = " OR ".join(f"{hashes.old(n, 's')} <> {hashes.constant(n)}" for n in retired)
    before = ", ".join(
        f"{quote_text(name)}, json_extract(s.fields, {quote_text('$.' + quote_name(name))})"
        for name in retired
    )
    return (
        f"INSERT INTO {table} SELECT 'update', s.key, NULL, NULL, {quote_text(fields)}, "
        # By call: an import would have to repeat fields that no row gives any more.
        f"json_object({before})::VARCHAR, NULL, 0, true, 0, NULL, NULL, NULL, NULL, "
        f"{hashes.retired_list() if hashes else 'NULL'} FROM {_GONE} WHERE {differs}"
    )


def _count(connection: DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0
