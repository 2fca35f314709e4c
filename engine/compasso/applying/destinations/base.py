"""What all destinations have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# The column that says which piece a row came with. It is also the mark of what Compasso made.
PIECE = "compasso_piece"


class CannotWrite(Exception):  # noqa: N818 - what happened
    """A destination does not take rows, for this reason. It is as it was before."""


@dataclass(frozen=True, slots=True)
class Place:
    """A destination with all that is needed to reach it.

    `name` is the file (csv, parquet, duckdb) relative to the project, or the connection (sql).
    """

    kind: str
    name: str
    root: Path
    table: str | None = None
    products: str | None = None
    address: str | None = None  # of a database: a secret
    ours: bool = False  # whether a file that is there was made by this export

    def file(self, name: str) -> Path:
        """A file of the project. Raises CannotWrite when a link leads out of it."""
        path = self.root / name
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise CannotWrite(f"{name} leads out of the project")
        return path


@dataclass(frozen=True, slots=True)
class Load:
    """The rows of one piece: tables of the connection, `products` only where there are any."""

    piece: str
    rows: str
    products: str | None = None


def outputs(
    name: str, products: str | None, loads: Sequence[Load]
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each file or table with the pieces and tables that go into it."""
    yield name, [(load.piece, load.rows) for load in loads]
    if products is not None:
        yield products, [(load.piece, load.products) for load in loads if load.products]


def columns_of(connection: DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Names and types of a relation's columns."""
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE {relation}").fetchall()}
