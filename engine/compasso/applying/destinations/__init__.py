"""Where the rows of exports go. Each kind of destination is one file of this folder.

A kind is a module with `write(connection, place, loads, replace=…)`. It writes all loads or
nothing, and a load that it has written before takes its own place.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from compasso.applying.destinations.base import PIECE, CannotWrite, Load, Place

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Two exports of one plan may go into one DuckDB file, which one process may open once only.
_ONE_AT_A_TIME = threading.Lock()

__all__ = ["PIECE", "CannotWrite", "Load", "Place", "write_loads"]


def write_loads(
    connection: DuckDBPyConnection, place: Place, loads: Sequence[Load], *, replace: bool
) -> None:
    """Write the loads, all or none; with `replace` they are all that the place then holds.

    Raises CannotWrite with the reason.
    """
    module = importlib.import_module(f"{__name__}.{place.kind}")
    with _ONE_AT_A_TIME:
        module.write(connection, place, loads, replace=replace)
