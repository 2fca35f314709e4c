"""The rate limit (API facts: 9.2): a window of 60 seconds that opens at its first request and
counts refused requests too; all keys of the account together. The algorithm is a guess."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from compasso.sandbox.settings import Behaviour

WINDOW = 60.0


class RateLimit:
    """Counts requests and says which are refused."""

    def __init__(self, limit: int, behaviour: Behaviour, clock: Callable[[], float]) -> None:
        self.limit = limit
        self.behaviour = behaviour
        self.clock = clock
        self.started = -math.inf
        self.used = 0
        self.recent: deque[float] = deque()

    def take(self, count: int = 1) -> tuple[bool, dict[str, str]]:
        """Count a request: whether it is let through, and the headers of its answer."""
        now = self.clock()
        if self.behaviour.sliding_window:
            self._forget(now)
            self.recent.extend([now] * count)
            self.used = len(self.recent)
            end = self.recent[0] + WINDOW
        else:
            # A window of the future is from before the clock was set back.
            if not self.started <= now < self.started + WINDOW:
                self.started, self.used = now, 0
            self.used += count
            end = self.started + WINDOW
        allowed = self.used <= self.limit
        if not allowed and not self.behaviour.count_refused:
            self.used = self.limit
            while len(self.recent) > self.limit:
                self.recent.pop()
        return allowed, self._headers(now, end, allowed)

    def _headers(self, now: float, end: float, allowed: bool) -> dict[str, str]:
        left = max(0, math.ceil(end - now))
        remaining = str(max(0, self.limit - self.used))
        reset = str(left) if self.behaviour.reset_is_delta else str(math.ceil(end))
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": remaining,
            "X-RateLimit-Reset": reset,
            "RateLimit-Policy": f"{self.limit};w={int(WINDOW)}",
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": remaining,
            "RateLimit-Reset": str(left),
        }
        if not allowed and self.behaviour.retry_after:
            headers["Retry-After"] = str(left)
        return headers

    def _forget(self, now: float) -> None:
        while self.recent and not now - WINDOW < self.recent[0] <= now:
            self.recent.popleft()

    def gauge(self) -> dict[str, int]:
        """How much of the current window is used, without counting anything."""
        now = self.clock()
        if self.behaviour.sliding_window:
            self._forget(now)
            end = self.recent[0] + WINDOW if self.recent else now
            used = len(self.recent)
        else:
            fresh = self.started <= now < self.started + WINDOW
            end, used = (self.started + WINDOW, self.used) if fresh else (now, 0)
        return {"limit": self.limit, "used": used, "seconds_left": math.ceil(end - now)}
