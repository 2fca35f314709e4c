"""Ctrl-C and SIGTERM: a clean stop at any moment of any command.

Outside asyncio a signal raises KeyboardInterrupt where the program stands; inside (`run`) it
cancels what is under way. Both are safe, for whatever has to be known later is in the journal
before it is done. (asyncio is imported late: every command passes here.)
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import click

from compasso.model import ExitCode

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IMPORTING = "<frozen importlib._bootstrap>"
_SOON = 0.02  # seconds
_asked = threading.Event()


class Stopped(BaseException):
    """A signal or a limit ended the command. The text says what is left, and how to go on.

    It is no Exception: nothing may swallow it as an error. `requests` were sent until then, as far
    as is known.
    """

    def __init__(self, text: str, requests: int = 0) -> None:
        super().__init__(text)
        self.requests = requests


@contextmanager
def signals_heeded() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM raise KeyboardInterrupt."""
    _asked.clear()
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears of signals
        return
    before = {number: signal.signal(number, _interrupt) for number in (*_SIGNALS, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code() -> int:
    """The exit code of a command that was stopped.

    Where a KeyboardInterrupt passed code that was run from text (dataclasses and named tuples are
    made so), CPython ends the process by SIGINT whatever exit code it is given, until the next
    such code begins (run_eval_code_obj in its pythonrun.c).
    """
    exec("")  # noqa: S102
    return ExitCode.STOPPED


def was_asked() -> bool:
    """Whether a signal asked to stop: then what fails afterwards fails for that. (A query of
    DuckDB that is interrupted ends with an error of its own.)"""
    return _asked.is_set()


def _interrupt(_number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; a little later if a module is being imported just now: a library
    that is written in C++ may end the process when it is interrupted while it sets itself up."""
    _asked.set()
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            signal.setitimer(signal.ITIMER_REAL, _SOON)  # SIGALRM comes here again
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work`; a signal cancels it, and KeyboardInterrupt is raised."""
    import asyncio

    async def running() -> T:
        task = asyncio.current_task()

        def cancel(_number: int) -> None:
            _asked.set()
            if task is not None:
                task.cancel()

        with signals_go_to(cancel):
            return await work

    try:
        return asyncio.run(running())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


@contextmanager
def signals_go_to(handler: Callable[[int], None]) -> Iterator[None]:
    """Inside, the running loop calls `handler` with the number of each signal."""
    import asyncio

    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        loop.add_signal_handler(number, handler, number)
    try:
        yield
    finally:
        for number, earlier in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, earlier)


@contextmanager
def stop_means(text: str) -> Iterator[None]:
    """What a stop inside means, for the user to read."""
    try:
        yield
    except (KeyboardInterrupt, click.Abort):
        raise Stopped(text) from None
    except Exception:
        if was_asked():
            raise Stopped(text) from None
        raise
