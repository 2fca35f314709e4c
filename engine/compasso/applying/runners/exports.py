"""Exports: ask for a file, wait until it is made, fetch it, check it, write it where it belongs.

When the answer to a request is lost, the export is looked for in the account's list before
another one is asked for. After a kill the next apply goes on with the same export, whichever
plan it belonged to: what matters is the piece.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from compasso.applying.archive import BadFile, read_rows, unpack
from compasso.applying.destinations import CannotWrite, Load, write_loads
from compasso.applying.export_job import ExportJob, same_filters
from compasso.applying.history import Told, remember
from compasso.applying.journal import APPLIED, FAILED, ExportIntent
from compasso.applying.runners.base import Work, moment
from compasso.connectif import LostAnswer
from compasso.engine import cursor
from compasso.model import ApiCall, Batch, Change, CompassoError, Operation
from compasso.state import HASHED, Commit
from compasso.targets import Target
from compasso.temporary import working_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

QUEUE = 5  # documented: at most so many exports may wait
PATIENCE_SECONDS = 2 * 3600.0  # for a full queue, and for an export that does not end
_DONE = {"finished", "error"}
_SLOWEST_POLL = 15.0
_CLOCK_SKEW = timedelta(minutes=2)  # what is known of the account's clock may be wrong by this much
_ADDRESSES = 3  # how many addresses of one file are tried; each lives 100 minutes (documented)
_LOOK_AFTER = 1.0


@dataclass
class _Running:
    """An export under way."""

    change: Change
    export_id: str
    since: float
    last: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Fetched:
    """What came of an export: a load, or the reason why there is none."""

    change: Change
    load: Load | None
    reason: str = ""
    export_id: str | None = None


class ExportRunner:
    """Runs the exports of a plan."""

    order: ClassVar[int] = 3

    def __init__(self, work: Work) -> None:
        self.work = work
        self.journal = work.journal
        self.client = work.client

    def done(self, batch: Batch) -> int:
        return sum(1 for change in self._settled(batch.sync) if batch.first <= change <= batch.last)

    def _settled(self, sync: str) -> set[int]:
        plan_id = self.work.plan.plan_id
        return {
            i.change_id for i in self.journal.exports(sync) if i.settled and i.plan_id == plan_id
        }

    async def settle_left_over(self, sync: str) -> int:
        return 0

    async def run(self, batches: Sequence[Batch], target: Target) -> None:
        """Make all pieces of one export; in mode replace, write them all or none."""
        sync = batches[0].sync
        settled = self._settled(sync)
        waiting = [
            c for b in batches for c in self.work.plan.changes(b) if c.change_id not in settled
        ]
        if not waiting:
            return
        job = ExportJob(self.work, sync, batches[0])
        with (
            tempfile.TemporaryDirectory(prefix="export-", dir=working_folder()) as name,
            cursor() as connection,
        ):
            folder = Path(name)
            replace = job.options["mode"] == "replace"
            fetched: list[_Fetched] = []
            async for one in self._fetch_all(job, waiting, connection, folder):
                fetched.append(one)
                if not replace:
                    await self._write(job, connection, [one], replace=False)
            if replace and fetched:
                await self._write(job, connection, fetched, replace=True)

    async def _fetch_all(
        self, job: ExportJob, waiting: list[Change], connection: DuckDBPyConnection, folder: Path
    ) -> AsyncIterator[_Fetched]:
        """Ask for the exports, up to five at a time, and fetch each as it ends."""
        running = await self._resume(job, waiting)
        interval = 1.0
        moved = self.client.clock.monotonic()
        full = False
        while waiting or running:
            self.work.check_stop()
            if not running and self.client.clock.monotonic() - moved > PATIENCE_SECONDS:
                raise CompassoError.say(
                    "Connectif's queue of exports has been full for "
                    f"{PATIENCE_SECONDS / 3600:.0f} hours (E0301: five exports are queued)",
                    "what was done is safe; see them with `compasso exports list`, delete in the "
                    "store what nobody needs, then apply again",
                )
            while waiting and len(running) < QUEUE:
                self.work.check_stop()
                begun = await self._begin(job, waiting[0])
                full = begun is None
                if begun is None:
                    break
                change = waiting.pop(0)
                moved = self.client.clock.monotonic()
                interval = 1.0
                if isinstance(begun, str):
                    yield _Fetched(change, None, begun)
                else:
                    running.append(begun)
            if not waiting and not running:
                break
            said = (
                "Connectif's queue of exports is full (E0301, five at most): waiting for a place"
                if full and not running
                else f"Connectif is working on {len(running)} exports"
            )
            await self._pause(job.sync, interval, said)
            interval = min(interval * 1.6, _SLOWEST_POLL)
            for one in await self._poll(job, running):
                running.remove(one)
                interval = 1.0
                moved = self.client.clock.monotonic()
                yield await self._fetch(job, one, connection, folder)

    async def _resume(self, job: ExportJob, waiting: list[Change]) -> list[_Running]:
        """Exports that an interrupted apply, of this plan or another, asked for."""
        by_piece = {change.key: change for change in waiting}
        running: list[_Running] = []
        for intent in self.journal.exports(job.sync):
            if intent.settled:
                continue
            change = by_piece.get(intent.piece)
            same = change is not None and intent.body == job.fingerprint(change.key)
            if same and self._is_written(job.sync, intent):
                # Killed after the state was told, and before the journal was.
                self.journal.settle_exports(intent.plan_id, [intent.change_id])
                if intent.plan_id == self.work.plan.plan_id and change in waiting:
                    waiting.remove(change)
                    self.work.tally.applied[job.sync] += 1
                continue
            export_id = (intent.export_id or await self.find(job, intent)) if same else None
            if change is None or export_id is None:
                self.journal.drop_export(intent.plan_id, intent.change_id)
                continue
            taken = dataclasses.replace(
                intent,
                plan_id=self.work.plan.plan_id,
                change_id=change.change_id,
                export_id=export_id,
            )
            self.journal.intend_export(taken)
            if (intent.plan_id, intent.change_id) != (taken.plan_id, taken.change_id):
                self.journal.drop_export(intent.plan_id, intent.change_id)
            if change in waiting:
                waiting.remove(change)
                running.append(_Running(change, export_id, self.client.clock.monotonic()))
        return running

    def _is_written(self, sync: str, intent: ExportIntent) -> bool:
        """Whether the state has the piece already, from after the export was asked for.

        The clock may have been set back since, so the piece must also be the one that was asked.
        """
        as_of = json.loads(intent.body)["as_of"]
        return any(
            r.applied_at >= intent.at and r.fields.get("asOf") in {as_of, HASHED}
            for r in self.work.state.records(sync, intent.piece)
        )

    async def find(self, job: ExportJob, intent: ExportIntent) -> str | None:
        """The export whose answer was lost, in the account's list, newest first."""
        asked = json.loads(intent.body)
        known = {i.export_id for i in self.journal.exports()}
        async for item in self.client.pages("/exports/", job.claim()):
            created = moment(item.get("createdAt"))
            if created is not None and created < intent.at - _CLOCK_SKEW:
                return None
            same = item.get("exportType") == asked["kind"]
            if (
                same
                and item.get("id") not in known
                and item.get("origin", "api") == "api"
                and same_filters(item.get("filters") or {}, asked["body"].get("filters") or {})
            ):
                return str(item["id"])
        return None

    async def _begin(self, job: ExportJob, change: Change) -> _Running | str | None:
        """Ask for an export: it runs, or why it was refused; None when the queue is full."""
        plan_id = self.work.plan.plan_id
        call = job.call(change.key)
        intent = ExportIntent(
            plan_id, change.change_id, self.work.run_id, job.sync, change.key,
            job.fingerprint(change.key), self._now(),
        )  # fmt: skip
        export_id: str | None = None
        for attempt in range(self.client.tries):
            try:
                answer = await self.client.send_once(
                    call, job.claim(), leaving=lambda: self.journal.intend_export(intent)
                )
            except LostAnswer:
                await self.client.pause(attempt, at_least=_LOOK_AFTER)
                export_id = await self.find(job, intent)
                if export_id is None:
                    continue
                break
            if answer.ok and isinstance(answer.body, dict):
                export_id = str(answer.body["id"])
                break
            self.journal.drop_export(plan_id, change.change_id)
            if isinstance(answer.body, dict) and answer.body.get("code") == "E0301":
                return None
            return f"Connectif refused the export: {answer.reason()}"
        if export_id is None:
            raise self.client.unreachable("POST", "its answer was lost every time")
        self.journal.record_export(plan_id, change.change_id, export_id)
        return _Running(change, export_id, self.client.clock.monotonic())

    async def _pause(self, sync: str, seconds: float, said: str) -> None:
        """Wait, but wake up soon enough for a stop."""
        end = self.client.clock.monotonic() + seconds
        while (left := end - self.client.clock.monotonic()) > 0:
            self.work.show(sync, said)
            await self.client.clock.sleep(min(left, 0.5))
            self.work.check_stop()

    async def _poll(self, job: ExportJob, running: list[_Running]) -> list[_Running]:
        """The exports that are over now: one request for all, if the list still shows them."""
        seen: dict[str, Any] = {}
        if len(running) > 1:
            answer = await self.client.send(ApiCall("GET", "/exports/"), job.claim())
            if answer.ok and isinstance(answer.body, dict):
                seen = {str(e.get("id")): e for e in answer.body.get("results") or []}
        for one in running:
            one.last = seen.get(one.export_id) or await self._look(job, one.export_id)
        now = self.client.clock.monotonic()
        return [
            one
            for one in running
            if one.last.get("status") in _DONE or now - one.since > PATIENCE_SECONDS
        ]

    async def _look(self, job: ExportJob, export_id: str) -> dict[str, Any]:
        answer = await self.client.send(ApiCall("GET", f"/exports/{export_id}"), job.claim())
        if answer.status == 404:
            return {"status": "error", "gone": True}
        return dict(answer.body) if answer.ok and isinstance(answer.body, dict) else {}

    async def _fetch(
        self, job: ExportJob, one: _Running, connection: DuckDBPyConnection, folder: Path
    ) -> _Fetched:
        """The rows of an export that is over."""
        change, status = one.change, one.last.get("status")
        if status == "error":
            gone = "the export was deleted in Connectif"
            said = gone if one.last.get("gone") else "Connectif could not make it (status error)"
            return _Fetched(change, None, f"{said}; the next plan asks for it again", one.export_id)
        if status != "finished":
            hours = f"{PATIENCE_SECONDS / 3600:.0f} hours"
            return _Fetched(change, None, f"the export did not end within {hours}", one.export_id)
        archive = folder / f"{change.change_id}.zip"
        try:
            await self._download(job, one, archive)
            self.work.check_stop()
            total = one.last.get("total")
            load = await asyncio.to_thread(_read, job, change, connection, archive, total)
        except BadFile as bad:
            return _Fetched(change, None, str(bad), one.export_id)
        finally:
            archive.unlink(missing_ok=True)
        return _Fetched(change, load, export_id=one.export_id)

    async def _download(self, job: ExportJob, one: _Running, archive: Path) -> None:
        """Fetch the file. Each GET gives a new address, so a dead one is no loss (documented)."""
        status = 0
        for _ in range(_ADDRESSES):
            self.work.show(job.sync, "fetching a file")
            one.last = await self._look(job, one.export_id) or one.last
            url = one.last.get("fileUrl")
            if not url:
                raise BadFile("the export has finished, but Connectif gives no address of its file")
            status = await self.client.fetch(str(url), archive)
            if 200 <= status < 300:
                return
        raise BadFile(f"the export's file cannot be fetched: status {status}, {_ADDRESSES} times")

    async def _write(
        self,
        job: ExportJob,
        connection: DuckDBPyConnection,
        fetched: Sequence[_Fetched],
        *,
        replace: bool,
    ) -> None:
        """Write what was fetched to its destination, then tell the state."""
        failures = {f.change.change_id: f.reason for f in fetched if f.load is None}
        loads = [f.load for f in fetched if f.load is not None]
        if failures and replace:
            rest = "another part of the export failed, so nothing was replaced"
            failures |= {f.change.change_id: rest for f in fetched if f.load is not None}
            loads = []
        if loads:
            self.work.show(job.sync, f"writing {job.place.name}")
            try:
                await asyncio.to_thread(write_loads, connection, job.place, loads, replace=replace)
            except CannotWrite as cannot:
                for f in fetched:
                    failures.setdefault(f.change.change_id, str(cannot))
            else:
                job.place = dataclasses.replace(job.place, ours=True)
        for load in loads:
            for table in filter(None, (load.rows, load.products)):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
        changes = sorted(f.change.change_id for f in fetched)
        self._remember(job, fetched, failures)
        self.work.state.commit(
            Commit(
                sync=job.sync,
                plan_id=self.work.plan.plan_id,
                run_id=self.work.run_id,
                changes=self.work.plan.changes_file,
                first=changes[0],
                last=changes[-1],
                only=frozenset(changes),
                failures=failures,
                at=self._now(),
            )
        )
        self.journal.settle_exports(self.work.plan.plan_id, changes)
        self._count(job, fetched, failures)

    def _remember(
        self, job: ExportJob, fetched: Sequence[_Fetched], failures: Mapping[int, str]
    ) -> None:
        """For `compasso history`: each piece, by which export it came, and what became of it."""
        for f in fetched:
            change = f.change.change_id
            outcome = FAILED if change in failures else APPLIED
            told = Told(
                job.sync, job.batch.target, job.batch.route, self.work.run_id, self._now(), change,
                change, [change], {change: (outcome, None, failures.get(change), None, None)},
                f.export_id,
            )  # fmt: skip
            remember(self.work.state, self.work.plan, told)

    def _count(
        self, job: ExportJob, fetched: Sequence[_Fetched], failures: Mapping[int, str]
    ) -> None:
        tally = self.work.tally
        for f in fetched:
            reason = failures.get(f.change.change_id)
            if reason is None:
                tally.applied[job.sync] += 1
            else:
                tally.fail(job.sync, f.change.key, Operation.CREATE, reason)
        self.work.show(job.sync, "")

    def _now(self) -> datetime:
        return self.client.account_clock.now()


RUNNER = ExportRunner


def _read(
    job: ExportJob, change: Change, connection: DuckDBPyConnection, archive: Path, total: object
) -> Load:
    """The rows of an export's file as tables of the connection. Raises BadFile."""
    folder = archive.with_suffix("")
    folder.mkdir(exist_ok=True)
    try:
        unpacked = unpack(archive, folder)
        rows = f"rows_{change.change_id}"
        columns = {c["name"]: c for c in job.options["columns"]}
        count = read_rows(connection, rows, unpacked.main, columns)
        if isinstance(total, int) and count != total:
            raise BadFile(f"the export's file has {count:,} rows, and the export says {total:,}")
        products = None
        if job.place.products is not None:
            if not unpacked.products:
                raise BadFile("the export's file has no file of products in it")
            products = f"products_{change.change_id}"
            read_rows(connection, products, unpacked.products, {})
    finally:
        for file in folder.glob("*"):
            file.unlink()
        folder.rmdir()
    return Load(change.key, rows, products)
