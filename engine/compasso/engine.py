"""One DuckDB instance for the process. To start one takes 20 ms, and a cursor of it nothing.

State files are attached to it for as long as they are in use: a process that reads one value
from each of a hundred state files would else spend two seconds on starting databases.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from compasso.temporary import working_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def default_memory() -> str:
    """A quarter of the machine, but no more than 1 GB: more hardly helps, the rest spills."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{min(1000, machine // 4_000_000)}MB"


class _Engine:
    def __init__(self) -> None:
        import duckdb

        self.process = os.getpid()
        self.root = duckdb.connect()
        self.root.execute("SET enable_progress_bar = false")
        self.root.execute(f"SET memory_limit = '{default_memory()}'")
        spill = str(working_folder() / "spill").replace("'", "''")
        self.root.execute(f"SET temp_directory = '{spill}'")
        self.attached: dict[Path, tuple[str, int]] = {}  # alias, how many use it; read-only ones
        self.made = 0
        self.lock = threading.Lock()

    def attach(self, path: Path, *, read_only: bool) -> str:
        with self.lock:
            alias, users = self.attached.get(path, ("", 0)) if read_only else ("", 0)
            if not alias:
                self.made += 1
                alias = f"file_{self.made}"
                name = str(path).replace("'", "''")
                mode = " (READ_ONLY)" if read_only else ""
                self.root.execute(f"ATTACH '{name}' AS {alias}{mode}")
            if read_only:
                self.attached[path] = (alias, users + 1)
            return alias

    def detach(self, path: Path, alias: str, *, read_only: bool) -> None:
        with self.lock:
            if read_only:
                users = self.attached[path][1] - 1
                if users:
                    self.attached[path] = (alias, users)
                    return
                del self.attached[path]
            self.root.execute(f"DETACH {alias}")


_engine: _Engine | None = None
_starting = threading.Lock()


def _running() -> _Engine:
    global _engine  # noqa: PLW0603 - the one instance of the process
    with _starting:
        # After a fork the threads of the old instance are gone: a child starts its own.
        if _engine is None or _engine.process != os.getpid():
            _engine = _Engine()
        return _engine


@contextmanager
def cursor() -> Iterator[DuckDBPyConnection]:
    """A connection of its own, with temporary tables of its own."""
    connection = _running().root.cursor()
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def attached(path: Path, *, read_only: bool = False) -> Iterator[str]:
    """The name under which all cursors see a DuckDB file, until the block ends.

    Raises duckdb.Error: the file is in use, or is none of DuckDB's.
    """
    engine = _running()
    alias = engine.attach(path, read_only=read_only)
    try:
        yield alias
    finally:
        engine.detach(path, alias, read_only=read_only)


def copy_database(source: Path, target: Path) -> None:
    """Copy what a DuckDB file holds into a new file, without what was deleted in it."""
    with attached(source) as old, attached(target) as new, cursor() as connection:
        connection.execute(f"COPY FROM DATABASE {old} TO {new}")
        connection.execute(f"CHECKPOINT {new}")


@contextmanager
def open_file(path: Path, *, read_only: bool = False) -> Iterator[DuckDBPyConnection]:
    """A connection whose tables are those of a DuckDB file, until the block ends.

    Raises duckdb.Error: the file is another process's, or is none of DuckDB's.
    """
    with attached(path, read_only=read_only) as alias, cursor() as connection:
        connection.execute(f"USE {alias}")
        yield connection  # closing it rolls back what was not committed
