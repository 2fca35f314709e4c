"""The endpoints of the simulated API: each area of it is one file of this folder.

A new area is a new module with an `AREA` in it; nothing else has to know its name.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from compasso.sandbox.endpoint import Area, Endpoint

__all__ = ["areas", "endpoints"]


@cache
def areas() -> tuple[Area, ...]:
    """All areas, in the order of the documentation."""
    found = [
        importlib.import_module(f"{__name__}.{module.name}").AREA
        for module in pkgutil.iter_modules(__path__)
    ]
    return tuple(sorted(found, key=lambda area: area.rank))


def endpoints() -> tuple[Endpoint, ...]:
    """The endpoints of all areas."""
    return tuple(endpoint for area in areas() for endpoint in area.endpoints)
