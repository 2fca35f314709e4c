"""What the handlers of many endpoints share: reading a body, pages of a list, what is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from compasso.sandbox.endpoint import Parameter, Schema
from compasso.sandbox.errors import ApiError, invalid
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.settings import MAX_BODY_BYTES
from compasso.sandbox.store import Record, shown

PAGING = (
    Parameter("page", {"type": "integer", "minimum": 1}, "From 1. The name is a guess (C5)."),
    Parameter("pageSize", {"type": "integer", "minimum": 1}, "The name is a guess (C5)."),
)


async def read_json(request: Request, most: int = MAX_BODY_BYTES) -> Any:
    """The JSON body of a request. Raises 400, 413 and 415."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if kind.lower() != "application/json":
        raise ApiError(415, "The body must be application/json.")
    if int(request.headers.get("content-length", 0)) > most:
        raise ApiError(413, f"The body is larger than {most} bytes.")
    content = await request.body()
    if len(content) > most:
        raise ApiError(413, f"The body is larger than {most} bytes.")
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except ValueError:
        raise ApiError(400, "The body is not valid JSON.") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_ID = re.compile(r"[0-9a-fA-F]{24}\Z")


def path_id(sandbox: Sandbox, request: Request, name: str = "id") -> str:
    """The Connectif id in the path. Raises 400 (documented for purchases) when it is none."""
    identity: str = request.path_params[name]
    if _ID.match(identity) is None:
        raise ApiError(sandbox.behaviour.malformed_id_status, f"{identity!r} is not an id.")
    return identity.lower()


def found_by_id(sandbox: Sandbox, request: Request, kind: str, what: str) -> Record:
    """The record whose id is in the path. Raises 400 and 404."""
    found = sandbox.account.get(kind, path_id(sandbox, request))
    if found is None:
        raise ApiError(404, f"The {what} was not found.")
    return found


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
        number = int(request.query_params.get(behaviour.page_parameter, 1))
        size = int(request.query_params.get(behaviour.page_size_parameter, behaviour.page_size))
    except ValueError:
        raise ApiError(400, "The page and its size must be numbers.") from None
    if number < 1 or size < 1:
        raise ApiError(400, "The page and its size begin with 1.")
    size = min(size, behaviour.max_page_size)
    links = {}
    base = f"{sandbox.settings.address}{request.url.path}"
    names = (behaviour.page_parameter, behaviour.page_size_parameter)
    if number * size < len(items):
        links["next"] = f"{base}?{names[0]}={number + 1}&{names[1]}={size}"
    if number > 1:
        links["prev"] = f"{base}?{names[0]}={number - 1}&{names[1]}={size}"
    return JSONResponse({"links": links, "results": items[(number - 1) * size : number * size]})


def page_of_records(
    sandbox: Sandbox, request: Request, kind: str, view: Callable[[Record], Record] = shown
) -> Response:
    """A page of all records of a kind, newest first (a guess)."""
    records = sandbox.account.list(kind)
    if sandbox.behaviour.newest_first:
        records.reverse()
    return page(sandbox, request, [view(record) for record in records])


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


def read_switch(request: Request, name: str, *, default: bool) -> bool:
    """A query parameter that is true or false. Raises 422."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text not in {"true", "false"}:
        raise invalid([(name, "Value is not true or false")])
    return text == "true"
