"""Where rows come from. Each kind of source is one file of this folder.

A kind is a module with `read(connection, spec, root) -> Source`. Other packages add theirs by
an entry point in the group `compasso.sources`, whose value is such a function.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from compasso.model import CompassoError
from compasso.sources.base import Reader, Source, UnreadableRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.spec import SourceSpec

__all__ = ["Source", "UnreadableRow", "open_source", "source_kinds"]


_NOT_KINDS = {"base", "databases", "files"}


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
