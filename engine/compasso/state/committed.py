"""A commit in SQL: the changes that it tells of, out of a plan's Parquet file, into the records.

Every statement takes a part of a millisecond, however little there is to do, so there are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compasso.state.base import Commit, Form

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Known:
    """A state file at a glance: its named values, and whether it has records and failures."""

    meta: Mapping[str, str]
    records: bool
    failures: bool


def look(connection: DuckDBPyConnection) -> Known:
    """What a state file holds, by one statement."""
    rows = connection.execute(
        "SELECT name, value FROM meta UNION ALL "
        "SELECT 'records', NULL WHERE EXISTS (FROM records) UNION ALL "
        "SELECT 'failures', NULL WHERE EXISTS (FROM failures)"
    ).fetchall()
    there = {name for name, value in rows if value is None}
    meta = {name: value for name, value in rows if value is not None}
    return Known(meta, "records" in there, "failures" in there)


def select_changes(connection: DuckDBPyConnection, commit: Commit, number: str) -> None:
    """The changes of a commit as the temporary table `changed`, beside what the records hold of
    them now; those that failed as `failed`. `number` is the SQL of a key's hash."""
    names: dict[str, object] = {
        "file": str(commit.changes),
        "sync": commit.sync,
        "first": commit.first,
        "last": commit.last,
    }
    only, well = "", "true"
    if commit.failures:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE failed AS "
            "SELECT unnest($ids::BIGINT[]) AS change_id, unnest($reasons::VARCHAR[]) AS reason",
            {"ids": list(commit.failures.keys()), "reasons": list(commit.failures.values())},
        )
        well = "change_id NOT IN (SELECT change_id FROM failed)"
    if commit.only is not None and len(commit.only) > 1000:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE chosen AS SELECT unnest($only::BIGINT[]) AS change_id",
            {"only": sorted(commit.only)},
        )
        only = "AND change_id IN (SELECT change_id FROM chosen)"
    elif commit.only is not None:
        names["only"] = sorted(commit.only)
        only = "AND list_contains($only::BIGINT[], change_id)"
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE changed AS SELECT a.*, k.place, "
        # What is known already is found by the hash: it is compared faster than text.
        "CASE WHEN k.place IS NULL AND a.operation = 'update' AND a.carry IS NOT NULL "
        "THEN json_merge_patch(a.carry::JSON, a.fields::JSON)::VARCHAR "
        "WHEN k.place IS NULL THEN a.fields "
        "ELSE json_merge_patch(k.fields::JSON, a.fields::JSON)::VARCHAR END AS merged_fields "
        "FROM (SELECT change_id, operation, key, fields, field_hashes, form, row_hash_high, "
        f"row_hash_low, source_high, source_low, basis, carry, {number} AS key_hash, "
        f"{well} AS well FROM read_parquet($file) "
        f"WHERE sync = $sync AND change_id BETWEEN $first AND $last {only}) AS a "
        "LEFT JOIN (SELECT rowid AS place, key_hash, fields FROM records) AS k "
        "ON k.key_hash = a.key_hash",
        names,
    )


_FULL = "key, key_hash, row_hash_high, row_hash_low, merged_fields, NULL"
_HASHED = "{key}, key_hash, NULL, NULL, NULL, field_hashes"


def merge(
    connection: DuckDBPyConnection,
    form: Form | None,
    known: Known,
    names: Mapping[str, object],
    name: str,
) -> None:
    """Put the changes that went well into the records. `names` are the time and the run, `name`
    is the SQL of what stands for a key."""
    kept = _FULL
    if form is not None:
        kept = _HASHED.format(key="NULL" if form.keys == "hashed" else "key")
    if known.records:
        connection.execute(
            "DELETE FROM records WHERE rowid IN "
            "(SELECT place FROM changed WHERE well AND place IS NOT NULL)"
        )
    connection.execute(
        f"INSERT INTO records SELECT {kept}, $at, $run, source_high, source_low "
        "FROM changed WHERE well AND operation <> 'delete'",
        dict(names),
    )
    if known.failures:
        connection.execute(
            f"DELETE FROM failures WHERE key IN (SELECT {name} FROM changed WHERE well)"
        )
