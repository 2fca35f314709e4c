"""Drift: where the account differs from what the state says was applied.

The API lists no contacts and no products, so each record is read by a request of its own, under
the budget. A share of the records is often enough; whoever wants certainty reads all.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from compasso.connectif import Client
from compasso.model import CompassoError, Json, Priority
from compasso.state import Record, State
from compasso.targets import Target

_IN_FLIGHT = 8
_SEED = 0  # the same sample every time, so that two looks can be compared


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: what was applied, and what the account holds."""

    field: str
    applied: Json
    account: Json


@dataclass(frozen=True, slots=True)
class Drifted:
    """One record that differs; `missing` when the account does not have it at all."""

    sync: str
    key: str
    differences: tuple[Difference, ...]
    missing: bool = False


@dataclass(frozen=True)
class SyncDrift:
    """What was found about one sync: `looked_at` of its `total` records."""

    sync: str
    target: str
    total: int
    looked_at: int
    unreadable: int  # the API would not answer for these
    drifted: tuple[Drifted, ...] = ()
    account: Mapping[str, Mapping[str, Json] | None] = field(default_factory=dict, repr=False)


def choose_records(
    state: State, sync: str, sample: int | None, keys: Sequence[str] = ()
) -> list[Record]:
    """The records to look at: those of `keys`, a random `sample`, or all."""
    if state.form(sync) is not None:
        raise CompassoError.say(
            f"the state keeps only hashes of the values of {sync}: nothing can be compared",
            "say `values: full` under `state:` in compasso.yml to be able to",
        )
    if keys:
        return [record for key in keys for record in state.records(sync, key)]
    if sample is None or state.count(sync) <= sample:
        return list(state.records(sync))
    chosen: list[Record] = []
    pick = random.Random(_SEED)  # noqa: S311 - a sample, not a secret
    for number, record in enumerate(state.records(sync)):
        if number < sample:
            chosen.append(record)
        elif (place := pick.randrange(number + 1)) < sample:
            chosen[place] = record
    return chosen


async def find_drift(
    client: Client,
    sync: str,
    target: Target,
    key_field: str,
    records: Sequence[Record],
    total: int,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> SyncDrift:
    """Read records of one sync from the account and compare them. Raises CompassoError."""
    if target.read is None:
        return SyncDrift(sync, target.name, total, 0, 0)
    waiting = list(reversed(records))
    drifted: list[Drifted] = []
    account: dict[str, Mapping[str, Json] | None] = {}
    unreadable = 0

    async def work() -> None:
        nonlocal unreadable
        while waiting:
            record = waiting.pop()
            assert target.read is not None  # noqa: S101 - for the type checker
            answer = await client.send(target.read(record.key, key_field), Priority.LOW)
            body = answer.body if answer.ok and isinstance(answer.body, dict) else None
            if answer.status == 404:
                account[record.key] = None
                drifted.append(Drifted(sync, record.key, (), missing=True))
            elif body is None:
                unreadable += 1
            else:
                found = compare(record.fields, body, key_field)
                if found:
                    now = {**record.fields, **{d.field: d.account for d in found}}
                    account[record.key] = {n: v for n, v in now.items() if v is not None}
                    drifted.append(Drifted(sync, record.key, found))
            progress(len(records) - len(waiting), len(records))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(_IN_FLIGHT, len(records))):
            group.create_task(work())
    drifted.sort(key=lambda d: d.key)
    return SyncDrift(sync, target.name, total, len(records), unreadable, tuple(drifted), account)


def compare(
    applied: Mapping[str, Json], account: Mapping[str, Json], key_field: str
) -> tuple[Difference, ...]:
    """The applied fields that the account holds with another value."""
    return tuple(
        Difference(name, value, account.get(name))
        for name, value in applied.items()
        if name != key_field and not _same(value, account.get(name))
    )


def _same(applied: Json, account: Json) -> bool:
    if applied == account or (applied is None and account in (None, "", [])):
        return True
    if isinstance(applied, list) and isinstance(account, list):
        # The order of tags and of checked options is not documented.
        return sorted(map(str, applied)) == sorted(map(str, account))
    if isinstance(applied, str) and isinstance(account, str):
        # The same moment may be written with or without its zero milliseconds.
        with suppress(ValueError, TypeError):
            return datetime.fromisoformat(applied) == datetime.fromisoformat(account)
    return False
