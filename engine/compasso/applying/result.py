"""What an apply did, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from compasso.model import Operation


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop with work left, and what of that was used before the plan is carried out."""

    max_requests: int | None = None
    deadline_seconds: float | None = None
    used_requests: int = 0
    used_seconds: float = 0.0

    def after(self, requests: int, seconds: float) -> Limits:
        """These limits when so much of them has been used."""
        return replace(self, used_requests=requests, used_seconds=seconds)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an apply is, for the live view."""

    sync: str
    done: int
    failed: int
    total: int
    requests: int
    expected_requests: int
    budget_used: int
    budget_limit: int
    seconds: float
    waiting_for: str = ""


@dataclass(frozen=True, slots=True)
class RecordFailure:
    """A change that the API refused, with its own reason."""

    sync: str
    key: str
    operation: Operation
    reason: str


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What an apply did for one sync."""

    name: str
    applied: int
    failed: int
    skipped: int


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What an apply did. `stopped` with a reason when there is work left."""

    run_id: str
    applied: int
    failed: int
    skipped: int
    requests: int
    seconds: float
    stopped: bool
    reason: str | None
    failures: tuple[RecordFailure, ...]
    syncs: tuple[SyncResult, ...]
    uncertain: int = 0  # of those applied: sent once, and whether they arrived is not known
    notes: tuple[str, ...] = ()  # why something was left undone
