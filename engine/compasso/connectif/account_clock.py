"""What time it is for the account, by the `Date` of its answers.

Connectif writes times of its own beside imports and exports (`createdAt`). Whoever looks for a
lost upload compares them with the time at which it left, and the machine's clock may be wrong by
minutes, or be set while a run is under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from compasso.connectif.clock import Clock

_WHOLE = 1.0  # seconds: `Date` (RFC 9110, 6.6.1) has no parts of one


class AccountClock:
    """The account's clock as far as it is known; the machine's until an answer contradicts it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # By how much it is ahead of the monotonic clock, which nobody sets.
        self._ahead = clock.now() - clock.monotonic()

    def observe(self, headers: Mapping[str, str], sent: float, received: float) -> None:
        """An answer came to a request. Times are in monotonic seconds."""
        try:
            date = parsedate_to_datetime(headers.get("date", "")).timestamp()
        except ValueError:  # none, or none that can be read
            return
        least, most = date - received, date + _WHOLE - sent
        if not least <= self._ahead <= most:
            # Rather too early than too late: what was made after now must not look older.
            self._ahead = least

    def now(self) -> datetime:
        """The account's time, or a moment before it."""
        return datetime.fromtimestamp(self._clock.monotonic() + self._ahead, UTC)
