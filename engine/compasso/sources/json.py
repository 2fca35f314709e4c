"""A JSON file that holds one list of objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from compasso.sources.base import Source
from compasso.sources.files import describe, quote_name, quote_text, typed_files

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.spec import SourceSpec

# JSON has no dates: a text that looks like one stays the text that the file holds.
_STAYS_TEXT = {"DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "UUID"}


def scan(connection: DuckDBPyConnection, path: str, options: str) -> str:
    """The FROM that reads one JSON file, with the types that JSON itself has."""
    auto = f"read_json({path}, {options}, sample_size=-1)"
    types = describe(connection, f"SELECT * FROM {auto}")
    columns = ", ".join(
        f"{quote_name(name)}: {quote_text('VARCHAR' if kind in _STAYS_TEXT else kind)}"
        for name, kind in types.items()
    )
    return f"read_json({path}, {options}, columns={{{columns}}})"


def read(connection: DuckDBPyConnection, spec: SourceSpec, root: Path) -> Source:
    """A source of JSON lists. Raises CompassoError when a file is missing or is not JSON."""
    return typed_files(
        connection, spec, root, lambda path: scan(connection, path, "format='array'")
    )
