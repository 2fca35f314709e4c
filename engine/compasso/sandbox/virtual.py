"""The sandbox and its client in one process, in virtual time: an hour passes in a moment.

Nothing waits: when all tasks sleep, the clock jumps to the next one's end. So a plan can be
rehearsed, and thousands of hours simulated, with the very code that runs for real.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import httpx

from compasso.sandbox.app import ConnectionDropped

T = TypeVar("T")
_BEGIN = 1_700_000_000.0  # any moment will do; it is the same in every run


class _VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is where its next timer is."""

    def __init__(self) -> None:
        self._virtual = 0.0
        super().__init__()

    def time(self) -> float:
        return self._virtual

    def _run_once(self) -> None:
        ready: Any = getattr(self, "_ready", ())
        scheduled: Any = getattr(self, "_scheduled", ())
        if not ready and scheduled:
            self._virtual = max(self._virtual, scheduled[0]._when)
        super()._run_once()  # type: ignore[misc]


class VirtualClock:
    """Seconds since 1970 as the virtual loop counts them; `jump` sets them forward or back."""

    def __init__(self, begin: float = _BEGIN) -> None:
        self._offset = begin

    def now(self) -> float:
        """The virtual time."""
        try:
            return self._offset + asyncio.get_running_loop().time()
        except RuntimeError:  # nothing runs: time stands still
            return self._offset

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    def jump(self, seconds: float) -> None:
        """Set the clock forward or back, as an administrator or a time server may."""
        self._offset += seconds


def run_virtually(work: Coroutine[Any, Any, T], clock: VirtualClock) -> T:
    """Run to the end in virtual time. The clock goes on from there in the next run."""
    loop = _VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        clock.jump(loop.time())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


class VirtualTransport(httpx.AsyncBaseTransport):
    """Requests straight into a sandbox's application, with the failures of a network.

    `latency` is how long each way takes, in seconds.
    """

    def __init__(self, app: Any, latency: float = 0.05) -> None:
        self._inner = httpx.ASGITransport(app)
        self._latency = latency

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request, or the error that httpx raises when a connection breaks."""
        await asyncio.sleep(self._latency)
        try:
            response = await self._inner.handle_async_request(request)
        except ConnectionDropped:
            raise httpx.ReadError("the connection broke", request=request) from None
        await asyncio.sleep(self._latency)
        return response
