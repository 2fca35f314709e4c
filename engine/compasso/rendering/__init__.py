"""A plan or a result as text, JSON or Markdown. Each format is one file of this folder.

A format is a module with `plan(document, *, color, show)` and `result(document, *, color)`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from compasso.model import CompassoError


def formats() -> tuple[str, ...]:
    """The names of the formats."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "words"))


def _module(name: str) -> Any:
    if name not in formats():
        raise CompassoError.say(
            f"there is no format {name!r}", f"known formats: {', '.join(formats())}"
        )
    return importlib.import_module(f"{__name__}.{name}")


def render_plan(
    document: Mapping[str, Any], name: str, *, color: bool = False, show: int | None = None
) -> str:
    """A plan's document in a format; `show` is how many samples of each kind."""
    text: str = _module(name).plan(document, color=color, show=show)
    return text


def render_result(document: Mapping[str, Any], name: str, *, color: bool = False) -> str:
    """An apply's document in a format."""
    text: str = _module(name).result(document, color=color)
    return text


def render_rehearsal(document: Mapping[str, Any], name: str, *, color: bool = False) -> str:
    """A rehearsal's document in a format that has one."""
    text: str = _module(name).rehearsal(document, color=color)
    return text
