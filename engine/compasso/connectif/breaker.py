"""The circuit breaker: when the API is down, one request at a time finds out whether it is back.

After so many failures in a row (no answer, or 5xx) all requests wait. Then one is let through;
if it fails too, the wait grows. When that has gone on for long enough, every request gives up
with `Unreachable`, and the work that is left waits for another day.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from compasso.connectif.clock import Clock
from compasso.model import CompassoError, Diagnostic, ExitCode

FAILURES = 5  # in a row, before all wait
PROBES = 8
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_SLICE = 0.25


class Unreachable(CompassoError):  # noqa: N818 - what happened, not whose fault
    """The API does not answer. What was applied is safe, and the rest can be applied later."""

    def __init__(self, base_url: str, what: str) -> None:
        super().__init__(
            Diagnostic(
                message=f"cannot reach Connectif at {base_url}: {what}",
                hint="what was applied is safe; try again later, and check base_url and the network",
            ),
            exit_code=ExitCode.STOPPED,
        )


class NoAnswer(Unreachable):
    """One request failed at every try, while others were answered."""


class Breaker:
    """Closed: requests pass. Open: they wait, and one at a time tries. Dead: they give up."""

    def __init__(self, base_url: str, clock: Clock, random: random.Random) -> None:
        self.base_url = base_url
        self.clock = clock
        self.failures = 0  # in a row
        self.last = ""
        self.callers: set[int] = set()
        self._random = random
        self._opened = False
        self._probing: int | None = None
        self._probes = 0
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether requests wait."""
        return self._opened

    async def enter(self, caller: int, check: Callable[[], None]) -> None:
        """Wait until a request may leave. Raises Unreachable; and what `check` raises."""
        while self._opened:
            check()
            if self._probes >= PROBES:
                raise Unreachable(
                    self.base_url, f"{self.failures} requests in a row failed ({self.last})"
                )
            if self._probing is None and self.clock.monotonic() >= self._until:
                self._probing = caller
                return
            await self.clock.sleep(_SLICE)

    def leave(self, caller: int) -> None:
        """A request was given up before it was answered."""
        if self._probing == caller:
            self._probing = None

    def succeeded(self) -> None:
        """The API answered."""
        self.failures = self._probes = 0
        self._opened, self._probing = False, None
        self.callers.clear()

    def failed(self, caller: int, what: str) -> None:
        """A request was not answered, or with 5xx."""
        self.failures += 1
        self.last = what
        self.callers.add(caller)
        if self._probing == caller:
            self._probing = None
            self._probes += 1
        elif self._opened or self.failures < FAILURES:
            return
        self._opened = True
        span = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._probes)
        # Not from zero as between tries: a server that comes back is not to be stormed.
        self._until = self.clock.monotonic() + span * (0.5 + self._random.random() / 2)
