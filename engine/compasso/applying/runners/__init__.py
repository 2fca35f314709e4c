"""How the changes of each route are carried out. Each route is one file of this folder.

The runner of a route is the `RUNNER` of the module that bears the route's name in the plural:
`Route.CALL` is run by `calls`, `Route.IMPORT` by `imports`. A new one is a new file.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from compasso.applying.runners.base import Runner, Stop, Tally, Work
from compasso.model import Route

__all__ = ["Runner", "Stop", "Tally", "Work", "load_runner", "make_runners"]


def load_runner(route: Route) -> type[Runner]:
    """The runner of a route."""
    runner: type[Runner] = importlib.import_module(f"{__name__}.{route.value}s").RUNNER
    return runner


def make_runners(work: Work, routes: Iterable[Route] = Route) -> dict[Route, Runner]:
    """A runner for each route, in the order in which the routes of one sync go."""
    ordered = sorted(routes, key=lambda route: load_runner(route).order)
    return {route: load_runner(route)(work) for route in ordered}
