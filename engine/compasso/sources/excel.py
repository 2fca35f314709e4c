"""Excel workbooks (xlsx, xls, xlsb) and OpenDocument sheets.

Every cell is read as the text that it shows without its format, as a CSV file would hold it:
a column of a sheet may mix numbers and words. Dates become ISO 8601.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from compasso.model import CompassoError
from compasso.sources.base import FILE, ROW, Source
from compasso.sources.files import (
    describe,
    file_error,
    find_files,
    fingerprint,
    quote_name,
    relative_names,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.spec import SourceSpec


def read(connection: DuckDBPyConnection, spec: SourceSpec, root: Path) -> Source:
    """A sheet of one or more workbooks. Options: `sheet` (name; default: the first) and
    `header_row` (from 1). Raises CompassoError: no such file or sheet, no header."""
    paths = find_files(spec, root)
    names = relative_names(paths, root)
    parts = []
    for index, (path, name) in enumerate(zip(paths, names, strict=True)):
        table = "excel_" + hashlib.sha256(f"{path}\0{spec.options}".encode()).hexdigest()[:16]
        _load(connection, path, name, spec, table)
        parts.append(f"SELECT *, {index} AS {FILE}, rowid + 1 AS {ROW} FROM {table}")
    relation = " UNION ALL BY NAME ".join(parts)
    columns = {k: v for k, v in describe(connection, relation).items() if k not in {FILE, ROW}}
    return Source(relation, columns, names, fingerprint(paths), list, numbered=True)


def _load(
    connection: DuckDBPyConnection, path: Path, name: str, spec: SourceSpec, table: str
) -> None:
    try:
        import fastexcel
    except ImportError as error:
        raise CompassoError.say(
            "excel sources need a reader", "install it with: pip install 'compasso[excel]'"
        ) from error
    try:
        book = fastexcel.read_excel(path)
    except fastexcel.FastExcelError as error:
        raise file_error(name, error) from error
    sheet = str(spec.options.get("sheet") or (book.sheet_names or [""])[0])
    if sheet not in book.sheet_names:
        raise CompassoError.say(
            f"{name} has no sheet {sheet!r}", f"its sheets: {', '.join(book.sheet_names)}"
        )
    header = int(str(spec.options.get("header_row", 1))) - 1
    try:
        found = book.load_sheet(sheet, header_row=header, dtypes="string")
    except fastexcel.FastExcelError as error:
        raise file_error(name, error) from error
    connection.register("incoming", found)
    try:
        listed = ", ".join(quote_name(c) for c in describe(connection, "SELECT * FROM incoming"))
        if not listed:
            raise CompassoError.say(f"{name}: the sheet {sheet} is empty", "it needs a header row")
        # A line without any value is no row: sheets have many of them at their end.
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT * FROM incoming "
            f"WHERE coalesce({listed}) IS NOT NULL"
        )
    finally:
        connection.unregister("incoming")
