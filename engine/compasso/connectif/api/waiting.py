"""Waiting for imports and exports: seldom enough to leave the budget to others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from compasso.connectif.clock import Clock
from compasso.model import CompassoError

Job = TypeVar("Job", bound=Mapping[str, Any])
FIRST_WAIT, LONGEST_WAIT = 2.0, 30.0
_ENDED = {"finished", "error", "cancelled"}


async def wait_until_ended(
    look: Callable[[], Awaitable[Job | None]], clock: Clock, timeout: float | None, what: str
) -> Job:
    """Look again and again until a job has ended; 2 s apart at first, 30 s at most.

    Raises CompassoError: it is not there, or `timeout` seconds have passed.
    """
    begin, pause = clock.now(), FIRST_WAIT
    while True:
        job = await look()
        if job is None:
            raise CompassoError.say(f"there is no {what}")
        if job.get("status") in _ENDED:
            return job
        if timeout is not None and clock.now() - begin + pause > timeout:
            raise CompassoError.say(
                f"the {what} has not ended after {timeout:g} s: it is {job.get('status')}",
                "it goes on at Connectif; wait for it again later",
            )
        await clock.sleep(pause)
        pause = min(pause * 1.5, LONGEST_WAIT)
