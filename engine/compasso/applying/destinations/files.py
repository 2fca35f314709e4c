"""Files: a draft beside the old one, then a rename, so that a reader never sees a half."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compasso.applying.destinations.base import PIECE, CannotWrite, Load, Place, outputs
from compasso.mapping.quoting import quote_name, quote_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def write_files(
    connection: DuckDBPyConnection,
    place: Place,
    loads: Sequence[Load],
    *,
    replace: bool,
    options: str,
    scan: str,
) -> None:
    """Write each file anew with COPY `options`; `scan` is the function that reads an old one."""
    import duckdb

    drafts: list[tuple[Path, Path]] = []
    try:
        for name, tables in outputs(place.name, place.products, loads):
            path = place.file(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            select = _select(connection, path, name, tables, scan, place, replace=replace)
            draft = path.with_name(f".{path.name}.draft")
            drafts.append((draft, path))
            how = f"{options}, COMPRESSION gzip" if path.suffix == ".gz" else options
            connection.execute(f"COPY ({select}) TO {quote_text(str(draft))} ({how})")
            with draft.open("rb") as written:
                os.fsync(written.fileno())
        for draft, path in drafts:
            draft.replace(path)
    except (OSError, duckdb.Error) as error:
        said = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
        raise CannotWrite(f"{place.name} cannot be written: {said}") from error
    finally:
        for draft, _ in drafts:
            draft.unlink(missing_ok=True)


def _select(
    connection: DuckDBPyConnection,
    path: Path,
    name: str,
    tables: Sequence[tuple[str, str]],
    scan: str,
    place: Place,
    *,
    replace: bool,
) -> str:
    parts = []
    if replace:
        if path.exists() and not place.ours:
            raise CannotWrite(
                f"{name} is there already, and this export did not make it: move it away, or name "
                "another file under `into:`"
            )
        parts = [f"SELECT * FROM {table}" for _, table in tables]
        return " UNION ALL BY NAME ".join(parts)
    if path.exists():
        old = scan.format(quote_text(str(path)))
        known = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {old}").fetchall()]
        if PIECE not in known:
            raise CannotWrite(
                f"{name} is there already and has no column {PIECE}, so it was not made by an "
                "export: move it away, or name another file under `into:`"
            )
        gone = ", ".join(quote_text(piece) for piece, _ in tables)
        parts.append(f"SELECT * FROM {old} WHERE {quote_name(PIECE)} NOT IN ({gone})")
    parts += [
        f"SELECT *, {quote_text(piece)} AS {quote_name(PIECE)} FROM {table}"
        for piece, table in tables
    ]
    return " UNION ALL BY NAME ".join(parts)
