"""Sending custom events, by the type's alias or id (API facts: 9.5, E-1 and E-2)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from compasso.sandbox import events
from compasso.sandbox.answers import path_id, read_json, read_switch
from compasso.sandbox.endpoint import Area, Endpoint, Evidence, Parameter, ref
from compasso.sandbox.errors import ApiError
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.settings import MAX_EVENT_BYTES
from compasso.sandbox.shapes import ID


async def create_event(sandbox: Sandbox, request: Request) -> Response:
    """An event of a type of category receive."""
    if "alias" in request.path_params:
        alias = request.path_params["alias"]
        event_type = sandbox.account.find("event_types", "alias", alias)
    else:
        event_type = sandbox.account.get("event_types", path_id(sandbox, request))
    if event_type is None or event_type["category"] != "receive":
        raise ApiError(404, "The custom event type was not found.")
    create = read_switch(request, "createContact", default=False)
    body = await read_json(request, MAX_EVENT_BYTES)
    record = events.receive(sandbox, event_type, body, create)
    return JSONResponse({"id": record["id"]}, sandbox.behaviour.post_status)


_CREATE = Parameter(
    "createContact",
    {"type": "boolean", "default": False},
    "Create the contact where it does not exist; else that is 400 E0501.",
)
_ERRORS = (400, 404, 413, 415, 422)

AREA = Area(
    title="Custom events",
    rank=9,
    endpoints=(
        Endpoint(
            "POST", "/custom-events/alias/{alias}", create_event, "Send an event, by alias",
            Evidence.DOCUMENTED, "D13", {201: ref("CreateCustomEventResponse")}, _ERRORS,
            body=ref("CustomEvent"), query=(_CREATE,),
        ),
        Endpoint(
            "POST", "/custom-events/id/{id}", create_event, "Send an event, by the type's id",
            Evidence.DOCUMENTED, "D2, path C4", {201: ref("CreateCustomEventResponse")}, _ERRORS,
            body=ref("CustomEvent"), query=(_CREATE,), path_schemas={"id": ID},
        ),
    ),
    schemas={n: events.SCHEMAS[n] for n in ("CustomEvent", "CreateCustomEventResponse")},
)  # fmt: skip
