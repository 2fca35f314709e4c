"""The store behind the key."""

from __future__ import annotations

from typing import Any

from compasso.connectif.api.calls import Area


class Store(Area):
    """The store."""

    async def get(self) -> dict[str, Any]:
        """GET /store/ (C4): a cheap check of a key. Its properties were not seen.

        The key needs the scope Store: read (H14). Raises CompassoError: the key is not accepted.
        """
        found: dict[str, Any] = await self._read("/store/") or {}
        return found
