"""Parquet files, read where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from compasso.sources.base import Source
from compasso.sources.files import typed_files

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.spec import SourceSpec


def read(connection: DuckDBPyConnection, spec: SourceSpec, root: Path) -> Source:
    """A Parquet source. Raises CompassoError when a file is missing or is not Parquet."""
    return typed_files(
        connection,
        spec,
        root,
        lambda path: f"read_parquet({path}, file_row_number=true)",
        row="file_row_number",
    )
