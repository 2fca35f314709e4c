"""Apply a plan: batch after batch, every outcome on the disk before the next step."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from compasso.applying.imports import ImportRunner, Settled
from compasso.applying.journal import APPLIED, FAILED, Journal, Outcome
from compasso.applying.result import (
    ApplyResult,
    Limits,
    Progress,
    RecordFailure,
    SyncResult,
)
from compasso.connectif import Client, LimitReached
from compasso.model import Batch, Change, CompassoError, Operation, Route
from compasso.planning import Plan
from compasso.state import Commit, State
from compasso.targets import Target, load_target

IN_FLIGHT = 8  # calls at once: enough to use the budget when an answer takes some seconds
_COMMIT_EVERY = 200  # outcomes; between commits the journal has them
_GRACE_SECONDS = 4.0  # how long a stop waits for answers that are under way
_SHOWN_FAILURES = 1000


class Stop(Exception):  # noqa: N818 - a signal
    """Work is left, for this reason."""


async def apply_plan(
    plan: Plan,
    *,
    state: State,
    client: Client,
    command: str = "compasso apply",
    limits: Limits | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    stop: asyncio.Event | None = None,
    open_journal: Callable[[Path], Journal] = Journal,
) -> ApplyResult:
    """Apply what is left of a plan. The caller holds the lock of its syncs.

    Raises CompassoError for what stops everything: a stale plan, a refused key, no network.
    What was done until then is in the state.
    """
    plan.check_state(state)
    journal = open_journal(state.directory)
    try:
        run = _Run(plan, state, client, journal, limits or Limits(), progress, stop, command)
        return await run.run()
    finally:
        journal.close()


class _Run:
    """One apply under way."""

    def __init__(
        self,
        plan: Plan,
        state: State,
        client: Client,
        journal: Journal,
        limits: Limits,
        progress: Callable[[Progress], None],
        stop: asyncio.Event | None,
        command: str,
    ) -> None:
        self.plan = plan
        self.state = state
        self.client = client
        self.journal = journal
        self.limits = limits
        self.report = progress
        self.stop = stop or asyncio.Event()
        self.command = command
        self.run_id = datetime.now(UTC).strftime("%Y%m%dT%H%M%S-") + uuid.uuid4().hex[:6]
        self.started = client.clock.now()
        self.first_request = client.sent
        most = self.limits.max_requests
        client.most = None if most is None else client.sent + most
        self.counts = {name: [0, 0] for name in plan.syncs}  # applied, failed
        self.failures: list[RecordFailure] = []
        self.fatal: CompassoError | None = None
        self.imports = ImportRunner(
            plan, state, client, journal, self.run_id, self._check_stop, self._show
        )

    async def run(self) -> ApplyResult:
        self._keep_copy()
        self.journal.begin_run(self.run_id, self.plan.plan_id, self.command)
        reason: str | None = None
        try:
            self._keep_outcomes()
            self._count_earlier()
            for sync in dict.fromkeys(b.sync for b in self.plan.batches):
                await self._apply_sync([b for b in self.plan.batches if b.sync == sync])
            for sync in self.plan.syncs:
                self.state.complete(sync, datetime.now(UTC), self.plan.digests_file)
        except Stop as stopped:
            reason = str(stopped)
        except LimitReached:
            reason = f"reached --max-requests {self.limits.max_requests}"
        except CompassoError:
            self._keep_outcomes()
            self._end("error")
            raise
        self._keep_outcomes()
        result = self._result(reason)
        self._end("stopped" if reason else "failed records" if result.failed else "done")
        if not self.journal.unfinished_plans() & {self.plan.plan_id} and reason is None:
            self.journal.plan_copy(self.plan.plan_id).unlink(missing_ok=True)
        return result

    def _end(self, outcome: str) -> None:
        result = self._result(None)
        summary: dict[str, object] = {
            "applied": result.applied,
            "failed": result.failed,
            "requests": result.requests,
            "seconds": round(result.seconds, 1),
        }
        self.journal.end_run(self.run_id, outcome, summary)

    def _keep_copy(self) -> None:
        copy = self.journal.plan_copy(self.plan.plan_id)
        if not copy.exists():
            draft = copy.with_suffix(f".{self.run_id}")
            shutil.copyfile(self.plan.path, draft)
            draft.replace(copy)

    def _count_earlier(self) -> None:
        """What an earlier apply of this same plan did counts as done, not as work."""
        self.done_calls = self.journal.applied(self.plan.plan_id)
        settled = {i.batch_id for i in self.journal.imports(self.plan.plan_id) if i.settled}
        self.done_batches = settled
        self.earlier = {
            name: sum(
                b.rows
                if b.batch_id in settled
                else sum(1 for c in self.done_calls if b.first <= c <= b.last)
                for b in self.plan.batches
                if b.sync == name
            )
            for name in self.plan.syncs
        }

    async def _apply_sync(self, batches: list[Batch]) -> None:
        target = load_target(batches[0].target)
        imports = [b for b in batches if b.route is Route.IMPORT]
        waiting = [b for b in imports if b.batch_id not in self.done_batches]
        if waiting:
            async for settled in self.imports.run(waiting, target):
                self._count_import(settled)
        for batch in batches:
            if batch.route is Route.CALL:
                await self._apply_calls(batch, target)

    def _count_import(self, settled: Settled) -> None:
        batch = settled.batch
        self.counts[batch.sync][0] += batch.rows - len(settled.failures)
        self.counts[batch.sync][1] += len(settled.failures)
        names = {change: key for key, change in settled.keys.items()}
        for change, reason in settled.failures.items():
            self._fail(batch.sync, names.get(change, ""), batch.operation, reason)
        self._show(batch.sync, "")

    def _fail(self, sync: str, key: str, operation: Operation, reason: str) -> None:
        if len(self.failures) < _SHOWN_FAILURES:
            self.failures.append(RecordFailure(sync, key, operation, reason))

    async def _apply_calls(self, batch: Batch, target: Target) -> None:
        key_field = self.plan.key_field(batch.sync)
        tasks: set[asyncio.Task[None]] = set()
        since = 0
        try:
            for change in self.plan.changes(batch, self.done_calls):
                self._check_stop()
                if len(tasks) >= IN_FLIGHT:
                    done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    _raise_first(done)
                if self.fatal is not None:
                    raise self.fatal
                tasks.add(asyncio.create_task(self._one_call(change, batch, target, key_field)))
                since += 1
                if since >= _COMMIT_EVERY:
                    since = 0
                    self._keep_outcomes(batch.sync)
            while tasks:
                done, tasks = await asyncio.wait(
                    tasks, timeout=0.2, return_when=asyncio.FIRST_COMPLETED
                )
                _raise_first(done)
                if tasks:
                    self._check_stop()
        finally:
            await _settle_tasks(tasks)
            self._keep_outcomes(batch.sync)
        if self.fatal is not None:
            raise self.fatal

    async def _one_call(self, change: Change, batch: Batch, target: Target, key_field: str) -> None:
        """Intent, request, outcome. PATCH and DELETE may be sent again after a lost answer."""
        plan_id = self.plan.plan_id
        self.journal.intend_call(plan_id, change.change_id, self.run_id, change.sync)
        try:
            answer = await self.client.send(target.call(change, key_field), batch.priority)
            there = not answer.ok and await self._is_there(change, batch, target)
        except CompassoError as error:
            self.fatal = self.fatal or error
            return
        gone = change.operation is Operation.DELETE and answer.status == 404
        if answer.ok or gone or there:
            outcome = Outcome(change.change_id, APPLIED, answer.status, None)
            self.counts[change.sync][0] += 1
        else:
            reason = answer.reason()
            outcome = Outcome(change.change_id, FAILED, answer.status, reason)
            self.counts[change.sync][1] += 1
            self._fail(change.sync, change.key, change.operation, reason)
        self.journal.record_call(plan_id, outcome)
        self._show(change.sync, "")

    async def _is_there(self, change: Change, batch: Batch, target: Target) -> bool:
        """Whether a refused create is refused because it is there already, just as wanted.

        So it is when the answer to an earlier try was lost, or when someone made it by hand.
        """
        if target.look_up is None or change.operation is not Operation.CREATE:
            return False
        found = await self.client.send(target.look_up(change), batch.priority)
        body = found.body if found.ok and isinstance(found.body, dict) else None
        return body is not None and all(body.get(n) == v for n, v in change.fields.items())

    def _keep_outcomes(self, only: str | None = None) -> None:
        """Move outcomes of calls from the journal to the state."""
        for sync in self.plan.syncs if only is None else (only,):
            keep_outcomes(self.plan, sync, self.state, self.journal, self.run_id)

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise Stop("stopped by a signal")
        deadline = self.limits.deadline_seconds
        if deadline is not None and self.client.clock.now() - self.started >= deadline:
            raise Stop("reached --deadline")

    def _show(self, sync: str, waiting_for: str) -> None:
        view = self.client.budget.view()
        self.report(
            Progress(
                sync=sync,
                done=sum(c[0] for c in self.counts.values()) + sum(self.earlier.values()),
                failed=sum(c[1] for c in self.counts.values()),
                total=sum(b.rows for b in self.plan.batches),
                requests=self.client.sent - self.first_request,
                expected_requests=sum(b.requests for b in self.plan.batches),
                budget_used=view.used,
                budget_limit=view.limit,
                seconds=self.client.clock.now() - self.started,
                waiting_for=waiting_for,
            )
        )

    def _result(self, reason: str | None) -> ApplyResult:
        syncs = []
        for name in self.plan.syncs:
            total = sum(b.rows for b in self.plan.batches if b.sync == name)
            applied, failed = self.counts[name]
            earlier = getattr(self, "earlier", {}).get(name, 0)
            syncs.append(SyncResult(name, applied, failed, total - applied - failed - earlier))
        return ApplyResult(
            run_id=self.run_id,
            applied=sum(s.applied for s in syncs),
            failed=sum(s.failed for s in syncs),
            skipped=sum(s.skipped for s in syncs),
            requests=self.client.sent - self.first_request,
            seconds=self.client.clock.now() - self.started,
            stopped=reason is not None,
            reason=reason,
            failures=tuple(self.failures),
            syncs=tuple(syncs),
        )


def keep_outcomes(plan: Plan, sync: str, state: State, journal: Journal, run_id: str) -> None:
    """Commit to the state what the journal knows of a plan's calls and the state does not."""
    outcomes = journal.unkept(plan.plan_id, sync)
    if not outcomes:
        return
    changes = [o.change_id for o in outcomes]
    state.commit(
        Commit(
            sync=sync,
            plan_id=plan.plan_id,
            run_id=run_id,
            changes=plan.changes_file,
            first=min(changes),
            last=max(changes),
            only=frozenset(changes),
            failures={o.change_id: o.reason or "" for o in outcomes if o.outcome == FAILED},
        )
    )
    journal.mark_kept(plan.plan_id, changes)


def _raise_first(tasks: set[asyncio.Task[None]]) -> None:
    """What went wrong here and not at the API (a full disk, say) ends the run."""
    for error in [task.exception() for task in tasks]:
        if error is not None:
            raise error


async def _settle_tasks(tasks: set[asyncio.Task[None]]) -> None:
    """Let requests under way end, but not for long; a lost one is simply sent again later."""
    if not tasks:
        return
    ended, late = await asyncio.wait(tasks, timeout=_GRACE_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, *ended, return_exceptions=True)
