"""What the kinds of file have in common: globs, names, fingerprints, quoting."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compasso.mapping.quoting import quote_name, quote_text
from compasso.model import CompassoError, Diagnostic, Position
from compasso.sources.base import FILE, ROW, Source, UnreadableRow

__all__ = [
    "describe",
    "file_error",
    "find_files",
    "fingerprint",
    "has_settled",
    "numbered",
    "quote_name",
    "quote_text",
    "relative_names",
    "typed_files",
]

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.spec import SourceSpec


_SMALL = 1_000_000  # bytes; reading so much costs less than a millisecond
_SETTLING_SECONDS = 2.0


def find_files(spec: SourceSpec, root: Path) -> list[Path]:
    """The files a source names, in the order of their names. Raises CompassoError if none."""
    location = spec.location
    top = root.resolve()
    pattern = any(c in location for c in "*?[")
    paths = sorted(p for p in top.glob(location) if p.is_file()) if pattern else [top / location]
    for path in paths:
        if not path.resolve().is_relative_to(top):
            raise CompassoError.say(
                f"the source {location} leads out of the project", "keep data inside the project"
            )
        if path.is_dir():
            raise CompassoError.say(
                f"the source {location} is a folder", f"name its files: {location}/*.{spec.kind}"
            )
    missing = next((p for p in paths if not p.exists()), None)
    if missing is not None:
        raise CompassoError.say(f"the source file {location} does not exist", f"looked in {top}")
    if not paths:
        raise CompassoError.say(f"no file matches the source {location}", f"looked in {top}")
    return paths


def relative_names(paths: Sequence[Path], root: Path) -> tuple[str, ...]:
    """The files' names as the project's people know them."""
    return tuple(str(p.relative_to(root.resolve())) for p in paths)


def fingerprint(paths: Sequence[Path]) -> str:
    """A short text that changes when a file does.

    Of a file up to a megabyte it is of the content; of a larger one of its size, its inode and
    the times at which its content and the file itself were last changed (in nanoseconds: the
    second of them cannot be set back by a program).
    """
    digest = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        digest.update(f"{path.name}\0{stat.st_size}\0".encode())
        if stat.st_size <= _SMALL:
            digest.update(path.read_bytes())
        else:
            digest.update(f"{stat.st_ino} {stat.st_mtime_ns} {stat.st_ctime_ns}".encode())
    return digest.hexdigest()[:32]


def has_settled(paths: Sequence[Path]) -> bool:
    """Whether equal fingerprints mean equal rows.

    A large file that was written in the last seconds may be written again within what its
    clock can tell apart.
    """
    now = time.time()
    return all(
        s.st_size <= _SMALL or now - max(s.st_mtime, s.st_ctime) > _SETTLING_SECONDS
        for s in (path.stat() for path in paths)
    )


def file_error(name: str, error: Exception) -> CompassoError:
    """A file that the engine cannot open at all, in one line."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return CompassoError(
        Diagnostic(
            message=f"cannot read {name}: {first}",
            position=Position(Path(name), 1, 1),
            hint="check that the file is of the kind the spec says, and that it is complete",
        )
    )


def numbered(select: str, index: int) -> str:
    """A SELECT with the file's number beside its columns."""
    return f"SELECT *, {index} AS {FILE} FROM ({select})"


def describe(connection: DuckDBPyConnection, select: str) -> dict[str, str]:
    """The columns of a SELECT and their types, without reading its rows."""
    rows = connection.execute(f"DESCRIBE {select}").fetchall()
    return {row[0]: row[1] for row in rows}


def typed_files(
    connection: DuckDBPyConnection,
    spec: SourceSpec,
    root: Path,
    scan: Callable[[str], str],
    unreadable: Callable[[], list[UnreadableRow]] | None = None,
    row: str | None = None,
) -> Source:
    """A source of files that know their own types. `scan` makes the FROM of one file.

    `row` is the column that the scan adds for a row's number from 0, if it can.
    """
    import duckdb

    paths = find_files(spec, root)
    names = relative_names(paths, root)
    parts = []
    for index, (path, name) in enumerate(zip(paths, names, strict=True)):
        try:
            rest = f"* EXCLUDE ({row}), {row} + 1 AS {ROW}" if row else "*"
            select = f"SELECT {rest} FROM {scan(quote_text(str(path)))}"
            describe(connection, select)
        except duckdb.Error as error:
            raise file_error(name, error) from error
        parts.append(numbered(select, index))
    relation = " UNION ALL BY NAME ".join(parts)
    columns = {k: v for k, v in describe(connection, relation).items() if k not in {FILE, ROW}}
    opened = fingerprint(paths)
    return Source(
        relation,
        columns,
        names,
        opened,
        unreadable or list,
        numbered=row is not None,
        keeps_unreadable=unreadable is not None,
        settled=has_settled(paths),
        unchanged=lambda: all(path.exists() for path in paths) and fingerprint(paths) == opened,
    )
