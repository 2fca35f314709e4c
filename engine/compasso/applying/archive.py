"""The file of an export: a ZIP with CSV files in it (documented, D10), which is not trusted.

No name of the archive ever becomes a path, and nothing is unpacked that is far larger than a
CSV could be.
"""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compasso.mapping.quoting import quote_name, quote_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_FILES = 50
MOST_BYTES = 20 * 1024**3
# CSV packs ten to thirty times; a bomb a thousand times. Small files may pack better.
_MOST_RATIO = 200
_SMALL = 50 * 1024**2
_MAX_LINE = 64 * 1024 * 1024
_PRODUCTS = "-products.csv"  # the end of the name of an activities export's second file


class BadFile(Exception):  # noqa: N818 - what it is
    """An export's file cannot be taken, for this reason."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The CSV files of an export; `products` are the second files of an activities export."""

    main: tuple[Path, ...]
    products: tuple[Path, ...]


def unpack(archive: Path, folder: Path) -> Unpacked:
    """Unpack the CSV files into the folder. Raises BadFile."""
    main: list[Path] = []
    products: list[Path] = []
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [e for e in opened.infolist() if not e.is_dir()]
            _check(entries, archive, folder)
            for number, entry in enumerate(entries):
                if not entry.filename.lower().endswith(".csv"):
                    continue
                path = folder / f"{number}.csv"
                _copy(opened, entry, path)
                second = entry.filename.lower().endswith(_PRODUCTS)
                (products if second else main).append(path)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise BadFile(f"the export's file is no ZIP file that can be read: {error}") from error
    if not main:
        raise BadFile("the export's ZIP file has no CSV file in it")
    return Unpacked(tuple(main), tuple(products))


def _check(entries: Sequence[zipfile.ZipInfo], archive: Path, folder: Path) -> None:
    total = sum(e.file_size for e in entries)
    packed = archive.stat().st_size
    if len(entries) > MOST_FILES:
        raise BadFile(f"the export's ZIP file has {len(entries):,} files in it")
    if total > MOST_BYTES or (total > _SMALL and total > _MOST_RATIO * packed):
        raise BadFile(
            f"the export's ZIP file of {packed:,} bytes would unpack to {total:,} bytes: that is "
            "no export"
        )
    if total > shutil.disk_usage(folder).free:
        raise BadFile(f"there is no room on the disk for the export's {total:,} bytes")


def _copy(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """Unpack one file, and never more than it says that it holds."""
    left = entry.file_size
    with opened.open(entry) as source, path.open("wb") as target:
        while chunk := source.read(1 << 20):
            left -= len(chunk)
            if left < 0:
                raise BadFile("the export's ZIP file holds more than it says")
            target.write(chunk)


def read_rows(
    connection: DuckDBPyConnection,
    table: str,
    files: Sequence[Path],
    columns: Mapping[str, Mapping[str, Any]],
) -> int:
    """The rows of CSV files of one header as a table; answers how many there are.

    All values are text and an empty one is NULL, unless `columns` names what is wanted:
    destination's column to {header, type}. Raises BadFile: another header, a line that cannot
    be read, a value that is not of its type.
    """
    import duckdb

    headers = [_header(file) for file in files]
    header = headers[0]
    if any(other != header for other in headers):
        raise BadFile("the export's CSV files have different headers")
    listed = ", ".join(f"{quote_name(name)}: 'VARCHAR'" for name in header)
    paths = ", ".join(quote_text(str(file)) for file in files)
    scan = (
        f"read_csv([{paths}], columns={{{listed}}}, auto_detect=false, header=true, delim=',', "
        f"quote='\"', escape='\"', null_padding=false, max_line_size={_MAX_LINE})"
    )
    wanted = columns or {name: {"header": name, "type": "text"} for name in header}
    missing = sorted({str(c["header"]) for c in wanted.values()} - set(header))
    if missing:
        raise BadFile(
            f"the export's file has no column {', '.join(missing)}; it has: {', '.join(header)}. "
            "Change `columns:` in the spec"
        )
    cells = [f"{_typed(c)} AS {quote_name(name)}" for name, c in wanted.items()]
    raw = f"{table}_raw"
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {raw} AS SELECT * FROM {scan}")
    except duckdb.Error as error:
        first = str(error).strip().splitlines()[0]
        raise BadFile(f"a line of the export's file cannot be read: {first}") from error
    _check_types(connection, raw, wanted)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {', '.join(cells)} FROM {raw}"
    )
    connection.execute(f"DROP TABLE {raw}")
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0


def _header(file: Path) -> list[str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            names = next(csv.reader(text), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"the export's file is not CSV in UTF-8: {error}") from error
    folded = [name.strip().lower() for name in names]
    if not names or not all(folded) or len(set(folded)) < len(folded):
        raise BadFile("the export's file has no header, or a column without a name, or one twice")
    return [name.strip() for name in names]


def _typed(column: Mapping[str, Any]) -> str:
    text = f"nullif({quote_name(str(column['header']))}, '')"
    return {
        "integer": f"TRY_CAST({text} AS BIGINT)",
        "decimal": f"TRY_CAST({text} AS DOUBLE)",
        "boolean": f"TRY_CAST({text} AS BOOLEAN)",
        "date": f"TRY_CAST(TRY_CAST({text} AS TIMESTAMP) AS DATE)",
        "timestamp": f"TRY_CAST({text} AS TIMESTAMP)",
    }.get(str(column["type"]), text)


def _check_types(
    connection: DuckDBPyConnection, raw: str, wanted: Mapping[str, Mapping[str, Any]]
) -> None:
    for name, column in wanted.items():
        if column["type"] == "text":
            continue
        text = f"nullif({quote_name(str(column['header']))}, '')"
        row = connection.execute(
            f"SELECT count(*), min(rowid) + 1 FROM {raw} "
            f"WHERE {text} IS NOT NULL AND {_typed(column)} IS NULL"
        ).fetchone()
        if row and row[0]:
            raise BadFile(
                f"{row[0]:,} values of the column {name} are not of the type {column['type']}, "
                f"the first in row {row[1]}. Change `columns:` in the spec"
            )
