"""What reading from databases and writing to them have in common: addresses, and results."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_LONGEST = 300


def database_file(address: str, root: Path) -> Path:
    """sqlite:///data/shop.db is relative to the project, sqlite:////srv/shop.db is not."""
    path = urlsplit(address).path
    return Path(path[1:]) if path.startswith("//") else root / path.removeprefix("/")


def without_secret(error: Exception, address: str) -> str:
    """The driver's words in one line, without the address or its password."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    parts = urlsplit(address)
    for secret in (address, parts.password, parts.netloc):
        if secret:
            text = text.replace(secret, "***")
    return text[:_LONGEST]  # cut last: half a secret would not be found


class ArrowStream:
    """A result of one engine in the form that another one takes."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._result.__arrow_c_stream__(requested_schema)
