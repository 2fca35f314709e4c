"""The sandbox's own addresses, outside the key and the rate limit."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from compasso.sandbox.coupons import assign
from compasso.sandbox.gateway import advance, get_file
from compasso.sandbox.openapi import openapi
from compasso.sandbox.purchases import dumped
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.seed import SeedError, seed
from compasso.sandbox.store import shown

DUMPS = ("contacts", "products", "purchases", "coupons", "events")
_SHOWN = (*DUMPS, "fields", "coupon_sets", "workflows", "event_types", "imports", "exports")
_PAGE = Path(__file__).parent / "page.html"
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
    return JSONResponse(
        {
            "counts": {kind: len(sandbox.account.records[kind]) for kind in _SHOWN},
            "budget": sandbox.rate.gauge(),
            "jobs": [*_jobs(sandbox, "imports", "type"), *_jobs(sandbox, "exports", "exportType")],
            "faults": sandbox.faults.describe(),
            "requests": list(sandbox.seen)[-20:],
        }
    )


def _jobs(sandbox: Sandbox, kind: str, type_field: str) -> list[dict[str, Any]]:
    """The imports or exports that have not ended, and how far they are."""
    return [
        {
            "kind": kind.removesuffix("s"),
            "type": job[type_field],
            "status": job["status"],
            "total": job["total"],
            "done": job.get("progress", job.get("success", 0) + job.get("errors", 0)),
        }
        for job in sandbox.account.list(kind)
        if job["status"] in {"queued", "inProgress"}
    ]


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
    return HTMLResponse(_PAGE.read_text("utf-8"))


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
        route("/_sandbox/files/{name:path}", get_file),
        route("/_sandbox/seed", _seed, "POST"),
        route("/_sandbox/assign-coupons", _assign, "POST"),
    ]
