"""Desired state: the rows of a source as records of a target, checked, in one DuckDB table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compasso.mapping import CompiledMapping, from_clause, prepare_mapping
from compasso.mapping.quoting import quote_name, quote_text
from compasso.model import SQL_TYPES, FieldType, Json
from compasso.planning.checks import compile_checks, failed_rules
from compasso.planning.selection import Selection
from compasso.sources import Source, UnreadableRow
from compasso.sources.base import FILE, ROW
from compasso.targets import Target, TargetField

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TEXTS = {FieldType.TEXT, FieldType.DATE, FieldType.JSON}


@dataclass(frozen=True)
class Column:
    """One field of the desired table. `sql` is its column's name there, quoted."""

    field: TargetField
    sql: str


@dataclass(frozen=True)
class Desired:
    """A table `name` with, for each row of the source that `when` keeps:

    `row`, `file`, `ord`, `key` (text), a column a field, `hash_high`, `hash_low`, the digest of
    the source row (`source_high`, `source_low`), and `problems`: NULL, or a list of structs (field number or -1 for when, rule, value).
    """

    name: str
    target: Target
    key_field: str
    columns: tuple[Column, ...]  # without the key
    files: tuple[str, ...]
    unreadable: tuple[UnreadableRow, ...] = ()
    in_order: bool = True  # whether the table has its rows in the order of the source


@dataclass(frozen=True)
class Reject:
    """A row that cannot become a valid record. `value` is as it stands in the source."""

    sync: str
    file: str
    row: int | None
    field: str
    rule: str
    value: str | None


def build_desired(
    connection: DuckDBPyConnection,
    name: str,
    target: Target,
    key_field: str,
    source: Source,
    mapping: CompiledMapping,
    order_by: str | None,
    selected: Selection,
) -> Desired:
    """Run the mapping and the checks over the selected rows into the table `name`."""
    relation = selected.rows
    mapping = prepare_mapping(connection, relation, mapping)
    raw = [f"source.{ROW} AS row", f"source.{FILE} AS file", _order(order_by)]
    raw += [f"{selected.digest[0]} AS source_high", f"{selected.digest[1]} AS source_low"]
    for i, mapped in enumerate(mapping.fields):
        value = mapped.value_sql
        if mapped.type in _TEXTS:
            value = f"nullif({value}, '')"
        raw.append(f"{value} AS v{i}")
        raw.append(f"{mapped.error_sql or 'NULL::VARCHAR'} AS e{i}")
        seen = f"source.{quote_name(mapped.columns[0])}::VARCHAR" if mapped.columns else "NULL"
        raw.append(f"{seen} AS s{i}")
    when_error = mapping.when_error_sql or "NULL::VARCHAR"
    raw.append(f"{when_error} AS when_error")
    inner = f"SELECT {', '.join(raw)} FROM {from_clause(relation, mapping.lookups)}"
    if mapping.when_sql is not None:
        inner += f" WHERE coalesce({mapping.when_sql}, false)"
        if mapping.when_error_sql is not None:
            inner += f" OR {when_error} IS NOT NULL"
    fields = [target.fields.get(m.name) or _undeclared(m.name, m.type) for m in mapping.fields]
    connection.execute(_table(name, inner, target, key_field, fields))
    _judge(connection, name, target, key_field, fields)
    columns = tuple(
        Column(field, f"f{i}") for i, field in enumerate(fields) if field.name != key_field
    )
    unreadable = tuple(source.unreadable())
    if unreadable:
        # JSON lines keep an empty row where a line could not be read: it is named already.
        lines = [u.line for u in unreadable]
        if source.keeps_unreadable:
            connection.execute(
                f"DELETE FROM {name} WHERE list_contains($lines::BIGINT[], row) AND key IS NULL",
                {"lines": lines},
            )
    # The joins with Jinja's answers may swap runs of rows, sometimes.
    in_order = not mapping.lookups
    return Desired(name, target, key_field, columns, source.files, unreadable, in_order)


def _undeclared(name: str, kind: FieldType) -> TargetField:
    """A field of the account that no spec declares: its type is what the mapping gives."""
    typed = kind in {FieldType.INTEGER, FieldType.DECIMAL, FieldType.DATE}
    return TargetField(name, kind, {}, import_typed=typed)


def _order(order_by: str | None) -> str:
    if not order_by:
        return "NULL::VARCHAR AS ord"
    return f"source.{quote_name(order_by.removesuffix(' desc').removesuffix(' asc'))} AS ord"


def _table(
    name: str, inner: str, target: Target, key_field: str, fields: Sequence[TargetField]
) -> str:
    names = [f.name for f in fields]
    key_number = names.index(key_field)
    key = f"v{key_number}::VARCHAR"
    if key_field in target.folded_keys:
        key = f"lower(trim({key}))"
    columns = ["row", "file", "ord", f"{key} AS key"]
    columns += [f"v{i} AS f{i}" for i in range(len(fields)) if i != key_number]
    rest = [
        f"v{i}"
        for i, field in sorted(enumerate(fields), key=lambda p: p[1].name)
        if i != key_number
    ]
    # The fields' names and types are part of the hash, so that rows which were mapped in
    # another way never look equal by chance. Not only the seed but the order of the columns
    # differs between the two halves, so that they do not fail together.
    basis = json.dumps([[f.name, f.type.value] for f in sorted(fields, key=lambda f: f.name)])
    columns.append(f"hash({', '.join([quote_text(basis), *rest])}) AS hash_high")
    columns.append(f"hash({', '.join([quote_text('low'), *reversed(rest), quote_text(basis)])})"
                   " AS hash_low")  # fmt: skip
    columns += ["source_high", "source_low"]
    problems = [
        "CASE WHEN when_error IS NOT NULL THEN " + _problem(-1, "when_error", "NULL") + " END"
    ]
    valid = ["when_error IS NULL", f"{key} IS NOT NULL"]
    required = {key_field, *target.required}
    for i, field in enumerate(fields):
        value = f"coalesce(v{i}::VARCHAR, s{i})"
        rules = [(f"e{i}", f"e{i} IS NULL")]
        if field.name in required:
            rule = "'key'" if field.name == key_field else "'required'"
            rules.append((rule, f"(v{i} IS NOT NULL OR e{i} IS NOT NULL)"))
        for check in compile_checks(field.schema, field.type, f"v{i}") or ():
            rules.append((quote_text(check.rule), f"(v{i} IS NULL OR {check.sql})"))
        for rule, kept in rules:
            valid.append(kept)
            problems.append(f"CASE WHEN NOT ({kept}) THEN {_problem(i, rule, value)} END")
    for missing in sorted(required - set(names)):
        valid.append("false")
        problems.append(_problem(-2, quote_text(missing), "NULL"))
    listed = f"list_filter([{', '.join(problems)}], lambda p: p IS NOT NULL)"
    columns.append(f"CASE WHEN {' AND '.join(valid)} THEN NULL ELSE {listed} END AS problems")
    return f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {', '.join(columns)} FROM ({inner})"


def _problem(field: int, rule: str, value: str) -> str:
    return f"{{'field': {field}, 'rule': {rule}, 'value': {value}}}"


def _judge(
    connection: DuckDBPyConnection,
    name: str,
    target: Target,
    key_field: str,
    fields: Sequence[TargetField],
) -> None:
    """Fields whose schema SQL cannot express: each distinct value goes to jsonschema once."""
    for i, field in enumerate(fields):
        checks = compile_checks(field.schema, field.type, "v")
        if checks is not None or field.name == key_field:
            continue
        values = connection.execute(
            f"SELECT DISTINCT f{i} FROM {name} WHERE f{i} IS NOT NULL"
        ).fetchall()
        broken: list[tuple[Any, str]] = []
        for (value,) in values:
            parsed = json.loads(value) if field.type is FieldType.JSON else value
            broken += [(value, rule) for rule in failed_rules(field.schema, parsed)[:1]]
        if not broken:
            continue
        judged, kind = f"{name}_judged", SQL_TYPES[field.type]
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {judged} AS "
            f"SELECT unnest($values::{kind}[]) AS value, unnest($rules::VARCHAR[]) AS rule",
            {"values": [value for value, _ in broken], "rules": [rule for _, rule in broken]},
        )
        problem = _problem(i, "j.rule", "j.value::VARCHAR")
        connection.execute(
            f"UPDATE {name} SET problems = list_append(coalesce(problems, []), {problem}) "
            f"FROM {judged} AS j WHERE f{i} = j.value"
        )
        connection.execute(f"DROP TABLE {judged}")


def build_inline(
    connection: DuckDBPyConnection,
    name: str,
    target: Target,
    key_field: str,
    rows: Sequence[Mapping[str, Json]],
    file: str,
) -> Desired:
    """Desired records that stand in a spec itself. They were checked when it was loaded."""
    used = sorted({key for row in rows for key in row} - {key_field})
    fields = [target.fields[n] for n in used]
    columns = tuple(Column(field, f"f{i}") for i, field in enumerate(fields))
    types = "".join(f", f{i} {SQL_TYPES[f.type]}" for i, f in enumerate(fields))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {name} (row BIGINT, file INTEGER, ord VARCHAR, key VARCHAR"
        f"{types}, hash_high UBIGINT, hash_low UBIGINT, source_high UBIGINT, source_low UBIGINT, "
        "problems STRUCT(field INTEGER, rule VARCHAR, value VARCHAR)[])"
    )
    for number, row in enumerate(rows, 1):
        values: list[Any] = [number, 0, None, row[key_field]]
        for field in fields:
            value = row.get(field.name)
            is_json = field.type is FieldType.JSON and value is not None
            values.append(json.dumps(value, ensure_ascii=False) if is_json else value)
        marks = ", ".join("?" for _ in values)
        connection.execute(
            f"INSERT INTO {name} VALUES ({marks}, NULL, NULL, NULL, NULL, NULL)", values
        )
    return Desired(name, target, key_field, columns, (file,))
