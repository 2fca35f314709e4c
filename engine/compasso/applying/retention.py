"""How long the history of applies is kept, and what is put in order when an apply has ended.

What recovery needs, or a plan file that was stopped and can be applied again, is never removed.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from compasso.applying.history import FOLDER, close_run, merge_files, remove_rows
from compasso.applying.journal import Journal
from compasso.model import CompassoError
from compasso.planning import open_plan
from compasso.state import State

SMALL_BYTES = 500_000
MANY_FILES = 64  # small ones; each costs a question of `history of` about a millisecond
_ABANDONED_SECONDS = 6 * 3600.0
_STAMP = "%Y%m%dT%H%M%S"  # how the name of a run, and of its file, begins


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed: runs of the list, and outcomes of records."""

    runs: int
    outcomes: int


def prune(state: State, before: datetime) -> Pruned:
    """Remove the history from before a moment.

    Raises CompassoError: another process does so now.
    """
    with _alone(state):
        journal = Journal(state.directory)
        try:
            return _prune(state, journal, before)
        finally:
            journal.close()


def count_older(state: State, before: datetime) -> Pruned:
    """What `prune` would remove."""
    journal = Journal(state.directory)
    try:
        needed = journal.needed_plans()
        runs = sum(
            run.started < _moment(before) and run.plan_id not in needed for run in journal.runs()
        )
    finally:
        journal.close()
    return Pruned(runs, sum(remove_rows(f, before, dry_run=True) for f in _older(state, before)))


def tidy(state: State, journal: Journal, before: datetime | None, syncs: Collection[str]) -> None:
    """After an apply of these syncs: keep the history in few files and for no longer than it is
    to be kept (None: forever), and drop the copies of plans that nothing needs.

    Another process may be at it: then it is left to that one.
    """
    _drop_copies(journal, syncs)
    with suppress(CompassoError), _alone(state):
        folder = state.directory / FOLDER
        for part in folder.glob("*/"):
            newest = max((file.stat().st_mtime for file in part.iterdir()), default=0.0)
            if time.time() - newest > _ABANDONED_SECONDS:  # of a run that was killed
                close_run(state.directory, part.name)
        small = [f for f in sorted(folder.glob("*.parquet")) if f.stat().st_size < SMALL_BYTES]
        if len(small) > MANY_FILES:
            merge_files(small, folder / f"{small[0].stem.split('.')[0]}.many.parquet")
        _prune(state, journal, before or datetime.min.replace(tzinfo=UTC))


def _prune(state: State, journal: Journal, before: datetime) -> Pruned:
    outcomes = sum(remove_rows(file, before) for file in _older(state, before))
    return Pruned(journal.prune(_moment(before)), outcomes)


def _moment(at: datetime) -> str:
    """As the journal writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _older(state: State, before: datetime) -> list[Path]:
    """The files that begin before a moment: their names begin with the time of their first run."""
    stamp = before.strftime(_STAMP) if before.year >= 1000 else ""
    files = sorted((state.directory / FOLDER).rglob("*.parquet"))
    root = state.directory / FOLDER
    return [f for f in files if f.relative_to(root).parts[0][: len("20260101T000000")] < stamp]


def _drop_copies(journal: Journal, syncs: Collection[str]) -> None:
    """A plan that has nothing open needs no copy. (One of syncs that we do not hold may belong to
    another apply that has only just begun.)"""
    needed = journal.unfinished_plans()
    for copy in journal.plans.glob("*.plan"):
        if copy.stem in needed:
            continue
        with suppress(CompassoError, OSError), open_plan(copy) as plan:
            if set(plan.syncs) <= set(syncs):
                copy.unlink(missing_ok=True)


@contextmanager
def _alone(state: State) -> Iterator[None]:
    """One process at a time puts the history in order. Raises CompassoError: another is at it."""
    from filelock import FileLock, Timeout

    path = state.directory / "locks" / "history.lock"
    path.parent.mkdir(exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CompassoError.say(
            "another compasso is at work on the history", "try again in a moment"
        ) from None
    try:
        yield
    finally:
        lock.release()
