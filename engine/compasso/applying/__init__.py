"""From a plan to the account: executor, journal, recovery."""

from compasso.applying.executor import apply_plan
from compasso.applying.journal import Journal, RefusedRow, Run
from compasso.applying.recovery import has_left_over, left_over_text, recover
from compasso.applying.result import ApplyResult, Limits, Progress, RecordFailure, SyncResult

__all__ = [
    "ApplyResult",
    "Journal",
    "Limits",
    "Progress",
    "RecordFailure",
    "RefusedRow",
    "Run",
    "SyncResult",
    "apply_plan",
    "has_left_over",
    "left_over_text",
    "recover",
]
