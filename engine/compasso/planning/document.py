"""A plan as one JSON document: what `plan --format json` prints and every rendering draws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from compasso.model import Batch, Json, Route
from compasso.planning.checks import explain
from compasso.planning.desired import Desired, Reject
from compasso.planning.diff import Diff
from compasso.planning.masking import mask
from compasso.state import HASHED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# What an import and a request cost in time beyond the rate limit: guesses, for the estimate only.
IMPORT_ROWS_PER_SECOND = 2000
SECONDS_PER_REQUEST = 0.3
_SHOWN_REJECTS = 20


@dataclass(frozen=True)
class SyncPlan:
    """All that the plan found out about one sync."""

    name: str
    owner: str | None
    source: str
    diff: Diff
    batches: Sequence[Batch]
    rejected: int
    rejects: Sequence[Reject]  # the first ones
    warnings: Sequence[str] = ()
    guards: Sequence[str] = ()
    samples: list[dict[str, Any]] = field(default_factory=list)
    changed_fields: dict[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()  # what a reviewer should know
    looked_at: bool = True  # False: the account had to be asked, and could not be

    @property
    def requests(self) -> int:
        """What the sync is expected to cost."""
        return sum(b.requests for b in self.batches)


def count_rejects(connection: DuckDBPyConnection, desired: Desired) -> int:
    """How many rows of a source cannot become records."""
    row = connection.execute(
        f"SELECT count(*) FROM {desired.name} WHERE problems IS NOT NULL"
    ).fetchone()
    return (int(row[0]) if row else 0) + len(desired.unreadable)


def collect_rejects(connection: DuckDBPyConnection, sync: str, desired: Desired) -> None:
    """Add a sync's rejects to the table `rejects`, one line a broken rule."""
    names = "['" + "','".join(f.replace("'", "''") for f in desired.files) + "']"
    connection.executemany(
        "INSERT INTO rejects VALUES ($sync, $file, $row, '', $rule, NULL)",
        [
            {"sync": sync, "file": u.file, "row": u.line, "rule": f"the line {u.reason}"}
            for u in desired.unreadable
        ],
    ) if desired.unreadable else None
    connection.execute(
        f"INSERT INTO rejects SELECT $sync, {names}[file + 1], row, p.field, p.rule, p.value FROM "
        "(SELECT file, row, unnest(problems) AS p, unnest(range(len(problems))) AS nth "
        f"FROM {desired.name} WHERE problems IS NOT NULL) ORDER BY file, row, nth",
        {"sync": sync},
    )


def take_samples(
    connection: DuckDBPyConnection, found: Diff, count: int, *, reveal: bool
) -> list[dict[str, Any]]:
    """The first changes of each operation, sensitive values masked unless `reveal`."""
    rows = [
        row
        for operation in ("create", "update", "delete")
        for row in connection.execute(
            f"SELECT operation, key, file, row, fields, before FROM {found.table} "
            "WHERE operation = $operation ORDER BY file, row, key LIMIT $count",
            {"operation": operation, "count": count},
        ).fetchall()
    ]
    desired = found.desired
    secret = {c.field.name for c in desired.columns if c.field.sensitive}
    key_field = desired.target.fields.get(desired.key_field)
    hide_key = key_field is not None and key_field.sensitive and not reveal

    def shown(name: str, value: Json) -> Json:
        return value if reveal or name not in secret or value == HASHED else mask(value)

    # What stands in the specs themselves has no row, and a digest says nothing to a reader.
    from_source = desired.target.spec_kind in {"sync", "coupon-stock"}
    known = desired.target.fields
    digests = {n for n, f in known.items() if f.schema.get("x-compasso-digest")}

    samples = []
    for operation, key, _file, row, fields, before in rows:
        after, past = json.loads(fields), json.loads(before or "{}")
        names = [n for n in (list(after) or list(past)) if n not in digests]
        samples.append(
            {
                "operation": operation,
                "key": mask(key) if hide_key else key,
                "source_row": row if from_source else None,
                "fields": [
                    {
                        "name": name,
                        "before": shown(name, past.get(name)),
                        "after": shown(name, after.get(name)),
                    }
                    for name in names
                ],
                "sensitive": sorted(secret & set(names)),
            }
        )
    return samples


def count_fields(connection: DuckDBPyConnection, found: Diff) -> dict[str, int]:
    """How many updates touch each field."""
    rows = connection.execute(
        f"SELECT unnest(json_keys(fields)) AS name, count(*) FROM {found.table} "
        "WHERE operation = 'update' GROUP BY name ORDER BY count(*) DESC, name"
    ).fetchall()
    return dict(rows)


def message_of(desired: Desired, fields: Sequence[str], number: int, rule: str) -> tuple[str, str]:
    """The field's name and the rule in words, of one problem as the desired table has it."""
    if number == -1:
        return "when", rule
    if number == -2:
        return rule, "is missing"
    name = fields[number]
    known = desired.target.fields.get(name)
    return name, explain(rule, known.schema if known else {})


def sync_document(plan: SyncPlan, *, reveal: bool) -> dict[str, Any]:
    """One sync as JSON."""
    found = plan.diff
    target = found.desired.target
    return {
        "name": plan.name,
        "target": target.name,
        "owner": plan.owner,
        "source": plan.source,
        "create": found.create,
        "update": found.update,
        "delete": found.delete,
        "unchanged": found.unchanged,
        "rejected": plan.rejected,
        "requests": plan.requests,
        "imports": sum(1 for b in plan.batches if b.route is Route.IMPORT),
        "calls": sum(b.rows for b in plan.batches if b.route is Route.CALL),
        "route_reasons": [*plan.notes, *(b.reason for b in plan.batches)][:20],
        "samples": plan.samples,
        "changed_fields": plan.changed_fields,
        "rejects": [_reject_document(r, target.fields, reveal) for r in plan.rejects],
        "warnings": list(plan.warnings),
        "looked_at": plan.looked_at,
        "guards": list(plan.guards),
    }


def place_of(reject: Reject) -> str:
    """Where a reject stands: by its row, or by its line when the line could not be read."""
    if not reject.row:
        return reject.file
    return f"{reject.file} {'row' if reject.field else 'line'} {reject.row}"


def _reject_document(reject: Reject, fields: Any, reveal: bool) -> dict[str, Any]:
    known = fields.get(reject.field)
    hidden = not reveal and known is not None and known.sensitive
    value = mask(reject.value) if hidden else reject.value
    if isinstance(value, str) and len(value) > 80:
        value = value[:77] + "..."
    return {
        "location": place_of(reject),
        "source_row": reject.row,
        "field": reject.field,
        "rule": reject.rule,
        "value": value,
        "message": f"{reject.field} {reject.rule}".strip(),
    }


def summarise(plans: Sequence[SyncPlan], limit: int) -> dict[str, int | float]:
    """The totals of a plan; `limit` is the budget in requests a minute."""
    requests = sum(p.requests for p in plans)
    rows = sum(b.rows for p in plans for b in p.batches if b.route is Route.IMPORT)
    waiting = 60 * ((requests - 1) // limit) if requests else 0
    tail = requests - limit * ((requests - 1) // limit) if requests else 0
    seconds = waiting + tail * SECONDS_PER_REQUEST + rows / IMPORT_ROWS_PER_SECOND
    return {
        "create": sum(p.diff.create for p in plans),
        "update": sum(p.diff.update for p in plans),
        "delete": sum(p.diff.delete for p in plans),
        "unchanged": sum(p.diff.unchanged for p in plans),
        "rejected": sum(p.rejected for p in plans),
        "requests": requests,
        "estimated_seconds": round(seconds, 1),
    }
