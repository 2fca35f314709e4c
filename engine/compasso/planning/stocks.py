"""Coupon stocks: how many codes a set needs now, and which ones of the source it gets.

The state keeps every code that was uploaded, so the difference with it leaves only new ones. Of
these a plan takes as many as the set needs, in the order of the source.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from compasso.engine import open_file
from compasso.mapping.quoting import quote_text
from compasso.model import Batch, CompassoError, Diagnostic, Json
from compasso.planning.account import Account, CouponSet
from compasso.planning.diff import Diff
from compasso.planning.masking import mask
from compasso.spec import Stock, Sync
from compasso.state import State

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# A set's counters are up to ten seconds late (documented, D9). Codes that were uploaded less
# than this long ago may not be counted yet: they are added to what the counter says, so that a
# set is never filled twice for one need. Should the counter know them already, the set looks
# fuller than it is, for this long.
COUNTER_LAG = timedelta(seconds=30)
# How the reason of a failure begins where an import may still be carried out.
NOT_ENDED = "the import did not end"
MOST_CODES = 500_000  # a set holds so many (documented, H17)
# Two lists and one look at them right before the upload, and the import itself.
STOCK_REQUESTS = 2


@dataclass(frozen=True)
class Need:
    """What a coupon set needs. `free` counts codes of the last seconds too."""

    codes: int
    free: int
    coupon_set: CouponSet
    why: str


def codes_needed(stock: Stock, coupon_set: CouponSet, *, used: bool, recent: int) -> Need:
    """How many codes the set needs; `recent` of them were uploaded in the last seconds."""
    free = (coupon_set.available or 0) + recent
    name = f"the set {coupon_set.name}"
    if stock.only_if_used and not used:
        return Need(0, free, coupon_set, f"no active workflow uses {name} (only_if_used)")
    if free >= stock.min_available:
        why = f"{name} has {free:,} free codes, at least {stock.min_available:,} as wanted"
        return Need(0, free, coupon_set, why)
    codes = stock.target - free
    why = f"{name} has {free:,} free codes, fewer than {stock.min_available:,}"
    room = MOST_CODES - (coupon_set.quantity or 0) - recent
    if codes > room:
        codes = max(0, room)
        why += f"; it holds {MOST_CODES:,} codes at most, so only {codes:,} fit in"
    return Need(codes, free, coupon_set, why)


def recent_codes(state: State, sync: str, now: datetime) -> int:
    """How many codes were uploaded so lately that the counters may not have them yet."""
    file = state.records_file(sync)
    if file is None:
        return 0
    with open_file(file, read_only=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM records WHERE applied_at > $since",
            {"since": (now - COUNTER_LAG).replace(tzinfo=None)},
        ).fetchone()
    return int(row[0]) if row else 0


@dataclass(frozen=True)
class Chosen:
    """The codes that a plan uploads, with what a reviewer and the executor must know."""

    diff: Diff
    warnings: Sequence[str]
    notes: Sequence[str]
    options: Mapping[str, Json]  # for the plan's manifest


def choose_codes(
    connection: DuckDBPyConnection,
    found: Diff,
    sync: Sync,
    account: Account,
    state: State,
    now: datetime,
    *,
    overridden: bool,
) -> Chosen:
    """Keep of a difference only the codes that the set needs, codes that failed before last.

    Raises CompassoError: no such set, or more codes than the guard lets through.
    """
    stock = sync.stock
    assert stock is not None  # noqa: S101 - the caller has asked
    fresh = found.create
    if account.problem is not None:
        warning = (
            f"the set {stock.label} was not looked at, so nothing is planned for it: "
            f"{account.problem}"
        )
        none = _first(connection, found, 0, failures=False)
        return Chosen(none, [warning, *dry_warnings(stock, fresh, 0)], (), {"fresh": fresh})
    coupon_set = account.find(sync)
    recent = recent_codes(state, sync.name, now)
    need = codes_needed(stock, coupon_set, used=account.is_used(coupon_set), recent=recent)
    if not overridden:
        _check_guard(sync, min(need.codes, fresh))
    failed = state.records_file(sync.name) is not None
    chosen = _first(connection, found, need.codes, failures=failed)
    return Chosen(
        chosen,
        dry_warnings(stock, fresh, need.codes),
        [f"{need.why}; {fresh:,} codes of the source are not used yet"],
        {
            "fresh": fresh,
            "coupon_set_id": coupon_set.identity,
            "stock": dataclasses.asdict(stock),
        },
    )


def dry_warnings(stock: Stock, fresh: int, wanted: int) -> list[str]:
    """What to say when the source has too few codes for now, or for the next time."""
    least = stock.target - stock.min_available + 1  # the smallest filling up there can be
    left = fresh - wanted
    if left < 0:
        return [
            f"the source runs dry: the set {stock.label} needs {wanted:,} codes and the source has "
            f"only {fresh:,} that were never uploaded; {-left:,} are missing"
        ]
    if left < least:
        return [
            f"the source runs dry: {left:,} codes are left "
            f"{'after this' if wanted else 'in it'}, and to fill the set {stock.label} up takes at "
            f"least {least:,}"
        ]
    return []


def _check_guard(sync: Sync, codes: int) -> None:
    most = sync.guards.max_create
    if most is not None and codes > most.value:
        raise CompassoError(
            Diagnostic(
                message=f"{sync.name}: the plan would upload {codes:,} codes, more than "
                f"max_create {most} allows",
                position=sync.position("guards"),
                hint=f"if this is meant, allow it once with `--override-guards {sync.name}`, or "
                "raise the limit in `guards:`",
            )
        )


def _first(connection: DuckDBPyConnection, found: Diff, most: int, *, failures: bool) -> Diff:
    """The difference with its first `most` creates, and nothing else."""
    draft = f"{found.table}_all"
    order = "c.file, c.row, c.key"
    if failures:
        # A code that was refused before does not stand in the way of one that was never tried.
        # But codes whose import may still be carried out go first: the set must not get both.
        late = f"starts_with(f.reason, {quote_text(NOT_ENDED)})"
        order = f"CASE WHEN {late} THEN -1 ELSE coalesce(f.tries, 0) END, {order}"
    join = "LEFT JOIN cached.failures AS f ON f.key = c.key" if failures else ""
    connection.execute(f"ALTER TABLE {found.table} RENAME TO {draft}")
    connection.execute(
        f"CREATE TEMP TABLE {found.table} AS SELECT c.* FROM {draft} AS c {join} "
        f"WHERE c.operation = 'create' ORDER BY {order} LIMIT {most}"
    )
    connection.execute(f"DROP TABLE {draft}")
    row = connection.execute(f"SELECT count(*) FROM {found.table}").fetchone()
    count = int(row[0]) if row else 0
    return dataclasses.replace(found, create=count, update=0, delete=0, kept=0, in_order=True)


def check_shared_codes(connection: DuckDBPyConnection, found: Diff, sync: Sync) -> None:
    """Raise CompassoError when another coupon stock has a code of this one.

    Keeps the codes of every stock of the plan: those in the state, and those of the source.
    """
    connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS stock_codes (sync VARCHAR, key VARCHAR, row BIGINT)"
    )
    name = quote_text(sync.name)
    here = f"SELECT key, row FROM {found.desired.name} WHERE problems IS NULL"
    row = connection.execute(
        f"SELECT o.sync, h.key, h.row, count(*) OVER () FROM ({here}) AS h JOIN stock_codes AS o "
        f"ON o.key = h.key WHERE o.sync <> {name} ORDER BY h.row LIMIT 1"
    ).fetchone()
    if row is not None:
        other, key, number, count = row
        raise CompassoError(
            Diagnostic(
                message=f"{sync.name}: the code {mask(key)} in row {number} belongs to {other} "
                f"already{f', and so do {count - 1:,} more' if count > 1 else ''}",
                position=sync.position("source"),
                hint="a code may go into one set only: split the source, or use `when`",
            )
        )
    connection.execute(f"INSERT INTO stock_codes SELECT {name}, key, row FROM ({here})")


def add_known_codes(connection: DuckDBPyConnection, state: State, stocks: Sequence[str]) -> None:
    """Note the codes that the state knows of these coupon stocks."""
    connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS stock_codes (sync VARCHAR, key VARCHAR, row BIGINT)"
    )
    for name in stocks:
        file = state.records_file(name)
        if file is None:
            continue
        connection.execute(f"ATTACH {quote_text(str(file))} AS other (READ_ONLY)")
        connection.execute(
            f"INSERT INTO stock_codes SELECT {quote_text(name)}, key, NULL FROM other.records"
        )
        connection.execute("DETACH other")


def by_code_alone(batches: Sequence[Batch]) -> list[Batch]:
    """The batches with files of the one column that a coupon import knows (documented, H3)."""
    return [
        dataclasses.replace(b, columns=b.columns[:1], requests=b.requests + STOCK_REQUESTS)
        for b in batches
    ]


def stock_of(options: Mapping[str, Any]) -> Stock:
    """The stock as a plan's manifest has it."""
    return Stock(**options["stock"])
