"""Recovery: bring the state up to what an interrupted apply had done, before anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from compasso.applying.journal import Journal
from compasso.applying.runners import Tally, Work, make_runners
from compasso.connectif import Client
from compasso.model import CompassoError
from compasso.planning import open_plan
from compasso.state import State


async def recover(
    state: State,
    client: Client,
    syncs: tuple[str, ...],
    open_journal: Callable[[Path], Journal] = Journal,
    show: Callable[[str, str], None] = lambda _sync, _waiting_for: None,
) -> int:
    """Settle what is open of these syncs; answers how many records the state learned of.

    It may be cancelled at any step, and done again. `show` is told what is waited for.

    It reads only the journal (with the copy of the plan beside it) and the API.
    """
    journal = open_journal(state.directory)
    learned = 0
    try:
        # Only plans with something open of ours: another one may belong to an apply at work, which
        # takes its plan's copy away when it ends.
        for plan_id in sorted(journal.unfinished_plans(syncs)):
            copy = journal.plan_copy(plan_id)
            try:
                plan = open_plan(copy)
            except CompassoError as error:
                raise CompassoError.say(
                    f"the copy of an interrupted plan is gone or damaged: {copy}",
                    "restore it; without it, what that apply did cannot be known",
                ) from error
            with plan:
                work = Work(plan, state, client, journal, "recovery", Tally(plan.syncs), show=show)
                for runner in make_runners(work).values():
                    for sync in plan.syncs:
                        if sync in syncs:
                            learned += await runner.settle_left_over(sync)
        for copy in journal.plans.glob("*.plan"):
            if copy.stem not in journal.unfinished_plans() and _is_ours(copy, syncs):
                copy.unlink(missing_ok=True)
    finally:
        journal.close()
    return learned


def _is_ours(copy: Path, syncs: tuple[str, ...]) -> bool:
    """Whether we hold all syncs of a plan: another apply may be at work on one that we do not,
    with nothing in the journal yet."""
    try:
        with open_plan(copy) as plan:
            return set(plan.syncs) <= set(syncs)
    except CompassoError:
        return False


def has_left_over(state: State, syncs: Iterable[str] | None = None) -> bool:
    """Whether an interrupted apply left something of these syncs to settle."""
    if not (state.directory / "journal.sqlite").exists():
        return False
    journal = Journal(state.directory)
    try:
        return bool(journal.unfinished_plans(syncs))
    finally:
        journal.close()


def left_over_text(state: State, syncs: Iterable[str]) -> str:
    """What is still to be settled of these syncs, in words."""
    journal = Journal(state.directory)
    try:
        left = journal.left_over(syncs)
    finally:
        journal.close()
    told = []
    for kind, sync, count, rows in left:
        many = f"{count:,} {kind}{'' if count == 1 else 's'} of {sync}"
        told.append(f"{many} ({rows:,} rows)" if kind == "import" else many)
    return ", ".join(told) or "nothing but to note it"
