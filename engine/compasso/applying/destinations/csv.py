"""CSV files, plain or .csv.gz."""

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
        options="FORMAT csv, HEADER, DELIMITER ',', QUOTE '\"', ESCAPE '\"'",
        scan="read_csv({}, header=true, all_varchar=true, delim=',', quote='\"', escape='\"')",
    )
