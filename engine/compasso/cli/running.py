"""Apply as a process: signals, the live view, the client and its budget."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compasso.cli import stopping
from compasso.rendering.words import duration

if TYPE_CHECKING:
    from compasso.applying import ApplyResult, Limits, Progress
    from compasso.planning import Account, Plan
    from compasso.spec import Project
    from compasso.state import State

T = TypeVar("T")
_QUIET_SECONDS = 2.0
_PERIOD_SECONDS = 30.0


class LiveView:
    """How far an apply is, on stderr: a bar on a terminal, else a line now and then."""

    def __init__(self, live: bool | None = None) -> None:
        terminal = sys.stderr.isatty() and not os.environ.get("CI")
        self.live = terminal if live is None else live
        self.started = time.monotonic()
        self.told = self.started
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> LiveView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self.started < _QUIET_SECONDS:
            return
        if self.live:
            self._draw(progress)
        elif now - self.told >= _PERIOD_SECONDS:
            self.told = now
            click.echo(_line(progress), err=True)

    def _draw(self, progress: Progress) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
            from rich.progress import Progress as Bars

            self._bar = Bars(
                TextColumn("{task.fields[sync]}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rest]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=progress.total, sync="", rest="")
            self._bar.start()
        rest = (
            f"{progress.requests:,} requests, budget {progress.budget_used}/{progress.budget_limit}"
        )
        left = remaining(progress)
        rest += f", about {duration(left)} left" if left else ""
        rest += f"; {progress.waiting_for}" if progress.waiting_for else ""
        self._bar.update(
            self._task,
            completed=progress.done + progress.failed,
            total=progress.total,
            sync=progress.sync,
            rest=rest,
        )


class PlanningView:
    """What planning is at, on stderr, once it takes longer than two seconds, and now and then
    after. Called with the step that begins, and with "" at the end."""

    def __init__(self, quiet: float = _QUIET_SECONDS, period: float = _PERIOD_SECONDS) -> None:
        self.started = time.monotonic()
        self._quiet, self._period = quiet, period
        self._text = ""
        self._ended = threading.Event()
        self._teller: threading.Thread | None = None

    def __call__(self, text: str) -> None:
        again = text != self._text
        self._text = text
        if not text:
            self._ended.set()
            if self._teller is not None:
                self._teller.join()
            return
        if self._teller is None:
            self._teller = threading.Thread(target=self._tell, daemon=True)
            self._teller.start()
        elif again and time.monotonic() - self.started >= self._quiet:
            self._say(text)

    def _tell(self) -> None:
        """A step may take long, and cannot speak while it is under way."""
        pause = self._quiet
        while not self._ended.wait(pause):
            self._say(self._text)
            pause = self._period

    def _say(self, text: str) -> None:
        click.echo(f"{text} ({time.monotonic() - self.started:.0f} s)", err=True)


def remaining(progress: Progress) -> float:
    """Seconds that are left, by the requests that are left and the budget."""
    left = max(0, progress.expected_requests - progress.requests)
    free = max(0, progress.budget_limit - progress.budget_used)
    return 60.0 * max(0, left - free) / max(1, progress.budget_limit)


def _line(progress: Progress) -> str:
    left = remaining(progress)
    text = (
        f"{progress.sync}: {progress.done:,} of {progress.total:,} records, "
        f"{progress.failed:,} failed, {progress.requests:,} requests, "
        f"budget {progress.budget_used}/{progress.budget_limit}"
    )
    return text + (f", about {duration(left)} left" if left else "")


def run_with_stop(work: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T:
    """Run with an event that SIGINT and SIGTERM set. A second Ctrl-C ends at once."""

    async def running() -> T:
        stop = asyncio.Event()

        def ask(number: int) -> None:
            if stop.is_set() and number == signal.SIGINT:
                raise KeyboardInterrupt
            stop.set()
            click.echo("Stopping: waiting for the requests under way.", err=True)

        with stopping.signals_go_to(ask):
            return await work(stop)

    return asyncio.run(running())


async def apply_with_client(
    project: Project,
    state: State,
    plan: Plan,
    limits: Limits,
    stop: asyncio.Event,
    view: LiveView,
    command: str,
) -> ApplyResult:
    """Apply a plan to the project's account."""
    from compasso.applying import apply_plan
    from compasso.applying.telemetry import Telemetry

    telemetry = Telemetry()

    def progress(now: Progress) -> None:
        telemetry.progress(now)
        view(now)

    async with client_of(project, state) as client:
        client.observe = telemetry.request
        result = await apply_plan(
            plan,
            state=state,
            client=client,
            command=command,
            limits=limits,
            progress=progress,
            stop=stop,
            project=project,
        )
    telemetry.ended(result, int(plan.document["summary"]["rejected"]))
    return result


_LOOK_SECONDS = 60.0  # how long `plan` waits for an account that does not answer


def account_of(
    project: Project, state: State, only: Collection[str] | None, *, must: bool
) -> Account:
    """The account as coupon stocks need it, if one is to be planned; else nothing is sent.

    Unless it `must` be looked at, the answer says why it could not be.
    """
    from compasso.model import CompassoError
    from compasso.planning import NOT_LOOKED_AT, Account, look_at_account

    wanted = [s for s in project.syncs if s.stock and (only is None or s.name in only)]
    if not wanted:
        return NOT_LOOKED_AT
    workflows = any(s.stock.only_if_used for s in wanted if s.stock)

    async def look() -> Account:
        async with client_of(project, state) as client:
            if must:
                return await look_at_account(client, workflows=workflows)
            client.tries = 2
            async with asyncio.timeout(_LOOK_SECONDS):
                return await look_at_account(client, workflows=workflows)

    try:
        return stopping.run(look())
    except CompassoError as error:
        if must:
            raise
        return Account(problem=error.diagnostics[0].message)
    except TimeoutError:
        return Account(problem=f"the account did not answer within {_LOOK_SECONDS:.0f} s")


def client_of(project: Project, state: State) -> Any:
    """A client for the project's account, with the budget that all of the state's processes share."""
    from compasso.connectif import Budget, Client, SqliteLedger, SystemClock
    from compasso.model import CompassoError

    key = project.connectif.api_key

    def reveal() -> str:
        if key is None:
            raise CompassoError.say("compasso.yml names no api_key", "add connectif.api_key")
        return key.reveal()

    reveal()  # before anything else is done
    clock = SystemClock()
    ledger = SqliteLedger(Path(state.directory) / "budget.sqlite")
    budget = Budget(project.budget.requests_per_minute, project.budget.reserve, clock, ledger)
    client = Client(project.connectif.base_url, reveal, budget, clock)
    client.late_seconds = project.connectif.late_seconds
    return client
