"""The doors through which a process reaches the world, each of which a kill can close.

A life is one run of `compasso apply`. It dies at a chosen step, before or after the step had its
effect; from then on nothing it does reaches the disk or the network.
"""

import asyncio
import contextvars
import sys
from collections.abc import Callable

import httpx

from compasso.applying import Journal
from compasso.connectif import SqliteLedger
from compasso.sandbox.virtual import VirtualTransport
from compasso.state.local import LocalState

LIFE: contextvars.ContextVar["Life | None"] = contextvars.ContextVar("life", default=None)


class Killed(BaseException):
    """The process died."""


class Life:
    """One process: its steps are counted, and things happen to it at some of them.

    `at` maps a step's number (from 1) to what happens then. An action that answers "before" or
    "after" kills, before or after the step's effect.
    """

    def __init__(self, at: dict[int, Callable[[str], str | None]] | None = None) -> None:
        self.at = at or {}
        self.steps = 0
        self.dead = False
        self.tasks: set[asyncio.Task] = set()

    def step(self, label: str, effect: Callable[[], object]) -> object:
        """A step with an effect on the world."""
        if self.dead:
            raise Killed
        self.steps += 1
        action = self.at.get(self.steps)
        verdict = action(label) if action else None
        if verdict != "before":
            result = effect()
            if verdict is None:
                return result
        self.die()
        raise Killed

    def die(self) -> None:
        """Close all doors."""
        self.dead = True
        for task in self.tasks:
            task.cancel()

    def forget(self, task: asyncio.Task) -> None:
        """A task has ended. Of a dead process nobody asks how."""
        self.tasks.discard(task)
        if self.dead and not task.cancelled():
            task.exception()

    async def end(self) -> None:
        """Let what is left of a dead process fall over its closed doors."""
        while left := {t for t in self.tasks if not t.done()}:
            for task in left:
                task.cancel()
            await asyncio.wait(left)


def note_tasks(loop: asyncio.AbstractEventLoop, coroutine, **more) -> asyncio.Task:
    """A task factory that tells each life its tasks."""
    task = asyncio.Task(coroutine, loop=loop, **more)
    life = LIFE.get() if "context" not in more else None
    if life is not None:
        life.tasks.add(task)
        task.add_done_callback(life.forget)
    return task


def journal_of(life: Life, on_write: Callable[[str], None] = lambda _: None):
    """A journal whose every write is a step."""

    class StepwiseJournal(Journal):
        def _write(self, sql, values):
            label = sys._getframe(1).f_code.co_name
            result = life.step(label, lambda: Journal._write(self, sql, values))
            on_write(label)
            return result

    return StepwiseJournal


def state_of(life: Life, directory) -> LocalState:
    """A state whose every change is a step."""

    class StepwiseState(LocalState):
        def commit(self, commit):
            return life.step("commit", lambda: LocalState.commit(self, commit))

        def complete(self, *args, **more):
            return life.step("complete", lambda: LocalState.complete(self, *args, **more))

        def remove(self, *args, **more):
            return life.step("remove", lambda: LocalState.remove(self, *args, **more))

    return StepwiseState(directory)


class Ledger:
    """The budget's ledger, closed to the dead."""

    def __init__(self, life: Life, file) -> None:
        self._life = life
        self._ledger = SqliteLedger(file)

    def __getattr__(self, name: str):
        if self._life.dead:
            raise Killed
        return getattr(self._ledger, name)


class Network(VirtualTransport):
    """The network, closed to the dead. A kill can hit before a request leaves, while the server
    is at it, and when its answer is there."""

    def __init__(
        self, life: Life, app, latency: float, lost: Callable[[httpx.Request], None]
    ) -> None:
        super().__init__(app, latency)
        self.life = life
        self.lost = lost

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        known = False
        try:
            self.life.step("send", lambda: None)
            response = await super().handle_async_request(request)
            self.life.step("answer", lambda: None)
            known = response.status_code < 500
            return response
        finally:
            if not known:
                self.lost(request)
