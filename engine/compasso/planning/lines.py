"""The lines of records: mapped, checked and put together again, all in SQL.

The lines of the selected rows become one table, are mapped and checked like any rows, and are
then added up for each record: its list as JSON, its totals, and whether some line is wrong. The
mapping of the record gets these as fields that cost nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from compasso.mapping import CompiledMapping, MappedField, from_clause, prepare_mapping
from compasso.mapping.quoting import quote_name, quote_text
from compasso.model import FieldType
from compasso.planning.checks import compile_checks, explain
from compasso.planning.desired import Desired, build_desired
from compasso.planning.line_source import LINES, MIXED, PLACES, Lined
from compasso.planning.selection import Selection
from compasso.sources.base import FILE, ROW
from compasso.targets import LineTotals, Target, line_fields

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LIST, PRICE, COUNT, BROKEN, CONFLICTS = "__list", "__price", "__count", "__broken", "__conflicts"
# A line that is broken breaks its record; the line's own reject says why.
BAD_LINES = "has a line that is wrong"
_NO_LINES = "has no lines"
_NO_LIST = "is not a list of lines"
_NOT_SUM = "does not equal the sum of its lines"
_MIXED = "differs between the rows that share the key"
_HALF_A_CENT = 0.005
_NOISE = 1e-9  # of floating point


def selection_mapping(lined: Lined) -> CompiledMapping:
    """The mapping that says which columns decide what a record becomes: the lines too."""
    name = _totals(lined.target).field
    lines = MappedField(name, FieldType.JSON, "NULL", None, "sql", "", (LINES, MIXED))
    return replace(lined.mapping, fields=(*lined.mapping.fields, lines))


def build_lined(
    connection: DuckDBPyConnection,
    name: str,
    lined: Lined,
    key_field: str,
    selected: Selection,
) -> Desired:
    """The desired records of the selected rows, each with its lines. Also makes the table
    `<rows>_lines` that `collect_line_rejects` reads."""
    target = lined.target
    _map_lines(connection, lined, selected)
    conflicts = _conflicts(connection, name, lined, key_field, selected)
    view = f"{selected.rows}_lined"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT s.*, "
        f"a.list AS {LIST}, a.price AS {PRICE}, a.count AS {COUNT}, a.broken AS {BROKEN}, "
        f"{conflicts} AS {CONFLICTS} FROM {selected.rows} AS s LEFT JOIN {selected.rows}_sums AS a "
        f"ON a.file = s.{FILE} AND a.row = s.{ROW}"
    )
    mapping = _whole_mapping(lined)
    return build_desired(
        connection,
        name,
        _checked_target(target),
        key_field,
        lined.source,
        mapping,
        lined.sync.order_by,
        replace(selected, rows=view),
    )


def mapped_fields(lined: Lined) -> list[str]:
    """The names of the fields of `build_lined`, in their order."""
    return [m.name for m in _whole_mapping(lined).fields]


def _totals(target: Target) -> LineTotals:
    if target.lines is None:
        raise AssertionError(f"{target.name} have no lines")
    return target.lines


def _map_lines(connection: DuckDBPyConnection, lined: Lined, selected: Selection) -> None:
    """Make `<rows>_lines`, one row a line, and `<rows>_sums`, one row a record."""
    rows, totals = selected.rows, _totals(lined.target)
    of_line = {f.name: i for i, f in enumerate(lined.lines.fields)}
    columns = [c for f in lined.lines.fields for c in f.columns]
    taken = "".join(
        f", l.{quote_name(c)} AS {quote_name(c)}" for c in sorted(dict.fromkeys(columns))
    )
    flat = f"{rows}_flat"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {flat} AS SELECT of_file, of_row, line_number, "
        f"coalesce(p.file, of_file)::INTEGER AS line_file, coalesce(p.row, of_row) AS line_row"
        f"{taken} FROM (SELECT {FILE} AS of_file, {ROW} AS of_row, unnest({LINES}) AS l, "
        f"unnest({PLACES}) AS p, generate_subscripts({LINES}, 1) AS line_number FROM {rows})"
    )
    lines = prepare_mapping(connection, flat, lined.lines)
    raw = [
        f"source.{n} AS {n}" for n in ("of_file", "of_row", "line_number", "line_file", "line_row")
    ]
    for i, field in enumerate(lines.fields):
        value = field.value_sql
        if field.type in {FieldType.TEXT, FieldType.DATE, FieldType.JSON}:
            value = f"nullif({value}, '')"
        seen = f"source.{quote_name(field.columns[0])}::VARCHAR" if field.columns else "NULL"
        raw.append(f"{value} AS v{i}, {field.error_sql or 'NULL::VARCHAR'} AS e{i}, {seen} AS s{i}")
    inner = f"SELECT {', '.join(raw)} FROM {from_clause(flat, lines.lookups)}"
    price, count = totals.price[0], totals.count[0]
    price_sql = (
        f"v{of_line[price]}"
        if price in of_line
        else f"round(v{of_line[count]} * v{of_line['unitPrice']}, 4)"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {rows}_lines AS SELECT of_file, of_row, line_number, "
        f"line_file, line_row, {_problems(lined)} AS problems, {_line_json(lined, price_sql)} AS "
        f"line, {price_sql} AS price, v{of_line[count]} AS count FROM ({inner})"
    )
    connection.execute(f"DROP TABLE {flat}")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {rows}_sums AS SELECT of_file AS file, of_row AS row, "
        "'[' || string_agg(line, ',' ORDER BY line_number) || ']' AS list, "
        "round(fsum(price), 4) AS price, sum(count)::BIGINT AS count, count(*) AS lines, "
        f"bool_or(problems IS NOT NULL) AS broken FROM {rows}_lines GROUP BY ALL"
    )


def _problems(lined: Lined) -> str:
    """The SQL of a line's problems: NULL, or a list of structs."""
    known = line_fields(lined.target)
    required = set(lined.target.fields[_totals(lined.target).field].schema["items"]["required"])
    problems, valid = [], []
    for i, field in enumerate(lined.lines.fields):
        rules = [(f"e{i}", f"e{i} IS NULL")]
        if field.name in required:
            rules.append(("'required'", f"(v{i} IS NOT NULL OR e{i} IS NOT NULL)"))
        for check in compile_checks(known[field.name].schema, field.type, f"v{i}") or ():
            rules.append((quote_text(check.rule), f"(v{i} IS NULL OR {check.sql})"))
        for rule, kept in rules:
            valid.append(kept)
            problem = (
                f"{{'field': {quote_text(field.name)}, 'rule': {rule}, "
                f"'value': coalesce(v{i}::VARCHAR, s{i})}}"
            )
            problems.append(f"CASE WHEN NOT ({kept}) THEN {problem} END")
    listed = f"list_filter([{', '.join(problems)}], lambda p: p IS NOT NULL)"
    return f"CASE WHEN {' AND '.join(valid)} THEN NULL ELSE {listed} END"


def _line_json(lined: Lined, price_sql: str) -> str:
    """The SQL of a line as JSON text, without what is NULL, its fields in one order."""
    pairs = []
    price = _totals(lined.target).price[0]
    values = {f.name: (f"v{i}", f.type) for i, f in enumerate(lined.lines.fields)}
    values.setdefault(price, (price_sql, FieldType.DECIMAL))
    for name in line_fields(lined.target):
        if name not in values:
            continue
        value, kind = values[name]
        name_text = quote_text(f"{json.dumps(name)}:")
        text = f"to_json({value})::VARCHAR" if kind is not FieldType.JSON else value
        pairs.append(f"CASE WHEN {value} IS NOT NULL THEN {name_text} || {text} END")
    return f"'{{' || concat_ws(',', {', '.join(pairs)}) || '}}'"


def _conflicts(
    connection: DuckDBPyConnection, name: str, lined: Lined, key_field: str, selected: Selection
) -> str:
    """The SQL of the fields in which the rows of a record (alias s) do not agree.

    Rows may differ in a column and still agree in the field that is made of it.
    """
    if lined.mixed is None:
        return "NULL::VARCHAR[]"
    wanted, each, found = (f"{selected.rows}_{part}" for part in ("mix", "mixed", "conflicts"))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {wanted} AS SELECT m.* EXCLUDE (head_at), "
        f"s.{FILE} AS head_file, s.{ROW} AS head_row FROM {lined.mixed} AS m "
        f"JOIN {selected.rows} AS s ON s.__at = m.head_at"
    )
    rows = replace(selected, rows=wanted, digest=("0::UBIGINT", "0::UBIGINT"))
    mapping = replace(lined.mapping, when=None)
    target = replace(_checked_target(lined.target), required=())
    alike = build_desired(connection, each, target, key_field, lined.source, mapping, None, rows)
    differing = ", ".join(
        f"CASE WHEN count(DISTINCT coalesce(hash(d.{c.sql}), 0)) > 1 THEN {quote_text(c.field.name)} END"
        for c in alike.columns
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {found} AS SELECT head_file, head_row, "
        f"list_filter([{differing or 'NULL::VARCHAR'}], lambda c: c IS NOT NULL) AS fields "
        f"FROM {each} AS d JOIN {wanted} AS w ON w.{FILE} = d.file AND w.{ROW} = d.row GROUP BY ALL"
    )
    connection.execute(f"DROP TABLE {each}")
    connection.execute(f"DROP TABLE {wanted}")
    return (
        f"(SELECT c.fields FROM {found} AS c WHERE c.head_file = s.{FILE} AND c.head_row = s.{ROW})"
    )


def _whole_mapping(lined: Lined) -> CompiledMapping:
    """The record's mapping with its list and its totals."""
    target, totals = lined.target, _totals(lined.target)
    fields = [_with_errors(f, lined) for f in lined.mapping.fields]
    named = {f.name for f in fields}
    problem = (
        f"CASE WHEN source.{BROKEN} THEN {quote_text(BAD_LINES)} "
        f"WHEN source.{LINES} IS NULL THEN {quote_text(_NO_LIST)} "
        f"WHEN source.{LIST} IS NULL THEN {quote_text(_NO_LINES)} END"
    )
    fields.append(
        MappedField(totals.field, FieldType.JSON, f"source.{LIST}", problem, "sql", "", ())
    )
    for (_, total), sql in ((totals.price, PRICE), (totals.count, COUNT)):
        if total not in named:
            # A record whose lines are wrong has no total; that is said once, by its lines.
            wrong = f"CASE WHEN source.{sql} IS NULL THEN {quote_text(BAD_LINES)} END"
            kind = target.fields[total].type
            fields.append(MappedField(total, kind, f"source.{sql}", wrong, "sql", "", ()))
    return replace(lined.mapping, fields=tuple(fields))


def _with_errors(field: MappedField, lined: Lined) -> MappedField:
    """A field of the record, checked against the lines."""
    totals, tolerance = _totals(lined.target), lined.tolerance
    errors = [field.error_sql] if field.error_sql else []
    if lined.mixed is not None:
        inside = f"list_contains(source.{CONFLICTS}, {quote_text(field.name)})"
        errors.append(f"CASE WHEN {inside} THEN {quote_text(_MIXED)} END")
    sums = {totals.price[1]: PRICE, totals.count[1]: COUNT}
    if field.name in sums and tolerance != "any":
        # Half a cent a line: prices of lines are often rounded.
        allowed = f"{_NOISE}"
        if field.name == totals.price[1]:
            lines = f"len(source.{LINES})"
            allowed = f"{tolerance!r}" if tolerance is not None else f"{_HALF_A_CENT} * {lines}"
            allowed += f" + {_NOISE}"
        far = f"abs({field.value_sql} - source.{sums[field.name]}) > {allowed}"
        errors.append(
            f"CASE WHEN NOT coalesce(source.{BROKEN}, true) AND {far} "
            f"THEN {quote_text(_NOT_SUM)} END"
        )
    if not errors:
        return field
    return replace(field, error_sql=f"coalesce({', '.join(errors)}, NULL::VARCHAR)")


def _checked_target(target: Target) -> Target:
    """The target for the checks of records: the list has been checked line by line."""
    totals = _totals(target)
    listed = replace(target.fields[totals.field], schema={})
    return replace(target.with_fields([listed]), lines=None)


def collect_line_rejects(
    connection: DuckDBPyConnection, sync: str, lined: Lined, selected: Selection
) -> None:
    """Put the lines' own rejects in the place of those of their records."""
    connection.execute(
        "DELETE FROM rejects WHERE sync = $sync AND rule = $rule",
        {"sync": sync, "rule": BAD_LINES},
    )
    totals = _totals(lined.target)
    files = _list([*lined.files])
    connection.execute(
        f"INSERT INTO rejects SELECT $sync, {files}[line_file + 1], line_row, "
        f"$list || '[' || line_number || '].' || p.field, p.rule, p.value FROM "
        f"(SELECT line_file, line_row, line_number, unnest(problems) AS p FROM "
        f"{selected.rows}_lines WHERE problems IS NOT NULL) ORDER BY line_file, line_row, line_number",
        {"sync": sync, "list": totals.field},
    )
    _name_rules(connection, sync, lined)
    for unreadable in lined.unreadable:
        connection.execute(
            "INSERT INTO rejects VALUES ($sync, $file, $row, '', $rule, NULL)",
            {
                "sync": sync, "file": unreadable.file, "row": unreadable.line,
                "rule": f"the line {unreadable.reason}",
            },
        )  # fmt: skip
    for (_, total), column in ((totals.price, "price"), (totals.count, "count")):
        connection.execute(
            f"UPDATE rejects SET value = rejects.value || ' (its lines: ' || s.{column} || ')' "
            f"FROM {selected.rows}_sums AS s WHERE rejects.sync = $sync AND rejects.field = $field "
            f"AND rejects.rule = $rule AND s.row = rejects.row "
            f"AND {_list(lined.source.files)}[s.file + 1] = rejects.file",
            {"sync": sync, "field": total, "rule": _NOT_SUM},
        )


def _name_rules(connection: DuckDBPyConnection, sync: str, lined: Lined) -> None:
    """Words in place of the schema's keywords."""
    known = line_fields(lined.target)
    prefix = f"{_totals(lined.target).field}["
    pairs = connection.execute(
        "SELECT DISTINCT regexp_extract(field, '[^.]*$') AS name, rule FROM rejects "
        "WHERE sync = $sync AND starts_with(field, $prefix)",
        {"sync": sync, "prefix": prefix},
    ).fetchall()
    for name, rule in pairs:
        words = explain(rule, known[name].schema)
        if words != rule:
            connection.execute(
                "UPDATE rejects SET rule = $words WHERE sync = $sync AND rule = $rule "
                "AND starts_with(field, $prefix) AND ends_with(field, $name)",
                {"words": words, "sync": sync, "rule": rule, "prefix": prefix, "name": f".{name}"},
            )


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(quote_text(t) for t in texts)}]"


def drop_lines(connection: DuckDBPyConnection, lined: Lined, selected: Selection) -> None:
    """Give the memory of the lines back."""
    connection.execute(f"DROP VIEW IF EXISTS {selected.rows}_lined")
    for part in ("lines", "sums", "conflicts"):
        connection.execute(f"DROP TABLE IF EXISTS {selected.rows}_{part}")
    if lined.mixed is not None:
        connection.execute(f"DROP TABLE IF EXISTS {lined.mixed}")
