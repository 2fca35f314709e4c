"""Play a plan: the executor, the client, the budget and the journal that run for real, on a copy
of the state, against a simulated account, in virtual time."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter, deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from compasso.applying import ApplyResult, Progress, apply_plan, has_left_over, recover
from compasso.connectif import Budget, Client, SqliteLedger
from compasso.model import CompassoError
from compasso.planning import Plan
from compasso.rehearsing.account import Stage
from compasso.rehearsing.copying import copy_state
from compasso.rehearsing.faults import WEATHERS, blow
from compasso.sandbox.app import create_app
from compasso.sandbox.settings import SandboxSettings
from compasso.sandbox.virtual import VirtualClock, VirtualTransport, run_virtually
from compasso.state import State
from compasso.temporary import working_folder

_LATENCY = 0.15  # seconds each way: with the answer's, what the planner reckons a request takes
_MOST_APPLIES = 20  # an apply that a fault ended is run again, so often at most
_PAUSE = 60.0  # seconds before it is run again
_SHOWN_KEYS = 3

Message = MutableMapping[str, Any]


class Rehearsal:
    """One rehearsal: what it found, after `rehearse` has run it."""

    def __init__(self, plan: Plan, requests_per_minute: int, reserve: int, faults: str) -> None:
        self.plan = plan
        self.limit = requests_per_minute
        self.reserve = reserve
        self.weather = faults
        self.clock = VirtualClock()
        self.app = create_app(
            SandboxSettings(requests_per_minute=requests_per_minute, clock=self.clock.now)
        )
        self.sandbox = self.app.state.sandbox
        self.requests: Counter[str] = Counter()  # by method and first part of the path
        self.statuses: Counter[int] = Counter()
        self.peak = 0
        self.applies = 0
        self.ended_by: list[str] = []  # what ended an apply before its time
        self.result: ApplyResult | None = None
        self.assumed: list[str] = []
        self._recent: deque[float] = deque()

    async def serve(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """The account, with every request counted."""
        if not scope["path"].startswith("/_sandbox"):
            now = self.clock.monotonic()
            while self._recent and self._recent[0] <= now - 60:
                self._recent.popleft()
            self._recent.append(now)
            self.peak = max(self.peak, len(self._recent))
            self.requests[f"{scope['method']} /{scope['path'].strip('/').split('/')[0]}"] += 1

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses[message["status"]] += 1
            await send(message)

        await self.app(scope, receive, counted)

    async def run(self, state: State, seed: int, progress: Callable[[Progress], None]) -> None:
        """Apply until the plan is done, as its user would: again, when a fault ended it."""
        weather = WEATHERS[self.weather]
        trouble = asyncio.create_task(blow(weather, self.sandbox.faults, seed)) if weather else None
        ledger = SqliteLedger(":memory:")
        try:
            while not await self._apply(state, ledger, seed, progress):
                await asyncio.sleep(_PAUSE)
        finally:
            if trouble is not None:
                trouble.cancel()
                with suppress(asyncio.CancelledError):
                    await trouble

    async def _apply(
        self,
        state: State,
        ledger: SqliteLedger,
        seed: int,
        progress: Callable[[Progress], None],
    ) -> bool:
        """One apply, a process of its own; whether there is nothing to run again for."""
        self.applies += 1
        last = self.weather == "none" or self.applies >= _MOST_APPLIES
        budget = Budget(self.limit, self.reserve, self.clock, ledger)
        transport = VirtualTransport(self.serve, _LATENCY)
        address = self.sandbox.settings.address
        try:
            async with Client(
                address, lambda: "a:b", budget, self.clock, transport, seed=seed + self.applies
            ) as client:
                if has_left_over(state):
                    await recover(state, client, self.plan.syncs)
                self.result = await apply_plan(
                    self.plan, state=state, client=client, progress=progress
                )
        except CompassoError as error:
            if last:
                raise
            self.ended_by.append(error.diagnostics[0].message)
            return False
        if self.result.stopped:
            self.ended_by.append(str(self.result.reason))
        return last or not self.result.stopped

    def document(self, key_of: Callable[[str, str], str]) -> dict[str, Any]:
        """The report as JSON. `key_of` gives a record's key of a sync as it may be shown."""
        result = self.result
        assert result is not None  # noqa: S101 - `run` has ended
        reasons: dict[tuple[str, str, str], list[str]] = {}
        for failure in result.failures:
            place = (failure.sync, failure.operation.value, failure.reason)
            reasons.setdefault(place, []).append(key_of(failure.sync, failure.key))
        # Of all applies: the last one counts only what it did itself.
        applied = {
            s.name: sum(b.rows for b in self.plan.batches if b.sync == s.name)
            - s.failed
            - s.skipped
            for s in result.syncs
        }
        imports = self.sandbox.account.list("imports")
        return {
            "format_version": "1.0",
            "plan_id": self.plan.plan_id,
            "project": self.plan.document.get("project"),
            "faults": self.weather,
            "budget": {"requests_per_minute": self.limit, "reserve": self.reserve},
            "summary": {
                "applied": sum(applied.values()),
                "failed": result.failed,
                "skipped": result.skipped,
                "requests": sum(self.requests.values()),
                "seconds": round(self.clock.monotonic(), 1),
                "peak_requests_in_60s": self.peak,
                "refused": self.statuses[429],
                "imports": len(imports),
                "import_rows": sum(i["total"] for i in imports),
                "applies": self.applies,
            },
            "requests": dict(self.requests.most_common()),
            "syncs": [
                {
                    "name": s.name,
                    "applied": applied[s.name],
                    "failed": s.failed,
                    "skipped": s.skipped,
                }
                for s in result.syncs
            ],
            "failures": [
                {
                    "sync": sync,
                    "operation": operation,
                    "reason": reason,
                    "records": len(keys),
                    "keys": keys[:_SHOWN_KEYS],
                }
                for (sync, operation, reason), keys in reasons.items()
            ],
            "ended_by": self.ended_by,
            "assumed": self.assumed,
            "notes": list(result.notes),
        }


def rehearse(
    plan: Plan,
    state: State,
    *,
    requests_per_minute: int,
    reserve: int = 0,
    faults: str = "none",
    seed: int = 0,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Rehearsal:
    """Play a plan on a copy of the state. Nothing is sent and nothing is changed.

    `faults` is none, bad-day or storm; the same `seed` makes the same ones. Raises
    CompassoError: a stale plan, or faults that no number of applies gets the better of.
    """
    plan.check_state(state)
    if has_left_over(state):
        raise CompassoError.say(
            "an interrupted apply has left something to settle in the account",
            "run `compasso apply` first: a rehearsal begins with what the account holds",
        )
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=working_folder()) as folder:
        copy = copy_state(state, plan.syncs, Path(folder))
        rehearsal = Rehearsal(plan, requests_per_minute, reserve, faults)
        stage = Stage(rehearsal.sandbox, plan, copy)
        stage.fill()
        rehearsal.assumed = stage.assumed
        run_virtually(rehearsal.run(copy, seed, progress), rehearsal.clock)
    return rehearsal
