"""What every runner does, and what the runners of one apply share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Protocol

from compasso.applying.journal import Journal
from compasso.applying.result import RecordFailure
from compasso.connectif import Claim, Client
from compasso.model import Batch, Operation
from compasso.planning import Plan
from compasso.spec import Secret
from compasso.state import State
from compasso.targets import Target

_SHOWN_FAILURES = 1000


class Stop(Exception):  # noqa: N818 - a signal
    """Work is left, for this reason."""


def moment(text: object) -> datetime | None:
    """A time of the API; without a zone it is UTC. None if it is not one."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Tally:
    """How many records of each sync were applied or failed, and the first failures."""

    def __init__(self, syncs: Iterable[str]) -> None:
        names = list(syncs)
        self.applied = dict.fromkeys(names, 0)
        self.failed = dict.fromkeys(names, 0)
        self.uncertain = dict.fromkeys(names, 0)
        self.failures: list[RecordFailure] = []
        self.notes: list[str] = []  # why something was left undone

    def fail(self, sync: str, key: str, operation: Operation, reason: str) -> None:
        """A record failed."""
        self.failed[sync] += 1
        if len(self.failures) < _SHOWN_FAILURES:
            self.failures.append(RecordFailure(sync, key, operation, reason))


@dataclass
class Work:
    """One apply (or recovery) under way: what its runners work on and with.

    `check_stop` raises when the apply is to stop; runners call it between steps. `show` tells
    how far the apply is: a sync's name, and what is waited for.
    """

    plan: Plan
    state: State
    client: Client
    journal: Journal
    run_id: str
    tally: Tally
    check_stop: Callable[[], None] = field(default=lambda: None)
    show: Callable[[str, str], None] = field(default=lambda _sync, _waiting_for: None)
    root: Path = Path()  # the project's folder
    connections: Mapping[str, Secret] = field(default_factory=dict)  # databases, by name
    # When each sync must be done (monotonic seconds), for those whose schedule says so.
    deadlines: Mapping[str, float] = field(default_factory=dict)

    def claim(self, batch: Batch) -> Claim:
        """The place in the budget's line that the requests of a batch have."""
        done = self.tally.applied[batch.sync] + self.tally.failed[batch.sync]
        wanted = sum(b.requests for b in self.plan.batches if b.sync == batch.sync)
        return Claim(
            batch.priority, batch.sync, self.deadlines.get(batch.sync), max(0, wanted - done)
        )


class Runner(Protocol):
    """Carries out the changes of one route.

    It writes its intent to the journal before a request leaves, and the outcome with the state
    after it, so that `settle_left_over` needs only the journal and the API.
    """

    order: ClassVar[int]  # among the routes of one sync: lower goes first

    def __init__(self, work: Work) -> None: ...

    def done(self, batch: Batch) -> int:
        """How many changes of a batch earlier applies of this plan have done."""

    async def run(self, batches: Sequence[Batch], target: Target) -> None:
        """Do what is left of these batches, all of one sync.

        Raises Stop (work is left), CompassoError (nothing more can be done).
        """

    async def settle_left_over(self, sync: str) -> int:
        """Bring the state up to what an interrupted apply did for a sync; answers how many
        records it learned of."""
