"""The sandbox and its client in one process, in virtual time: an hour passes in a moment.

Nothing waits: when all tasks sleep, the clock jumps to the next one's end. So a plan can be
rehearsed, and thousands of hours simulated, with the very code that runs for real. Nothing is
left to chance either: no thread, no socket, no real time, so that a run can be replayed.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import httpx

from compasso.sandbox.app import ConnectionDropped

T = TypeVar("T")
BEGIN = 1_700_000_000.0  # any moment will do; it is the same in every run


class _NoNetwork(selectors.SelectSelector):
    """Nothing ever comes from outside, so there is nothing to wait for."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return []


class _VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is where its next timer is."""

    def __init__(self) -> None:
        self._virtual = 0.0
        self._own_thread = threading.get_ident()
        self._intruder = False
        super().__init__(_NoNetwork())

    def time(self) -> float:
        return self._virtual

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """Nothing may come from a thread: virtual time does not wait for it."""
        if threading.get_ident() != self._own_thread:
            self._intruder = True
        return super().call_soon_threadsafe(callback, *args, context=context)

    def _run_once(self) -> None:
        if self._intruder:
            raise RuntimeError("a thread took part in virtual time: this cannot be replayed")
        ready: Any = getattr(self, "_ready", ())
        scheduled: Any = getattr(self, "_scheduled", ())
        if not ready:
            if not scheduled and not self._stopping:  # type: ignore[attr-defined]
                raise RuntimeError("nothing is left that could ever happen")
            if scheduled:
                self._virtual = max(self._virtual, scheduled[0]._when)
        super()._run_once()  # type: ignore[misc]

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Work for a thread is done here and now: it takes no virtual time."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class VirtualClock:
    """Seconds since 1970 as the virtual loop counts them.

    `jump` sets this clock forward or back, as an administrator or a time server may; another
    clock, say the server's, knows nothing of it.
    """

    def __init__(self, begin: float = BEGIN) -> None:
        self._offset = begin
        self._earlier = 0.0  # what passed in runs that have ended

    def now(self) -> float:
        """The virtual time."""
        return self._offset + self.monotonic()

    def monotonic(self) -> float:
        """Virtual seconds since the beginning, whatever the clock is set to."""
        try:
            return self._earlier + asyncio.get_running_loop().time()
        except RuntimeError:  # nothing runs: time stands still
            return self._earlier

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    def jump(self, seconds: float) -> None:
        """Set the clock forward or back."""
        self._offset += seconds

    def go_on(self, seconds: float) -> None:
        """A run of so many seconds has ended."""
        self._earlier += seconds


def run_virtually(work: Coroutine[Any, Any, T], clock: VirtualClock) -> T:
    """Run to the end in virtual time. The clock goes on from there in the next run."""
    loop = _VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        clock.go_on(loop.time())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class VirtualTransport(httpx.AsyncBaseTransport):
    """Requests straight into a sandbox's application, with the failures of a network.

    `latency` is how long each way takes, in seconds. What the server has begun it ends, also
    when the client has given up or died: `open` holds what it is at.
    """

    def __init__(self, app: Any, latency: float = 0.05) -> None:
        self._inner = httpx.ASGITransport(app)
        self._latency = latency
        self.open: set[asyncio.Future[httpx.Response]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request, or the error that httpx raises when a connection breaks or is too slow."""
        await request.aread()
        await asyncio.sleep(self._latency)
        # The server is another program: it lives on when the client ends.
        answer = asyncio.get_running_loop().create_task(
            self._inner.handle_async_request(request), context=contextvars.Context()
        )
        self.open.add(answer)
        answer.add_done_callback(self._end)
        patience = request.extensions.get("timeout", {}).get("read")
        ended, _ = await asyncio.wait({answer}, timeout=patience)
        if not ended:
            raise httpx.ReadTimeout("no answer in time", request=request)
        try:
            response = answer.result()
        except ConnectionDropped:
            raise httpx.ReadError("the connection broke", request=request) from None
        await asyncio.sleep(self._latency)
        return response

    def _end(self, answer: asyncio.Future[httpx.Response]) -> None:
        self.open.discard(answer)
        if not answer.cancelled():
            answer.exception()  # nobody may be there any more to hear of it

    async def settle(self) -> None:
        """Wait until the server has ended all it has begun."""
        while self.open:
            await asyncio.wait(set(self.open))
