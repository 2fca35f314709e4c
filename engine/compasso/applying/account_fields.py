"""Read the account's contact fields as it lists them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from compasso.connectif import Client
from compasso.model import ApiCall, CompassoError
from compasso.state.account_fields import AccountFields, keep_account_fields

_MOST_PAGES = 100


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
    keep_account_fields(directory, found)
    return found
