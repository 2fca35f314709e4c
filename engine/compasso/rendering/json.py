"""JSON: one document, as the contract has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def plan(document: Mapping[str, Any], *, color: bool, show: int | None) -> str:
    """The document itself."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def result(document: Mapping[str, Any], *, color: bool) -> str:
    """The document itself."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def rehearsal(document: Mapping[str, Any], *, color: bool) -> str:
    """The document itself."""
    return json.dumps(document, indent=2, ensure_ascii=False)
