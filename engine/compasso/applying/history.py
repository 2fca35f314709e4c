"""What came of each record, run by run: "what happened to this contact on Tuesday?"

Beside the journal, which only says what is open, each commit writes a small Parquet file with
one row a record: time, operation, route, fields (their names, not their values), outcome,
status, import, reason. At the end of a run its files become one, ordered by key, so that one
key is found among millions of rows without reading them all. Anyone can query them:

    duckdb -c "SELECT * FROM '.compasso/default/runs/**/*.parquet' WHERE key = 'ana@x.es'"
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compasso.engine import cursor
from compasso.mapping.quoting import quote_text
from compasso.state import State
from compasso.state.hashing import hashed_name

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.planning import Plan

FOLDER = "runs"
_LOOKS = 4
_MOST_PARTS = 64  # files of a run under way, before they become one
_COLUMNS = (
    "time, run_id, sync, target, key, operation, route, fields, outcome, status, import_id, reason, "
    "plan_id, change_id"
)


@dataclass(frozen=True, slots=True)
class Event:
    """What one run did with one record."""

    at: datetime
    run_id: str
    sync: str
    target: str
    key: str
    operation: str
    route: str
    fields: tuple[str, ...]
    outcome: str
    status: int | None
    import_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """The outcomes that one commit tells of: of the changes first..last, or of these alone.

    Those that `outcomes` does not name were applied, at the time `at`.
    """

    sync: str
    target: str
    route: str
    run_id: str
    at: datetime
    first: int
    last: int
    only: Sequence[int] | None = None
    # change id: (outcome, HTTP status, reason, time, run)
    outcomes: Mapping[int, tuple[str, int | None, str | None, str | None, str | None]] | None = None
    import_id: str | None = None


# The API's reason may repeat what it refuses: the key and addresses are taken out.
_CLEAN = (
    "regexp_replace(replace(t.reason, c.key, '***'), '[^\\s\"''<>@]+@[^\\s\"''<>@]+', '***', 'g')"
)


def remember(state: State, plan: Plan, told: Told) -> None:
    """Write the outcomes of a commit. Told twice (after a kill), they are still there once.

    Keys rest as the state keeps them: hashed, if it does so.
    """
    folder = state.directory / FOLDER / told.run_id
    form = state.form(told.sync)
    hidden = form is not None and form.keys == "hashed"
    name = hashed_name("c.key", state.lineage) if hidden else "c.key"
    reason = "t.reason" if form is None else _CLEAN
    folder.mkdir(parents=True, exist_ok=True)
    count = len(told.only) if told.only is not None else told.last - told.first + 1
    file = folder / f"{plan.plan_id[:12]}-{told.first}-{told.last}-{count}.parquet"
    outcomes = told.outcomes or {}
    columns = list(zip(*outcomes.values(), strict=True)) or [()] * 5
    with cursor() as connection:
        where = "c.change_id BETWEEN $first AND $last"
        if told.only is not None:
            where += " AND t.change_id IS NOT NULL"
        select = (
            "SELECT coalesce(t.time::TIMESTAMPTZ, $time::TIMESTAMPTZ) AS time, "
            "coalesce(t.run_id, $run) AS run_id, c.sync, $target AS target, "
            f"{name} AS key, "
            "c.operation, $route AS route, json_keys(c.fields) AS fields, "
            "coalesce(t.outcome, 'applied') AS outcome, t.status, "
            f"$import::VARCHAR AS import_id, {reason} AS reason, "
            "$plan AS plan_id, c.change_id "
            f"FROM read_parquet({quote_text(str(plan.changes_file))}) AS c "
            "LEFT JOIN (SELECT unnest($ids::BIGINT[]) AS change_id, unnest($a::VARCHAR[]) AS outcome, "
            "unnest($b::INTEGER[]) AS status, unnest($c::VARCHAR[]) AS reason, "
            "unnest($d::VARCHAR[]) AS time, unnest($e::VARCHAR[]) AS run_id) AS t "
            f"ON t.change_id = c.change_id WHERE {where} ORDER BY key"
        )
        _write(
            connection,
            select,
            file,
            {
                "time": told.at.isoformat(), "run": told.run_id, "target": told.target,
                "route": told.route, "import": told.import_id, "plan": plan.plan_id,
                "first": told.first, "last": told.last, "ids": list(outcomes),
                **dict(zip("abcde", map(list, columns), strict=True)),
            },
        )  # fmt: skip
    if sum(1 for _ in folder.glob("*.parquet")) > _MOST_PARTS:
        close_run(state.directory, told.run_id)


def close_run(directory: Path, run_id: str) -> None:
    """Make one file, ordered by key, of the files of a run that has ended."""
    folder = directory / FOLDER / run_id
    if not folder.is_dir():
        return
    whole = folder.with_suffix(".parquet")
    files = [*folder.glob("*.parquet"), *([whole] if whole.exists() else [])]
    if len(files) == 1:
        files[0].replace(whole)  # it is in order already
    elif files:
        merge_files(files, whole)
    shutil.rmtree(folder)


def merge_files(files: Sequence[Path], whole: Path) -> None:
    """Make one file, ordered by key, of several. Killed meanwhile, no row is lost or told twice."""
    listed = ", ".join(quote_text(str(file)) for file in files)
    select = (
        f"SELECT DISTINCT {_COLUMNS} FROM read_parquet([{listed}], union_by_name=true) "
        "ORDER BY key, time"
    )
    with cursor() as connection:
        _write(connection, select, whole, {})
    for file in files:
        if file != whole:
            file.unlink(missing_ok=True)


def remove_rows(file: Path, before: datetime, *, dry_run: bool = False) -> int:
    """Remove the rows of a file from before a moment; answers how many there were."""
    source = f"read_parquet({quote_text(str(file))})"
    names = {"before": before.isoformat()}
    with cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        row = connection.execute(
            f"SELECT count(*) FILTER (WHERE time < $before::TIMESTAMPTZ), count(*) FROM {source}",
            names,
        ).fetchone()
        old, every = row or (0, 0)
        if dry_run or not old:
            return int(old)
        if old == every:
            file.unlink()
        else:
            select = f"SELECT * FROM {source} WHERE time >= $before::TIMESTAMPTZ"
            _write(connection, select, file, names)
    return int(old)


def _write(connection: DuckDBPyConnection, select: str, file: Path, names: dict[str, Any]) -> None:
    """The rows of a query as a file, whole or not at all."""
    draft = file.with_suffix(".draft")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        f"COPY ({select}) TO {quote_text(str(draft))} (FORMAT parquet, COMPRESSION zstd)", names
    )
    draft.replace(file)


def events_of(state: State, key: str, limit: int = 1000) -> list[Event]:
    """What happened to the records of this key: newest first."""
    names = {key, *(state.name_of(sync, key) for sync in state.syncs())}
    rows = _query(
        state.directory,
        f"SELECT DISTINCT {_COLUMNS} FROM {{events}} WHERE key IN (SELECT unnest($names)) "
        f"ORDER BY time DESC, sync, key LIMIT {int(limit)}",
        {"names": sorted(names)},
    )
    return [_event(row) for row in rows]


def failures_of(directory: Path, run_id: str, limit: int = 1000) -> list[Event]:
    """The records that did not get through in a run."""
    rows = _query(
        directory,
        f"SELECT DISTINCT {_COLUMNS} FROM {{events}} WHERE run_id = $run "
        f"AND outcome <> 'applied' ORDER BY sync, key LIMIT {int(limit)}",
        {"run": run_id},
    )
    return [_event(row) for row in rows]


def pieces_of(directory: Path, run_id: str) -> list[Event]:
    """The pieces of exports that a run was about."""
    rows = _query(
        directory,
        f"SELECT DISTINCT {_COLUMNS} FROM {{events}} WHERE run_id = $run "
        "AND target = 'exports' ORDER BY sync, key",
        {"run": run_id},
    )
    return [_event(row) for row in rows]


def _event(row: tuple[Any, ...]) -> Event:
    at, run, sync, target, key, operation, route, fields, *rest = row[:12]
    outcome, status, import_id, reason = rest
    return Event(
        at.astimezone(UTC), run, sync, target, key, operation, route, tuple(fields or ()),
        outcome, status, import_id, reason,
    )  # fmt: skip


def counts_of(directory: Path, run_id: str) -> list[dict[str, Any]]:
    """How many records of each sync, operation and route had which outcome in a run."""
    rows = _query(
        directory,
        "SELECT sync, operation, route, outcome, count(DISTINCT change_id), "
        "list(DISTINCT import_id) FILTER (WHERE import_id IS NOT NULL) FROM {events} "
        "WHERE run_id = $run GROUP BY ALL ORDER BY ALL",
        {"run": run_id},
    )
    names = ("sync", "operation", "route", "outcome", "records", "imports")
    return [dict(zip(names, (*row[:5], row[5] or []), strict=True)) for row in rows]


def erase(directory: Path, keys: Sequence[str], words: Sequence[str]) -> int:
    """Forget the records of these keys, and those whose reason has one of these words. Answers
    how many there were."""
    erased = 0
    tests = "list_contains($keys::VARCHAR[], key) OR "
    tests += (
        "coalesce(list_bool_or([contains(lower(reason), w) FOR w IN $words::VARCHAR[]]), false)"
    )
    names = {"keys": list(keys), "words": [word.lower() for word in words]}
    with cursor() as connection:
        for file in sorted((directory / FOLDER).rglob("*.parquet")):
            source = f"read_parquet({quote_text(str(file))})"
            row = connection.execute(
                f"SELECT count(*) FROM {source} WHERE {tests}", names
            ).fetchone()
            if row and row[0]:
                erased += row[0]
                _write(connection, f"SELECT * FROM {source} WHERE NOT ({tests})", file, names)
    return erased


def _query(directory: Path, sql: str, names: dict[str, Any]) -> list[tuple[Any, ...]]:
    import duckdb

    for _ in range(_LOOKS - 1):
        with suppress(duckdb.IOException):  # an apply has just made one file of several
            return _query_once(directory, sql, names)
    return _query_once(directory, sql, names)


def _query_once(directory: Path, sql: str, names: dict[str, Any]) -> list[tuple[Any, ...]]:
    files = sorted(str(f) for f in (directory / FOLDER).rglob("*.parquet"))
    if not files:
        return []
    listed = ", ".join(map(quote_text, files))
    with cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        events = f"read_parquet([{listed}], union_by_name=true)"
        return connection.execute(sql.replace("{events}", events), names).fetchall()
