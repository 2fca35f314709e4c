"""What is due, and when next. CronSim knows daylight saving, as Debian's cron does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from compasso.spec import ScheduleSpec


def next_runs(schedule: ScheduleSpec, after: datetime, count: int) -> list[datetime]:
    """The next moments of a schedule, in its own timezone."""
    from cronsim import CronSim

    start = after.astimezone(ZoneInfo(schedule.timezone))
    return list(islice(CronSim(schedule.cron, start), count))


def is_due(schedule: ScheduleSpec, last_completed: datetime | None, now: datetime) -> bool:
    """Whether a moment of the schedule has come since the last completed run."""
    if last_completed is None:
        return True
    upcoming = next_runs(schedule, last_completed, 1)
    return bool(upcoming) and upcoming[0] <= now.astimezone(UTC)


def overdue_by(
    schedule: ScheduleSpec, last_completed: datetime | None, now: datetime
) -> timedelta | None:
    """How long a sync has been waiting beyond its deadline; None when it is in time."""
    if last_completed is None or schedule.deadline_seconds is None:
        return None
    upcoming = next_runs(schedule, last_completed, 1)
    if not upcoming:
        return None
    late = now - (upcoming[0] + timedelta(seconds=schedule.deadline_seconds))
    return late if late > timedelta(0) else None
