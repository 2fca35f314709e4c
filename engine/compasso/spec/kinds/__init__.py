"""The kinds of spec. Each is one file of this folder with a `SHAPE` and a `build`.

`SHAPE` is the pydantic model of what may be written. `build(shape, spec, variables, problems)`
gives it its meaning: the syncs, exports or contact fields that the file declares. What is wrong
goes to `problems`. The module's name is the kind, with hyphens.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from compasso.model import Diagnostic, Json
from compasso.spec.document import Document
from compasso.spec.types import ContactFieldSpec, EventTypeSpec, Export, Sync

if TYPE_CHECKING:
    from compasso.spec.shapes import Shape

Declared: TypeAlias = Sync | Export | ContactFieldSpec | EventTypeSpec


class Kind(Protocol):
    """What a module of this folder has."""

    SHAPE: type[Shape]
    build: Callable[
        [Any, Document, Mapping[str, Json], list[Diagnostic]],
        Sequence[Declared],
    ]


@cache
def kind_names() -> tuple[str, ...]:
    """The kinds that a spec may name; `sync` first, as most specs are."""
    names = (m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__))
    return tuple(sorted(names, key=lambda name: (name != "sync", name)))


@cache
def load_kind(name: str) -> Kind:
    """The kind called `name`, one of `kind_names()`."""
    kind: Any = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    found: Kind = kind
    return found
