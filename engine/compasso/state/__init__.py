"""The cached state: what was last applied to the account, record by record.

Each backend is one file of this folder with an `open_backend(root, environment) -> State`.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from compasso.model import CompassoError
from compasso.state.base import HASHED, Commit, Failure, Form, Record, State, form_differs
from compasso.state.hashing import field_hash, key_hash

__all__ = [
    "HASHED",
    "Commit",
    "Failure",
    "Form",
    "Record",
    "State",
    "field_hash",
    "form_differs",
    "key_hash",
    "open_state",
]


def open_state(root: Path, environment: str | None, backend: str = "local") -> State:
    """The state of a project in one environment. Raises CompassoError for an unknown backend."""
    known = sorted(
        m.name
        for m in pkgutil.iter_modules(__path__)
        if m.name not in {"account_fields", "base", "committed", "hashing", "holder", "suppression"}
    )
    if backend not in known:
        raise CompassoError.say(
            f"this version cannot keep its state in {backend!r}", f"it can in: {', '.join(known)}"
        )
    state: State = importlib.import_module(f"{__name__}.{backend}").open_backend(root, environment)
    return state
