"""Filters of dates: their Python, and their SQL."""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from compasso.mapping.quoting import quote_text
from compasso.mapping.sql import (
    DATE,
    DATES,
    DATETIME,
    MOMENT,
    TEXT,
    Guard,
    NotCompiled,
    Sql,
    both,
    holds,
)
from compasso.mapping.text import strip

Day = TypeVar("Day", date, datetime)

# What each letter of a date format stands for, when it is written in full.
_IN_FULL = {
    "%Y": "[1-9][0-9]{3}",
    "%m": "[0-9]{2}",
    "%d": "[0-9]{2}",
    "%H": "[0-9]{2}",
    "%M": "[0-9]{2}",
    "%S": "[0-9]{2}",
}
_WRITTEN = {*_IN_FULL, "%y", "%j"}
_PLAIN = re.compile(r"[-/.:, T0-9a-zA-Z]")


class FilterError(Exception):
    """What one of our filters says of a value, without quoting it."""


def strptime(value: str | None, *formats: str) -> datetime | None:
    """A text as a date and time in UTC, by the first of the formats that fits."""
    if value is None or not value.strip():
        return None
    for pattern in formats or ("%Y-%m-%d",):
        try:
            return datetime.strptime(value.strip(), pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise FilterError("the date does not fit the format")


def strftime(value: date | None, form: str) -> str | None:
    """A date as text."""
    if value is None:
        return None
    if len(form) > 100 or re.search("%[^a-zA-Z%]", form):
        raise FilterError("that date format is not known")
    return value.strftime(form)


def isoformat(value: date | None) -> str | None:
    """A date or time as ISO 8601 text."""
    return None if value is None else value.isoformat()


def date_add(
    value: Day | None,
    years: int = 0,
    months: int = 0,
    weeks: int = 0,
    days: int = 0,
    hours: int = 0,
    minutes: int = 0,
    seconds: int = 0,
) -> Day | None:
    """A later date. A day that the month lacks becomes the month's last."""
    if value is None:
        return None
    if not isinstance(value, datetime) and (hours or minutes or seconds):
        raise FilterError("a date without a time has no hours")
    if years or months:
        month = value.year * 12 + value.month - 1 + years * 12 + months
        year, zero_month = divmod(month, 12)
        if not 1 <= year <= 9999:
            raise FilterError("the date is out of range")
        last = calendar.monthrange(year, zero_month + 1)[1]
        value = value.replace(year=year, month=zero_month + 1, day=min(value.day, last))
    return value + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def _pieces(form: str, known: Mapping[str, str] | set[str]) -> list[str]:
    pieces = re.findall("%.?|[^%]", form, re.DOTALL)
    for piece in pieces:
        if piece not in known and not _PLAIN.fullmatch(piece):
            raise NotCompiled("this date format")
    return pieces


def parsed(value: Sql, formats: list[str]) -> Sql:
    """strptime with one format, for texts that are written in full."""
    if value.type != TEXT or len(formats) > 1:
        raise NotCompiled("a date by several formats")
    form = formats[0] if formats else "%Y-%m-%d"
    pieces = _pieces(form, _IN_FULL)
    given = [piece for piece in pieces if piece in _IN_FULL]
    if len(set(given)) != len(given) or not {"%Y", "%m", "%d"} <= set(given):
        raise NotCompiled("a date format without year, month and day")
    pattern = "".join(_IN_FULL.get(piece) or re.escape(piece) for piece in pieces)
    plain = strip(value, None).sql
    moment = f"try_strptime({plain}, {quote_text(form)})"
    good = holds(f"regexp_full_match({plain}, {quote_text(pattern)}) AND {moment} IS NOT NULL")
    empty = f"({plain} IS NULL OR {plain} = '')"
    sql = f"(CASE WHEN {good} THEN {moment} END)"
    return Sql(
        sql,
        MOMENT,
        both(value.guard, (Guard(f"({empty} OR {good})", "dates not written in full"),)),
        letters=(),
    )


def _years(value: Sql, last: int = 9999) -> tuple[Guard, ...]:
    condition = f"coalesce(year({value.sql}) BETWEEN 1000 AND {last}, {value.sql} IS NULL)"
    return (Guard(condition, "dates far from today"),)


def written(value: Sql, form: str) -> Sql:
    """strftime."""
    if value.type not in DATES or len(form) > 100:
        raise NotCompiled(f"the date format of a {value.type}")
    _pieces(form, _WRITTEN)
    sql = f"strftime({value.sql}, {quote_text(form)})"
    guard = both(value.guard, _years(value))
    return Sql(sql, TEXT, guard, nullable=value.nullable, letters=())


def iso(value: Sql) -> Sql:
    """isoformat."""
    if value.type not in DATES:
        raise NotCompiled(f"the ISO form of a {value.type}")
    form = {DATE: "%Y-%m-%d", DATETIME: "%Y-%m-%dT%H:%M:%S", MOMENT: "%Y-%m-%dT%H:%M:%S+00:00"}
    guard = both(value.guard, _years(value))
    if value.type != DATE:
        whole = f"coalesce(microsecond({value.sql}) % 1000000 = 0, true)"
        guard = both(guard, (Guard(whole, "fractions of a second"),))
    sql = f"strftime({value.sql}, '{form[value.type]}')"
    return Sql(sql, TEXT, guard, nullable=value.nullable, letters=())


def later(value: Sql, amounts: Mapping[str, int]) -> Sql:
    """date_add."""
    if value.type not in DATES:
        raise NotCompiled(f"a later date than a {value.type}")
    known = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
    timed = {"hours", "minutes", "seconds"} & set(amounts)
    if set(amounts) - set(known) or (value.type == DATE and timed):
        raise NotCompiled("date_add with these amounts")
    months = amounts.get("years", 0) * 12 + amounts.get("months", 0)
    if abs(months) > 6000:
        raise NotCompiled("a date that far away")
    sql = f"{value.sql} + INTERVAL ({months}) MONTH" if months else value.sql
    for unit in known[2:]:
        if amounts.get(unit):
            sql = f"{sql} + INTERVAL ({amounts[unit]}) {unit.upper()}"
    sql = f"try(({sql})::{'DATE' if value.type == DATE else 'TIMESTAMP'})"
    guard = both(value.guard, _years(value, 8999))
    return Sql(sql, value.type, guard, nullable=value.nullable)
