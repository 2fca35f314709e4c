"""The account's contact fields as they were read last, beside the state: for checks without a key."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compasso.state.suppression import write_whole


@dataclass(frozen=True)
class AccountFields:
    """The definitions of the account's contact fields, and when they were read."""

    read_at: str
    fields: Sequence[Mapping[str, Any]]

    @property
    def custom(self) -> list[Mapping[str, Any]]:
        """Those that the store made."""
        return [f for f in self.fields if f.get("custom")]


def keep_account_fields(directory: Path, found: AccountFields) -> None:
    """Keep the list in the state's directory, whole or not at all."""
    write_whole(_file(directory), {"read_at": found.read_at, "fields": list(found.fields)})


def kept_account_fields(directory: Path) -> AccountFields | None:
    """The list as it was read last; None if it never was."""
    try:
        document = json.loads(_file(directory).read_text("utf-8"))
        return AccountFields(document["read_at"], document["fields"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(directory: Path) -> Path:
    return directory / "contact-fields.json"
