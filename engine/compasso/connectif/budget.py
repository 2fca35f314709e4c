"""The request budget: never above the limit in any 60 seconds, whichever window the server uses.

Each of the limit's slots is free again 60 seconds after its last request was *answered*. The
server counts a request somewhere between its sending and its answer, so at the server any two
requests of one slot are at least 60 seconds apart, and no 60 seconds see more than the limit.
Slots come free one by one, so all of the limit is used.

The ledger counts in the machine's monotonic seconds, so that a clock that is set forward or back
opens no slot too early. What the server says of its own count corrects ours: a lower limit is believed, and requests
that are not ours are given way, by the next answer on (see `ledger`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from compasso.connectif.clock import Clock
from compasso.connectif.ledger import WINDOW, Ledger, LedgerView, Said, Terms, Waiter
from compasso.model import Priority

BudgetView = LedgerView
_RESET_MARGIN = 1.0
_LONGEST_SLEEP = 2.0  # a waiter has to be heard of (see `ledger.SILENT_AFTER`)
_SLICE = 0.5  # a stop may be asked for


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants a request: those with a deadline (in monotonic seconds) go first, the earliest
    before the others; then by priority; in turns between those of the same priority."""

    priority: Priority = Priority.NORMAL
    who: str = ""
    deadline: float | None = None
    left: int = 0  # how many more requests it will want, as far as it knows

    def waiter(self, now: float) -> Waiter:
        """Whoever claims, in the ledger's line since now."""
        return Waiter(self.who, self.priority.rank, self.deadline, now, self.left)


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """What an answer says about the rate limit. `reset` is seconds from now."""

    limit: int | None
    remaining: int | None
    reset: float | None


def read_rate_headers(headers: Mapping[str, str], now: float) -> RateHeaders:
    """The headers of 9.2, in either of their forms: an epoch, or seconds left."""

    def number(*names: str) -> float | None:
        for name in names:
            try:
                return float(headers[name])
            except (KeyError, ValueError):
                continue
        return None

    limit = number("x-ratelimit-limit", "ratelimit-limit")
    remaining = number("x-ratelimit-remaining", "ratelimit-remaining")
    reset = number("retry-after", "ratelimit-reset", "x-ratelimit-reset")
    if reset is not None and reset > 1e9:
        reset = max(0.0, reset - now)
    return RateHeaders(
        int(limit) if limit is not None else None,
        int(remaining) if remaining is not None else None,
        reset,
    )


class Budget:
    """Gives out requests in the order of their claims, and heeds what the server says."""

    def __init__(self, limit: int, reserve: int, clock: Clock, ledger: Ledger) -> None:
        self.terms = Terms(limit, reserve)
        self.clock = clock
        self.ledger = ledger

    async def acquire(
        self, claim: Claim | Priority = Priority.NORMAL, check: Callable[[], None] | None = None
    ) -> int:
        """Wait for a slot; answers its ticket. `check` is called meanwhile, and may raise."""
        if isinstance(claim, Priority):
            claim = Claim(claim)
        waiter = claim.waiter(self.clock.monotonic())
        ticket: int | None = None
        place: int | None = None
        try:
            while True:
                if check is not None:
                    check()
                ticket, place, wait = self.ledger.take(
                    self.clock.monotonic(), self.terms, waiter, place
                )
                if ticket is not None:
                    return ticket
                await self.clock.sleep(min(wait, _LONGEST_SLEEP))
        finally:
            if ticket is None and place is not None:
                self.ledger.leave(place)

    async def _sleep(self, seconds: float, check: Callable[[], None] | None) -> None:
        while seconds > 0:
            await self.clock.sleep(min(seconds, _SLICE))
            seconds -= _SLICE
            if check is not None:
                check()

    def settle(self, ticket: int, headers: Mapping[str, str] | None, status: int | None) -> None:
        """The request was answered (headers, status) or lost (None)."""
        now = self.clock.monotonic()
        if headers is None:
            self.ledger.settle(ticket, now, None)
            return
        said = read_rate_headers(headers, self.clock.now())
        wait = WINDOW if said.reset is None else min(said.reset, WINDOW)
        told = None
        if said.limit is not None and said.remaining is not None:
            told = Said(said.limit, said.remaining, wait)
        self.ledger.settle(ticket, now, told)
        if status == 429:
            self.ledger.block(now + wait + _RESET_MARGIN)

    def view(self) -> BudgetView:
        """The limit for us, what is used of it now, and what others were seen to use."""
        return self.ledger.view(self.clock.monotonic(), self.terms)


def backoff(attempt: int, random: float) -> float:
    """Seconds before the next try: full jitter over a doubling span, 30 s at most."""
    return random * min(30.0, 0.5 * math.pow(2, attempt))
