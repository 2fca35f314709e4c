"""Pieces of exports: whatever days pass, they cover the days once and come to rest."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from compasso.planning.exports import MAX_SPAN, bounds, cut, definition_of, pieces_of
from compasso.spec import Destination, Export, Guards
from compasso.spec.kinds.export import Priority
from compasso.state import Record

ZONES = ["UTC", "Europe/Madrid", "America/Sao_Paulo", "Pacific/Auckland", "Asia/Kathmandu"]
DAYS = st.dates(date(2023, 1, 1), date(2026, 12, 31))


def export(**changed):
    given = {
        "name": "sales", "owner": None, "what": "activities", "filters": {}, "version": None,
        "start": "2024-01-01", "end": "yesterday", "window_days": 31, "lookback_days": 0,
        "timezone": "UTC", "into": Destination("csv", "a.csv"), "mode": "append", "columns": {},
        "guards": Guards(), "priority": Priority.NORMAL, "schedule": None, "file": Path("e.yml"),
        "fingerprint": "f" * 64, "positions": {},
    }  # fmt: skip
    return Export(**{**given, **changed})


def applied(spec, pieces):
    """The records that the state keeps when all pieces were exported."""
    rows = [p.row(definition_of(spec)) for p in pieces]
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Record("sales", r["piece"], {k: v for k, v in r.items() if k != "piece"}, moment, "run")
        for r in rows
    ]


@settings(deadline=None)
@given(DAYS, st.integers(0, 400), st.integers(1, 31), st.sampled_from(ZONES))
def test_days_are_cut_without_a_gap_into_what_the_api_takes(first, length, days, zone):
    last = first + timedelta(days=length)
    runs = cut(first, last, days, zone)
    assert runs[0][0] == first
    assert runs[-1][1] == last
    for (_, end), (begin, _) in pairwise(runs):
        assert begin == end + timedelta(days=1)
    for begin, end in runs:
        assert begin <= end < begin + timedelta(days=days)
        start, until = bounds(begin, end, zone)
        assert until - start <= MAX_SPAN, "a day on which the clock is set back has 25 hours"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 45), min_size=1, max_size=8),
    st.integers(1, 31),
    st.integers(0, 5),
    st.sampled_from(["2024-01-01", "-10d", "-100d"]),
)
def test_whenever_it_runs_the_pieces_cover_each_day_once_and_end(gaps, window, lookback, start):
    spec = export(start=start, window_days=window, lookback_days=lookback)
    now = datetime(2024, 3, 1, 12, tzinfo=UTC)
    known: dict[str, Record] = {}
    seen: dict[date, date] = {}  # each day, and the last day that had ended at its last export
    for gap in gaps:
        now += timedelta(days=gap)
        pieces = pieces_of(spec, known.values(), now)
        yesterday = now.date() - timedelta(days=1)
        before = {k: r.fields for k, r in known.items()}
        for record in applied(spec, pieces):
            if before.get(record.key) == record.fields:
                continue
            a, b = (date.fromisoformat(record.fields[k]) for k in ("from", "to"))
            assert b <= yesterday, "only days that have ended"
            for n in range((b - a).days + 1):
                seen[a + timedelta(days=n)] = yesterday
            known[record.key] = record
        again = {r.key: r.fields for r in applied(spec, pieces_of(spec, known.values(), now))}
        assert again.items() <= {k: r.fields for k, r in known.items()}.items(), "not at rest"
    covered: list[date] = []
    for record in known.values():
        a, b = (date.fromisoformat(record.fields[k]) for k in ("from", "to"))
        covered += [a + timedelta(days=n) for n in range((b - a).days + 1)]
    assert len(covered) == len(set(covered)), "two pieces overlap"
    first = date(2024, 1, 1) if start == "2024-01-01" else now.date() - timedelta(int(start[1:-1]))
    day = first
    while day <= yesterday:
        assert day in seen, f"{day} was never exported"
        if day + timedelta(days=lookback) <= yesterday:
            assert seen[day] >= day + timedelta(days=lookback), f"{day} may have changed since"
        day += timedelta(days=1)
