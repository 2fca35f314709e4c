"""The changes that a commit tells of, out of a plan's Parquet file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compasso.state.base import Commit

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def select_changes(connection: DuckDBPyConnection, commit: Commit) -> None:
    """The changes of a commit as the temporary table `committed`, those that failed as `failed`."""
    connection.execute("CREATE OR REPLACE TEMP TABLE failed(change_id BIGINT, reason VARCHAR)")
    if commit.failures:
        connection.execute(
            "INSERT INTO failed SELECT unnest($ids), unnest($reasons)",
            {
                "ids": list(commit.failures.keys()),
                "reasons": list(commit.failures.values()),
            },
        )
    only = ""
    names: dict[str, object] = {
        "file": str(commit.changes),
        "sync": commit.sync,
        "first": commit.first,
        "last": commit.last,
    }
    if commit.only is not None:
        only = "AND list_contains($only::BIGINT[], change_id)"
        if len(commit.only) > 1000:
            connection.execute(
                "CREATE OR REPLACE TEMP TABLE chosen AS SELECT unnest($only) AS change_id",
                {"only": sorted(commit.only)},
            )
            only = "AND change_id IN (SELECT change_id FROM chosen)"
        else:
            names["only"] = sorted(commit.only)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE committed AS "
        "SELECT change_id, operation, key, fields, field_hashes, form, row_hash_high, row_hash_low, source_high, "
        "source_low, basis, carry FROM read_parquet($file) WHERE sync = $sync AND change_id BETWEEN $first AND $last "
        + only,
        names,
    )
