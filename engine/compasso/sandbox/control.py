"""The sandbox's own addresses, outside the key and the rate limit."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from compasso.sandbox.coupons import assign
from compasso.sandbox.files import opens
from compasso.sandbox.gateway import advance
from compasso.sandbox.openapi import openapi
from compasso.sandbox.page import PAGE
from compasso.sandbox.purchases import dumped
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.seed import SeedError, seed
from compasso.sandbox.store import shown

DUMPS = ("contacts", "products", "purchases", "coupons", "events")
_SHOWN = (*DUMPS, "fields", "coupon_sets", "workflows", "event_types", "imports", "exports")
_SIGNED = ("file", "expires", "nonce", "signature")
Control = Callable[[Sandbox, Request], Awaitable[Response]]


async def _dump(sandbox: Sandbox, request: Request) -> Response:
    kind = request.path_params["kind"]
    if kind not in DUMPS:
        return JSONResponse({"error": f"known: {', '.join(DUMPS)}"}, 404)
    advance(sandbox)
    view = dumped if kind == "purchases" else shown
    return JSONResponse([view(record) for record in sandbox.account.list(kind)])


async def _requests(sandbox: Sandbox, _request: Request) -> Response:
    return JSONResponse(list(sandbox.seen))


async def _openapi(sandbox: Sandbox, _request: Request) -> Response:
    return JSONResponse(openapi(sandbox))


async def _faults(sandbox: Sandbox, request: Request) -> Response:
    if request.method == "POST":
        try:
            sandbox.faults.add(json.loads(await request.body()))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
    return JSONResponse(sandbox.faults.describe())


async def _status(sandbox: Sandbox, _request: Request) -> Response:
    advance(sandbox)
    counts = {kind: len(sandbox.account.records[kind]) for kind in _SHOWN}
    recent = list(sandbox.seen)[-20:]
    return JSONResponse({"counts": counts, "budget": sandbox.rate.gauge(), "requests": recent})


async def _file(sandbox: Sandbox, request: Request) -> Response:
    """A file of an export or an error report: no key is needed, the address is signed."""
    name, *signed = (request.query_params.get(n, "") for n in _SIGNED)
    expired = sandbox.faults.take("GET", request.url.path, file=True) is not None
    content = sandbox.account.files.get(name)
    if expired or content is None or not opens(sandbox.account, sandbox.now(), name, *signed):
        return PlainTextResponse("The address has expired.", 403)
    kind = "application/zip" if request.url.path.endswith(".zip") else "text/csv"
    return Response(content, media_type=kind)


async def _seed(sandbox: Sandbox, request: Request) -> Response:
    try:
        return JSONResponse(seed(sandbox, json.loads(await request.body())), 201)
    except (ValueError, SeedError) as error:
        return JSONResponse({"error": str(error)}, 400)


async def _assign(sandbox: Sandbox, request: Request) -> Response:
    try:
        body = json.loads(await request.body())
        given = assign(sandbox.account, body["couponSetId"], int(body["count"]), sandbox.now())
    except (ValueError, KeyError, TypeError) as error:
        return JSONResponse({"error": f"couponSetId and count are needed: {error}"}, 400)
    return JSONResponse({"assigned": given})


async def _page(_sandbox: Sandbox, _request: Request) -> Response:
    return HTMLResponse(PAGE)


def control_routes(sandbox: Sandbox) -> list[Route]:
    """The routes of the sandbox's own addresses."""

    def route(path: str, control: Control, *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            return await control(sandbox, request)

        return Route(path, endpoint, methods=list(methods) or ["GET"])

    return [
        route("/", _page),
        route("/_sandbox/dump/{kind}", _dump),
        route("/_sandbox/requests", _requests),
        route("/_sandbox/openapi.json", _openapi),
        route("/_sandbox/faults", _faults, "GET", "POST"),
        route("/_sandbox/status", _status),
        route("/_sandbox/files/{name:path}", _file),
        route("/_sandbox/seed", _seed, "POST"),
        route("/_sandbox/assign-coupons", _assign, "POST"),
    ]
