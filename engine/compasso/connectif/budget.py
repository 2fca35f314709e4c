"""The request budget: never above the limit in any 60 seconds, whichever window the server uses.

Each of the limit's slots is free again 60 seconds after its last request was *answered*. The
server counts a request somewhere between its sending and its answer, so at the server any two
requests of one slot are at least 60 seconds apart, and no 60 seconds see more than the limit.
Slots come free one by one, so all of the limit is used.

The slots are in a ledger that all processes on one state share. It counts in the machine's
monotonic seconds, so that a clock that is set forward or back opens no slot too early.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from compasso.connectif.clock import Clock
from compasso.model import Priority

WINDOW = 60.0
MARGIN = 0.05  # for clocks that do not tick together
_RESET_MARGIN = 1.0
# A request whose process died is forgotten after this long, counted from its sending.
_LOST_AFTER = 300.0


class Ledger(Protocol):
    """The requests of the last minute, shared by all that spend from one budget."""

    def take(self, now: float, limit: int) -> tuple[int | None, float]:
        """A ticket if a slot is free, else None and the seconds until one may be."""

    def settle(self, ticket: int, now: float) -> None:
        """The request of a ticket was answered (or given up)."""

    def used(self, now: float) -> int:
        """How many slots are taken."""

    def block(self, until: float) -> None:
        """No requests before this time: the server said so."""


class SqliteLedger:
    """A ledger in a file, for all processes of one machine; `:memory:` for one alone."""

    def __init__(self, file: Path | str) -> None:
        self._database = sqlite3.connect(str(file), timeout=30, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")  # a minute's memory is all it is
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS slots "
            "(ticket INTEGER PRIMARY KEY, sent REAL, answered REAL, process INTEGER)"
        )
        self._database.execute("CREATE TABLE IF NOT EXISTS blocked (until REAL)")

    def take(self, now: float, limit: int) -> tuple[int | None, float]:
        db = self._database
        db.execute("BEGIN IMMEDIATE")
        try:
            # Rows of the future are from before the machine was started again: as if of now.
            db.execute(
                "UPDATE slots SET sent = min(sent, ?1), answered = min(answered, ?1) "
                "WHERE sent > ?1 OR answered > ?1",
                (now,),
            )
            db.execute(
                "DELETE FROM slots WHERE answered <= ? OR sent <= ?",
                (now - WINDOW - MARGIN, now - _LOST_AFTER),
            )
            blocked = db.execute("SELECT max(until) FROM blocked").fetchone()[0] or 0
            if now < blocked <= now + 2 * WINDOW:
                return None, blocked - now
            taken = db.execute("SELECT count(*) FROM slots").fetchone()[0]
            if taken < limit:
                cursor = db.execute(
                    "INSERT INTO slots (sent, answered, process) VALUES (?, NULL, ?)",
                    (now, os.getpid()),
                )
                return cursor.lastrowid, 0.0
            # The slot that must come free is the oldest of those above the limit.
            row = db.execute(
                "SELECT answered FROM slots ORDER BY answered IS NULL, answered LIMIT 1 OFFSET ?",
                (taken - limit,),
            ).fetchone()
            if row is None or row[0] is None:
                return None, 0.05
            return None, max(0.001, row[0] + WINDOW + MARGIN - now)
        finally:
            db.execute("COMMIT")

    def settle(self, ticket: int, now: float) -> None:
        self._database.execute("UPDATE slots SET answered = ? WHERE ticket = ?", (now, ticket))

    def used(self, now: float) -> int:
        row = self._database.execute(
            "SELECT count(*) FROM slots WHERE answered IS NULL OR answered > ?",
            (now - WINDOW - MARGIN,),
        ).fetchone()
        return int(row[0])

    def block(self, until: float) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute("DELETE FROM blocked WHERE until < ?", (until,))
        self._database.execute(
            "INSERT INTO blocked SELECT ? WHERE NOT EXISTS (SELECT 1 FROM blocked)", (until,)
        )
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._database.close()


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


@dataclass(frozen=True, slots=True)
class BudgetView:
    """The budget at one moment, for the live view."""

    limit: int
    used: int


class Budget:
    """Gives out requests, high priority first, and heeds what the server says."""

    def __init__(self, limit: int, reserve: int, clock: Clock, ledger: Ledger) -> None:
        self.allowed = max(1, limit - reserve)
        self.reserve = reserve
        self.clock = clock
        self.ledger = ledger
        self._waiting: dict[Priority, int] = dict.fromkeys(Priority, 0)

    async def acquire(self, priority: Priority = Priority.NORMAL) -> int:
        """Wait for a slot; answers its ticket."""
        self._waiting[priority] += 1
        try:
            while True:
                ahead = any(n for p, n in self._waiting.items() if n and p.rank < priority.rank)
                if ahead:
                    await self.clock.sleep(0.05)
                    continue
                ticket, wait = self.ledger.take(self.clock.monotonic(), self.allowed)
                if ticket is not None:
                    return ticket
                # Not asleep for long: another process may let go, or a stop be asked for.
                await self.clock.sleep(min(wait, 1.0))
        finally:
            self._waiting[priority] -= 1

    def settle(self, ticket: int, headers: Mapping[str, str] | None, status: int | None) -> None:
        """The request was answered (headers, status) or lost (None)."""
        now = self.clock.monotonic()
        self.ledger.settle(ticket, now)
        if headers is None:
            return
        said = read_rate_headers(headers, self.clock.now())
        if said.limit is not None and said.limit - self.reserve < self.allowed:
            self.allowed = max(1, said.limit - self.reserve)
        if status == 429:
            wait = said.reset if said.reset is not None else WINDOW
            self.ledger.block(now + min(wait, WINDOW) + _RESET_MARGIN)
        elif said.remaining is not None and said.remaining <= self.reserve:
            # Either we used the window up, which our own count knows better, or others did.
            mine = self.ledger.used(now)
            if said.limit is None or said.limit - said.remaining > mine:
                wait = said.reset if said.reset is not None else WINDOW
                self.ledger.block(now + min(wait, WINDOW) + _RESET_MARGIN)

    def view(self) -> BudgetView:
        """The limit and what is used of it now."""
        return BudgetView(self.allowed, self.ledger.used(self.clock.monotonic()))


def backoff(attempt: int, random: float) -> float:
    """Seconds before the next try: full jitter over a doubling span, 30 s at most."""
    return random * min(30.0, 0.5 * math.pow(2, attempt))
