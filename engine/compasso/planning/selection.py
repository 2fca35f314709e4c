"""Which rows of a source a plan must look at: those that the state does not know as they are.

The state keeps, beside each record, a 128-bit digest of the source row that made it. A row
whose digest is there gives the same record as before, so it is neither mapped nor checked
again: that is what makes a plan of ten million rows take little longer than reading them. A
digest counts only under the same mapping, target, variables and engine (the `basis`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from compasso import __version__
from compasso.mapping import CompiledMapping
from compasso.mapping.quoting import quote_name, quote_text
from compasso.model import CompassoError
from compasso.sources import Source
from compasso.sources.base import FILE, ROW
from compasso.spec import Project, Sync
from compasso.state import Form, State, form_differs, key_hash
from compasso.targets import Target

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Looking at more than this share of the rows one by one costs more than looking at all.
_MOST = 0.3
NO_RECORDS = "no_records"


@dataclass(frozen=True)
class Selection:
    """The rows to map, as a table `rows` with the source's columns, FILE and ROW.

    `records` is the relation of cached records that those rows may concern: all of them, or
    those whose source row is not there any more as it was. `matched` rows were not selected,
    since the state knows them. `total` counts the rows of the source.
    """

    rows: str
    digest: tuple[str, str]  # SQL of the two halves, over the alias `source`
    basis: str
    records: str
    existing: int
    total: int
    lineage: str = ""  # of the state: what key hashes are salted with
    matched: int = 0
    partial: bool = False  # whether matched rows were left out
    kept: str = "true"  # SQL of the rows that `when` keeps, over `source`
    columns: str = "*"  # as SQL over `source`: what the mapping reads of a row
    seen: str | None = None  # what the state is to remember of a source that need not be read again
    form: Form | None = None  # how the state is to keep the records; None: in full
    newer: bool = False  # whether only rows beyond the cursor were read; the state knows the rest


def basis_of(sync: Sync, project: Project, target: Target, source: Source) -> str:
    """What a source row's digest stands for: all that decides what the row becomes."""
    import duckdb

    parts = [
        __version__,
        duckdb.__version__,  # its hash may change from one version to the next
        sync.target,
        sync.key,
        sync.when,
        sync.order_by,
        {name: repr(spec) for name, spec in sync.fields.items()},
        {name: target.fields[name].schema for name in sync.fields if name in target.fields},
        project.variables,
        dict(source.columns),
    ]
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def select_rows(
    connection: DuckDBPyConnection,
    name: str,
    sync: Sync,
    source: Source,
    mapping: CompiledMapping,
    state: State,
    basis: str,
    keys: Literal["clear", "hashed"] | None = None,
    *,
    reached: str | None = None,
    newer: bool = False,
) -> Selection:
    """Read the source and leave out the rows that the state knows. Makes the table `name`.

    `reached` is how far a source with a cursor reaches, as the state is to remember it; with
    `newer`, the source gives only what lies beyond the remembered one. `keys` is how a state of hashes keeps the keys; None: all in full. Raises CompassoError when
    the state keeps them in another way.
    """
    records = _attach(connection, state, sync.name)
    existing = _count(connection, f"SELECT count(*) FROM {records}")
    known = state.form(sync.name) if existing else None
    if existing and (known.keys if known else None) != keys:
        raise form_differs(sync.name)
    form = (known or Form(keys)) if keys is not None else None
    whole = Selection(
        name,
        _digest(sync, source, mapping),
        basis,
        records,
        existing,
        0,
        lineage=state.lineage,
        form=form,
        kept=_kept(mapping),
        columns=_read_columns(sync, source, mapping),
    )
    if reached is not None:
        whole = replace(whole, seen=reached)
        if newer:
            return _newer(connection, whole, source)
    elif source.settled and sync.lines is None:
        whole = replace(whole, seen=f"{source.fingerprint} {basis}")
    found = None
    if existing and state.digest_basis(sync.name) == basis:
        if reached is None and whole.seen is not None and state.seen(sync.name) == whole.seen:
            return _unread(connection, whole, source)
        found = _in_one_pass(connection, whole, source) if source.numbered else None
        found = found or _in_two_passes(connection, whole, source)
    return found or _whole(connection, whole, source)


def _unread(connection: DuckDBPyConnection, found: Selection, source: Source) -> Selection:
    """No row: the source is as it was when the last plan was applied, and so is the state."""
    records = f"{found.rows}_records"
    number = "" if source.numbered else f", 0::BIGINT AS {ROW}"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {found.rows} AS SELECT {found.columns}{number} "
        f"FROM ({source.relation}) AS source LIMIT 0"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {records} AS SELECT * FROM {found.records} LIMIT 0"
    )
    return replace(
        found, records=records, total=found.existing, matched=found.existing, partial=True
    )


def _newer(connection: DuckDBPyConnection, found: Selection, source: Source) -> Selection:
    """All rows that the source gives; `widen` finds the records that they concern."""
    records = f"{found.rows}_records"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {found.rows} AS SELECT {found.columns} "
        f"FROM ({source.relation}) AS source ORDER BY {FILE}, {ROW}"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {records} AS SELECT * FROM {found.records} LIMIT 0"
    )
    return replace(
        found,
        records=records,
        total=found.existing,
        matched=found.existing,
        partial=True,
        newer=True,
    )


def select_all(
    connection: DuckDBPyConnection, name: str, sync: Sync, source: Source, mapping: CompiledMapping
) -> Selection:
    """Every row of the source, whatever the state knows."""
    found = Selection(name, _digest(sync, source, mapping), "", NO_RECORDS, 0, 0)
    return _whole(connection, found, source)


def select_inline(connection: DuckDBPyConnection, state: State, name: str) -> Selection:
    """The cached records of a sync whose desired records stand in specs."""
    records = _attach(connection, state, name)
    existing = _count(connection, f"SELECT count(*) FROM {records}")
    return Selection("", ("", ""), "", records, existing, 0, lineage=state.lineage)


def widen(
    connection: DuckDBPyConnection, found: Selection, source: Source, keys: str
) -> Selection | None:
    """Add the known rows that have the key of a selected row; None if there are none.

    `keys` is a relation with the column `key`: which of two rows counts is decided later, and
    for that both are needed.
    """
    if not found.partial:
        return None
    hashed = key_hash("key", found.lineage)
    connection.execute(
        # Found by their place first: only what is found is read in full.
        "CREATE OR REPLACE TEMP TABLE clashes AS SELECT * FROM cached.records WHERE rowid IN "
        f"(SELECT rowid FROM cached.records WHERE key_hash IN (SELECT {hashed} FROM {keys} "
        f"EXCEPT SELECT key_hash FROM {found.records}))"
    )
    before = _count(connection, f"SELECT count(*) FROM {found.rows}")
    clashes = _count(connection, "SELECT count(*) FROM clashes")
    if not clashes:
        return None
    connection.execute(f"INSERT INTO {found.records} SELECT * FROM clashes")
    if found.newer:  # the newer row counts, whatever an older one says
        return replace(found, matched=found.matched - clashes)
    wanted = "(SELECT source_high AS __high, source_low AS __low FROM clashes)"
    _take(connection, found, source, wanted, f"INSERT INTO {found.rows}")
    added = _count(connection, f"SELECT count(*) FROM {found.rows}") - before
    return replace(found, matched=found.matched - added)


def _attach(connection: DuckDBPyConnection, state: State, sync: str) -> str:
    import duckdb

    file = state.records_file(sync)
    connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {NO_RECORDS} (key VARCHAR, key_hash UHUGEINT, "
        "hash_high UBIGINT, hash_low UBIGINT, fields VARCHAR, field_hashes UBIGINT[], source_high UBIGINT, "
        "source_low UBIGINT)"
    )
    if file is None:
        return NO_RECORDS
    try:
        connection.execute(f"ATTACH {quote_text(str(file))} AS cached (READ_ONLY)")
    except duckdb.Error as error:
        raise CompassoError.say(
            "the state is in use by another command, or damaged: " + str(error).splitlines()[0],
            "try again when that command has ended",
        ) from error
    return "cached.records"


def detach(connection: DuckDBPyConnection) -> None:
    """Let go of the state's file."""
    connection.execute("DETACH DATABASE IF EXISTS cached")


def _digest(sync: Sync, source: Source, mapping: CompiledMapping) -> tuple[str, str]:
    """Two hashes of the columns that matter, in opposite orders so as not to fail together."""
    used = _mapped_columns(sync, mapping)
    if not _filters_in_sql(mapping):
        used = set(source.columns)
    columns = [f"source.{quote_name(c)}" for c in source.columns if c in used] or ["0"]
    return (
        f"hash('high', {', '.join(columns)})",
        f"hash('low', {', '.join(reversed(columns))})",
    )


def _mapped_columns(sync: Sync, mapping: CompiledMapping) -> set[str]:
    used = {column for field in mapping.fields for column in field.columns}
    if sync.order_by:
        used.add(sync.order_by.removesuffix(" desc").removesuffix(" asc"))
    return used


def _read_columns(sync: Sync, source: Source, mapping: CompiledMapping) -> str:
    """The columns that the mapping and `when` read. The others are not even decoded."""
    if sync.lines is not None:  # the table of records with their lines has columns of its own
        return "source.*"
    asked = (mapping.when_sql or "") + (mapping.when_error_sql or "")
    used = _mapped_columns(sync, mapping) | {n for lk in mapping.lookups for n in lk.inputs}
    used |= {c for c in source.columns if f"source.{quote_name(c)}" in asked}
    named = [f"source.{quote_name(c)}" for c in source.columns if c in used]
    return ", ".join([f"source.{FILE}", *([f"source.{ROW}"] if source.numbered else []), *named])


def _filters_in_sql(mapping: CompiledMapping) -> bool:
    """Whether `when` can be asked before Jinja's answers are there."""
    texts = (mapping.when_sql or "") + (mapping.when_error_sql or "")
    return not any(lookup.table in texts for lookup in mapping.lookups)


def _kept(mapping: CompiledMapping) -> str:
    """The SQL of the rows that `when` keeps; a row whose `when` fails must be looked at too."""
    if mapping.when_sql is None or not _filters_in_sql(mapping):
        return "true"
    kept = f"coalesce({mapping.when_sql}, false)"
    if mapping.when_error_sql is not None:
        kept += f" OR {mapping.when_error_sql} IS NOT NULL"
    return kept


def _whole(connection: DuckDBPyConnection, found: Selection, source: Source) -> Selection:
    """All rows. They are read once, so that all that follows sees the same ones; but for a file
    of which can be told that it did not change: it is no slower to read than a table of ours."""
    if source.numbered and source.unchanged is not None:
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {found.rows} AS SELECT {found.columns} "
            f"FROM ({source.relation}) AS source"
        )
        return replace(found, total=_count(connection, f"SELECT count(*) FROM {found.rows}"))
    draft = f"{found.rows}_read"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {draft} AS SELECT {found.columns} "
        f"FROM ({source.relation}) AS source"
    )
    total = _count(connection, f"SELECT count(*) FROM {draft}")
    # A view: the row's number is its place in the table, and costs nothing.
    number = "" if source.numbered else f", {_place(connection, draft, source)} AS {ROW}"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {found.rows} AS SELECT *{number} FROM {draft} AS source"
    )
    return replace(found, total=total)


def _place(connection: DuckDBPyConnection, table: str, source: Source) -> str:
    """The SQL of a row's number within its file, from 1, the header not counted."""
    if len(source.files) == 1:
        return "source.rowid + 1"
    starts = connection.execute(
        f"SELECT {FILE}, min(rowid) FROM {table} GROUP BY {FILE} ORDER BY {FILE}"
    ).fetchall()
    cases = " ".join(f"WHEN {file} THEN {start}" for file, start in starts)
    return f"source.rowid + 1 - CASE source.{FILE} {cases} ELSE 0 END" if cases else "0"


def _in_one_pass(
    connection: DuckDBPyConnection, found: Selection, source: Source
) -> Selection | None:
    """Only rows that the state does not know, of a source that numbers its rows itself.

    The rows flow past the state's digests, and only those that are not among them are kept.
    None when they are too many, or when lines are doubled: then it takes another way.
    """
    high, low = found.digest
    read = f"FROM ({source.relation}) AS source"
    rows = f"SELECT {found.columns}, {high} AS __high, {low} AS __low {read} WHERE {found.kept}"
    with _joined_as_written(connection):  # the smaller side in bytes: the digests
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE odd AS SELECT d.* EXCLUDE (__high, __low), s.__q "
            f"FROM ({rows}) AS d FULL OUTER JOIN (SELECT rowid AS __q, source_high, source_low "
            f"FROM {found.records}) AS s ON d.__high = s.source_high AND d.__low = s.source_low "
            f"WHERE d.{ROW} IS NULL OR s.__q IS NULL"
        )
    total = asked = _count(connection, f"SELECT count(*) {read}")
    if found.kept != "true":
        asked = _count(connection, f"SELECT count(*) {read} WHERE {found.kept}")
    fresh, gone = _pair(connection, f"SELECT count({ROW}), count(__q) FROM odd")
    matched = asked - fresh
    doubled = matched - (found.existing - gone)
    if doubled or fresh > _MOST * asked:
        connection.execute("DROP TABLE odd")
        return None
    made = _with_records(connection, found, "SELECT __q FROM odd WHERE __q IS NOT NULL")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {found.rows} AS SELECT * EXCLUDE (__q) FROM odd "
        f"WHERE {ROW} IS NOT NULL ORDER BY {FILE}, {ROW}"
    )
    connection.execute("DROP TABLE odd")
    return replace(made, total=total, matched=matched)


def _with_records(connection: DuckDBPyConnection, found: Selection, numbers: str) -> Selection:
    """Narrow the cached records down to those with these row numbers."""
    records = f"{found.rows}_records"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {records} AS SELECT * FROM {found.records} "
        f"WHERE rowid IN ({numbers})"
    )
    return replace(found, records=records, partial=True)


@contextmanager
def _joined_as_written(connection: DuckDBPyConnection) -> Iterator[None]:
    """Joins build their table from the right side, whatever the engine guesses of its size."""
    connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
    try:
        yield
    finally:
        connection.execute("RESET disabled_optimizers")


def _in_two_passes(
    connection: DuckDBPyConnection, found: Selection, source: Source
) -> Selection | None:
    """Only rows that the state does not know; None when those are too many."""
    high, low = found.digest
    file = f"{FILE}, " if len(source.files) > 1 else ""
    digests = f"{found.rows}_digests"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {digests} AS SELECT "
        f"{file}CASE WHEN {found.kept} THEN {high} END AS __high, "
        f"CASE WHEN {found.kept} THEN {low} END AS __low FROM ({source.relation}) AS source"
    )
    # (To join while reading would save the second pass, but a join that has to spill gives its rows
    # in another order, and a row's number is its place.)
    # A digest that is NULL (a row that `when` leaves out) never matches, and is not asked for.
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE odd AS SELECT d.rowid AS r, s.rowid AS q "
        f"FROM {digests} AS d FULL OUTER JOIN {found.records} AS s "
        "ON d.__high = s.source_high AND d.__low = s.source_low "
        "WHERE (d.rowid IS NULL OR s.rowid IS NULL) AND (d.rowid IS NULL OR d.__high IS NOT NULL)"
    )
    asked, total = _pair(connection, f"SELECT count(__high), count(*) FROM {digests}")
    fresh, gone = _pair(connection, "SELECT count(r), count(q) FROM odd")
    matched = asked - fresh
    if fresh > _MOST * asked:
        connection.execute(f"DROP TABLE {digests}")
        return None
    doubled = matched - (found.existing - gone)
    wanted = f"SELECT __high, __low FROM {digests} AS d SEMI JOIN odd ON odd.r = d.rowid"
    if doubled:  # equal lines: they are looked at again, to be named or to give way
        wanted += (
            f" UNION ALL SELECT __high, __low FROM {digests} WHERE __high IS NOT NULL "
            "GROUP BY ALL HAVING count(*) > 1"
        )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE wanted AS SELECT DISTINCT * FROM ({wanted})")
    made = _with_records(connection, found, "SELECT q FROM odd WHERE q IS NOT NULL")
    if doubled:
        connection.execute(
            f"INSERT INTO {made.records} SELECT s.* FROM cached.records AS s SEMI JOIN wanted "
            "ON s.source_high = wanted.__high AND s.source_low = wanted.__low"
        )
    _take(connection, made, source, "wanted", f"CREATE OR REPLACE TEMP TABLE {found.rows} AS")
    left = _count(connection, f"SELECT count(*) FROM {found.rows}")
    return replace(made, total=total, matched=asked - left)


def _take(
    connection: DuckDBPyConnection, found: Selection, source: Source, wanted: str, into: str
) -> None:
    """Put the rows with the digests in `wanted` into the table of selected rows."""
    high, low = found.digest
    rows = (
        f"SELECT {found.columns}, {high} AS __high, {low} AS __low "
        f"FROM ({source.relation}) AS source WHERE {found.kept}"
    )
    if source.numbered:
        connection.execute(
            f"{into} SELECT * EXCLUDE (__high, __low) FROM ({rows}) SEMI JOIN {wanted} "
            f"USING (__high, __low) ORDER BY {FILE}, {ROW}"
        )
        return
    # Equal rows have equal digests, so which of them has which number does not matter.
    digests = f"{found.rows}_digests"
    nth = "row_number() OVER (PARTITION BY __high, __low) AS __nth"
    ordered = "row_number() OVER (PARTITION BY __high, __low ORDER BY rowid) AS __nth"
    place = _place(connection, digests, source)
    several = len(source.files) > 1
    own = f", {FILE} AS __own" if several else ""
    columns = f"a.* EXCLUDE (__high, __low, __nth{', ' + FILE if several else ''})"
    columns += f", b.__own AS {FILE}" if several else ""
    with _joined_as_written(connection):  # the file is never the smaller side
        connection.execute(
            f"{into} SELECT {columns}, b.{ROW} FROM "
            f"(SELECT *, {nth} FROM ({rows}) SEMI JOIN {wanted} USING (__high, __low)) AS a JOIN "
            f"(SELECT __high, __low, {place} AS {ROW}{own}, {ordered} FROM {digests} AS source "
            f"SEMI JOIN {wanted} USING (__high, __low)) AS b USING (__high, __low, __nth) "
            f"ORDER BY {FILE}, {ROW}"
        )


def _pair(connection: DuckDBPyConnection, sql: str) -> tuple[int, int]:
    row = connection.execute(sql).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _count(connection: DuckDBPyConnection, sql: str) -> int:
    return _pair(connection, f"SELECT *, 0 FROM ({sql})")[0]


def drop_rows(connection: DuckDBPyConnection, found: Selection) -> None:
    """Give the memory of the rows back, as soon as they are mapped for good."""
    kind = "TABLE" if found.partial else "VIEW"
    connection.execute(f"DROP {kind} IF EXISTS {found.rows}")
    for table in ("read", "digests"):
        connection.execute(f"DROP TABLE IF EXISTS {found.rows}_{table}")
