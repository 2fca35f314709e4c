"""Time, as something that can be replaced: by the real clock, or by a simulated one."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time and waits."""

    def now(self) -> float:
        """Seconds since 1970. An administrator or a time server may set it forward or back."""

    def monotonic(self) -> float:
        """Seconds since some moment, for durations. It never jumps, and all processes of one
        machine count from the same moment, until the machine starts again."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
