"""Tables of a DuckDB file: one transaction."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from compasso.applying.destinations.base import (
    PIECE,
    CannotWrite,
    Load,
    Place,
    columns_of,
    outputs,
)
from compasso.engine import attached
from compasso.mapping.quoting import quote_name, quote_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Two exports of one run may write to one file, each in a thread of its own.
_WRITING = threading.Lock()


def write(
    connection: DuckDBPyConnection, place: Place, loads: Sequence[Load], *, replace: bool
) -> None:
    """Write the tables. Raises CannotWrite."""
    import duckdb

    path = place.file(place.name)
    with _WRITING, ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            database = stack.enter_context(attached(path))
        except (OSError, duckdb.Error) as error:
            first = str(error).strip().splitlines()[0]
            locked = "lock" in first.lower()
            said = "another process has it open: close it there" if locked else first
            raise CannotWrite(f"{place.name} cannot be opened: {said}") from error
        try:
            connection.begin()
            for name, tables in outputs(str(place.table), place.products, loads):
                _write_table(connection, database, name, tables, replace=replace)
            connection.commit()
        except duckdb.Error as error:
            connection.rollback()
            first = str(error).strip().splitlines()[0]
            raise CannotWrite(f"the table {place.table} cannot be written: {first}") from error
        except CannotWrite:
            connection.rollback()
            raise


def _write_table(
    connection: DuckDBPyConnection,
    database: str,
    name: str,
    tables: Sequence[tuple[str, str]],
    *,
    replace: bool,
) -> None:
    schema, _, bare = name.rpartition(".")
    where = f"{database}.{quote_name(schema or 'main')}"
    table = f"{where}.{quote_name(bare)}"
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {where}")
    wanted: dict[str, str] = {}
    for _, rows in tables:
        wanted |= columns_of(connection, rows)
    wanted[PIECE] = "VARCHAR"
    exists = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = $database "
        "AND schema_name = $schema AND table_name = $name",
        {"database": database, "schema": schema or "main", "name": bare},
    ).fetchone()
    if not exists or not exists[0]:
        columns = ", ".join(f"{quote_name(c)} {t}" for c, t in wanted.items())
        connection.execute(f"CREATE TABLE {table} ({columns})")
    known = columns_of(connection, table)
    if PIECE not in known:
        raise CannotWrite(
            f"the table {name} is there already and has no column {PIECE}, so it was not made by "
            "an export: name another under `into:`"
        )
    for column, kind in wanted.items():
        if column not in known:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {quote_name(column)} {kind}")
    if replace:
        connection.execute(f"DELETE FROM {table}")
    for piece, rows in tables:
        if not replace:
            connection.execute(
                f"DELETE FROM {table} WHERE {quote_name(PIECE)} = {quote_text(piece)}"
            )
        connection.execute(
            f"INSERT INTO {table} BY NAME SELECT *, {quote_text(piece)} AS {quote_name(PIECE)} "
            f"FROM {rows}"
        )
