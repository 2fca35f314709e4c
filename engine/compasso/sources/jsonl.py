"""JSON lines: one object a line. A broken line is skipped and named, never lost in silence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from compasso.sources.base import Source, UnreadableRow
from compasso.sources.files import find_files, quote_text, relative_names, typed_files
from compasso.sources.json import scan

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.spec import SourceSpec


def read(connection: DuckDBPyConnection, spec: SourceSpec, root: Path) -> Source:
    """A JSON-lines source. Raises CompassoError when a file is missing or holds no objects."""

    def unreadable() -> list[UnreadableRow]:
        paths = find_files(spec, root)
        found = []
        for path, name in zip(paths, relative_names(paths, root), strict=True):
            lines = (
                f"read_csv({quote_text(str(path))}, columns={{'line': 'VARCHAR'}}, "
                "auto_detect=false, header=false, delim='\\x01', quote='', escape='', "
                "max_line_size=16777216)"
            )
            rows = connection.execute(
                f"SELECT number FROM (SELECT line, row_number() OVER () AS number FROM {lines}) "
                "WHERE line IS NOT NULL AND NOT json_valid(line) ORDER BY number"
            ).fetchall()
            found += [UnreadableRow(name, row[0], "is not valid JSON") for row in rows]
        return found

    options = "format='newline_delimited', ignore_errors=true, maximum_object_size=16777216"
    return typed_files(
        connection, spec, root, lambda path: scan(connection, path, options), unreadable
    )
