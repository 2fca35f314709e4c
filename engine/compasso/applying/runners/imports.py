"""Changes by import: upload, wait, read the error report, commit.

When the answer to an upload is lost, the import is looked for in the account's list before it
is uploaded again: by type, number of rows and time.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from compasso.applying.history import Told, remember
from compasso.applying.jobs import read_report
from compasso.applying.journal import FAILED, ImportIntent, RefusedRow
from compasso.applying.runners.base import Work, moment
from compasso.applying.stocks import codes_still_needed
from compasso.connectif import LostAnswer
from compasso.model import Batch, CompassoError
from compasso.planning.stocks import NOT_ENDED
from compasso.state import Commit
from compasso.targets import Target
from compasso.temporary import working_folder

QUEUE = 10  # documented: at most so many imports may wait
_DONE = {"finished", "error", "cancelled"}
_SLOWEST_POLL = 15.0
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_KEPT_REFUSED = 10_000  # rows of one import whose place is kept
# What is known of the account's clock may be this much ahead of it. Not more: an import of an
# earlier, killed apply must not be taken for this one, whose rows would then never arrive. Where it
# differs more, the file is sent a second time, and the same rows twice are the same as once.
_CLOCK_SKEW = timedelta(seconds=1)
# Coupon codes twice are not the same as once: the second time they are refused, since they are in
# the set. And an earlier import of as many codes, unknown to the state, was of these very codes.
_CODES_SKEW = timedelta(minutes=2)
# An upload that a kill cut off may come to be a moment later: when it is looked for again.
_LATE_SECONDS = (0.0, 1.0, 3.0)
_YOUNG_SECONDS = 10.0
# An import that has not ended by then will not be waited for any longer: its rows count as
# failed, and the next plan sends them again. (It cannot be cancelled: DELETE takes only
# imports that have ended.)
PATIENCE_SECONDS = 2 * 3600.0


@dataclass
class _Running:
    batch: Batch
    import_id: str
    rows: int
    since: float  # when it was uploaded, in monotonic seconds
    last: dict[str, Any] = field(default_factory=dict)
    run_id: str = ""  # of the apply that uploaded it, if that was another one


class ImportRunner:
    """Runs the imports of a plan."""

    order: ClassVar[int] = 1

    def __init__(self, work: Work) -> None:
        self.work = work
        self.plan = work.plan
        self.client = work.client
        self.journal = work.journal
        self.settled = {
            i.batch_id: i.total for i in self.journal.imports(self.plan.plan_id) if i.settled
        }

    def done(self, batch: Batch) -> int:
        return self.settled.get(batch.batch_id, 0)

    async def run(self, batches: Sequence[Batch], target: Target) -> None:
        """Upload all batches, up to ten at a time, and settle each as it ends."""
        waiting = [b for b in batches if b.batch_id not in self.settled]
        running = await self._resume(waiting)
        interval = 1.0
        moved = self.client.clock.monotonic()  # when an import was last taken or ended
        while waiting or running:
            self.work.check_stop()
            if not running and self.client.clock.monotonic() - moved > PATIENCE_SECONDS:
                raise CompassoError.say(
                    "Connectif's queue of imports has been full for "
                    f"{PATIENCE_SECONDS / 3600:.0f} hours (E0401: ten imports are queued)",
                    "what was applied is safe; see them with `compasso imports list`, then apply "
                    "again, or set `route: calls` for small syncs",
                )
            while waiting and len(running) < QUEUE:
                self.work.check_stop()
                batch = await self._still_wanted(waiting[0], target)
                if batch is None:
                    waiting.pop(0)
                    continue
                begun = await self._upload(batch, target)
                if begun is None:  # the account's queue is full with others' imports
                    break
                waiting.pop(0)
                running.append(begun)
                interval = 1.0
                moved = self.client.clock.monotonic()
            if not waiting and not running:
                break
            await self._pause(interval, running)
            interval = min(interval * 1.6, _SLOWEST_POLL)
            for one in await self._poll(running):
                running.remove(one)
                interval = 1.0
                moved = self.client.clock.monotonic()
                await self._settle(one)

    async def _still_wanted(self, batch: Batch, target: Target) -> Batch | None:
        """What of a batch is to be uploaded now: of coupon codes, no more than the set needs."""
        if target.name != "coupons":
            return batch
        codes = await codes_still_needed(self.work, batch)
        return _first_of(batch, codes) if codes else None

    async def _resume(self, waiting: list[Batch]) -> list[_Running]:
        """Imports that an earlier, interrupted apply of this plan began."""
        known = {b.batch_id: b for b in waiting}
        running = []
        for intent in self.journal.imports(self.plan.plan_id, open_only=True):
            batch = known.get(intent.batch_id)
            if batch is None:
                continue
            import_id = intent.import_id or await self._find_late(intent)
            if import_id is None:
                self.journal.drop_import(intent.plan_id, intent.batch_id)
                continue
            self.journal.record_import(intent.plan_id, intent.batch_id, import_id)
            waiting.remove(batch)
            batch = _first_of(batch, intent.total)
            running.append(
                _Running(batch, import_id, intent.total, self._since(intent), run_id=intent.run_id)
            )
        return running

    async def _find_late(self, intent: ImportIntent) -> str | None:
        """The import of a killed apply, which may still be arriving."""
        for seconds in _LATE_SECONDS:
            await self.client.clock.sleep(seconds)
            found = await self.find(intent)
            if found is not None:
                return found
        return None

    async def find(self, intent: ImportIntent) -> str | None:
        """The import whose answer was lost, in the account's list."""
        mine = self.journal.known_imports()
        coupon_set = self.plan.options(intent.sync).get("coupon_set_id")
        batch = next(b for b in self.plan.batches if b.batch_id == intent.batch_id)
        since = intent.at - (_CLOCK_SKEW if coupon_set is None else _CODES_SKEW)
        for found in await self.client.list_imports(self.work.claim(batch)):
            created = moment(found.get("createdAt"))
            if (
                found.get("type") == intent.type
                and found.get("total") == intent.total
                and found.get("origin", "api") == "api"
                and (found.get("options") or {}).get("couponSetId", coupon_set) == coupon_set
                and found.get("id") not in mine
                and (created is None or created >= since)
            ):
                return str(found["id"])
        return None

    async def _upload(self, batch: Batch, target: Target) -> _Running | None:
        with tempfile.TemporaryDirectory(prefix="import-", dir=working_folder()) as folder:
            file = Path(folder) / "import.csv"
            rows = await asyncio.to_thread(self.plan.write_import, batch, file)
            coupon_set = self.plan.options(batch.sync).get("coupon_set_id")
            intent = ImportIntent(
                self.plan.plan_id, batch.batch_id, self.work.run_id, batch.sync,
                str(target.import_type), rows, self._now(), None, False,
            )  # fmt: skip

            def leave() -> None:
                # Not before it has its place in the budget: what never left is not to be settled.
                self.journal.intend_import(intent)

            for attempt in range(self.client.tries):
                self.work.show(batch.sync, f"uploading {rows:,} rows")
                try:
                    answer = await self.client.create_import(
                        str(target.import_type),
                        file,
                        self.work.claim(batch),
                        # A code that is there already stays as it is.
                        override_existing=coupon_set is None,
                        coupon_set_id=coupon_set,
                        leaving=leave,
                    )
                except LostAnswer:
                    await self.client.pause(attempt, at_least=1.0)
                    import_id = await self.find(intent)
                    if import_id is not None:
                        break
                    continue
                if answer.ok and isinstance(answer.body, dict):
                    import_id = str(answer.body["id"])
                    break
                self.journal.drop_import(self.plan.plan_id, batch.batch_id)
                if isinstance(answer.body, dict) and answer.body.get("code") == "E0401":
                    return None
                raise CompassoError.say(
                    f"Connectif refused the import of {batch.sync}: {answer.reason()}",
                    "what was applied before is safe; `route: calls` in the spec avoids imports",
                )
            else:
                raise self.client.unreachable("POST /imports", "its answer was lost every time")
        self.journal.record_import(self.plan.plan_id, batch.batch_id, import_id)
        return _Running(batch, import_id, rows, self.client.clock.monotonic())

    async def _pause(self, seconds: float, running: list[_Running]) -> None:
        """Wait, but wake up soon enough for a stop."""
        name = running[0].batch.sync if running else self.plan.syncs[0]
        total = sum(r.rows for r in running)
        end = self.client.clock.monotonic() + seconds
        while (left := end - self.client.clock.monotonic()) > 0:
            self.work.show(name, f"Connectif is working on {total:,} rows")
            await self.client.clock.sleep(min(left, 0.5))
            self.work.check_stop()

    async def _poll(self, running: list[_Running]) -> list[_Running]:
        """The imports that are over now: one request, whether one runs or ten."""
        if not running:
            return []
        if len(running) == 1:
            answer = await self.client.get_import(
                running[0].import_id, self.work.claim(running[0].batch)
            )
            seen = {running[0].import_id: answer.body} if answer.ok else {}
            if answer.status == 404:
                seen = {running[0].import_id: {"status": "error"}}
        else:
            claim = self.work.claim(running[0].batch)
            seen = {str(i.get("id")): i for i in await self.client.list_imports(claim)}
        for one in running:
            one.last = seen.get(one.import_id) or one.last
        now = self.client.clock.monotonic()
        return [
            one
            for one in running
            if one.last.get("status") in _DONE or now - one.since > PATIENCE_SECONDS
        ]

    def _since(self, intent: ImportIntent) -> float:
        """When an earlier apply began an import, in monotonic seconds."""
        ago = (self._now() - intent.at).total_seconds()
        return self.client.clock.monotonic() - min(max(0.0, ago), PATIENCE_SECONDS)

    def _now(self) -> datetime:
        return self.client.account_clock.now()

    async def _settle(self, one: _Running) -> int:
        """Commit what an import did; answers how many records it applied."""
        batch = one.batch
        # Only rows that failed must be told apart by their keys.
        all_well = one.last.get("status") == "finished" and not one.last.get("errors")
        keys = {} if all_well else self.plan.keys(batch)
        failures: dict[int, str] = {}
        if one.last.get("status") != "finished":
            reason = f"the import ended with status {one.last.get('status')}"
            if one.last.get("status") not in _DONE:
                reason = f"{NOT_ENDED} within {PATIENCE_SECONDS / 3600:.0f} hours"
            failures = dict.fromkeys(keys.values(), reason)
        elif one.last.get("errors"):
            failures = await self._failed_rows(one, keys)
        self.work.state.commit(
            Commit(
                sync=batch.sync,
                plan_id=self.plan.plan_id,
                run_id=self.work.run_id,
                changes=self.plan.changes_file,
                first=batch.first,
                last=batch.last,
                failures=failures,
                at=self._now(),
            )
        )
        if failures:
            self._keep_refused(one, failures)
        self._remember(one, failures)
        self.journal.settle_import(self.plan.plan_id, batch.batch_id)
        applied = batch.rows - len(failures)
        tally = self.work.tally
        tally.applied[batch.sync] += applied
        if failures:
            names = {change: key for key, change in keys.items()}
            for change, reason in failures.items():
                tally.fail(batch.sync, names.get(change, ""), batch.operation, reason)
        self.work.show(batch.sync, "")
        return applied

    def _remember(self, one: _Running, failures: Mapping[int, str]) -> None:
        """For `compasso history of KEY`."""
        batch = one.batch
        outcomes = {
            change: (FAILED, None, reason, None, None) for change, reason in failures.items()
        }
        told = Told(
            batch.sync, batch.target, batch.route, one.run_id or self.work.run_id, self._now(),
            batch.first, batch.last, None, outcomes, one.import_id,
        )  # fmt: skip
        remember(self.work.state, self.plan, told)

    def _keep_refused(self, one: _Running, failures: Mapping[int, str]) -> None:
        """For `compasso imports show`: where the first of the refused rows come from.

        Where the state keeps no personal data, nor does the journal.
        """
        places = self.plan.places(sorted(failures)[:_KEPT_REFUSED])
        rows = []
        for change, place in places.items():
            name, reason = self.work.state.name_of(one.batch.sync, place.key), failures[change]
            if name != place.key:
                reason = _EMAIL.sub("***", reason.replace(place.key, "***"))
            rows.append(RefusedRow(name, place.file, place.row, reason))
        self.journal.record_refused(one.import_id, rows)

    async def settle_left_over(self, sync: str) -> int:
        batches = {b.batch_id: b for b in self.plan.batches}
        carried = 0
        for intent in self.journal.imports(self.plan.plan_id, open_only=True):
            if intent.sync != sync:
                continue
            import_id = intent.import_id or await self._find_late(intent)
            if import_id is None:
                self.journal.drop_import(intent.plan_id, intent.batch_id)
                continue
            batch = _first_of(batches[intent.batch_id], intent.total)
            one = _Running(
                batch, import_id, intent.total, self._since(intent), run_id=intent.run_id
            )
            interval = 1.0
            if self.client.clock.monotonic() - one.since < _YOUNG_SECONDS:
                await self._pause(interval, [one])  # it has hardly begun: a request for nothing
            while not await self._poll([one]):
                await self._pause(interval, [one])
                interval = min(interval * 1.6, _SLOWEST_POLL)
            carried += await self._settle(one)
        return carried

    async def _failed_rows(self, one: _Running, keys: dict[str, int]) -> dict[int, str]:
        """The failed rows by the error report. Without one, none can be called applied."""
        url = one.last.get("errorReportFileUrl")
        unknown = "the import reported errors without saying which rows"
        if not url:
            return dict.fromkeys(keys.values(), unknown)
        with tempfile.TemporaryDirectory(prefix="report-", dir=working_folder()) as folder:
            file = Path(folder) / "report.csv"
            await self.client.download(str(url), file)
            failures = read_error_report(file, one.batch.columns, keys)
        if len(failures) < int(one.last["errors"]):
            return {**dict.fromkeys(keys.values(), unknown), **failures}
        return failures


RUNNER = ImportRunner


def read_error_report(file: Path, columns: Sequence[str], keys: dict[str, int]) -> dict[int, str]:
    """The failed changes of the error report of a file with these columns."""
    failures: dict[int, str] = {}
    for key, reason in read_report(file, columns):
        change = keys.get(key, keys.get(key.strip().lower()))
        if change is not None:
            failures[change] = reason or "the import refused the row"
    return failures


def _first_of(batch: Batch, rows: int) -> Batch:
    """The first changes of a batch, as if there were no others."""
    return replace(batch, last=min(batch.last, batch.first + rows - 1))
