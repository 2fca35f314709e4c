"""Types of custom events (API facts: 9.5, T-1 and T-2)."""

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


async def create_type(sandbox: Sandbox, request: Request) -> Response:
    """A new event type of an integration."""
    integration = found_by_id(sandbox, request, "integrations", "custom integration")
    record = events.create_type(sandbox, integration["id"], await read_json(request))
    return JSONResponse(record, sandbox.behaviour.post_status)


async def list_types(sandbox: Sandbox, request: Request) -> Response:
    """The event types of all integrations."""
    return page_of_records(sandbox, request, "event_types")


async def get_type(sandbox: Sandbox, request: Request) -> Response:
    """One event type."""
    return JSONResponse(found_by_id(sandbox, request, "event_types", "custom event type"))


async def delete_type(sandbox: Sandbox, request: Request) -> Response:
    """Remove an event type; the events that were sent stay."""
    found = sandbox.account.get("event_types", path_id(sandbox, request))
    if found is None:
        return missing(sandbox, "custom event type", "DELETE")
    sandbox.account.remove("event_types", found)
    return deleted()


_ONE, _TYPE = "/custom-event-types/{id}", ref("CustomEventType")

AREA = Area(
    title="Custom event types",
    rank=8,
    endpoints=(
        Endpoint(
            "POST", "/custom-integrations/{id}/custom-event-types/", create_type,
            "Create an event type of an integration", Evidence.DOCUMENTED, "D14", {201: _TYPE},
            (400, 404, 413, 415, 422), path_schemas={"id": ID}, body=ref("CustomEventTypeCreate"),
        ),
        Endpoint(
            "GET", "/custom-event-types/", list_types, "All event types", Evidence.SEEN, "C4",
            {200: paged(_TYPE)}, (400,), query=PAGING,
        ),
        Endpoint(
            "GET", _ONE, get_type, "One event type", Evidence.SEEN, "C4", {200: _TYPE},
            (400, 404), path_schemas={"id": ID},
        ),
        Endpoint(
            "DELETE", _ONE, delete_type, "Delete an event type", Evidence.SEEN, "C4", {204: None},
            (400, 404), path_schemas={"id": ID},
        ),
    ),
    schemas={n: s for n, s in events.SCHEMAS.items() if n.startswith("CustomEventType")},
)  # fmt: skip
