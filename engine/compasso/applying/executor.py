"""Apply a plan: order, limits, and the report. How changes are carried out is in `runners`."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from compasso.applying.journal import Journal
from compasso.applying.result import ApplyResult, Limits, Progress, SyncResult
from compasso.applying.runners import Stop, Tally, Work, make_runners
from compasso.connectif import Client, LimitReached
from compasso.model import CompassoError
from compasso.planning import Plan
from compasso.spec import Project
from compasso.state import State
from compasso.targets import load_target


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
    project: Project | None = None,
) -> ApplyResult:
    """Apply what is left of a plan. The caller holds the lock of its syncs.

    Exports need the `project`: its folder, and the addresses of its databases.

    Raises CompassoError for what stops everything: a stale plan, a refused key, no network.
    What was done until then is in the state.
    """
    plan.check_state(state)
    journal = open_journal(state.directory)
    try:
        run = _Run(plan, state, client, journal, limits or Limits(), progress, stop, command)
        if project is not None:
            run.work.root, run.work.connections = project.root, project.connections
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
        self.started = client.clock.monotonic()
        self.first_request = client.sent
        most = self.limits.max_requests
        client.most = None if most is None else client.sent + most
        self.tally = Tally(plan.syncs)
        self.work = Work(
            plan, state, client, journal, self.run_id, self.tally, self._check_stop, self._show
        )
        self.runners = make_runners(self.work, {b.route for b in plan.batches})
        self.earlier = dict.fromkeys(plan.syncs, 0)

    async def run(self) -> ApplyResult:
        self._keep_copy()
        self.journal.begin_run(self.run_id, self.plan.plan_id, self.command)
        reason: str | None = None
        try:
            self._count_earlier()
            for sync in dict.fromkeys(b.sync for b in self.plan.batches):
                await self._apply_sync(sync)
            for sync in self.plan.syncs:
                self.state.complete(sync, datetime.now(UTC), self.plan.digests_file)
        except Stop as stopped:
            reason = str(stopped)
        except LimitReached:
            reason = f"reached --max-requests {self.limits.max_requests}"
        except CompassoError:
            self._end("error")
            raise
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
        for batch in self.plan.batches:
            self.earlier[batch.sync] += self.runners[batch.route].done(batch)

    async def _apply_sync(self, sync: str) -> None:
        batches = [b for b in self.plan.batches if b.sync == sync]
        target = load_target(batches[0].target)
        for route, runner in self.runners.items():
            mine = [b for b in batches if b.route is route]
            if mine:
                await runner.run(mine, target)

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise Stop("stopped by a signal")
        deadline = self.limits.deadline_seconds
        if deadline is not None and self.client.clock.monotonic() - self.started >= deadline:
            raise Stop("reached --deadline")

    def _show(self, sync: str, waiting_for: str) -> None:
        view = self.client.budget.view()
        self.report(
            Progress(
                sync=sync,
                done=sum(self.tally.applied.values()) + sum(self.earlier.values()),
                failed=sum(self.tally.failed.values()),
                total=sum(b.rows for b in self.plan.batches),
                requests=self.client.sent - self.first_request,
                expected_requests=sum(b.requests for b in self.plan.batches),
                budget_used=view.used,
                budget_limit=view.limit,
                seconds=self.client.clock.monotonic() - self.started,
                waiting_for=waiting_for,
            )
        )

    def _result(self, reason: str | None) -> ApplyResult:
        syncs = []
        for name in self.plan.syncs:
            total = sum(b.rows for b in self.plan.batches if b.sync == name)
            applied, failed = self.tally.applied[name], self.tally.failed[name]
            skipped = total - applied - failed - self.earlier[name]
            syncs.append(SyncResult(name, applied, failed, skipped))
        return ApplyResult(
            run_id=self.run_id,
            applied=sum(s.applied for s in syncs),
            failed=sum(s.failed for s in syncs),
            skipped=sum(s.skipped for s in syncs),
            requests=self.client.sent - self.first_request,
            seconds=self.client.clock.monotonic() - self.started,
            stopped=reason is not None,
            reason=reason,
            failures=tuple(self.tally.failures),
            syncs=tuple(syncs),
            notes=tuple(self.tally.notes),
        )
