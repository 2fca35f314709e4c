"""Contact fields: list, read, create, delete (API facts: section 3)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from compasso.sandbox import definitions
from compasso.sandbox.answers import PAGING, deleted, missing, page, paged, read_json
from compasso.sandbox.endpoint import Area, Endpoint, Evidence, ref
from compasso.sandbox.sandbox import Sandbox


async def list_fields(sandbox: Sandbox, request: Request) -> Response:
    """Connectif's own fields and the account's."""
    return page(sandbox, request, definitions.list_fields(sandbox.account))


async def create_field(sandbox: Sandbox, request: Request) -> Response:
    """A new custom field."""
    status = sandbox.behaviour.field_status
    record = definitions.create_field(sandbox.account, await read_json(request), status)
    return JSONResponse(record, sandbox.behaviour.post_status)


async def get_field(sandbox: Sandbox, request: Request) -> Response:
    """One definition."""
    for known in definitions.list_fields(sandbox.account):
        if known["id"] == request.path_params["id"]:
            return JSONResponse(known)
    return missing(sandbox, "contact field", "GET")


async def delete_field(sandbox: Sandbox, request: Request) -> Response:
    """Remove a custom field."""
    if definitions.delete_field(sandbox.account, request.path_params["id"]):
        return deleted()
    return missing(sandbox, "contact field", "DELETE")


AREA = Area(
    title="Contact fields",
    rank=2,
    endpoints=(
        Endpoint(
            "GET", "/contact-fields/", list_fields, "All contact fields",
            Evidence.DOCUMENTED, "D12, path C4", {200: paged(ref("ContactField"))}, (400,),
            query=PAGING,
        ),
        Endpoint(
            "POST", "/contact-fields/", create_field, "Create a custom field",
            Evidence.DOCUMENTED, "D12", {201: ref("ContactField")}, (400, 413, 415, 422),
            body=ref("ContactFieldCreate"),
        ),
        Endpoint(
            "GET", "/contact-fields/{id}", get_field, "One contact field",
            Evidence.DOCUMENTED, "D12, C4", {200: ref("ContactField")}, (404,),
        ),
        Endpoint(
            "DELETE", "/contact-fields/{id}", delete_field, "Delete a custom field",
            Evidence.SEEN, "C4", {204: None}, (400, 404),
        ),
    ),
    schemas=definitions.SCHEMAS,
)  # fmt: skip
