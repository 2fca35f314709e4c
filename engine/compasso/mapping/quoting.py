"""SQL identifiers and text literals."""

from __future__ import annotations


def quote_name(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """A SQL text literal."""
    return "'" + text.replace("'", "''") + "'"
