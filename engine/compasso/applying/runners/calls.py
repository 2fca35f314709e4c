"""Changes by call: one request a record.

What may be done after a lost answer is the target's `delivery`: see `Delivery`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

from compasso.applying.explain import explain
from compasso.applying.history import Told, remember
from compasso.applying.journal import APPLIED, FAILED, GONE, UNCERTAIN, Outcome
from compasso.applying.runners.base import Work
from compasso.connectif import Answer, Client, LostAnswer, NoAnswer
from compasso.model import ApiCall, Batch, Change, CompassoError, Operation, Route
from compasso.state import Commit
from compasso.targets import Delivery, Target, load_target

IN_FLIGHT = 8  # calls at once: enough to use the budget when an answer takes some seconds
LOST = "the answer was lost, and it may not be sent twice (delivery: at_most_once)"
THERE = "with this key is there already"
NOT_REMADE = "it was deleted to be made anew, and was not yet: the next plan makes it"
_TAKEN = frozenset({409, 422})  # how the API may refuse a key that is taken (a guess)
_COMMIT_EVERY = 200  # outcomes; between commits the journal has them
_GRACE_SECONDS = 3.5  # how long a stop waits for answers that are under way
# A create whose answer was lost is looked for after this long.
_LOOK_UP_AFTER = 1.0
# These methods may be sent twice: PATCH is an upsert, DELETE of what is gone does nothing (9.6).
_REPEATABLE_METHODS = frozenset({"GET", "PATCH", "PUT", "DELETE"})


class CallRunner:
    """Sends the changes of a plan that go by call."""

    order: ClassVar[int] = 2  # after imports: those take time at Connectif, not requests

    def __init__(self, work: Work) -> None:
        self.work = work
        self.known = work.journal.applied(work.plan.plan_id)
        self._fatal: CompassoError | None = None
        self._taken: dict[str, frozenset[str]] = {}

    def done(self, batch: Batch) -> int:
        return sum(1 for change in self.known if batch.first <= change <= batch.last)

    async def run(self, batches: Sequence[Batch], target: Target) -> None:
        await self._settle_open(batches[0].sync, target)
        for batch in batches:
            await self._run_batch(batch, target)

    async def _run_batch(self, batch: Batch, target: Target) -> None:
        work = self.work
        tasks: set[asyncio.Task[None]] = set()
        since = 0
        try:
            for change in work.plan.changes(batch, self.known):
                work.check_stop()
                if len(tasks) >= IN_FLIGHT:
                    done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    _raise_first(done)
                if self._fatal is not None:
                    raise self._fatal
                task = asyncio.create_task(self._one_call(change, batch, target))
                task.add_done_callback(_seen)
                tasks.add(task)
                since += 1
                if since >= _COMMIT_EVERY:
                    since = 0
                    self.keep_outcomes(batch.sync)
            while tasks:
                done, tasks = await asyncio.wait(
                    tasks, timeout=0.5, return_when=asyncio.FIRST_COMPLETED
                )
                _raise_first(done)
                if tasks:
                    work.check_stop()
        finally:
            await _settle_tasks(tasks)
            self.keep_outcomes(batch.sync)
        if self._fatal is not None:
            raise self._fatal

    async def _one_call(self, change: Change, batch: Batch, target: Target) -> None:
        """Intent, request, outcome."""
        try:
            outcome = await self._deliver(change, batch, target)
        except CompassoError as error:
            self._fatal = self._fatal or error
            return
        self._record(change, outcome)

    def _record(self, change: Change, outcome: Outcome) -> None:
        tally = self.work.tally
        if outcome.outcome in {FAILED, GONE}:
            tally.fail(change.sync, change.key, change.operation, outcome.reason or "")
        else:
            tally.applied[change.sync] += 1
            tally.uncertain[change.sync] += outcome.outcome == UNCERTAIN
        self.work.journal.record_call(self.work.plan.plan_id, outcome)
        self.work.show(change.sync, "")

    async def _deliver(self, change: Change, batch: Batch, target: Target) -> Outcome:
        work = self.work
        call = target.call(change, work.plan.key_field(change.sync))
        claim = work.claim(batch)
        delivery = delivery_of(work, change.sync, target, call)
        once = delivery in {Delivery.ONCE, Delivery.AT_MOST_ONCE}

        def intend() -> None:
            work.journal.intend_call(
                work.plan.plan_id, change.change_id, work.run_id, change.sync,
                unrepeatable=once, at=self._now(),
            )  # fmt: skip

        if not once:
            try:
                answer = await work.client.send(call, claim, leaving=intend)
            except NoAnswer as error:  # others were answered: this record alone is at fault
                return Outcome(change.change_id, FAILED, 0, error.diagnostics[0].message)
            return await self._judge(change, batch, target, answer)
        anew = change.operation is Operation.UPDATE
        if anew:  # a record that cannot be changed: it goes, and is made again
            refused = await self._remove(change, batch, target, intend)
            if refused is not None:
                return refused
        elif change.key in self._conflicts(change.sync):
            found = await self._look_up(change, batch, target)
            if found is not None:
                return found

        def withdraw() -> None:
            # What was surely not carried out is not uncertain if this process ends now. (Of a
            # record that was deleted to be made anew the journal must know that it is gone.)
            if not anew:
                work.journal.drop_call(work.plan.plan_id, change.change_id)

        left = _Leaving(work.client, intend, withdraw)
        outcome = await self._create_once(call, change, batch, target, delivery, left)
        return replace(outcome, outcome=GONE) if anew and outcome.outcome == FAILED else outcome

    async def _create_once(
        self,
        call: ApiCall,
        change: Change,
        batch: Batch,
        target: Target,
        delivery: Delivery,
        left: _Leaving,
    ) -> Outcome:
        """Send a POST until it is known what became of it, and never when it may be there."""
        work = self.work
        for attempt in range(work.client.tries):
            try:
                answer = await work.client.send_once(
                    call, work.claim(batch), leaving=left, without_effect=left.withdraw
                )
            except LostAnswer as lost:
                if delivery is Delivery.AT_MOST_ONCE:
                    return Outcome(change.change_id, UNCERTAIN, 0, LOST)
                await work.client.pause(attempt, at_least=_LOOK_UP_AFTER)
                found = await self._look_up(change, batch, target)
                if found is None and target.may_double and not lost.over:
                    # It may still be carried out: that it is not there yet says nothing.
                    await self._pause(change.sync, left.late_for())
                    found = await self._look_up(change, batch, target)
                if found is not None:
                    return found
            else:
                return await self._judge(change, batch, target, answer)
        reason = f"no answer to {work.client.tries} tries, and it is not there"
        return Outcome(change.change_id, FAILED, 0, reason)

    async def _remove(
        self, change: Change, batch: Batch, target: Target, intend: Callable[[], None]
    ) -> Outcome | None:
        """Delete a record that is made anew after it; None when it is gone.

        A DELETE that is carried out late must not find the new record.
        """
        work = self.work
        left = _Leaving(work.client, intend)
        for attempt in range(work.client.tries):
            try:
                answer = await work.client.send_once(
                    target.removal(change), work.claim(batch), leaving=left
                )
            except LostAnswer as lost:
                await work.client.pause(attempt)
                if not lost.over:
                    await self._pause(change.sync, left.late_for())
                continue
            if answer.ok or answer.status == 404:
                return None
            return Outcome(change.change_id, FAILED, answer.status, answer.reason())
        reason = f"no answer to {work.client.tries} tries to delete it"
        return Outcome(change.change_id, FAILED, 0, reason)

    async def _pause(self, sync: str, seconds: float) -> None:
        if seconds > 0:
            self.work.show(
                sync, f"an answer was lost: for {seconds:.0f} s it may still have its effect"
            )
            await self.work.client.pause(0, at_least=seconds)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.work.client.clock.now(), UTC)

    async def _judge(self, change: Change, batch: Batch, target: Target, answer: Answer) -> Outcome:
        """What an answer means for the record."""
        gone = change.operation is Operation.DELETE and answer.status == 404
        if answer.ok or gone:
            return Outcome(change.change_id, APPLIED, answer.status, None)
        if change.operation is not Operation.DELETE:
            # Refused because it is there already, just as wanted? So it is when the answer to an
            # earlier try was lost, or when someone made it by hand.
            found = await self._look_up(change, batch, target)
            if found is not None and found.outcome == APPLIED:
                return found
            if found is not None and answer.status in _TAKEN:
                return found
        reason = explain(self.work, change, answer)
        return Outcome(change.change_id, FAILED, answer.status, reason)

    async def _look_up(self, change: Change, batch: Batch, target: Target) -> Outcome | None:
        """Whether a record that may have been created is there; None if it is not."""
        if target.look_up is None:
            return None
        record, call = None, target.look_up(change)
        while True:
            answer = await self.work.client.send(call, self.work.claim(batch))
            if not (answer.ok and isinstance(answer.body, dict)):
                break
            record = target.pick(change, answer.body)
            further = (answer.body.get("links") or {}).get("next")
            if record is not None or not further:
                break
            # Only the address's path is taken: the key goes to no other host.
            there = urlsplit(str(further))
            call = ApiCall("GET", there.path, query=dict(parse_qsl(there.query)))
        if record is None:
            if answer.ok or answer.status == 404:
                return None
            reason = f"whether it is there could not be asked: {answer.reason()}"
            return Outcome(change.change_id, FAILED, answer.status, reason)
        differing = target.differing(change, record)
        if not differing:
            return Outcome(change.change_id, APPLIED, answer.status, None)
        names = ", ".join(differing)
        reason = f"a {target.label} {THERE}, with another {names}"
        return Outcome(change.change_id, FAILED, answer.status, reason)

    async def _settle_open(self, sync: str, target: Target) -> int:
        """Calls that left, of which nobody knows what became, and that may not be repeated."""
        work = self.work
        plan = work.plan
        left = work.journal.open_calls(plan.plan_id, sync)
        if not left:
            return 0
        # What left just now may still be carried out; the clock may have been set since.
        ago = min((self._now() - at).total_seconds() for at in left.values())
        clock, late = work.client.clock, work.client.late_seconds
        over = clock.monotonic() + (min(late, late - ago) if target.may_double else 0.0)
        settled = 0
        for batch in plan.batches:
            within = {c for c in left if batch.first <= c <= batch.last}
            if not within:
                continue
            for change in plan.changes(batch):
                if change.change_id not in within:
                    continue
                call = target.call(change, plan.key_field(sync))
                if delivery_of(work, sync, target, call) is Delivery.AT_MOST_ONCE:
                    found: Outcome | None = Outcome(change.change_id, UNCERTAIN, 0, LOST)
                else:
                    found = await self._look_up(change, batch, target)
                    if not _is_applied(found) and clock.monotonic() < over:
                        await self._pause(sync, over - clock.monotonic())
                        found = await self._look_up(change, batch, target)
                if change.operation is Operation.UPDATE and not _is_applied(found):
                    # It was to be made anew: still the old one, or deleted and not made.
                    lost = Outcome(change.change_id, GONE, 0, NOT_REMADE)
                    found = lost if found is None else None
                if found is None:
                    work.journal.drop_call(plan.plan_id, change.change_id)
                    continue
                work.journal.record_call(plan.plan_id, found)
                settled += 1
        self.keep_outcomes(sync)
        self.known = work.journal.applied(plan.plan_id)
        return settled

    async def settle_left_over(self, sync: str) -> int:
        work = self.work
        learned = len(work.journal.unkept(work.plan.plan_id, sync))
        self.keep_outcomes(sync)
        if work.journal.open_calls(work.plan.plan_id, sync):
            name = next(b.target for b in work.plan.batches if b.sync == sync)
            learned += await self._settle_open(sync, load_target(name))
        return learned

    def keep_outcomes(self, sync: str) -> None:
        """Commit to the state what the journal knows of the plan's calls and the state does not."""
        plan, journal = self.work.plan, self.work.journal
        outcomes = journal.unkept(plan.plan_id, sync)
        if not outcomes:
            return
        changes = [o.change_id for o in outcomes]
        self.work.state.commit(
            Commit(
                sync=sync,
                plan_id=plan.plan_id,
                run_id=self.work.run_id,
                changes=plan.changes_file,
                first=min(changes),
                last=max(changes),
                only=frozenset(changes),
                failures={
                    o.change_id: o.reason or "" for o in outcomes if o.outcome in {FAILED, GONE}
                },
                gone=frozenset(o.change_id for o in outcomes if o.outcome == GONE),
            )
        )
        target = next(b.target for b in plan.batches if b.sync == sync)
        run_id = outcomes[0].run_id or self.work.run_id
        told = Told(
            sync, target, Route.CALL, run_id, datetime.now(UTC), min(changes), max(changes), changes,
            {o.change_id: (o.outcome, o.status or None, o.reason, o.at, o.run_id) for o in outcomes},
        )  # fmt: skip
        remember(self.work.state, plan, told)
        journal.mark_kept(plan.plan_id, changes)

    def _conflicts(self, sync: str) -> frozenset[str]:
        """Keys that were taken in the account by another record when they were last tried: they
        are looked up first, since a second record under one key might be made."""
        if sync not in self._taken:
            failures = self.work.state.failures(sync)
            self._taken[sync] = frozenset(f.key for f in failures if THERE in f.reason)
        return self._taken[sync]


RUNNER = CallRunner


def _is_applied(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.outcome == APPLIED


class _Leaving:
    """Notes when a request leaves, and takes the note back."""

    def __init__(
        self,
        client: Client,
        intend: Callable[[], None],
        withdraw: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._intend = intend
        self.withdraw = withdraw
        self._at = client.clock.monotonic()

    def __call__(self) -> None:
        self._at = self._client.clock.monotonic()
        self._intend()

    def late_for(self) -> float:
        """For how many seconds from now the request may still be carried out."""
        return self._at + self._client.late_seconds - self._client.clock.monotonic()


def delivery_of(work: Work, sync: str, target: Target, call: ApiCall) -> Delivery:
    """What may be done when the answer to a call is lost. A spec may choose (`delivery:`)."""
    if call.method in _REPEATABLE_METHODS:
        return Delivery.REPEATABLE
    options = work.plan.manifest["syncs"][sync].get("options", {})
    return Delivery(options.get("delivery", target.delivery))


def _seen(task: asyncio.Task[None]) -> None:
    """An error counts as seen: when a run is cut off, nobody waits for its calls any more, and
    asyncio would print what became of them."""
    if not task.cancelled():
        task.exception()


def _raise_first(tasks: set[asyncio.Task[None]]) -> None:
    """What went wrong here and not at the API (a full disk, say) ends the run."""
    for error in [task.exception() for task in tasks]:
        if error is not None:
            raise error


async def _settle_tasks(tasks: set[asyncio.Task[None]]) -> None:
    """Let requests under way end, but not for long; the journal knows of a lost one."""
    if not tasks:
        return
    ended, late = await asyncio.wait(tasks, timeout=_GRACE_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, *ended, return_exceptions=True)
