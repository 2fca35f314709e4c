"""Make a plan: sources to desired state, against cached state, routed, into one file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compasso import __version__
from compasso.engine import default_memory
from compasso.mapping.quoting import quote_text
from compasso.model import (
    Batch,
    CompassoError,
    FieldType,
    Json,
    Priority,
)
from compasso.planning import exports, stocks
from compasso.planning.account import NOT_LOOKED_AT, Account
from compasso.planning.cursor import follows_cursor
from compasso.planning.desired import Reject, build_inline
from compasso.planning.diff import Diff, diff, duplicate_keys
from compasso.planning.document import (
    SyncPlan,
    count_fields,
    summarise,
    sync_document,
    take_samples,
)
from compasso.planning.field_bodies import event_type_bodies, field_bodies
from compasso.planning.limits import check_guards, check_rejects, doubled_error
from compasso.planning.mapped import map_sync
from compasso.planning.planfile import Plan, open_plan, write_plan
from compasso.planning.quarantine import leave_out, passed_failures
from compasso.planning.resolve import resolve_target, sending_options
from compasso.planning.routing import choose_routes, make_batches
from compasso.planning.selection import Selection, detach, select_inline
from compasso.planning.unchangeable import settle_changes, settle_declared
from compasso.spec import Export, Project, Sync
from compasso.spec.load import CONTACT_FIELDS, EVENT_TYPES
from compasso.state import Failure, State
from compasso.state.suppression import suppressed_digest
from compasso.targets import load_target
from compasso.temporary import working_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class PlanOptions:
    """How to plan. `memory` is DuckDB's limit ("2GB"; default: a quarter of the machine, at most
    1 GB), `threads` how many it uses (default: all); `override_guards` names syncs."""

    reveal: bool = False
    samples: int = 3
    memory: str | None = None
    threads: int | None = None
    override_guards: Collection[str] = ()
    only: Collection[str] | None = None  # the syncs to plan; None: all
    account: Account = NOT_LOOKED_AT
    now: datetime | None = None  # None: the machine's time
    progress: Callable[[str], None] = field(default=lambda _text: None)  # the step; "": the end


def make_plan(
    project: Project, state: State, out: Path | None = None, options: PlanOptions | None = None
) -> Plan:
    """Plan all syncs of the project. The plan file is `out`, or a temporary one of the plan's.

    Raises CompassoError: unreadable source, wrong mapping, doubled keys, too many rejects, a
    guard. Nothing is written then.
    """
    options = options or PlanOptions()
    folder = Path(tempfile.mkdtemp(prefix="planning-", dir=working_folder()))
    try:
        with _engine(folder, options.memory, options.threads) as connection:
            builder = _Builder(connection, project, state, options, folder)
            manifest = builder.build()
            place = out or folder / "plan.zip"
            write_plan(folder, manifest, place)
        plan = open_plan(place)
        if out is None:
            plan.keep_file()
        return plan
    finally:
        options.progress("")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _engine(folder: Path, memory: str | None, threads: int | None) -> Iterator[DuckDBPyConnection]:
    import duckdb

    connection = duckdb.connect()
    try:
        connection.execute(f"SET temp_directory = {quote_text(str(folder / 'spill'))}")
        connection.execute("SET enable_progress_bar = false")
        if threads is not None:
            connection.execute(f"SET threads = {threads}")
        try:
            connection.execute(f"SET memory_limit = {quote_text(memory or default_memory())}")
        except duckdb.Error as error:
            raise CompassoError.say(
                f"{memory!r} is not an amount of memory", "write it like 2GB"
            ) from error
        yield connection
    except duckdb.OutOfMemoryException as error:
        raise CompassoError.say(
            "planning needs more memory than it may use", "give it more with --memory 4GB"
        ) from error
    except duckdb.Error as error:
        first = str(error).strip().splitlines()[0]
        raise CompassoError.say(f"planning failed in the engine: {first}") from error
    finally:
        connection.close()


class _Builder:
    """One run of the planner: the connection, and what has been planned so far."""

    def __init__(
        self,
        connection: DuckDBPyConnection,
        project: Project,
        state: State,
        options: PlanOptions,
        folder: Path,
    ) -> None:
        self.connection = connection
        self.project = project
        self.state = state
        self.options = options
        self.folder = folder
        self.plans: list[SyncPlan] = []
        self.sources: dict[str, str] = {}
        self.types: dict[str, dict[str, FieldType]] = {}
        self.tables: list[str] = []
        self.bases: dict[str, str] = {}
        self.seen: dict[str, str] = {}
        self.passed: dict[str, list[str]] = {}  # failures that nothing is pending for, by sync
        self.extras: dict[str, dict[str, Json]] = {}  # for the executor, by sync
        self.batches = 0
        self.changes = 0

    def build(self) -> dict[str, Any]:
        self.connection.execute(
            "CREATE TEMP TABLE rejects (sync VARCHAR, file VARCHAR, row BIGINT, field VARCHAR, "
            "rule VARCHAR, value VARCHAR)"
        )
        self.connection.execute(
            "CREATE TEMP TABLE digests (sync VARCHAR, key VARCHAR, source_high UBIGINT, "
            "source_low UBIGINT, basis VARCHAR)"
        )
        declared = (
            (CONTACT_FIELDS, field_bodies(self.project.contact_fields)),
            (EVENT_TYPES, event_type_bodies(self.project.event_types)),
        )
        for name, rows in declared:
            if rows and self._wanted(name):
                self._plan_declared(name, rows)
        known = [name for name in self.project.stocks if self.state.records_file(name)]
        stocks.add_known_codes(self.connection, self.state, known)
        for sync in self._ordered():
            if self._wanted(sync.name):
                self.options.progress(f"reading {sync.name}")
                self._plan_sync(sync)
        for export in sorted(self.project.exports, key=lambda e: e.priority.rank):
            if self._wanted(export.name):
                self._plan_export(export)
        self.options.progress("writing the plan")
        self._write_changes()
        self._write_batches()
        self._write_rejects()
        self._copy("SELECT * FROM digests ORDER BY sync, key", "digests.parquet")
        return self._manifest()

    def _wanted(self, name: str) -> bool:
        return self.options.only is None or name in self.options.only

    def _ordered(self) -> list[Sync]:
        def order(sync: Sync) -> tuple[int, int]:
            return resolve_target(sync, self.project)[0].rank, sync.priority.rank

        return sorted(self.project.syncs, key=order)

    def _plan_declared(self, name: str, rows: list[dict[str, Json]]) -> None:
        """Records that stand in specs themselves, and that Connectif's API cannot change."""
        number = len(self.plans) + 1
        target = load_target(name)
        desired = build_inline(
            self.connection, f"desired_{number}", target, target.default_key, rows, "the specs"
        )
        selected = select_inline(self.connection, self.state, name)
        table = f"changes_{number}"
        found = diff(self.connection, desired, table, selected, missing="keep", nulls="omit")
        self._note_passed(name, found)
        detach(self.connection)
        found, warnings = settle_declared(self.connection, found)
        self._finish(name, None, "specs", found, Priority.HIGH, "calls", warnings)

    def _plan_export(self, export: Export) -> None:
        number = len(self.plans) + 1
        now = self.options.now or datetime.now(UTC)
        pieces = exports.pieces_of(export, self.state.records(export.name), now)
        rows = [p.row(exports.definition_of(export)) for p in pieces]
        target = load_target("exports")
        desired = build_inline(
            self.connection, f"desired_{number}", target, "piece", rows, str(export.file)
        )
        selected = select_inline(self.connection, self.state, export.name)
        found = diff(
            self.connection, desired, f"changes_{number}", selected, missing="keep", nulls="omit"
        )
        self._note_passed(export.name, found)
        detach(self.connection)
        if export.name not in self.options.override_guards:
            exports.check_guard(export, found.create + found.update)
        self.extras[export.name] = exports.options_of(export, pieces)
        self._finish(
            export.name, export.owner, f"{export.what} into {export.into.label}", found,
            export.priority, "calls", exports.warnings(export, self.project.root, found.existing),
            settle=lambda batches: exports.by_export(batches, export),
        )  # fmt: skip

    def _plan_sync(self, sync: Sync) -> None:
        number = len(self.plans) + 1
        mapped = map_sync(
            self.connection, number, sync, self.project, self.state, self.options.progress
        )
        desired, selected, rejected = mapped.desired, mapped.selected, mapped.rejected
        self.sources[sync.name] = mapped.fingerprint
        self.extras[sync.name] = {"files": list(desired.files)}
        rejects = self._rejects(sync.name)
        check_rejects(sync, desired, rejected, mapped.total, rejects)
        gave_way, doubled = duplicate_keys(self.connection, desired, sync.duplicates, sync.order_by)
        if doubled:
            raise doubled_error(sync, desired, doubled)
        self.options.progress(f"comparing {sync.name} with the state")
        found = diff(
            self.connection,
            desired,
            f"changes_{number}",
            selected,
            missing=sync.missing,
            nulls=sync.nulls,
        )
        self._keep_digests(sync.name, found, selected)
        failures = self._note_passed(sync.name, found)
        special: Sequence[str] = ()
        notes: Sequence[str] = ()
        if sync.stock is not None:
            found, special, notes = self._choose_codes(found, sync)
        detach(self.connection)
        warnings = [*mapped.warnings, *_warnings(found, gave_way, sync), *special]
        found, changed = settle_changes(self.connection, sync, found)
        found, tired = leave_out(
            self.connection, self.state, sync.name, found, failures, self.project.quarantine_after
        )
        warnings += [*changed, *tired]
        # What is left to be said or tried again next time must be read again next time. That rows
        # of one key gave way, or that rows are gone, is nothing new under a cursor.
        left = [*mapped.warnings, *special, *changed, *tired] if follows_cursor(sync) else warnings
        if selected.seen is not None and not (rejected or left or sync.stock):
            self.seen[sync.name] = selected.seen
        overridden = sync.name in self.options.override_guards
        guards = check_guards(sync, found, self._retired(found), overridden=overridden)
        self._finish(
            sync.name, sync.owner, sync.source.label, found, sync.priority, sync.route,
            warnings, rejected, rejects, guards, notes,
            settle=stocks.by_code_alone if sync.stock is not None else None,
        )  # fmt: skip

    def _choose_codes(self, found: Diff, sync: Sync) -> tuple[Diff, Sequence[str], Sequence[str]]:
        """Of a coupon stock's new codes, those that its set needs now."""
        stocks.check_shared_codes(self.connection, found, sync)
        account = self.options.account
        # When codes were uploaded the state knows by the account's clock.
        now = account.at or self.options.now or datetime.now(UTC)
        chosen = stocks.choose_codes(
            self.connection, found, sync, account, self.state, now,
            overridden=sync.name in self.options.override_guards,
        )  # fmt: skip
        self.extras[sync.name] |= chosen.options
        return chosen.diff, chosen.warnings, chosen.notes

    def _note_passed(self, name: str, found: Diff) -> Sequence[Failure]:
        """Note the failures that nothing is pending for; answers all of the sync's."""
        failures = self.state.failures(name)
        self.passed[name] = passed_failures(self.connection, self.state, name, found, failures)
        return failures

    def _keep_digests(self, name: str, found: Diff, selected: Selection) -> None:
        """Note the digests of rows that were mapped and turned out to change nothing."""
        if selected.existing:
            same = (
                f"SELECT {quote_text(name)} AS sync, m.key, m.source_high, m.source_low, "
                f"{quote_text(selected.basis)} AS basis FROM {found.desired.name} AS m "
                f"ANTI JOIN {found.table} AS c ON c.key = m.key WHERE m.problems IS NULL"
            )
            self.connection.execute(f"INSERT INTO digests {same}")
        self.bases[name] = selected.basis

    def _retired(self, found: Diff) -> int:
        return self._count(
            f"SELECT count(*) FROM {found.table} WHERE operation = 'update' AND row IS NULL"
        )

    def _finish(
        self,
        name: str,
        owner: str | None,
        source: str,
        found: Diff,
        priority: Priority,
        route: Any,
        warnings: Sequence[str],
        rejected: int = 0,
        rejects: Sequence[Reject] = (),
        guards: Sequence[str] = (),
        notes: Sequence[str] = (),
        settle: Callable[[Sequence[Batch]], list[Batch]] | None = None,
    ) -> None:
        """Route a sync's changes and note its plan; `settle` has the last word on its batches."""
        groups = choose_routes(self.connection, found, route)
        batches = make_batches(
            self.connection,
            found,
            groups,
            name,
            priority,
            first_batch=self.batches,
            first_change=self.changes,
        )
        if settle is not None:
            batches = settle(batches)
        self.batches += len(batches)
        self.changes += sum(b.rows for b in batches)
        self.tables.append(found.table)
        self.types[name] = {c.field.name: c.field.type for c in found.desired.columns}
        samples = take_samples(
            self.connection, found, self.options.samples, reveal=self.options.reveal
        )
        self.plans.append(
            SyncPlan(
                name, owner, source, found, batches, rejected, rejects[:20], warnings, guards,
                samples, count_fields(self.connection, found), notes,
                looked_at="fresh" not in self.extras.get(name, {}) or bool(notes),
            )
        )  # fmt: skip

    def _count(self, sql: str) -> int:
        row = self.connection.execute(sql).fetchone()
        return int(row[0]) if row else 0

    def _rejects(self, sync: str) -> list[Reject]:
        rows = self.connection.execute(
            "SELECT sync, file, row, field, rule, value FROM rejects WHERE sync = $sync "
            "ORDER BY rowid LIMIT 20",
            {"sync": sync},
        ).fetchall()
        return [Reject(*row) for row in rows]

    def _write_changes(self) -> None:
        selects = []
        for plan, table in zip(self.plans, self.tables, strict=True):
            if not plan.batches:
                continue
            first = plan.batches[0].first
            batch = " ".join(
                f"WHEN rowid + {first} <= {b.last} THEN {b.batch_id}" for b in plan.batches
            )
            selects.append(
                f"SELECT rowid + {first} AS change_id, {quote_text(plan.name)} AS sync, operation, "
                "key, fields, before, carry, row AS source_row, file AS source_file, "
                f"(CASE {batch} END)::INTEGER AS batch_id, row_hash_high, row_hash_low, "
                f"source_high, source_low, {quote_text(self.bases.get(plan.name, ''))} AS basis, "
                f"field_hashes, {_form_of(plan)} AS form "
                f"FROM {table}"
            )
        empty = (
            "SELECT NULL::BIGINT AS change_id, NULL::VARCHAR AS sync, NULL::VARCHAR AS operation, "
            "NULL::VARCHAR AS key, NULL::VARCHAR AS fields, NULL::VARCHAR AS before, "
            "NULL::VARCHAR AS carry, NULL::BIGINT AS source_row, NULL::INTEGER AS source_file, "
            "NULL::INTEGER AS batch_id, NULL::UBIGINT AS row_hash_high, "
            "NULL::UBIGINT AS row_hash_low, NULL::UBIGINT AS source_high, "
            "NULL::UBIGINT AS source_low, NULL::VARCHAR AS basis, NULL::UBIGINT[] AS field_hashes, "
            "NULL::VARCHAR AS form WHERE false"
        )
        union = " UNION ALL ".join(selects) or empty
        self._copy(union, "changes.parquet")

    def _write_batches(self) -> None:
        self.connection.execute(
            "CREATE TEMP TABLE requests (batch_id INTEGER, sync VARCHAR, target VARCHAR, operation "
            "VARCHAR, route VARCHAR, priority VARCHAR, first BIGINT, last BIGINT, columns "
            "VARCHAR[], size_bytes BIGINT, requests BIGINT, reason VARCHAR)"
        )
        for plan in self.plans:
            for b in plan.batches:
                self.connection.execute(
                    "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        b.batch_id, b.sync, b.target, b.operation.value, b.route.value,
                        b.priority.value, b.first, b.last, list(b.columns), b.size_bytes,
                        b.requests, b.reason,
                    ],
                )  # fmt: skip
        self._copy("SELECT * FROM requests ORDER BY batch_id", "requests.parquet")

    def _write_rejects(self) -> None:
        self._copy("SELECT * FROM rejects ORDER BY rowid", "rejects.parquet")

    def _copy(self, select: str, name: str) -> None:
        path = quote_text(str(self.folder / name))
        self.connection.execute(
            f"COPY ({select}) TO {path} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
        )

    def _manifest(self) -> dict[str, Any]:
        project, names = self.project, [p.name for p in self.plans]
        serials = {name: self.state.serial(name) for name in names}
        limit = max(1, project.budget.requests_per_minute - project.budget.reserve)
        known = {s.name: s for s in project.syncs}
        return {
            "compasso": __version__,
            "specs": {n: known[n].fingerprint for n in names if n in known},
            "sources": self.sources,
            "state": {
                "lineage": self.state.lineage,
                "serials": serials,
                "forgotten": suppressed_digest(self.state.directory),
            },
            "syncs": {
                p.name: {
                    "target": p.diff.desired.target.name,
                    "key": p.diff.desired.key_field,
                    "types": {n: t.value for n, t in self.types[p.name].items()},
                    "deadline_seconds": _deadline_seconds(known.get(p.name)),
                    "seen": self.seen.get(p.name),
                    "passed": self.passed.get(p.name, []),
                    "options": {
                        **(sending_options(known[p.name], project) if p.name in known else {}),
                        **self.extras.get(p.name, {}),
                    },
                }
                for p in self.plans
            },
            "document": {
                "project": project.name,
                "environment": project.environment,
                "budget": {"requests_per_minute": limit},
                "state": {"lineage": self.state.lineage, "serials": serials},
                "summary": summarise(self.plans, limit),
                "syncs": [sync_document(p, reveal=self.options.reveal) for p in self.plans],
                "warnings": [w.message for w in project.warnings],
            },
        }


def _form_of(plan: SyncPlan) -> str:
    """The SQL of how the state is to keep a sync's records."""
    return "NULL::VARCHAR" if plan.diff.form is None else quote_text(plan.diff.form.text())


def _deadline_seconds(sync: Sync | None) -> float | None:
    return None if sync is None or sync.schedule is None else sync.schedule.deadline_seconds


def _warnings(found: Diff, gave_way: int, sync: Sync) -> list[str]:
    warnings = []
    if gave_way:
        warnings.append(
            f"{gave_way:,} row{'' if gave_way == 1 else 's'} gave way to another row of the same key (duplicates: "
            f"{sync.duplicates})"
        )
    if found.held_back:
        warnings.append(
            f"{found.held_back} deletes wait: a row could not be read or has no key, and a record "
            "that seems gone may be that row's"
        )
    quiet = found.desired.target.name != "purchases" or "trigger_event" in sync.options
    if found.create and not found.existing and not quiet:
        warnings.append(
            f"these are the first purchases of {sync.name}, and each may start workflows that wait "
            "for a purchase: say `trigger_event: false`, or {since: DATE} for a load of old ones"
        )
    if found.kept:
        warnings.append(f"{found.kept} records have no row any more and stay (missing: keep)")
    return warnings
