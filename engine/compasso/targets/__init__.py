"""The kinds of Connectif record a sync can write. Each target is one file of this folder.

A new target is a new module with a `TARGET` in it; nothing else has to know its name.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from compasso.model import CompassoError
from compasso.targets.base import (
    Delivery,
    LineTotals,
    Target,
    TargetField,
    custom_fields,
    field_type,
    line_fields,
)

__all__ = [
    "Delivery",
    "LineTotals",
    "Target",
    "TargetField",
    "custom_fields",
    "field_type",
    "line_fields",
    "load_target",
    "target_names",
]


@cache
def _modules() -> dict[str, str]:
    names = [m.name for m in pkgutil.iter_modules(__path__) if m.name != "base"]
    return {name.replace("_", "-"): f"{__name__}.{name}" for name in names}


def target_names() -> tuple[str, ...]:
    """The names of all targets, as specs write them."""
    return tuple(sorted(_modules()))


@cache
def load_target(name: str) -> Target:
    """The target called `name` ("contacts", "custom-events/ALIAS"). Raises CompassoError when
    there is none."""
    kind, slash, alias = name.partition("/")
    module = _modules().get(kind)
    found: Any = None if module is None else importlib.import_module(module)
    if found is None or (slash and not (alias and hasattr(found, "named"))):
        raise CompassoError.say(
            f"there is no target called {name!r}", f"known targets: {', '.join(target_names())}"
        )
    target: Target = found.named(alias) if slash else found.TARGET
    return target
