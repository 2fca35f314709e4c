"""Options that commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compasso.model import CompassoError

if TYPE_CHECKING:
    from compasso.spec import Project
    from compasso.state import State


@dataclass(frozen=True)
class Common:
    """What the shared options say."""

    project: Path
    environment: str | None
    variables: dict[str, str]
    specs: tuple[str, ...]
    color: bool

    def load(self) -> Project:
        """The project, checked."""
        from compasso.spec import load_project

        return load_project(self.project, self.environment, self.variables, only=self.specs)

    def state(self, project: Project) -> State:
        """The project's state in this environment."""
        from compasso.state import open_state

        return open_state(project.root, project.environment, project.state.backend)


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options; the command gets them as `common`."""

    def collected(
        project: Path,
        env: str | None,
        var: tuple[str, ...],
        spec: tuple[str, ...],
        no_color: bool,
        verbose: bool,
        **others: Any,
    ) -> Any:
        colors = sys.stdout.isatty() and not no_color and not os.environ.get("NO_COLOR")
        return function(Common(project, env, _variables(var), spec, colors), **others)

    collected.__doc__ = function.__doc__
    wrapped: Any = collected
    wrapped.__click_params__ = list(getattr(function, "__click_params__", []))
    for decorate in (
        click.option("-v", "--verbose", is_flag=True, help="Show details of internal errors."),
        click.option("--no-color", is_flag=True, help="No colours."),
        click.option("--spec", multiple=True, metavar="NAME", help="Only this spec (repeatable)."),
        click.option("--var", multiple=True, metavar="K=V", help="Set a variable (repeatable)."),
        click.option("--env", metavar="NAME", help="The environment of compasso.yml to use."),
        click.option(
            "--project",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path(),
            metavar="DIR",
            help="The project's folder; the current one by default.",
        ),
    ):
        wrapped = decorate(wrapped)
    result: Callable[..., Any] = wrapped
    return result


def _variables(given: tuple[str, ...]) -> dict[str, str]:
    result = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise CompassoError.say(f"--var {text!r} is not NAME=VALUE", "such as --var prefix=34")
        result[name] = value
    return result


def output_format(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option --format with these names; the first is the default."""
    return click.option(
        "--format", "form", type=click.Choice(names), default=names[0], help="How to print."
    )
