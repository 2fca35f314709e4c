"""Custom integrations (API facts: 9.5, I-1 to I-5)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from compasso.sandbox import events
from compasso.sandbox.answers import (
    PAGING,
    deleted,
    found_by_id,
    missing,
    page_of_records,
    paged,
    path_id,
    read_json,
)
from compasso.sandbox.endpoint import Area, Endpoint, Evidence, ref
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.shapes import ID


async def list_integrations(sandbox: Sandbox, request: Request) -> Response:
    """All custom integrations."""
    return page_of_records(sandbox, request, "integrations")


async def create_integration(sandbox: Sandbox, request: Request) -> Response:
    """A new integration."""
    record = events.create_integration(sandbox, await read_json(request))
    return JSONResponse(record, sandbox.behaviour.post_status)


async def get_integration(sandbox: Sandbox, request: Request) -> Response:
    """One integration."""
    return JSONResponse(found_by_id(sandbox, request, "integrations", "custom integration"))


async def patch_integration(sandbox: Sandbox, request: Request) -> Response:
    """Change what the body names."""
    found = found_by_id(sandbox, request, "integrations", "custom integration")
    return JSONResponse(events.patch_integration(sandbox, found, await read_json(request)))


async def delete_integration(sandbox: Sandbox, request: Request) -> Response:
    """Remove an integration with its event types."""
    found = sandbox.account.get("integrations", path_id(sandbox, request))
    if found is None:
        return missing(sandbox, "custom integration", "DELETE")
    events.delete_integration(sandbox, found)
    return deleted()


_ONE, _ALL = "/custom-integrations/{id}", "/custom-integrations/"
_INTEGRATION = ref("CustomIntegration")

AREA = Area(
    title="Custom integrations",
    rank=7,
    endpoints=(
        Endpoint(
            "GET", _ALL, list_integrations, "All custom integrations", Evidence.SEEN, "C4",
            {200: paged(_INTEGRATION)}, (400,), query=PAGING,
        ),
        Endpoint(
            "POST", _ALL, create_integration, "Create a custom integration",
            Evidence.DOCUMENTED, "D15", {201: _INTEGRATION}, (400, 413, 415, 422),
            body=ref("CustomIntegrationCreate"),
        ),
        Endpoint(
            "GET", _ONE, get_integration, "One custom integration", Evidence.SEEN, "C4",
            {200: _INTEGRATION}, (400, 404), path_schemas={"id": ID},
        ),
        Endpoint(
            "PATCH", _ONE, patch_integration, "Change a custom integration", Evidence.SEEN, "C4",
            {200: _INTEGRATION}, (400, 404, 413, 415, 422), path_schemas={"id": ID},
            body=ref("CustomIntegrationPatch"),
        ),
        Endpoint(
            "DELETE", _ONE, delete_integration, "Delete a custom integration",
            Evidence.SEEN, "C4", {204: None}, (400, 404), path_schemas={"id": ID},
        ),
    ),
    schemas={n: s for n, s in events.SCHEMAS.items() if n.startswith("CustomIntegration")},
)  # fmt: skip
