"""What every source becomes: a SQL relation with the columns it has and a row number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.spec import SourceSpec

# The column that a relation has beside the source's own: the number of the file within the
# source, from 0.
FILE = "__file"
# The number of the row within its file, from 1, where reading gives it for nothing.
ROW = "__row"


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row of the source that could not be read at all. `line` counts from 1, header included."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Since:
    """Which rows a plan needs of a source with a cursor: those whose `column` has at least this
    value, as the SQL type `order` orders them, and those that have none or one of another form."""

    column: str
    order: str
    value: str


@dataclass(frozen=True)
class Source:
    """A source, ready to be queried.

    `relation` is a SELECT with the columns and FILE, in the order of the source. `columns`
    maps names to DuckDB types. `files` are the file names that FILE counts, relative to the project. `fingerprint`
    changes when the source may have changed. `unreadable` lists what was skipped; it is
    complete only after the whole relation was read.
    """

    relation: str
    columns: Mapping[str, str]
    files: tuple[str, ...]
    fingerprint: str
    unreadable: Callable[[], list[UnreadableRow]]
    # Whether the relation has the column ROW. If not, a row's number is its place in it.
    numbered: bool = False
    # Whether an equal fingerprint means equal rows, so that they need not be read again.
    settled: bool = False
    # Whether the rows are still those that were there when the source was opened; None: it may
    # be read only once.
    unchanged: Callable[[], bool] | None = None
    # Whether an unreadable line leaves an empty row in the relation (its number is the line's).
    keeps_unreadable: bool = False
    # Whether rows that a cursor leaves behind may be missing.
    narrowed: bool = False
    # What must live as long as the source does, such as a folder with a fetched file.
    held: object = field(default=None, repr=False, compare=False)


Reader: TypeAlias = "Callable[[DuckDBPyConnection, SourceSpec, Path], Source]"
NewerReader: TypeAlias = "Callable[[DuckDBPyConnection, SourceSpec, Path, Since], Source | None]"
