"""The ledger: the requests of the last minute, who waits, and what the server said last.

All that spend from one budget share one ledger. `SqliteLedger` serves the processes of one
machine; a state that many machines share can bring its own `Ledger` with the same few steps,
each of which must be done alone (a transaction). All times are monotonic seconds (`Clock.monotonic`).
"""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

WINDOW = 60.0
MARGIN = 0.05  # for clocks that do not tick together
# A request whose process died is forgotten after this long, counted from its sending.
LOST_AFTER = 150.0
# A waiter that has not been heard of for this long is gone (a killed process).
SILENT_AFTER = 3.0
# One request in so many goes to whoever has waited longest, whatever the rank: nobody starves.
FAIR_TURN = 10
_CEILING = 1.0  # servers round the end of a window up to a whole second
# Who was served so lately, and wants more, is at work.
ACTIVE_FOR = 5.0
# When nothing was heard for so long, one request may find out whether there is room.
PROBE_AFTER = 5.0
# The first request after a quiet time is waited for so long before others follow.
ALONE_FOR = 3.0
_FORMAT = 4
_TAKEN = "(answered IS NULL OR answered > ?)"  # a slot that is not free


@dataclass(frozen=True, slots=True)
class Terms:
    """The budget as configured: requests in any 60 seconds, and how many are left to others."""

    limit: int
    reserve: int


@dataclass(frozen=True, slots=True)
class Waiter:
    """Someone in line. `rank` 0 goes first; a `deadline` goes before every rank. `left` is how
    many more requests it will want, as far as it knows."""

    who: str
    rank: int
    deadline: float | None
    since: float
    left: int = 0

    def order(self, now: float) -> tuple[float, int]:
        """Lower goes first. A deadline that is over counts no more."""
        ahead = self.deadline is not None and self.deadline > now
        return (self.deadline or 0.0) if ahead else math.inf, self.rank


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer said about the server's own count. `reset_in` is in whole seconds, rounded
    up, as counted when the answer left the server."""

    limit: int
    remaining: int
    reset_in: float


@dataclass(frozen=True, slots=True)
class LedgerView:
    """The budget at one moment: the limit for us, what we use of it, what others were seen to."""

    limit: int
    used: int
    foreign: int


@dataclass(frozen=True, slots=True)
class ServerView:
    """What is known of the server's window: the lowest `remaining` it told of, when it ends
    (between `reset_low` and `reset_high`), and how many requests of others (at least) it held;
    `before`: the window before it."""

    limit: int
    remaining: int
    reset_low: float
    reset_high: float
    foreign: int
    before: int
    sliding: bool
    seen: float

    def gone(self) -> float:
        """Seconds of the window that were over at the last answer."""
        return WINDOW - min(WINDOW, self.reset_high - self.seen)

    def rate(self) -> float:
        """Requests of others a second, as far as is known."""
        rate = self.foreign / max(2.0, self.gone())
        return max(rate, self.before / WINDOW) if self.gone() < WINDOW / 2 else rate


class Ledger(Protocol):
    """See the module."""

    def take(
        self, now: float, terms: Terms, waiter: Waiter, place: int | None
    ) -> tuple[int | None, int, float]:
        """Ask for a slot. Answers a ticket (or None), the place in line, and the seconds after
        which to ask again. `place` is None at the first ask."""

    def leave(self, place: int) -> None:
        """A waiter gives up."""

    def settle(self, ticket: int, now: float, said: Said | None) -> None:
        """The request of a ticket was answered (or given up)."""

    def block(self, until: float) -> None:
        """No requests before this time: the server said so."""

    def view(self, now: float, terms: Terms) -> LedgerView:
        """The budget now."""


def foreign_in_a_minute(server: ServerView | None, now: float) -> int:
    """How many requests of others to expect in 60 seconds, by the last two windows."""
    if server is None or now >= server.reset_high + WINDOW:
        return 0
    if now >= server.reset_high:  # a new window of which nothing is known yet
        return server.foreign
    return max(server.foreign, server.before)


def allowed_now(terms: Terms, server: ServerView | None, now: float) -> int:
    """How many requests of ours any 60 seconds may hold: others come first, up to half."""
    limit = terms.limit if server is None else min(terms.limit, server.limit)
    foreign = min(foreign_in_a_minute(server, now), limit // 2)
    return max(1, limit - max(terms.reserve, foreign))


def room_at_server(
    terms: Terms, server: ServerView | None, in_flight: int, fresh: int, now: float
) -> float:
    """How many requests the server's window has room for, less what others will want of it."""
    if server is None or now >= server.reset_high + WINDOW:
        # Nothing is known: the first request goes alone, so that its answer tells exactly what
        # others have used. (Older ones may be of a process that was killed.)
        return 1 - fresh
    foreign = foreign_in_a_minute(server, now)
    # Alone, our own count is the better one: it frees slots one by one.
    if not foreign and (server.sliding or now >= server.reset_low):
        return math.inf
    if now >= server.reset_high:
        return math.inf
    # What others want between the last answer, which told how much remained, and the reset.
    rate = server.rate()
    keep = max(math.ceil(rate * (server.reset_high - server.seen)), terms.reserve - server.foreign)
    room = server.remaining - in_flight - max(keep, 0)
    silent = now - server.seen
    if room < 1 and not in_flight and silent > PROBE_AFTER:
        # Perhaps others want less than they did: one request tells, if one is surely left.
        slow = max(server.before / WINDOW, server.foreign / (silent + server.gone()))
        room = min(1, server.remaining - math.ceil(slow * silent) - 1)
    return room


def observe(
    known: ServerView | None, said: Said, sent: float, own: int, in_flight: int, now: float
) -> ServerView | None:
    """The view after an answer; None if the answer is older than what is known.

    `own` are our answered requests in the server's window. Those in flight may or may not be
    counted already, so what is surely foreign is what remains without them.
    """
    foreign = max(0, said.limit - said.remaining - own - in_flight)
    low, high = sent + said.reset_in - _CEILING, now + said.reset_in
    if known is None or now - known.seen > 2 * WINDOW:
        return ServerView(said.limit, said.remaining, low, high, foreign, 0, False, now)
    if high < known.reset_low:
        return None
    if low <= known.reset_high:  # the same window
        return ServerView(
            said.limit, min(known.remaining, said.remaining),
            max(low, known.reset_low), min(high, known.reset_high),
            max(known.foreign, foreign), known.before, known.sliding, now,
        )  # fmt: skip
    # The windows of a server that counts in fixed ones end 60 seconds apart, or more.
    sliding = low - known.reset_high < WINDOW - 10.0
    return ServerView(said.limit, said.remaining, low, high, foreign, known.foreign, sliding, now)


class SqliteLedger:
    """A ledger in a file, for all processes of one machine; `:memory:` for one alone."""

    def __init__(self, file: Path | str) -> None:
        self._database = db = sqlite3.connect(str(file), timeout=30, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")  # a minute's memory is all it is
        if db.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
            db.execute("BEGIN IMMEDIATE")
            for (name,) in db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall():
                db.execute(f'DROP TABLE "{name}"')
            for statement in _SCHEMA.strip().split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_FORMAT}")
            db.execute("COMMIT")

    def take(
        self, now: float, terms: Terms, waiter: Waiter, place: int | None
    ) -> tuple[int | None, int, float]:
        db = self._database
        db.execute("BEGIN IMMEDIATE")
        try:
            self._forget(now)
            place = self._line_up(now, waiter, place)
            blocked = db.execute("SELECT max(until) FROM blocked").fetchone()[0] or 0
            if now < blocked <= now + 2 * WINDOW:
                return None, place, blocked - now
            server = self._server()
            allowed = allowed_now(terms, server, now)
            taken, in_flight, fresh = db.execute(
                f"SELECT count(*) FILTER (WHERE {_TAKEN}), count(*) FILTER (WHERE answered IS NULL), "
                "count(*) FILTER (WHERE answered IS NULL AND sent > ?) FROM slots",
                (now - WINDOW - MARGIN, now - ALONE_FOR),
            ).fetchone()
            if taken >= allowed:
                return None, place, self._free_in(now, taken - allowed)
            pause = self._pace(now, allowed) if foreign_in_a_minute(server, now) else 0.0
            if pause > 0:
                return None, place, pause
            at_server = room_at_server(terms, server, in_flight, fresh, now)
            if at_server < 1:
                # Room comes with the next answer, with time (others wanted less), or at the reset.
                return None, place, 0.25
            room = int(min(allowed - taken, at_server))
            wait = self._wait_for_others(now, waiter, place, room, allowed)
            if wait is not None:
                return None, place, wait
            ticket = db.execute(
                "INSERT INTO slots (who, sent, answered) VALUES (?, ?, NULL)", (waiter.who, now)
            ).lastrowid
            db.execute("DELETE FROM waiters WHERE place = ?", (place,))
            db.execute(
                "INSERT OR REPLACE INTO served VALUES (?, ?, ?, ?, ?)",
                (waiter.who, now, waiter.rank, waiter.deadline, waiter.left),
            )
            return ticket, place, 0.0
        finally:
            db.execute("COMMIT")

    def _forget(self, now: float) -> None:
        # Rows of the future are from before the machine was started again: as if of now.
        db = self._database
        db.execute(
            "UPDATE slots SET sent = min(sent, ?1), answered = min(answered, ?1) "
            "WHERE sent > ?1 OR answered > ?1",
            (now,),
        )
        db.execute("DELETE FROM server WHERE seen > ?", (now,))
        db.execute(
            "DELETE FROM slots WHERE answered <= ? OR sent <= ?",
            (now - 2 * WINDOW - MARGIN, now - LOST_AFTER),
        )
        db.execute(
            "DELETE FROM waiters WHERE seen NOT BETWEEN ? AND ?",
            (now - SILENT_AFTER, now + SILENT_AFTER),
        )
        db.execute("DELETE FROM served WHERE at NOT BETWEEN ? AND ?", (now - 600, now + 1))

    def _line_up(self, now: float, waiter: Waiter, place: int | None) -> int:
        row = self._database.execute(
            'INSERT OR REPLACE INTO waiters (place, who, rank, deadline, since, "left", seen) '
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (place, waiter.who, waiter.rank, waiter.deadline, waiter.since, waiter.left, now),
        )
        return int(row.lastrowid or 0)

    def _wait_for_others(
        self, now: float, waiter: Waiter, place: int, room: int, allowed: int
    ) -> float | None:
        """None if this waiter's turn is now, else the seconds after which to ask again."""
        db = self._database
        line = [
            (number, Waiter(*rest))
            for number, *rest in db.execute(
                'SELECT place, who, rank, deadline, since, "left" FROM waiters'
            )
        ]
        last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'slots'").fetchone()
        if ((last[0] if last else 0) + 1) % FAIR_TURN == 0:
            longest = min((other.since, number) for number, other in line)[1]
            return None if longest == place else 0.02
        served = {
            who: (at, Waiter(who, rank, deadline, at, left))
            for who, at, rank, deadline, left in db.execute("SELECT * FROM served")
        }
        mine = waiter.order(now)

        def turn(who: str, since: float, number: int) -> tuple[float, float, int]:
            return served[who][0] if who in served else 0.0, since, number

        my_turn = turn(waiter.who, waiter.since, place)
        before = equals = 0
        # Those who go first and are at work now: their next requests are kept for them.
        first = {
            other.who: other
            for at, other in served.values()
            if at > now - ACTIVE_FOR and other.left and other.order(now) < mine
        }
        for number, other in line:
            order = other.order(now)
            before += order < mine
            equals += order == mine and turn(other.who, other.since, number) < my_turn
            if order < mine and other.left:
                first[other.who] = other
        kept = sum(self._wanted(now, other, allowed) for other in first.values())
        if room > max(before, kept) + equals:
            return None
        return 0.25 if kept >= room else 0.02

    def _wanted(self, now: float, other: Waiter, allowed: int) -> int:
        """How many slots someone will still take of those that came free in this minute."""
        recent, earlier = self._database.execute(
            "SELECT count(*) FILTER (WHERE sent > ?1), count(*) FILTER (WHERE sent <= ?1) "
            "FROM slots WHERE who = ?2",
            (now - WINDOW, other.who),
        ).fetchone()
        able = earlier * 5 // 4 + 2 if earlier else allowed
        return max(0, min(other.left, int(able - recent)))

    def _pace(self, now: float, allowed: int) -> float:
        """With others about, requests are spread out: each answer tells of them in time, and
        they find room at any moment. Seconds to wait."""
        last = self._database.execute("SELECT max(sent) FROM slots").fetchone()[0]
        return 0.0 if last is None else min(float(last), now) + WINDOW / allowed - now

    def _free_in(self, now: float, above: int) -> float:
        """Seconds until the slot that must come free does: the oldest of those above the limit."""
        row = self._database.execute(
            f"SELECT answered FROM slots WHERE {_TAKEN} "
            "ORDER BY answered IS NULL, answered LIMIT 1 OFFSET ?",
            (now - WINDOW - MARGIN, above),
        ).fetchone()
        if row is None or row[0] is None:
            return 0.05
        return max(0.001, float(row[0]) + WINDOW + MARGIN - now)

    def _server(self) -> ServerView | None:
        row = self._database.execute(
            "SELECT most, remaining, reset_low, reset_high, others, before, sliding, seen "
            "FROM server"
        ).fetchone()
        if row is None:
            return None
        most, remaining, low, high, others, before, sliding, seen = row
        return ServerView(most, remaining, low, high, others, before, bool(sliding), seen)

    def leave(self, place: int) -> None:
        self._database.execute("DELETE FROM waiters WHERE place = ?", (place,))

    def settle(self, ticket: int, now: float, said: Said | None) -> None:
        db = self._database
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("UPDATE slots SET answered = ? WHERE ticket = ?", (now, ticket))
            if said is None:
                return
            row = db.execute("SELECT sent FROM slots WHERE ticket = ?", (ticket,)).fetchone()
            if row is None:  # forgotten: the clock was set, or the answer took very long
                return
            sent = row[0]
            begin = max(now - WINDOW, sent + said.reset_in - _CEILING - WINDOW)
            own, in_flight = db.execute(
                "SELECT count(*) FILTER (WHERE answered >= ?), count(*) FILTER (WHERE answered IS NULL) "
                "FROM slots",
                (begin,),
            ).fetchone()
            view = observe(self._server(), said, sent, own, in_flight, now)
            if view is not None:
                db.execute("DELETE FROM server")
                db.execute(
                    "INSERT INTO server VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        view.limit, view.remaining, view.reset_low, view.reset_high,
                        view.foreign, view.before, view.sliding, view.seen,
                    ),
                )  # fmt: skip
        finally:
            db.execute("COMMIT")

    def block(self, until: float) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute("DELETE FROM blocked WHERE until < ?", (until,))
        self._database.execute(
            "INSERT INTO blocked SELECT ? WHERE NOT EXISTS (SELECT 1 FROM blocked)", (until,)
        )
        self._database.execute("COMMIT")

    def view(self, now: float, terms: Terms) -> LedgerView:
        row = self._database.execute(
            f"SELECT count(*) FROM slots WHERE {_TAKEN}",
            (now - WINDOW - MARGIN,),
        ).fetchone()
        server = self._server()
        return LedgerView(
            allowed_now(terms, server, now), int(row[0]), foreign_in_a_minute(server, now)
        )

    def close(self) -> None:
        """Close the file."""
        self._database.close()


_SCHEMA = """
CREATE TABLE slots (
  ticket INTEGER PRIMARY KEY AUTOINCREMENT, who TEXT, sent REAL, answered REAL);
CREATE TABLE waiters (
  place INTEGER PRIMARY KEY AUTOINCREMENT, who TEXT, rank INTEGER, deadline REAL,
  since REAL, "left" INTEGER, seen REAL);
CREATE TABLE served (
  who TEXT PRIMARY KEY, at REAL, rank INTEGER, deadline REAL, "left" INTEGER);
CREATE TABLE blocked (until REAL);
CREATE TABLE server (
  most INTEGER, remaining INTEGER, reset_low REAL, reset_high REAL, others INTEGER, before INTEGER, sliding INTEGER, seen REAL)
"""
