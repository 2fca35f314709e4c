"""Routing: which changes travel by import and which by call, and what that costs.

An import carries up to 50 MB for the price of its upload and a few polls. Its file needs a
value in every row of its typed columns (documented for phone, date, integer, decimal and radio
fields), so changes are grouped by which of those they fill. A small group is cheaper by call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from compasso.mapping.quoting import quote_text
from compasso.model import Batch, Operation, Priority, Route
from compasso.planning.diff import Diff

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_IMPORT_BYTES = 50_000_000  # documented: 50 MB a file; read as decimal to be on the safe side
# A little less, for the header and for the line that crosses the limit.
_LIMIT = int(MAX_IMPORT_BYTES * 0.99)
# An upload, and on average two polls until it is finished (measured with the sandbox).
IMPORT_REQUESTS = 3


@dataclass(frozen=True, slots=True)
class Group:
    """Changes of one sync that may share an import file, or that all go by call."""

    route: Route
    mask: int
    rows: int
    size: int
    operation: Operation


def choose_routes(
    connection: DuckDBPyConnection, found: Diff, route: Literal["auto", "calls", "import"]
) -> list[Group]:
    """Group a diff's changes by route; adds the column `grp` to its table, and sorts it."""
    rows = connection.execute(
        f"SELECT mask, by_call, operation = 'delete' AS gone, count(*), sum(size) "
        f"FROM {found.table} GROUP BY ALL ORDER BY gone, by_call, mask"
    ).fetchall()
    importable = found.desired.target.import_type is not None and route != "calls"
    groups: dict[tuple[Route, int, bool], list[int]] = {}
    for mask, by_call, gone, count, size in rows:
        cheaper = count > IMPORT_REQUESTS or route == "import"
        by_import = importable and not by_call and not gone and cheaper
        key = (Route.IMPORT, mask, False) if by_import else (Route.CALL, 0, gone)
        total = groups.setdefault(key, [0, 0])
        total[0] += count
        total[1] += size
    ordered = sorted(groups, key=lambda k: (k[2], k[0] is Route.CALL, k[1]))
    result = [
        Group(
            route=key[0],
            mask=key[1],
            rows=groups[key][0],
            size=groups[key][1],
            operation=Operation.DELETE if key[2] else Operation.UPDATE,
        )
        for key in ordered
    ]
    _sort(connection, found, result)
    return result


def _group_case(groups: Sequence[Group]) -> str:
    """The SQL of the number of a change's group."""
    cases = []
    for number, group in enumerate(groups):
        if group.route is Route.IMPORT:
            cases.append(
                f"WHEN NOT by_call AND operation <> 'delete' AND mask = {group.mask} THEN {number}"
            )
    for number, group in enumerate(groups):
        if group.route is Route.CALL:
            test = "=" if group.operation is Operation.DELETE else "<>"
            cases.append(f"WHEN operation {test} 'delete' THEN {number}")
    return f"(CASE {' '.join(cases)} END)::INTEGER" if cases else "0"


def _sort(connection: DuckDBPyConnection, found: Diff, groups: Sequence[Group]) -> None:
    """Give each change of a table its group as the column `grp`, and sort it by them.

    From here on a change's place in the table is its place in the plan.
    """
    if len(groups) < 2 and found.in_order:
        connection.execute(f"ALTER TABLE {found.table} ADD COLUMN grp INTEGER DEFAULT 0")
        return
    draft = f"{found.table}_draft"
    connection.execute(f"ALTER TABLE {found.table} RENAME TO {draft}")
    connection.execute(
        f"CREATE TEMP TABLE {found.table} AS SELECT *, {_group_case(groups)} AS grp FROM {draft} "
        "ORDER BY grp, file, row, key"
    )
    connection.execute(f"DROP TABLE {draft}")


def _part(groups: Sequence[Group], widths: Mapping[int, int]) -> str:
    """The number of the file within its group: by the bytes of all lines before."""
    totals = [g.size + g.rows * widths.get(i, 0) for i, g in enumerate(groups)]
    if not any(totals[i] > _LIMIT for i in widths):
        return "0"
    cases = [
        f"WHEN {i} THEN ((running - {sum(totals[:i])} - 1) // {_LIMIT})::INTEGER" for i in widths
    ]
    return f"CASE grp {' '.join(cases)} ELSE 0 END"


def make_batches(
    connection: DuckDBPyConnection,
    found: Diff,
    groups: Sequence[Group],
    sync: str,
    priority: Priority,
    *,
    first_batch: int,
    first_change: int,
) -> list[Batch]:
    """The batches of one sync, in the order of their changes (grp, part, file, row, key)."""
    columns = _columns(connection, found, groups)
    # Each cell of a line ends with a comma, and the last one with the line.
    widths = {number: len(names) for number, names in columns.items()}
    width = " ".join(f"WHEN {n} THEN {w}" for n, w in widths.items())
    line = f"size + CASE grp {width} ELSE 0 END" if widths else "size"
    rows = connection.execute(
        "SELECT grp, part, count(*), sum(line), count(*) FILTER (operation = 'create') FROM "
        f"(SELECT grp, line, operation, {_part(groups, widths)} AS part FROM (SELECT *, "
        "sum(line) OVER (ROWS UNBOUNDED PRECEDING) AS running FROM "
        f"(SELECT grp, operation, {line} AS line FROM {found.table}))) "
        "GROUP BY grp, part ORDER BY grp, part"
    ).fetchall()
    batches: list[Batch] = []
    change = first_change
    for grp, _, count, size, creates in rows:
        group = groups[grp]
        by_import = group.route is Route.IMPORT
        operation = group.operation
        if operation is Operation.UPDATE and creates == count:
            operation = Operation.CREATE
        batches.append(
            Batch(
                batch_id=first_batch + len(batches),
                sync=sync,
                target=found.desired.target.name,
                operation=operation,
                route=group.route,
                priority=priority,
                first=change,
                last=change + count - 1,
                columns=columns.get(grp, ()),
                size_bytes=size + _header(columns[grp]) if by_import else 0,
                requests=IMPORT_REQUESTS if by_import else _calls(found, operation, count, creates),
                reason=_reason(found, group, count),
            )
        )
        change += count
    return batches


def _calls(found: Diff, operation: Operation, count: int, creates: int) -> int:
    """How many requests changes by call take: a target without changes makes records anew."""
    if operation is Operation.DELETE:
        return count
    return creates + (count - creates) * found.desired.target.requests_a_change


def _header(columns: Sequence[str]) -> int:
    """The bytes of a file's first line."""
    return len(",".join(columns).encode()) + 1


def _columns(
    connection: DuckDBPyConnection, found: Diff, groups: Sequence[Group]
) -> dict[int, tuple[str, ...]]:
    """The columns of each group's files: the key, what every file must have, and each field that
    changes."""
    desired = found.desired
    if not any(group.route is Route.IMPORT for group in groups):
        return {}
    loose = [c for c in desired.columns if c.field.name not in found.typed]
    tests = [f", bool_or({_written(c.field.name)})" for c in loose]
    rows = connection.execute(
        f"SELECT grp{''.join(tests)} FROM {found.table} GROUP BY grp"
    ).fetchall()
    columns = {}
    for grp, *there in rows:
        group = groups[grp]
        if group.route is Route.IMPORT:
            present = {c.field.name for c, found_it in zip(loose, there, strict=True) if found_it}
            present |= {name for i, name in enumerate(found.typed) if group.mask >> i & 1}
            present |= set(desired.target.import_required)
            ordered = [c.field.name for c in desired.columns if c.field.name in present]
            columns[grp] = (desired.key_field, *ordered)
    return columns


def _written(name: str) -> str:
    """Whether a change has a field: its name stands in the JSON text (in a value its quotes would
    be escaped)."""
    return f"contains(fields, {quote_text(json.dumps(name, ensure_ascii=False) + ':')})"


def _reason(found: Diff, group: Group, rows: int) -> str:
    label = found.desired.target.label
    many = f"{rows:,} {label}{'' if rows == 1 else 's'}"
    if group.route is Route.IMPORT:
        filled = [name for i, name in enumerate(found.typed) if group.mask >> i & 1]
        with_fields = f" that fill {', '.join(filled)}" if filled else ""
        return f"{many}{with_fields} by import: about {IMPORT_REQUESTS} requests, not {rows:,}"
    if group.operation is Operation.DELETE:
        return f"{many} by call: Connectif deletes one record a request"
    if found.desired.target.import_type is None:
        return f"{many} by call: Connectif has no import for them"
    return f"{many} by call: cheaper than an import, or a value that a file cannot carry"
