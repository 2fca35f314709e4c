"""Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from compasso.applying.destinations.base import Load, Place
from compasso.applying.destinations.files import write_files

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def write(
    connection: DuckDBPyConnection, place: Place, loads: Sequence[Load], *, replace: bool
) -> None:
    """Write the file. Raises CannotWrite."""
    write_files(
        connection,
        place,
        loads,
        replace=replace,
        options="FORMAT parquet, COMPRESSION zstd",
        scan="read_parquet({})",
    )
