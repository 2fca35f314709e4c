"""A query on a database: PostgreSQL, SQLite or a DuckDB file. It can only read.

The database itself is told to refuse every change (a read-only transaction or file), and the
query must be one SELECT. The rows travel as Arrow batches into the planner's engine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from compasso.model import CompassoError
from compasso.sources.base import FILE, ROW, Source
from compasso.sources.databases import ArrowStream, database_file, without_secret
from compasso.sources.files import describe, find_files, quote_name

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.spec import SourceSpec

_EXTRA = "install it with: pip install 'compasso[sql]'"


def read(connection: DuckDBPyConnection, spec: SourceSpec, root: Path) -> Source:
    """Run the query and keep its rows. Raises CompassoError: no such database, wrong query."""
    if spec.connection is None:
        raise CompassoError.say(
            "an sql source needs the name of a connection",
            "add `connection: NAME`, and NAME under `connections:` in compasso.yml",
        )
    query = query_text(spec, root)
    check_query(query)
    address = spec.connection.reveal()
    name = str(spec.options["connection"])
    table = "sql_" + hashlib.sha256(f"{name}\0{query}".encode()).hexdigest()[:16]
    open_stream = _stream_of(address, name)
    try:
        with open_stream(address, query, root) as stream:
            connection.register("incoming", stream)
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT * FROM incoming")
            connection.unregister("incoming")
    except CompassoError:
        raise
    except Exception as error:  # each driver has its own errors
        raise CompassoError.say(
            f"the query on {name} failed: {without_secret(error, address)}",
            "try it in the database itself; only reading is allowed here",
        ) from None
    columns = describe(connection, f"SELECT * FROM {table}")
    return Source(
        relation=f"SELECT *, 0 AS {FILE}, rowid + 1 AS {ROW} FROM {table}",
        columns=columns,
        files=(spec.label,),
        fingerprint=_fingerprint(connection, table, columns, query),
        unreadable=list,
        numbered=True,
    )


def query_text(spec: SourceSpec, root: Path) -> str:
    """The query: as it stands in the spec, or that of the file which the spec names."""
    if not spec.location.endswith(".sql"):
        return spec.location
    return find_files(spec, root)[0].read_text("utf-8")


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


def _stream_of(address: str, name: str) -> Callable[[str, str, Path], Any]:
    scheme = urlsplit(address).scheme.partition("+")[0]
    kinds: Mapping[str, Callable[[str, str, Path], Any]] = {
        "postgresql": _postgresql,
        "postgres": _postgresql,
        "sqlite": _sqlite,
        "duckdb": _duckdb,
    }
    if scheme not in kinds:
        raise CompassoError.say(
            f"the address of {name} has the kind {scheme!r}, which sql sources cannot read",
            f"they read: {', '.join(sorted(kinds))}",
        )
    return kinds[scheme]


def _file_of(address: str, root: Path) -> Path:
    """The file of an address, which must be there."""
    path = database_file(address, root)
    if not path.is_file():
        raise CompassoError.say(
            f"there is no database file {path.name}", f"looked in {path.parent}"
        )
    return path


@contextmanager
def _postgresql(address: str, query: str, _root: Path) -> Iterator[Any]:
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
        statement = stack.enter_context(manager.AdbcStatement(session))
        statement.set_sql_query(query)
        stream, _ = statement.execute_query()
        yield stream


def _run(manager: Any, session: Any, text: str) -> None:
    with manager.AdbcStatement(session) as statement:
        statement.set_sql_query(text)
        statement.execute_update()


@contextmanager
def _sqlite(address: str, query: str, root: Path) -> Iterator[Any]:
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
        statement = stack.enter_context(manager.AdbcStatement(session))
        statement.set_sql_query(query)
        stream, _ = statement.execute_query()
        yield stream


@contextmanager
def _duckdb(address: str, query: str, root: Path) -> Iterator[Any]:
    import duckdb

    # Without access to anything outside: a SELECT could read other files.
    config: dict[str, Any] = {"enable_external_access": False, "lock_configuration": True}
    with duckdb.connect(str(_file_of(address, root)), read_only=True, config=config) as other:
        yield ArrowStream(other.sql(query))


def _fingerprint(
    connection: DuckDBPyConnection, table: str, columns: Mapping[str, str], query: str
) -> str:
    """Of the query and of what it gave: a database tells no time of change."""
    listed = ", ".join(quote_name(c) for c in columns)
    row = connection.execute(
        f"SELECT count(*), bit_xor(hash(rowid, {listed})) FROM {table}"
    ).fetchone()
    return hashlib.sha256(repr((query, dict(columns), row)).encode()).hexdigest()[:32]
