"""What the handlers of many endpoints share: reading a body, pages of a list, what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from compasso.sandbox.endpoint import Parameter, Schema
from compasso.sandbox.errors import ApiError
from compasso.sandbox.sandbox import Sandbox

PAGING = (
    Parameter("page", {"type": "integer", "minimum": 1}, "From 1. The name is a guess (C5)."),
    Parameter("pageSize", {"type": "integer", "minimum": 1}, "The name is a guess (C5)."),
)


async def read_json(request: Request) -> Any:
    """The JSON body of a request. Raises 400."""
    try:
        return json.loads(await request.body())
    except ValueError:
        raise ApiError(400, "The body is not valid JSON.") from None


def paged(item: Schema) -> Schema:
    """The schema of a page of a list (documented: D9, D10, D12)."""
    link = {"type": "string"}
    return {
        "type": "object",
        "properties": {
            "links": {
                "type": "object",
                "properties": {"next": link, "prev": link},
                "additionalProperties": False,
            },
            "results": {"type": "array", "items": item},
        },
        "required": ["links", "results"],
        "additionalProperties": False,
    }


def page(sandbox: Sandbox, request: Request, items: Sequence[dict[str, Any]]) -> Response:
    """A page of a list, with links to its neighbours (parameters are a guess)."""
    behaviour = sandbox.behaviour
    try:
        number = int(request.query_params.get("page", 1))
        size = int(request.query_params.get("pageSize", behaviour.page_size))
    except ValueError:
        raise ApiError(400, "page and pageSize must be numbers.") from None
    if number < 1 or size < 1:
        raise ApiError(400, "page and pageSize begin with 1.")
    size = min(size, behaviour.max_page_size)
    links = {}
    base = f"{sandbox.settings.address}{request.url.path}"
    if number * size < len(items):
        links["next"] = f"{base}?page={number + 1}&pageSize={size}"
    if number > 1:
        links["prev"] = f"{base}?page={number - 1}&pageSize={size}"
    return JSONResponse({"links": links, "results": items[(number - 1) * size : number * size]})


def missing(sandbox: Sandbox, what: str, method: str) -> Response:
    """What is answered for a thing that is not there: 404, or 204 for a DELETE by a switch."""
    if method == "DELETE" and sandbox.behaviour.missing_delete_status == 204:
        return deleted()
    raise ApiError(404, f"The {what} was not found.")


def deleted() -> Response:
    """204 without a body: documented for purchases (D16), a guess for the rest."""
    return Response(status_code=204)


def created_status(sandbox: Sandbox, created: bool) -> int:
    """The status of a PATCH, which creates what is not there (201 for that is possible)."""
    return sandbox.behaviour.create_status if created else 200
