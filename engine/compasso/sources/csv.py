"""CSV files. Everything in them is text until a mapping casts it; an empty cell is ''."""

from __future__ import annotations

import codecs
import csv
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compasso.model import CompassoError, Diagnostic, Position
from compasso.sources.base import FILE, Source, UnreadableRow
from compasso.sources.files import (
    describe,
    file_error,
    find_files,
    fingerprint,
    has_settled,
    numbered,
    quote_name,
    quote_text,
    relative_names,
)
from compasso.temporary import working_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.spec import SourceSpec

_DELIMITERS = (",", ";", "\t", "|")
_MAX_LINE = 16 * 1024 * 1024
_HEADER_BYTES = 64 * 1024
# Four lines is the least that the engine takes, and its default of sixteen costs 256 MB each.
_BUFFER = 4 * _MAX_LINE


@dataclass(frozen=True, slots=True)
class _Dialect:
    delimiter: str | None
    quote: str
    escape: str
    header: bool
    names: tuple[str, ...]
    compression: str
    encoding: str
    null_text: tuple[str, ...]


def _dialect(spec: SourceSpec) -> _Dialect:
    options = spec.options
    quote = str(options.get("quote", '"'))
    return _Dialect(
        delimiter=str(options["delimiter"]) if options.get("delimiter") else None,
        quote=quote,
        escape=str(options.get("escape", quote)),
        header=bool(options.get("header", True)),
        names=_texts(options.get("columns")),
        compression=str(options.get("compression", "auto")),
        encoding=str(options.get("encoding", "utf-8")),
        null_text=_texts(options.get("null_text")),
    )


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else ()


def read(connection: DuckDBPyConnection, spec: SourceSpec, root: Path) -> Source:
    """A CSV source. Raises CompassoError: no file, no header, a doubled column, wrong encoding."""
    dialect = _dialect(spec)
    paths = find_files(spec, root)
    names = relative_names(paths, root)
    parts: list[_Part] = []
    read_from: dict[str, str] = {}
    for index, (path, name) in enumerate(zip(paths, names, strict=True)):
        readable = _as_utf8(path, name, dialect)
        read_from[str(readable)] = name
        part = _select(connection, readable, name, dialect)
        parts.append(_Part(numbered(part.select, index), part.columns))
    relation = " UNION ALL BY NAME ".join(part.select for part in parts)
    return Source(
        relation,
        _columns(connection, relation, parts, dialect),
        names,
        fingerprint(paths),
        lambda: _unreadable(connection, read_from),
        settled=has_settled(paths),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One file: its SELECT, and the columns that its header names."""

    select: str
    columns: list[str]


def _columns(
    connection: DuckDBPyConnection, relation: str, parts: list[_Part], dialect: _Dialect
) -> dict[str, str]:
    """The columns with their types. All are text; the engine is asked only what else it knows:
    whether it takes unusual options, and what several headers give together."""
    usual = dialect.quote == dialect.escape == '"' and not dialect.null_text
    if len(parts) == 1 and usual and dialect.delimiter in {None, *_DELIMITERS}:
        return {name: "VARCHAR" for name in parts[0].columns if name != FILE}
    return {k: v for k, v in describe(connection, relation).items() if k != FILE}


def _select(connection: DuckDBPyConnection, path: Path, name: str, dialect: _Dialect) -> _Part:
    first = _plain_first_line(path, dialect) or _first_line(connection, path, name, dialect)
    delimiter = dialect.delimiter or _guess_delimiter(first, dialect.quote)
    columns = _column_names(first, delimiter, name, dialect)
    types = ", ".join(f"{quote_name(column)}: 'VARCHAR'" for column in columns)
    options = [
        f"columns={{{types}}}",
        "auto_detect=false",
        f"header={str(dialect.header).lower()}",
        f"delim={quote_text(delimiter)}",
        f"quote={quote_text(dialect.quote)}",
        f"escape={quote_text(dialect.escape)}",
        f"compression={quote_text(dialect.compression)}",
        "store_rejects=true",
        "rejects_limit=0",
        f"max_line_size={_MAX_LINE}",
        f"buffer_size={_BUFFER}",
    ]
    if dialect.null_text:
        options.append(f"nullstr=[{', '.join(map(quote_text, dialect.null_text))}]")
    else:
        options.append(f"force_not_null=[{', '.join(map(quote_text, columns))}]")
    select = f"SELECT * FROM read_csv({quote_text(str(path))}, {', '.join(options)})"
    return _Part(select, columns)


def _plain_first_line(path: Path, dialect: _Dialect) -> str | None:
    """The header line of a plain file, which needs no engine to be seen; None: ask the engine."""
    compressed = path.name.lower().endswith((".gz", ".zst")) and dialect.compression == "auto"
    if compressed or dialect.compression not in {"auto", "none"}:
        return None
    try:
        with path.open("rb") as file:
            line, end, _ = file.read(_HEADER_BYTES).partition(b"\n")
        text = line.removesuffix(b"\r").decode()
    except (OSError, UnicodeDecodeError):
        return None
    if not end or any(ord(c) < 32 and c != "\t" for c in text):
        return None
    return text.removeprefix("\ufeff").removeprefix("\ufeff")  # as often as the engine and we do


def _first_line(connection: DuckDBPyConnection, path: Path, name: str, dialect: _Dialect) -> str:
    """The header line. The engine reads it, since it knows every compression."""
    import duckdb

    if path.stat().st_size == 0:
        raise _header_error(name, "the file is empty", "it needs at least a header line")
    query = (
        f"SELECT line FROM read_csv({quote_text(str(path))}, columns={{'line': 'VARCHAR'}}, "
        "auto_detect=false, header=false, delim='\\x01', quote='', escape='', "
        f"compression={quote_text(dialect.compression)}, ignore_errors=true, "
        # A cell may hold line ends of another kind than the lines have.
        f"strict_mode=false, max_line_size={_MAX_LINE}, buffer_size={_BUFFER}) WHERE line IS NOT NULL LIMIT 1"
    )
    try:
        row = connection.execute(query).fetchone()
    except duckdb.Error as error:
        raise file_error(name, error) from error
    if row is None:
        raise _header_error(
            name,
            "the file has no readable header line",
            "it may be empty or in another encoding: say `encoding: latin-1` in the source",
        )
    line: str = row[0]
    return line.removeprefix("\ufeff")


def _guess_delimiter(line: str, quote: str) -> str:
    """The delimiter that stands most often outside quotes in the header; a comma if none does."""
    outside = "".join(line.split(quote)[::2]) if quote else line
    counts = Counter({d: outside.count(d) for d in _DELIMITERS})
    best, count = max(counts.items(), key=lambda item: item[1])
    return best if count else ","


def _column_names(line: str, delimiter: str, name: str, dialect: _Dialect) -> list[str]:
    cells = next(csv.reader([line], delimiter=delimiter, quotechar=dialect.quote or None))
    if not dialect.header:
        given = list(dialect.names) or [f"column{i}" for i in range(1, len(cells) + 1)]
        return _distinct(given, name)
    found = [cell.strip() or f"column{i}" for i, cell in enumerate(cells, 1)]
    return _distinct(list(dialect.names) or found, name)


def _distinct(columns: list[str], name: str) -> list[str]:
    # The engine's names ignore case, so Email and email would be one column.
    seen: dict[str, str] = {}
    for column in columns:
        if column.lower() in seen:
            raise _header_error(
                name,
                f"the header has the column {column!r} twice",
                "rename one of them in the file, or give names with `columns:` in the source",
            )
        seen[column.lower()] = column
    return columns


def _header_error(name: str, message: str, hint: str) -> CompassoError:
    return CompassoError(
        Diagnostic(message=f"{name}: {message}", position=Position(Path(name), 1, 1), hint=hint)
    )


def _as_utf8(path: Path, name: str, dialect: _Dialect) -> Path:
    """The file itself when it is UTF-8, else a copy that is. The copy goes with the process."""
    try:
        codec = codecs.lookup(dialect.encoding)
    except LookupError:
        raise CompassoError.say(
            f"there is no encoding called {dialect.encoding!r}",
            "common ones: utf-8, latin-1, cp1252, utf-16",
        ) from None
    if codec.name in {"utf-8", "ascii", "utf-8-sig"}:
        return path
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=working_folder()))
    copy = folder / path.name
    try:
        with (
            path.open(encoding=codec.name, newline="") as source,
            copy.open("w", encoding="utf-8", newline="") as target,
        ):
            while chunk := source.read(1 << 20):
                target.write(chunk)
    except UnicodeError as error:
        raise _header_error(
            name, f"the file is not {dialect.encoding}: {error}", "correct `encoding:`"
        ) from error
    return copy


_REASONS = {
    "MISSING COLUMNS": "has fewer cells than the header",
    "TOO MANY COLUMNS": "has more cells than the header",
    "UNQUOTED VALUE": "has a quote that is not closed, or text after a closing quote",
    "LINE SIZE OVER MAXIMUM": "is longer than 16 MB",
    "INVALID ENCODING": "is not valid UTF-8",
    "INVALID STATE": "is not valid CSV",
}


def _unreadable(connection: DuckDBPyConnection, read_from: dict[str, str]) -> list[UnreadableRow]:
    import duckdb

    try:
        rows = connection.execute(
            "SELECT DISTINCT file_path, line, min(error_type::VARCHAR) FROM reject_errors "
            "JOIN reject_scans USING (scan_id, file_id) GROUP BY ALL ORDER BY 1, 2"
        ).fetchall()
    except duckdb.CatalogException:  # nothing was read yet
        return []
    return [
        UnreadableRow(read_from[path], line, _REASONS.get(kind, "cannot be read"))
        for path, line, kind in rows
        if path in read_from
    ]
