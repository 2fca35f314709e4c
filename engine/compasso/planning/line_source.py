"""A source whose rows carry their lines: the three ways of writing lines become one.

Whatever a spec says (the rows that share a key, a nested column, a second source), the result is
a table with one row a record and, beside the source's own columns:

- LINES: a list of structs with the columns that the lines' mapping uses (NULL: not a list)
- PLACES: for each line its file and row, unless they are those of the record's row
- MIXED: not NULL when the rows of a record do not agree in the record's own columns
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from compasso.mapping import CompiledMapping, from_clause, prepare_mapping
from compasso.mapping.quoting import quote_name, quote_text
from compasso.mapping.templates import parse
from compasso.model import CompassoError, Diagnostic
from compasso.planning.line_mapping import compile_lines
from compasso.planning.resolve import compile_sync
from compasso.sources import Source, UnreadableRow, open_source
from compasso.sources.base import FILE, ROW
from compasso.spec import FieldKind, LinesSpec, Project, Sync
from compasso.spec.problems import did_you_mean
from compasso.spec.types import Tolerance
from compasso.targets import Target

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LINES, PLACES, MIXED = "__lines", "__places", "__mixed"
AT = "__at"  # the row's place in the whole source


@dataclass(frozen=True)
class Lined:
    """A sync's source with lines, and its two mappings.

    `mapping` is of the record's own fields, `lines` of a line. `mixed` is a table of the rows
    of records whose rows do not agree, or None. `orphans` counts lines that belong to no row.
    """

    sync: Sync
    target: Target
    source: Source
    mapping: CompiledMapping
    lines: CompiledMapping
    files: tuple[str, ...]  # that PLACES counts
    unreadable: tuple[UnreadableRow, ...] = ()  # of the second source
    mixed: str | None = None
    orphans: int = 0
    tolerance: Tolerance = None


def open_lines(
    connection: DuckDBPyConnection,
    table: str,
    sync: Sync,
    project: Project,
    target: Target,
    key_field: str,
    source: Source,
) -> Lined:
    """Make the source with lines as the table `table`. Raises CompassoError: wrong mappings,
    no such column, an unreadable second source."""
    name, lines = sync.lines or ("", LinesSpec("rows", {}))
    own = replace(sync, fields={n: f for n, f in sync.fields.items() if n != name})
    mapping = compile_sync(own, project, target, dict(source.columns))
    if lines.origin == "rows":
        of_line = compile_lines(sync, project, target, dict(source.columns))
        made = _grouped(connection, table, own, target, key_field, source, mapping, of_line)
        return replace(made, tolerance=lines.tolerance)
    _read(connection, f"{table}_read", source)
    if lines.origin == "column":
        select, columns = _nested(connection, f"{table}_read", sync, lines, source)
        of_line = compile_lines(sync, project, target, columns)
        made = Lined(own, target, source, mapping, of_line, source.files)
    else:
        other = _open_other(connection, sync, name, lines, project)
        _check_on(sync, name, lines, source, other)
        of_line = compile_lines(sync, project, target, dict(other.columns))
        _read(connection, f"{table}_other", other)
        select = _joined(f"{table}_read", f"{table}_other", lines, _used(of_line))
        orphans = _orphans(connection, f"{table}_read", f"{table}_other", lines)
        joined = replace(source, fingerprint=f"{source.fingerprint}+{other.fingerprint}")
        unreadable = tuple(other.unreadable())
        made = Lined(
            own, target, joined, mapping, of_line, other.files, unreadable, orphans=orphans
        )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {select}")
    connection.execute(f"DROP TABLE {table}_read")
    connection.execute(f"DROP TABLE IF EXISTS {table}_other")
    derived = _derived(connection, table, made.source)
    return replace(made, source=derived, tolerance=lines.tolerance)


def _open_other(
    connection: DuckDBPyConnection, sync: Sync, name: str, lines: LinesSpec, project: Project
) -> Source:
    """The second source. Raises CompassoError at its place in the spec."""
    try:
        return open_source(connection, lines.source or sync.source, project.root)
    except CompassoError as error:
        place = sync.position("fields", name, "lines", "source")
        raise CompassoError(
            *(
                replace(d, message=f"{sync.name}: {d.message}", position=d.position or place)
                for d in error.diagnostics
            ),
            exit_code=error.exit_code,
        ) from error


def check_columns(
    connection: DuckDBPyConnection, sync: Sync, project: Project, target: Target, source: Source
) -> None:
    """Check the columns that both mappings name, without reading rows. Raises CompassoError.

    What lines in JSON text have is known only when they are read.
    """
    name, lines = sync.lines or ("", LinesSpec("rows", {}))
    own = replace(sync, fields={n: f for n, f in sync.fields.items() if n != name})
    compile_sync(own, project, target, dict(source.columns))
    if lines.origin == "rows":
        compile_lines(sync, project, target, dict(source.columns))
    elif lines.origin == "column":
        _check_nested(sync, lines, source)
    else:
        other = _open_other(connection, sync, name, lines, project)
        _check_on(sync, name, lines, source, other)
        compile_lines(sync, project, target, dict(other.columns))


def _derived(connection: DuckDBPyConnection, table: str, source: Source) -> Source:
    """The table as a source. Its columns name all that decides what a record becomes."""
    types = connection.execute(f"DESCRIBE {table}").fetchall()
    columns = {n: t for n, t, *_ in types if n not in {FILE, ROW, AT, PLACES}}
    return replace(source, relation=f"SELECT * FROM {table}", columns=columns, numbered=True)


def _read(connection: DuckDBPyConnection, table: str, source: Source) -> None:
    """Read a source once, with AT, FILE and ROW."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table}_raw AS {source.relation}")
    starts = connection.execute(
        f"SELECT {FILE}, min(rowid) FROM {table}_raw GROUP BY {FILE}"
    ).fetchall()
    cases = " ".join(f"WHEN {file} THEN {start}" for file, start in starts)
    place = f"rowid + 1 - CASE {FILE} {cases} ELSE 0 END" if cases else "0"
    number = "" if source.numbered else f", ({place})::BIGINT AS {ROW}"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT *, rowid AS {AT}{number} FROM {table}_raw"
    )
    connection.execute(f"DROP TABLE {table}_raw")


def _used(mapping: CompiledMapping) -> list[str]:
    return sorted({c for f in mapping.fields for c in f.columns})


def _struct(alias: str, columns: Iterable[str]) -> str:
    pairs = [f"{quote_name(c)} := {alias}.{quote_name(c)}" for c in columns]
    return f"struct_pack({', '.join(pairs) or '_ := 0'})"


_PLACE = f"struct_pack(file := {{0}}.{FILE}::INTEGER, row := {{0}}.{ROW}::BIGINT)"


def _grouped(
    connection: DuckDBPyConnection,
    table: str,
    sync: Sync,
    target: Target,
    key_field: str,
    source: Source,
    mapping: CompiledMapping,
    of_line: CompiledMapping,
) -> Lined:
    """Rows that share the key: one record each, its own fields from the first of them.

    `when` says which rows are lines at all, so it is asked here. A row without a key, or whose
    `when` fails, stays alone and is rejected later with its reason.
    """
    read = f"{table}_read"
    _read(connection, read, source)
    ready = prepare_mapping(connection, read, mapping)
    key = next(f for f in ready.fields if f.name == key_field)
    error = ready.when_error_sql or "NULL::VARCHAR"
    asked = "true"
    if ready.when_sql is not None:
        asked = f"coalesce({ready.when_sql}, false) OR {error} IS NOT NULL"
    used = {c for f in mapping.fields for c in f.columns}
    heads = [f"source.{quote_name(c)}" for c in source.columns if c in used]
    order = (sync.order_by or "").removesuffix(" desc").removesuffix(" asc")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {table}_keys AS SELECT source.{AT} AS at, "
        f"CASE WHEN {error} IS NULL THEN nullif({key.value_sql}::VARCHAR, '') END AS key, "
        f"hash({', '.join(heads) or '0'}) AS head, "
        f"{f'source.{quote_name(order)}' if order else 'NULL::VARCHAR'} AS ord "
        f"FROM {from_clause(read, ready.lookups)} WHERE {asked}"
    )
    # With `duplicates: first` or `last` that row's own fields count; else all must agree.
    direction = "DESC" if (sync.order_by or "").endswith(" desc") else "ASC"
    best = "last" if sync.duplicates == "last" else "first"
    mixed = "NULL::UBIGINT[]"
    if sync.duplicates == "error":
        mixed = "CASE WHEN min(k.head) <> max(k.head) THEN list_sort(list(DISTINCT k.head)) END"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {table}_groups AS SELECT "
        f"{best}(k.at ORDER BY k.ord {direction} NULLS FIRST, k.at) AS head_at, "
        f"list({_struct('r', _used(of_line))} ORDER BY k.at) AS {LINES}, "
        f"list({_PLACE.format('r')} ORDER BY k.at) AS {PLACES}, {mixed} AS {MIXED}, "
        f"list(k.at) AS ats FROM {table}_keys AS k JOIN {read} AS r ON r.{AT} = k.at "
        "GROUP BY coalesce('k' || k.key, 'r' || k.at)"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT r.*, g.{LINES}, g.{PLACES}, g.{MIXED} "
        f"FROM {table}_groups AS g JOIN {read} AS r ON r.{AT} = g.head_at ORDER BY r.{AT}"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {table}_mixed AS SELECT r.*, g.head_at FROM "
        f"(SELECT head_at, unnest(ats) AS at FROM {table}_groups WHERE {MIXED} IS NOT NULL) AS g "
        f"JOIN {read} AS r ON r.{AT} = g.at ORDER BY r.{AT}"
    )
    for name in ("read", "keys", "groups"):
        connection.execute(f"DROP TABLE {table}_{name}")
    asked_already = replace(mapping, when=mapping.when and mapping.when.passed())
    made = _derived(connection, table, source)
    return Lined(sync, target, made, asked_already, of_line, source.files, mixed=f"{table}_mixed")


def _check_nested(sync: Sync, lines: LinesSpec, source: Source) -> str:
    """The type of the column that holds the lines. Raises CompassoError."""
    name, column = (sync.lines or ("",))[0], lines.column or ""
    kind = source.columns.get(column)
    if kind is None:
        raise CompassoError(
            Diagnostic(
                message=f"the source has no column {column!r}",
                position=sync.position("fields", name, "lines", "column"),
                hint=did_you_mean(column, source.columns),
            )
        )
    if kind not in {"VARCHAR", "JSON"} and not (kind.startswith("STRUCT(") and kind.endswith("[]")):
        raise CompassoError(
            Diagnostic(
                message=f"the column {column!r} holds no lines: it is of the type {kind}",
                position=sync.position("fields", name, "lines", "column"),
                hint='it must be a list of structs, or JSON text such as [{"sku": "A1", "qty": 2}]',
            )
        )
    return kind


def _nested(
    connection: DuckDBPyConnection, read: str, sync: Sync, lines: LinesSpec, source: Source
) -> tuple[str, dict[str, str]]:
    """A nested column: a list of structs, or JSON text. Answers the SELECT and the columns."""
    column = lines.column or ""
    kind = _check_nested(sync, lines, source)
    value = f"source.{quote_name(column)}"
    if kind in {"VARCHAR", "JSON"}:
        text = f"nullif(trim({value}::VARCHAR), '')"
        good = f"CASE WHEN json_valid({text}) AND json_type({text}) = 'ARRAY' THEN {text} END"
        form = _structure(connection, read, good, lines)
        value = f"CASE WHEN {text} IS NULL THEN [] ELSE from_json({good}, {quote_text(form)}) END"
    select = (
        f"SELECT source.*, {value} AS {LINES}, NULL::STRUCT(file INTEGER, row BIGINT)[] AS "
        f"{PLACES}, NULL::UBIGINT[] AS {MIXED} FROM {read} AS source ORDER BY {AT}"
    )
    columns: dict[str, str] = {}
    found = connection.execute(
        f"DESCRIBE SELECT unnest(l) AS l FROM (SELECT {LINES} AS l FROM ({select}))"
    )
    struct = found.fetchall()[0][1]
    if struct.startswith("STRUCT("):
        inner = f"SELECT unnest(l) FROM (SELECT unnest({LINES}) AS l FROM ({select}))"
        columns = {n: t for n, t, *_ in connection.execute(f"DESCRIBE {inner}").fetchall()}
    return select, columns


def _structure(connection: DuckDBPyConnection, read: str, good: str, lines: LinesSpec) -> str:
    """What the lines in JSON text look like, for from_json. Values of several types are text."""
    row = connection.execute(
        f"SELECT json_group_structure({good}) FROM {read} AS source WHERE {good} IS NOT NULL "
        f"AND json_array_length({good}) > 0"
    ).fetchone()
    found = json.loads(row[0]) if row and row[0] else None
    shape = found[0] if isinstance(found, list) and found else None
    if not isinstance(shape, dict):
        # No line at all, or lists of something else: the columns are those that are asked for.
        shape = dict.fromkeys(_names(lines), "VARCHAR") or {"_": "VARCHAR"}
    return json.dumps([{n: _plain(t) for n, t in shape.items()}], ensure_ascii=False)


def _plain(kind: Any) -> Any:
    if isinstance(kind, str) and kind in {"JSON", "NULL"}:
        return "VARCHAR"
    if isinstance(kind, list):
        return [_plain(item) for item in kind]
    if isinstance(kind, dict):
        return {n: _plain(t) for n, t in kind.items()}
    return kind


def _names(lines: LinesSpec) -> list[str]:
    """The columns that a mapping of lines names."""
    names: set[str] = set()
    for field in lines.fields.values():
        if field.kind is FieldKind.COLUMN:
            names.add(str(field.value))
        elif field.kind is FieldKind.TEMPLATE:
            names |= set(parse(str(field.value)).names) - {"vars"}
    return sorted(names)


def _check_on(sync: Sync, name: str, lines: LinesSpec, source: Source, other: Source) -> None:
    theirs, ours = lines.on or ("", "")
    for column, known, where in (
        (theirs, other.columns, "the lines have"),
        (ours, source.columns, "the source has"),
    ):
        if column not in known:
            raise CompassoError(
                Diagnostic(
                    message=f"{where} no column {column!r}",
                    position=sync.position("fields", name, "lines", "on"),
                    hint=did_you_mean(column, known),
                )
            )


def _joined(read: str, other: str, lines: LinesSpec, used: list[str]) -> str:
    """Each row with the lines of the second source that belong to it."""
    theirs, ours = (quote_name(c) for c in lines.on or ("", ""))
    grouped = (
        f"SELECT o.{theirs}::VARCHAR AS k, list({_struct('o', used)} ORDER BY o.{AT}) AS {LINES}, "
        f"list({_PLACE.format('o')} ORDER BY o.{AT}) AS {PLACES} FROM {other} AS o GROUP BY k"
    )
    return (
        f"SELECT source.*, coalesce(g.{LINES}, []) AS {LINES}, g.{PLACES}, "
        f"NULL::UBIGINT[] AS {MIXED} FROM {read} AS source LEFT JOIN ({grouped}) AS g "
        f"ON g.k = source.{ours}::VARCHAR ORDER BY source.{AT}"
    )


def _orphans(connection: DuckDBPyConnection, read: str, other: str, lines: LinesSpec) -> int:
    theirs, ours = (quote_name(c) for c in lines.on or ("", ""))
    row = connection.execute(
        f"SELECT count(*) FROM {other} AS o ANTI JOIN {read} AS r "
        f"ON r.{ours}::VARCHAR = o.{theirs}::VARCHAR"
    ).fetchone()
    return int(row[0]) if row else 0
