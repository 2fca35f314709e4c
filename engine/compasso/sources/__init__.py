"""Where rows come from. Each kind of source is one file of this folder.

A kind is a module with `read(connection, spec, root) -> Source`. Other packages add theirs by
an entry point in the group `compasso.sources`, whose value is such a function. A kind that can
ask for the rows beyond a cursor alone has `read_newer(connection, spec, root, since)` too.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from compasso.model import CompassoError
from compasso.sources.base import NewerReader, Reader, Since, Source, UnreadableRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.spec import SourceSpec

__all__ = ["Since", "Source", "UnreadableRow", "open_newer", "open_source", "source_kinds"]


_NOT_KINDS = {"base", "databases", "files", "narrowing"}


@cache
def _added() -> dict[str, EntryPoint]:
    """What other installed packages add. To look costs 10 ms, so it is done once."""
    return {entry.name: entry for entry in entry_points(group="compasso.sources")}


def source_kinds() -> tuple[str, ...]:
    """The kinds of source that this installation can read."""
    built_in = {m.name for m in pkgutil.iter_modules(__path__)} - _NOT_KINDS
    return tuple(sorted(built_in | set(_added())))


def open_source(connection: DuckDBPyConnection, spec: SourceSpec, root: Path) -> Source:
    """Make the source ready to be queried. Raises CompassoError (no file, no header…)."""
    return _reader(spec.kind)(connection, spec, root)


def open_newer(
    connection: DuckDBPyConnection, spec: SourceSpec, root: Path, since: Since
) -> Source | None:
    """As `open_source`, with only the rows beyond a cursor, and perhaps some more. None: this
    source gives all its rows or none."""
    if spec.kind in _added():
        return None
    module = importlib.import_module(f"{__name__}.{spec.kind}")
    reader: NewerReader | None = getattr(module, "read_newer", None)
    return None if reader is None else reader(connection, spec, root, since)


def _reader(kind: str) -> Reader:
    if kind in _added():
        reader: Reader = _added()[kind].load()
        return reader
    if kind not in source_kinds():
        raise CompassoError.say(
            f"this version cannot read {kind!r} sources",
            f"it reads: {', '.join(source_kinds())}",
        )
    module = importlib.import_module(f"{__name__}.{kind}")
    built_in: Reader = module.read
    return built_in
