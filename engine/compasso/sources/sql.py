"""A query on a database: PostgreSQL, SQLite or a DuckDB file. It can only read.

The database itself is told to refuse every change (a read-only transaction or file), and the
query must be one SELECT. The rows travel as Arrow batches into the planner's engine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from compasso.engine import cursor
from compasso.model import CompassoError
from compasso.sources.base import FILE, ROW, Since, Source
from compasso.sources.databases import ArrowStream, database_file, without_secret
from compasso.sources.files import describe, find_files, quote_name
from compasso.sources.narrowing import conditions, narrowed, texts_as_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.spec import SourceSpec

_EXTRA = "install it with: pip install 'compasso[sql]'"


def read(connection: DuckDBPyConnection, spec: SourceSpec, root: Path) -> Source:
    """Run the query and keep its rows. Raises CompassoError: no such database, wrong query."""
    database = _database_of(spec, root)
    try:
        with database.run(database.query) as stream:
            _keep(connection, stream, database.table)
    except CompassoError:
        raise
    except Exception as error:  # each driver has its own errors
        raise CompassoError.say(
            f"the query on {database.name} failed: {without_secret(error, database.address)}",
            "try it in the database itself; only reading is allowed here",
        ) from None
    return _source(connection, spec, database)


def read_newer(
    connection: DuckDBPyConnection, spec: SourceSpec, root: Path, since: Since
) -> Source | None:
    """The rows beyond a cursor, chosen by the database; None where it cannot choose.

    What is wrong with the database or the query is then told by `read`.
    """
    database = _database_of(spec, root)
    for condition in conditions(database.dialect, since):
        try:
            types = _types_seen(connection, database) if database.dialect == "sqlite" else None
            columns = "*" if types is None else texts_as_text(types)
            query = narrowed(database.query, condition, columns)
            with database.run(query, condition.value) as stream:
                _keep(connection, stream, database.table, types)
        except Exception:  # noqa: S112 - each driver has its own errors
            continue
        return replace(_source(connection, spec, database), narrowed=True)
    return None


@dataclass(frozen=True, slots=True)
class _Database:
    """A database and the query on it. `run` gives the rows of a query with one parameter, or
    none, which is DuckDB's SQL."""

    name: str
    address: str
    dialect: str
    query: str
    root: Path

    @property
    def table(self) -> str:
        """Where the rows are kept."""
        return "sql_" + hashlib.sha256(f"{self.name}\0{self.query}".encode()).hexdigest()[:16]

    def run(self, query: str, value: str | None = None) -> AbstractContextManager[Any]:
        """The rows, as long as the block lasts."""
        return _KINDS[self.dialect](self.address, query, self.root, value)


def _database_of(spec: SourceSpec, root: Path) -> _Database:
    if spec.connection is None:
        raise CompassoError.say(
            "an sql source needs the name of a connection",
            "add `connection: NAME`, and NAME under `connections:` in compasso.yml",
        )
    query = query_text(spec, root)
    check_query(query)
    address = spec.connection.reveal()
    name = str(spec.options["connection"])
    return _Database(name, address, _dialect_of(address, name), query, root)


def _keep(
    connection: DuckDBPyConnection,
    stream: Any,
    table: str,
    types: Mapping[str, str] | None = None,
) -> None:
    """Take the rows into a table; in the types that are given, or fail."""
    with _registered(connection, stream):
        if types is None:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT * FROM incoming")
            return
        found = f"{table}_found"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {found} AS SELECT * FROM incoming")
        for name, kind in describe(connection, f"SELECT * FROM {found}").items():
            if kind not in _FITTING.get(types[name], {types[name]}):
                raise ValueError(name)
        casts = ", ".join(
            f"CAST({quote_name(n)} AS {t}) AS {quote_name(n)}" for n, t in types.items()
        )
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {casts} FROM {found}")
        connection.execute(f"DROP TABLE {found}")


@contextmanager
def _registered(connection: DuckDBPyConnection, stream: Any) -> Iterator[None]:
    """The stream as the relation `incoming`."""
    # A result that was not fetched to its end would be in the way; this one is.
    connection.execute("SELECT 1").fetchall()
    connection.register("incoming", stream)
    try:
        yield
    finally:
        connection.unregister("incoming")


# Rows without a value in a column come as whole numbers from SQLite's driver.
_FITTING: Mapping[str, set[str]] = {
    "DOUBLE": {"DOUBLE", "BIGINT"},
    "VARCHAR": {"VARCHAR", "BIGINT"},
}


def _types_seen(connection: DuckDBPyConnection, database: _Database) -> dict[str, str]:
    """The columns as the whole query has them: SQLite's driver looks at the first rows."""
    with database.run(database.query) as stream, _registered(connection, stream):
        return describe(connection, "SELECT * FROM incoming")


def _source(connection: DuckDBPyConnection, spec: SourceSpec, database: _Database) -> Source:
    table = database.table
    columns = describe(connection, f"SELECT * FROM {table}")
    return Source(
        relation=f"SELECT *, 0 AS {FILE}, rowid + 1 AS {ROW} FROM {table}",
        columns=columns,
        files=(spec.label,),
        fingerprint=_fingerprint(connection, table, columns, database.query),
        unreadable=list,
        numbered=True,
    )


def query_text(spec: SourceSpec, root: Path) -> str:
    """The query: as it stands in the spec, or that of the file which the spec names."""
    text = spec.location
    if text.endswith(".sql"):
        text = find_files(spec, root)[0].read_text("utf-8")
    return text.rstrip().removesuffix(";")  # PostgreSQL copies the rows of a query without one


def check_query(query: str) -> None:
    """Raise CompassoError unless the text is one query that only reads."""
    import duckdb

    hint = "write one SELECT, without a semicolon and another statement behind it"
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error:
        # Another dialect than the engine's: its database decides, and it may only read.
        words = query.lstrip("( \t\r\n").split(None, 1)
        if words and words[0].lower() in {"select", "with", "values", "table"}:
            return
        raise CompassoError.say("the query of an sql source must be a SELECT", hint) from None
    if [s.type for s in statements] != [duckdb.StatementType.SELECT]:
        raise CompassoError.say("the query of an sql source must be one SELECT", hint)


def _dialect_of(address: str, name: str) -> str:
    scheme = urlsplit(address).scheme.partition("+")[0]
    dialect = {"postgres": "postgresql"}.get(scheme, scheme)
    if dialect not in _KINDS:
        raise CompassoError.say(
            f"the address of {name} has the kind {scheme!r}, which sql sources cannot read",
            f"they read: {', '.join(sorted({*_KINDS, 'postgres'}))}",
        )
    return dialect


def _file_of(address: str, root: Path) -> Path:
    """The file of an address, which must be there."""
    path = database_file(address, root)
    if not path.is_file():
        raise CompassoError.say(
            f"there is no database file {path.name}", f"looked in {path.parent}"
        )
    return path


@contextmanager
def _postgresql(address: str, query: str, _root: Path, value: str | None) -> Iterator[Any]:
    try:
        import adbc_driver_manager as manager
        import adbc_driver_postgresql
    except ImportError as error:
        raise CompassoError.say("PostgreSQL sources need a driver", _EXTRA) from error
    scheme, _, rest = address.partition("://")
    with ExitStack() as stack:
        uri = f"{scheme.partition('+')[0]}://{rest}"
        database = stack.enter_context(adbc_driver_postgresql.connect(uri))
        session = stack.enter_context(manager.AdbcConnection(database))
        _run(manager, session, "SET default_transaction_read_only = on")
        _run(manager, session, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        yield _rows(manager, session, stack, query, value)


def _rows(manager: Any, session: Any, stack: ExitStack, query: str, value: str | None) -> Any:
    """The rows of a query, as long as the stack lasts."""
    statement = stack.enter_context(manager.AdbcStatement(session))
    statement.set_sql_query(query)
    if value is not None:
        # A connection of its own: the driver reads the parameter while it gives the rows.
        other = stack.enter_context(cursor())
        statement.bind_stream(ArrowStream(other.sql(f"SELECT {value} AS value")))
    stream, _ = statement.execute_query()
    return stream


def _run(manager: Any, session: Any, text: str) -> None:
    with manager.AdbcStatement(session) as statement:
        statement.set_sql_query(text)
        statement.execute_update()


@contextmanager
def _sqlite(address: str, query: str, root: Path, value: str | None) -> Iterator[Any]:
    try:
        import adbc_driver_manager as manager
        import adbc_driver_sqlite
    except ImportError as error:
        raise CompassoError.say("SQLite sources need a driver", _EXTRA) from error
    file = _file_of(address, root)
    with ExitStack() as stack:
        database = stack.enter_context(adbc_driver_sqlite.connect(f"{file.as_uri()}?mode=ro"))
        session = stack.enter_context(manager.AdbcConnection(database))
        _run(manager, session, "PRAGMA query_only = ON")
        yield _rows(manager, session, stack, query, value)


@contextmanager
def _duckdb(address: str, query: str, root: Path, value: str | None) -> Iterator[Any]:
    import duckdb

    # Without access to anything outside: a SELECT could read other files.
    config: dict[str, Any] = {"enable_external_access": False, "lock_configuration": True}
    with duckdb.connect(str(_file_of(address, root)), read_only=True, config=config) as other:
        if value is None:
            yield ArrowStream(other.sql(query))
            return
        given = other.execute(f"SELECT {value}").fetchall()
        yield ArrowStream(other.sql(query, params=list(given[0])))


_KINDS: Mapping[str, Callable[[str, str, Path, str | None], AbstractContextManager[Any]]] = {
    "postgresql": _postgresql,
    "sqlite": _sqlite,
    "duckdb": _duckdb,
}


def _fingerprint(
    connection: DuckDBPyConnection, table: str, columns: Mapping[str, str], query: str
) -> str:
    """Of the query and of what it gave: a database tells no time of change."""
    listed = ", ".join(quote_name(c) for c in columns)
    row = connection.execute(
        f"SELECT count(*), bit_xor(hash(rowid, {listed})) FROM {table}"
    ).fetchone()
    return hashlib.sha256(repr((query, dict(columns), row)).encode()).hexdigest()[:32]
