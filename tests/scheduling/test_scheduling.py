"""Schedules across the nights when clocks change: Europe/Madrid in 2026."""

from datetime import UTC, datetime, timedelta

from compasso.scheduling import is_due, next_runs, overdue_by
from compasso.spec import ScheduleSpec


def utc(month, day, hour, minute=0):
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def test_six_in_the_morning_stays_six_in_the_morning():
    six = ScheduleSpec("0 6 * * *", "Europe/Madrid", None)
    spring = next_runs(six, utc(3, 28, 0), 3)
    assert [m.astimezone(UTC).hour for m in spring] == [5, 4, 4]
    autumn = next_runs(six, utc(10, 24, 0), 3)
    assert [m.astimezone(UTC).hour for m in autumn] == [4, 5, 5]


def test_a_time_that_the_clocks_skip_still_runs_once_that_day():
    half_past_two = ScheduleSpec("30 2 * * *", "Europe/Madrid", None)
    days = [m.date().day for m in next_runs(half_past_two, utc(3, 28, 12), 2)]
    assert days == [29, 30]


def test_a_time_that_comes_twice_runs_once():
    half_past_two = ScheduleSpec("30 2 * * *", "Europe/Madrid", None)
    days = [m.date().day for m in next_runs(half_past_two, utc(10, 24, 12), 2)]
    assert days == [25, 26]


def test_due_is_decided_from_the_last_completed_run():
    six = ScheduleSpec("0 6 * * *", "Europe/Madrid", None)
    assert is_due(six, None, utc(6, 1, 0))
    assert not is_due(six, utc(6, 1, 4, 1), utc(6, 2, 3, 59))
    assert is_due(six, utc(6, 1, 4, 1), utc(6, 2, 4))


def test_overdue_counts_from_the_deadline():
    six = ScheduleSpec("0 6 * * *", "Europe/Madrid", 20 * 60.0)
    assert overdue_by(six, utc(6, 1, 5), utc(6, 2, 4, 20)) is None
    assert overdue_by(six, utc(6, 1, 5), utc(6, 2, 4, 50)) == timedelta(minutes=30)
