"""Bad days on demand: which faults a rehearsal meets, and how often."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from compasso.sandbox.faults import Faults


@dataclass(frozen=True)
class Weather:
    """About every `every` seconds a fault, one of `kinds` (with what it needs)."""

    every: float
    kinds: tuple[dict[str, Any], ...]


# A service that has a bad day, and a network that has one; and the worst we know how to make.
_BAD_DAY = (
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 500},
    {"kind": "slow", "seconds": 5.0},
    {"kind": "timeout_after", "seconds": 10.0},
    {"kind": "reset"},
    {"kind": "truncate"},
    {"kind": "other_clients", "requests": 20},
)
WEATHERS: dict[str, Weather | None] = {
    "none": None,
    "bad-day": Weather(20.0, _BAD_DAY),
    "storm": Weather(
        5.0,
        (
            *_BAD_DAY,
            {"kind": "rate_limit_storm"},
            {"kind": "timeout_before", "seconds": 30.0},
            {"kind": "slow", "seconds": 50.0},
            {"kind": "import_failed"},
            {"kind": "status", "status": 502, "times": 5},
        ),
    ),
}


async def blow(weather: Weather, faults: Faults, seed: int) -> None:
    """Make faults until this is cancelled. The same seed makes the same ones."""
    some = random.Random(seed)  # noqa: S311 - weather, not a secret
    while True:
        await asyncio.sleep(some.expovariate(1 / weather.every))
        if len(faults.describe()) < 5:  # no more wait than may still come
            faults.add(dict(some.choice(weather.kinds)))
