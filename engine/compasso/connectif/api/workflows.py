"""Workflows: read only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Required, TypedDict

from compasso.connectif.api.calls import Area, segment


class Workflow(TypedDict, total=False):
    """A workflow. Only that it exists is documented (H1, H17); its properties are a guess."""

    id: Required[str]
    name: str
    status: str  # draft, active, finished: the states of the help centre
    createdAt: str
    updatedAt: str


class Workflows(Area):
    """Workflows, which are made in Connectif's app."""

    async def list(self) -> AsyncIterator[Workflow]:
        """GET /workflows/ (C4): all of them, page by page."""
        async for workflow in self._pages("/workflows/"):
            yield workflow

    async def get(self, workflow_id: str) -> Workflow | None:
        """GET /workflows/{id} (C4). None where there is none."""
        found: Workflow | None = await self._read(f"/workflows/{segment(workflow_id)}")
        return found
