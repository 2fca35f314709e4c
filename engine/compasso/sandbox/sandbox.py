"""One simulated account with all its parts, which the endpoints work on."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from compasso.sandbox.exports import Exports
from compasso.sandbox.faults import Faults
from compasso.sandbox.imports import Imports
from compasso.sandbox.rate import RateLimit
from compasso.sandbox.records import Records
from compasso.sandbox.settings import Behaviour, SandboxSettings
from compasso.sandbox.store import Account

_KEPT_REQUESTS = 100_000


class Sandbox:
    """The account, its rate limit, the faults that wait and the requests it has seen."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.skew = 0.0  # by how many seconds a fault set the account's clock forward or back
        clock = settings.clock
        settings = replace(settings, clock=lambda: clock() + self.skew)
        self.settings = settings
        self.account = Account(settings.data)
        self.records = Records(self.account, settings)
        self.imports = Imports(self.account, self.records, settings)
        self.exports = Exports(self.account, self.records, settings)
        self.rate = RateLimit(settings.requests_per_minute, settings.behaviour, settings.clock)
        self.faults = Faults()
        self.seen: deque[dict[str, Any]] = deque(maxlen=_KEPT_REQUESTS)

    @property
    def behaviour(self) -> Behaviour:
        """The switches for what no public source tells."""
        return self.settings.behaviour

    def now(self) -> float:
        """Seconds since 1970, by the account's clock."""
        return self.settings.clock()
