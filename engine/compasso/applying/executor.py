"""Apply a plan: order, limits, and the report. How changes are carried out is in `runners`."""

from __future__ import annotations

import asyncio
import math
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from compasso.applying.history import close_run
from compasso.applying.journal import Journal
from compasso.applying.result import ApplyResult, Limits, Progress, SyncResult
from compasso.applying.retention import tidy
from compasso.applying.runners import Stop, Tally, Work, make_runners
from compasso.connectif import Claim, Client, LimitReached, Unreachable
from compasso.model import Batch, CompassoError
from compasso.planning import Plan
from compasso.spec import Project
from compasso.spec.load import CONTACT_FIELDS
from compasso.state import State
from compasso.targets import load_target

_TICK = 2.0  # seconds between looks at the deadline
_GRACE_SECONDS = 4.0  # how long a stop waits for answers that are under way


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
            run.keep = project.state.kept_history
        return await run.run()
    finally:
        journal.close()


def complete(state: State, plan: Plan, sync: str) -> None:
    """Note that a plan was carried out to its end for a sync."""
    state.complete(sync, datetime.now(UTC), plan.digests_file, plan.seen(sync), plan.passed(sync))


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
        self.deadline = math.inf
        if self.limits.deadline_seconds is not None:
            left = self.limits.deadline_seconds - self.limits.used_seconds
            self.deadline = self.started + left
        self.first_request = client.sent
        most = self.limits.max_requests
        client.most = None if most is None else client.sent + most - self.limits.used_requests
        client.kept = self._kept_for_others
        client.check = self._check_stop
        self.halted: BaseException | None = None
        self.keep: timedelta | None = None  # how long history is kept; None: forever
        self.tally = Tally(plan.syncs)
        self.work = Work(
            plan,
            state,
            client,
            journal,
            self.run_id,
            self.tally,
            self._check_stop,
            self._show,
            deadlines={
                name: self.started + seconds
                for name in plan.syncs
                if (seconds := plan.deadline_seconds(name)) is not None
            },
        )
        self.runners = make_runners(self.work, {b.route for b in plan.batches})
        self.earlier = dict.fromkeys(plan.syncs, 0)
        self.under_way: dict[str, Batch] = {}  # of each sync at work, a batch that speaks for it
        self.waiting: set[str] = set()  # syncs with files that could not be sent yet

    async def run(self) -> ApplyResult:
        self._keep_copy()
        self.journal.begin_run(self.run_id, self.plan.plan_id, self.command)
        reason: str | None = None
        try:
            self._count_earlier()
            for syncs in self._ranks():
                await self._apply_together(syncs)
            for sync in self.plan.syncs:
                if sync in self.waiting:
                    continue
                complete(self.state, self.plan, sync)
        except Stop as stopped:
            reason = str(stopped)
        except LimitReached:
            reason = f"reached --max-requests {self.limits.max_requests}"
        except Unreachable as error:
            reason = error.diagnostics[0].message
        except CompassoError:
            self._end("error")
            raise
        result = self._result(reason)
        self._end("stopped" if reason else "failed records" if result.failed else "done")
        if reason is None:
            keep = None if self.keep is None else datetime.now(UTC) - self.keep
            tidy(self.state, self.journal, keep, self.plan.syncs)
        elif self.plan.plan_id not in self.journal.unfinished_plans():
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
        close_run(self.state.directory, self.run_id)

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

    def _ranks(self) -> list[list[str]]:
        """The syncs in the order in which they must go; those of one rank go together."""
        ranks: dict[int, list[str]] = {}
        for batch in self.plan.batches:
            together = ranks.setdefault(load_target(batch.target).rank, [])
            if batch.sync not in together:
                together.append(batch.sync)
        return [ranks[rank] for rank in sorted(ranks)]

    async def _apply_together(self, syncs: list[str]) -> None:
        """Apply syncs of one rank at once: imports of one while calls of another go on.

        Who gets a request is for the budget to say. When one ends the run, the others stop at
        their next step; who does not stop within the grace is cut off, and the journal knows.
        """
        first = {b.sync: b for b in reversed(self.plan.batches) if b.sync in syncs}
        self.under_way = first  # all of them from the start, so that none is overlooked
        tasks = {asyncio.create_task(self._apply_sync(sync)) for sync in syncs}
        asked = asyncio.create_task(self.stop.wait())
        pending: set[asyncio.Task[Any]] = set(tasks)
        try:
            while pending and self.halted is None:
                done, _ = await asyncio.wait(
                    {*pending, asked}, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED
                )
                pending -= done
                errors = [e for task in done if (e := task.exception()) is not None]
                self.halted = errors[0] if errors else self._reason_to_stop()
            if pending:
                _, pending = await asyncio.wait(pending, timeout=_GRACE_SECONDS)
        finally:
            for task in (*pending, asked):
                task.cancel()
            await asyncio.gather(*tasks, asked, return_exceptions=True)
        errors = [e for t in tasks if not t.cancelled() and (e := t.exception()) is not None]
        if errors:
            raise min(errors, key=_severity)
        if self.halted is not None:
            raise self.halted

    async def _apply_sync(self, sync: str) -> None:
        batches = self._without_missing_fields([b for b in self.plan.batches if b.sync == sync])
        if not batches:
            del self.under_way[sync]
            return
        target = load_target(batches[0].target)
        for route, runner in self.runners.items():
            mine = [b for b in batches if b.route is route]
            if mine:
                await runner.run(mine, target)
        del self.under_way[sync]

    def _kept_for_others(self, claim: Claim) -> int:
        """How many of the requests of --max-requests are for syncs that go before this claim."""
        now = self.client.clock.monotonic()
        mine = claim.waiter(now).order(now)
        others = [
            self.work.claim(b).waiter(now) for s, b in self.under_way.items() if s != claim.who
        ]
        return sum(other.left for other in others if other.order(now) < mine)

    def _without_missing_fields(self, batches: list[Batch]) -> list[Batch]:
        """Leave out the import files with a column of a contact field that could not be made.

        Connectif does not import columns that it does not know (documented, 7.4), and counts the
        rows as done. (A call with such a field is refused, and says so.)
        """
        if not any(batch.target == "contacts" and batch.columns for batch in batches):
            return batches
        missing = {f.key for f in self.state.failures(CONTACT_FIELDS)}
        kept = []
        for batch in batches:
            lacks = sorted(missing & set(batch.columns)) if batch.target == "contacts" else []
            if not lacks:
                kept.append(batch)
                continue
            self.waiting.add(batch.sync)
            self.tally.failed[batch.sync] += batch.rows  # a success it is not
            self.tally.notes.append(
                f"{batch.rows:,} contacts of {batch.sync} wait: the contact field "
                f"{', '.join(lacks)} could not be made; the next plan sends them again"
            )
        return kept

    def _check_stop(self) -> None:
        """Raise what ends the run. Runners call it between steps, the client while it waits."""
        if self.halted is None:
            self.halted = self._reason_to_stop()
        if self.halted is not None:
            raise Stop(str(self.halted))

    def _reason_to_stop(self) -> Stop | None:
        if self.stop.is_set():
            return Stop("stopped by a signal")
        if self.client.clock.monotonic() >= self.deadline:
            return Stop("reached --deadline")
        return None

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
            requests=self.client.sent - self.first_request + self.limits.used_requests,
            seconds=self.client.clock.monotonic() - self.started,
            stopped=reason is not None,
            reason=reason,
            failures=tuple(self.tally.failures),
            syncs=tuple(syncs),
            uncertain=sum(self.tally.uncertain.values()),
            notes=tuple(self.tally.notes),
        )


def _severity(error: BaseException) -> int:
    """Which of several errors tells best why the run ended."""
    if isinstance(error, Unreachable):
        return 2
    if isinstance(error, (Stop, LimitReached)):
        return 3
    return 1 if isinstance(error, CompassoError) else 0
