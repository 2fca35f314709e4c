"""The sandbox's own addresses, outside the key and the rate limit."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from compasso.sandbox.gateway import advance
from compasso.sandbox.page import PAGE
from compasso.sandbox.sandbox import Sandbox

DUMPS = ("contacts", "products", "purchases", "coupons", "events")
_SHOWN = (*DUMPS, "fields", "imports")
Control = Callable[[Sandbox, Request], Awaitable[Response]]


async def _dump(sandbox: Sandbox, request: Request) -> Response:
    kind = request.path_params["kind"]
    if kind not in DUMPS:
        return JSONResponse({"error": f"known: {', '.join(DUMPS)}"}, 404)
    advance(sandbox)
    return JSONResponse(sandbox.account.list(kind))


async def _requests(sandbox: Sandbox, _request: Request) -> Response:
    return JSONResponse(list(sandbox.seen))


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


async def _report(sandbox: Sandbox, request: Request) -> Response:
    text = sandbox.imports.reports.get(request.path_params["id"])
    return PlainTextResponse(text or "", 200 if text else 404, media_type="text/csv")


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
        route("/_sandbox/faults", _faults, "GET", "POST"),
        route("/_sandbox/status", _status),
        route("/_sandbox/error-reports/{id}.csv", _report),
    ]
