"""The account's contact fields as it lists them, kept beside the state for checks without a key."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from compasso.connectif import Client
from compasso.model import ApiCall, CompassoError
from compasso.state.suppression import write_whole

_MOST_PAGES = 100


@dataclass(frozen=True)
class AccountFields:
    """The definitions of the account's contact fields, and when they were read."""

    read_at: str
    fields: Sequence[Mapping[str, Any]]

    @property
    def custom(self) -> list[Mapping[str, Any]]:
        """Those that the store made."""
        return [f for f in self.fields if f.get("custom")]


async def read_account_fields(client: Client, directory: Path) -> AccountFields:
    """GET /contact-fields/, page after page (documented, D12), and keep it. Raises CompassoError."""
    call: ApiCall | None = ApiCall("GET", "/contact-fields/")
    fields: list[Mapping[str, Any]] = []
    for _ in range(_MOST_PAGES):
        answer = await client.send(call) if call is not None else None
        if answer is None:
            break
        if not (answer.ok and isinstance(answer.body, dict)):
            raise CompassoError.say(
                f"the account's contact fields could not be read: {answer.reason()}",
                "give the key read on contact fields",
            )
        fields += answer.body.get("results") or []
        further = (answer.body.get("links") or {}).get("next")
        # Only the address's path is taken: the key goes to no other host.
        parts = urlsplit(str(further))
        query = dict(parse_qsl(parts.query))
        call = ApiCall("GET", parts.path, query=query) if further else None
    found = AccountFields(datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), fields)
    write_whole(_file(directory), {"read_at": found.read_at, "fields": list(fields)})
    return found


def kept_account_fields(directory: Path) -> AccountFields | None:
    """The list as it was read last; None if it never was."""
    try:
        document = json.loads(_file(directory).read_text("utf-8"))
        return AccountFields(document["read_at"], document["fields"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(directory: Path) -> Path:
    return directory / "contact-fields.json"
