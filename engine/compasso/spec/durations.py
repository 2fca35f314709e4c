"""Durations as people write them: 90s, 20m, 12h, 2d."""

from __future__ import annotations

import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def seconds_of(text: object, units: str = "smhd") -> int | None:
    """The seconds of a duration; None if it is none, or has another unit than these."""
    found = re.fullmatch(f"([0-9]+)([{units}])", str(text))
    return None if found is None else int(found[1]) * _SECONDS[found[2]]
