"""Tables of PostgreSQL and SQLite, by ADBC: rows travel as Arrow, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compasso.applying.destinations.base import (
    PIECE,
    CannotWrite,
    Load,
    Place,
    columns_of,
    outputs,
)
from compasso.mapping.quoting import quote_name, quote_text
from compasso.sources.databases import ArrowStream, database_file, without_secret

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_EXTRA = "the driver is missing: pip install 'compasso[sql]'"
_TYPES: Mapping[str, Mapping[str, str]] = {
    "postgresql": {
        "VARCHAR": "TEXT",
        "BIGINT": "BIGINT",
        "DOUBLE": "DOUBLE PRECISION",
        "BOOLEAN": "BOOLEAN",
        "DATE": "DATE",
        "TIMESTAMP": "TIMESTAMP",
    },
    "sqlite": {
        "VARCHAR": "TEXT",
        "BIGINT": "INTEGER",
        "DOUBLE": "REAL",
        "BOOLEAN": "INTEGER",
        "DATE": "TEXT",
        "TIMESTAMP": "TEXT",
    },
}


def write(
    connection: DuckDBPyConnection, place: Place, loads: Sequence[Load], *, replace: bool
) -> None:
    """Write the tables. Raises CannotWrite, never with the address in its words."""
    address = place.address or ""
    try:
        with _open(address, place.root) as database:
            for name, tables in outputs(str(place.table), place.products, loads):
                _write_table(connection, database, name, tables, replace=replace)
            database.session.commit()
    except CannotWrite:
        raise
    except Exception as error:  # each driver has its own errors
        raise CannotWrite(
            f"the table {place.table} of {place.name} cannot be written: "
            f"{without_secret(error, address)}"
        ) from None


class _Database:
    """An open session of one transaction. Closing it without a commit undoes all."""

    def __init__(self, kind: str, manager: Any, session: Any) -> None:
        self.kind = kind
        self.manager = manager
        self.session = session
        session.set_autocommit(False)

    def run(self, text: str) -> None:
        """A statement without rows."""
        with self.manager.AdbcStatement(self.session) as statement:
            statement.set_sql_query(text)
            statement.execute_update()

    def texts(self, connection: DuckDBPyConnection, query: str) -> list[str]:
        """The first column of a query."""
        with self.manager.AdbcStatement(self.session) as statement:
            statement.set_sql_query(query)
            stream, _ = statement.execute_query()
            connection.register("incoming", stream)
            try:
                return [str(row[0]) for row in connection.execute("FROM incoming").fetchall()]
            finally:
                connection.unregister("incoming")

    def ingest(self, schema: str, table: str, rows: Any) -> None:
        """Append rows, by the names of their columns."""
        with self.manager.AdbcStatement(self.session) as statement:
            options = {
                "adbc.ingest.target_table": table,
                "adbc.ingest.mode": "adbc.ingest.mode.append",
            }
            if schema:
                options["adbc.ingest.target_db_schema"] = schema
            statement.set_options(**options)
            statement.bind_stream(ArrowStream(rows))
            statement.execute_update()


@contextmanager
def _open(address: str, root: Path) -> Iterator[_Database]:
    scheme, _, rest = address.partition("://")
    kind = scheme.partition("+")[0]
    kind = "postgresql" if kind == "postgres" else kind
    try:
        import adbc_driver_manager as manager

        if kind == "postgresql":
            import adbc_driver_postgresql as driver

            uri = f"postgresql://{rest}"
        elif kind == "sqlite":
            import adbc_driver_sqlite as driver

            uri = str(database_file(address, root))
        else:
            raise CannotWrite(
                f"a database of the kind {kind!r} cannot be written; those that can: postgresql, "
                "sqlite (and `duckdb:` for a DuckDB file)"
            )
    except ImportError as error:
        raise CannotWrite(_EXTRA) from error
    with ExitStack() as stack:
        database = stack.enter_context(driver.connect(uri))
        session = stack.enter_context(manager.AdbcConnection(database))
        yield _Database(kind, manager, session)


def _write_table(
    connection: DuckDBPyConnection,
    database: _Database,
    name: str,
    tables: Sequence[tuple[str, str]],
    *,
    replace: bool,
) -> None:
    schema, _, bare = name.rpartition(".")
    if schema and database.kind == "sqlite":
        raise CannotWrite(f"SQLite has no schemas: name the table {bare}, not {name}")
    table = f"{quote_name(schema)}.{quote_name(bare)}" if schema else quote_name(bare)
    types = _TYPES[database.kind]
    wanted: dict[str, str] = {}
    for _, rows in tables:
        wanted |= columns_of(connection, rows)
    wanted[PIECE] = "VARCHAR"
    if schema:
        database.run(f"CREATE SCHEMA IF NOT EXISTS {quote_name(schema)}")
    known = database.texts(connection, _columns_query(database.kind, schema, bare))
    if not known:
        columns = ", ".join(f"{quote_name(c)} {types[t]}" for c, t in wanted.items())
        database.run(f"CREATE TABLE {table} ({columns})")
        known = list(wanted)
    if PIECE not in known:
        raise CannotWrite(
            f"the table {name} is there already and has no column {PIECE}, so it was not made by "
            "an export: name another under `into:`"
        )
    for column, kind in wanted.items():
        if column not in known:
            database.run(f"ALTER TABLE {table} ADD COLUMN {quote_name(column)} {types[kind]}")
            known.append(column)
    if replace:
        database.run(f"DELETE FROM {table}")
    for piece, rows in tables:
        if not replace:
            database.run(f"DELETE FROM {table} WHERE {quote_name(PIECE)} = {quote_text(piece)}")
        database.ingest(
            schema, bare, connection.sql(_in_order(connection, database.kind, piece, rows, known))
        )


def _in_order(
    connection: DuckDBPyConnection, kind: str, piece: str, rows: str, known: Sequence[str]
) -> str:
    """The rows with the columns of the table, in its order."""
    have = columns_of(connection, rows)
    cells = []
    for column in known:
        name = quote_name(column)
        if column == PIECE:
            cells.append(f"{quote_text(piece)} AS {name}")
        elif column not in have:
            cells.append(f"NULL::VARCHAR AS {name}")
        elif kind == "sqlite" and have[column] in {"DATE", "TIMESTAMP"}:
            cells.append(f"{name}::VARCHAR AS {name}")
        elif kind == "sqlite" and have[column] == "BOOLEAN":
            cells.append(f"{name}::BIGINT AS {name}")
        else:
            cells.append(name)
    return f"SELECT {', '.join(cells)} FROM {rows}"


def _columns_query(kind: str, schema: str, table: str) -> str:
    if kind == "sqlite":
        return f"SELECT name FROM pragma_table_info({quote_text(table)})"
    where = quote_text(schema) if schema else "current_schema()"
    return (
        "SELECT column_name::text FROM information_schema.columns WHERE table_schema = "
        f"{where} AND table_name = {quote_text(table)} ORDER BY ordinal_position"
    )
