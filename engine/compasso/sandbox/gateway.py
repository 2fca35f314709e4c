"""What stands before every endpoint: the key, the rate limit, faults and the request log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from email.utils import formatdate
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from compasso.sandbox.endpoint import Handler
from compasso.sandbox.endpoints import areas
from compasso.sandbox.errors import ApiError, invalid, unauthorized
from compasso.sandbox.faults import Fault
from compasso.sandbox.files import opens
from compasso.sandbox.sandbox import Sandbox

_SIGNED = ("file", "expires", "nonce", "signature")


class ConnectionDropped(Exception):  # noqa: N818 - what a fault asks for
    """The server hangs up without an answer."""


def guarded(
    sandbox: Sandbox, handler: Handler, query: Collection[str] | None
) -> Callable[[Request], Awaitable[Response]]:
    """A handler behind the gateway. `query` are the query parameters it knows; None: any."""

    async def checked(box: Sandbox, request: Request) -> Response:
        names = [name for name, _ in request.query_params.multi_items()]
        paging = (sandbox.behaviour.page_parameter, sandbox.behaviour.page_size_parameter)
        known = [*query, *(paging if "page" in query else ())] if query is not None else names
        unknown = sorted(set(names) - set(known))
        if unknown and sandbox.behaviour.unknown_query_is_error:
            raise invalid([(name, "Parameter is not known") for name in unknown])
        return await handler(box, request)

    async def endpoint(request: Request) -> Response:
        entry: dict[str, Any] = {
            "time": sandbox.now(),
            "method": request.method,
            "path": request.url.path,
            "status": None,
        }
        sandbox.seen.append(entry)
        fault = sandbox.faults.take(request.method, request.url.path)
        response = await _answer(sandbox, request, checked, fault)
        entry["status"] = response.status_code
        response.headers["date"] = formatdate(sandbox.now(), usegmt=True)
        return await _after(response, fault)

    return endpoint


async def get_file(sandbox: Sandbox, request: Request) -> Response:
    """A file of an export or an error report: no key is needed, the address is signed.

    403 for a dead address, as stores of files answer (a guess).
    """
    name, *signed = (request.query_params.get(n, "") for n in _SIGNED)
    fault = sandbox.faults.take("GET", request.url.path, file=True)
    if fault is not None:
        await _before(sandbox, fault)
        if fault.kind == "status":
            return Response(status_code=fault.status)
    content = sandbox.account.files.get(name)
    dead = fault is not None and fault.kind == "expired_file"
    if dead or content is None or not opens(sandbox.account, sandbox.now(), name, *signed):
        return PlainTextResponse("The address has expired.", 403)
    kind = "application/zip" if request.url.path.endswith(".zip") else "text/csv"
    return await _after(Response(content, media_type=kind), fault)


async def _after(response: Response, fault: Fault | None) -> Response:
    """What a fault does to an answer."""
    if fault is not None and fault.kind == "timeout_after":
        await asyncio.sleep(fault.seconds)
        raise ConnectionDropped
    if fault is not None and fault.kind == "truncate":
        response.body = response.body[: len(response.body) // 2]
    return response


async def _answer(
    sandbox: Sandbox, request: Request, handler: Handler, fault: Fault | None
) -> Response:
    if not _knows(sandbox.settings.api_key, request.headers.get("authorization", "")):
        return unauthorized()
    if fault is not None:
        await _before(sandbox, fault)
    allowed, headers = sandbox.rate.take()
    if not allowed:
        text = "Too many requests, please try again later."
        if sandbox.behaviour.refusal_is_json:
            return JSONResponse(ApiError(429, text).body, 429, headers=headers)
        return PlainTextResponse(text, 429, headers=headers)
    if fault is not None and fault.kind == "status":
        return Response(status_code=fault.status, headers=headers)
    try:
        advance(sandbox)
        response = await handler(sandbox, request)
    except ApiError as error:
        response = error.response
    response.headers.update(headers)
    return response


def advance(sandbox: Sandbox) -> None:
    """Bring everything that takes time up to now."""
    with sandbox.account.transaction():  # an import that is half done is not done at all
        sandbox.imports.advance()
        sandbox.exports.advance()
        for area in areas():
            if area.advance is not None:
                area.advance(sandbox)


async def _before(sandbox: Sandbox, fault: Fault) -> None:
    if fault.kind in {"slow", "timeout_before"}:
        await asyncio.sleep(fault.seconds)
    if fault.kind in {"reset", "timeout_before"}:
        raise ConnectionDropped
    if fault.kind == "rate_limit_storm":
        sandbox.rate.take(sandbox.rate.limit)
    if fault.kind == "other_clients":
        sandbox.rate.take(fault.requests)
    if fault.kind == "import_stuck":
        sandbox.imports.stuck += 1
    if fault.kind == "import_failed":
        sandbox.imports.failed += 1
    if fault.kind == "clock_jump":
        sandbox.skew += fault.seconds
    if fault.kind == "export_stuck":
        sandbox.exports.stuck += 1
    if fault.kind == "export_failed":
        sandbox.exports.failed += 1


def _knows(accepted: str | None, header: str) -> bool:
    """Whether the header holds a key that is accepted; without one, any id:secret is."""
    scheme, _, key = header.partition(" ")
    identity, colon, secret = key.partition(":")
    if scheme.lower() != "apikey" or not (identity and colon and secret):
        return False
    return accepted in (None, key)
