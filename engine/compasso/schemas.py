"""Where the JSON Schemas lie: inside an installed wheel, or at the top of a checkout."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from compasso.model import CompassoError

_PACKAGE = Path(__file__).parent
_WHEEL = _PACKAGE / "_schemas"
_CHECKOUT = _PACKAGE.parent.parent / "schemas"


def schema_path(name: str) -> Path:
    """The file of the schema called `name` ("contacts", "spec"…). Raises CompassoError."""
    for folder in (_WHEEL, _CHECKOUT):
        path = folder / f"{name}.schema.json"
        if path.is_file():
            return path
    raise CompassoError.say(f"there is no schema called {name}", "install compasso again")


@cache
def load_schema(name: str) -> dict[str, Any]:
    """The schema called `name`, parsed. Do not change what is returned."""
    schema: dict[str, Any] = json.loads(schema_path(name).read_text("utf-8"))
    return schema
