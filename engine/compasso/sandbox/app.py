"""The simulated Connectif as a web application."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from compasso.sandbox import definitions
from compasso.sandbox.errors import ApiError, unauthorized
from compasso.sandbox.faults import Fault, Faults
from compasso.sandbox.imports import Imports
from compasso.sandbox.page import PAGE
from compasso.sandbox.rate import RateLimit
from compasso.sandbox.records import Records
from compasso.sandbox.settings import MAX_IMPORT_BYTES, SandboxSettings
from compasso.sandbox.store import Account

_KEPT_REQUESTS = 100_000
_DUMPS = ("contacts", "products", "purchases", "coupons", "events")
Handler = Callable[[Request], Awaitable[Response]]


class ConnectionDropped(Exception):  # noqa: N818 - what a fault asks for
    """The server hangs up without an answer."""


class Sandbox:
    """One simulated account behind its endpoints."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.account = Account(settings.data)
        self.records = Records(self.account, settings)
        self.imports = Imports(self.account, self.records, settings)
        self.rate = RateLimit(settings.requests_per_minute, settings.behaviour, settings.clock)
        self.faults = Faults()
        self.seen: deque[dict[str, Any]] = deque(maxlen=_KEPT_REQUESTS)

    def api(self, handler: Handler) -> Handler:
        """Key, rate limit, faults and the request log around an endpoint of the API."""

        async def endpoint(request: Request) -> Response:
            entry: dict[str, Any] = {
                "time": self.settings.clock(),
                "method": request.method,
                "path": request.url.path,
                "status": None,
            }
            self.seen.append(entry)
            fault = self.faults.take(request.method, request.url.path)
            response = await self._answer(request, handler, fault)
            entry["status"] = response.status_code
            if fault is not None and fault.kind == "timeout_after":
                await asyncio.sleep(fault.seconds)
                raise ConnectionDropped
            if fault is not None and fault.kind == "truncate":
                response.body = response.body[: len(response.body) // 2]
            return response

        return endpoint

    async def _answer(self, request: Request, handler: Handler, fault: Fault | None) -> Response:
        if not self._knows(request.headers.get("authorization", "")):
            return unauthorized()
        if fault is not None:
            await self._before(fault)
        allowed, headers = self.rate.take()
        if not allowed:
            text = "Too many requests, please try again later."
            return PlainTextResponse(text, 429, headers=headers)
        if fault is not None and fault.kind == "status":
            return Response(status_code=fault.status, headers=headers)
        try:
            self.imports.advance()
            response = await handler(request)
        except ApiError as error:
            response = error.response
        response.headers.update(headers)
        return response

    async def _before(self, fault: Fault) -> None:
        if fault.kind in {"slow", "timeout_before"}:
            await asyncio.sleep(fault.seconds)
        if fault.kind in {"reset", "timeout_before"}:
            raise ConnectionDropped
        if fault.kind == "rate_limit_storm":
            self.rate.take(self.rate.limit)
        if fault.kind == "other_clients":
            self.rate.take(fault.requests)
        if fault.kind == "import_stuck":
            self.imports.stuck += 1
        if fault.kind == "import_failed":
            self.imports.failed += 1

    def _knows(self, header: str) -> bool:
        scheme, _, key = header.partition(" ")
        identity, colon, secret = key.partition(":")
        if scheme.lower() != "apikey" or not (identity and colon and secret):
            return False
        return self.settings.api_key in (None, key)

    # Endpoints: https://api-docs.connectif.cloud, as section 1 of the API facts lists them.

    async def store(self, _request: Request) -> Response:
        return JSONResponse({"id": "0" * 24, "name": "Sandbox store"})

    def _contact(self, request: Request) -> tuple[str, str]:
        parts = request.path_params
        if "external_id" in parts:
            return "_externalId", parts["external_id"]
        return "_email", parts["email"]

    async def contact(self, request: Request) -> Response:
        key, value = self._contact(request)
        found = self.records.contact(key, value)
        if request.method == "PATCH":
            record, created = self.records.patch_contact(key, value, await _json(request))
            return JSONResponse(record, self._created(created))
        if found is None:
            return self._missing("contact", request.method)
        if request.method == "DELETE":
            self.account.remove("contacts", found)
            return Response(status_code=204)
        return JSONResponse(found)

    async def product(self, request: Request) -> Response:
        parts = request.path_params
        key = "productId" if "product_id" in parts else "id"
        value = parts.get("product_id") or parts["id"]
        if request.method == "PATCH":
            record, created = self.records.patch_product(value, await _json(request))
            return JSONResponse(record, self._created(created))
        found = self.records.product(key, value)
        if found is None:
            return self._missing("product", request.method)
        if request.method == "DELETE":
            self.account.remove("products", found)
            return Response(status_code=204)
        return JSONResponse(found)

    def _created(self, created: bool) -> int:
        return self.settings.behaviour.create_status if created else 200

    def _missing(self, what: str, method: str) -> Response:
        if method == "DELETE" and self.settings.behaviour.missing_delete_status == 204:
            return Response(status_code=204)
        raise ApiError(404, f"The {what} was not found.")

    async def fields(self, request: Request) -> Response:
        if request.method == "POST":
            record = definitions.create_field(self.account, await _json(request))
            return JSONResponse(record, 201)
        return self._page(request, definitions.list_fields(self.account))

    async def field(self, request: Request) -> Response:
        identity = request.path_params["id"]
        if request.method == "DELETE":
            if definitions.delete_field(self.account, identity):
                return Response(status_code=204)
            return self._missing("contact field", "DELETE")
        for known in definitions.list_fields(self.account):
            if known["id"] == identity:
                return JSONResponse(known)
        return self._missing("contact field", "GET")

    async def import_list(self, request: Request) -> Response:
        if request.method == "GET":
            newest = reversed(self.account.list("imports"))
            return self._page(request, [self.imports.view(i) for i in newest])
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            raise ApiError(415, "The body must be multipart/form-data.")
        if int(request.headers.get("content-length", 0)) > MAX_IMPORT_BYTES + 10_000:
            raise ApiError(413, "The file is larger than 50 MB.")
        async with request.form() as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise ApiError(400, "The part `file` is missing.")
            content = await file.read()
            fields = {k: v for k, v in form.items() if isinstance(v, str)}
        if len(content) > MAX_IMPORT_BYTES:
            raise ApiError(413, "The file is larger than 50 MB.")
        return JSONResponse(self.imports.view(self.imports.create(fields, content)), 201)

    async def import_one(self, request: Request) -> Response:
        record = self.account.records["imports"].get(request.path_params["id"])
        if record is None:
            return self._missing("import", request.method)
        if request.method == "DELETE":
            if record["status"] not in {"finished", "error"}:
                raise ApiError(400, "Only finished imports can be deleted.")
            self.account.remove("imports", record)
            return Response(status_code=204)
        return JSONResponse(self.imports.view(record))

    def _page(self, request: Request, items: list[dict[str, Any]]) -> Response:
        """A page of a list, with links to its neighbours (parameters are a guess)."""
        behaviour = self.settings.behaviour
        try:
            page = max(1, int(request.query_params.get("page", 1)))
            size = int(request.query_params.get("pageSize", behaviour.page_size))
        except ValueError:
            raise ApiError(400, "page and pageSize must be numbers.") from None
        size = min(max(1, size), behaviour.max_page_size)
        links = {}
        base = f"{self.settings.address}{request.url.path}"
        if page * size < len(items):
            links["next"] = f"{base}?page={page + 1}&pageSize={size}"
        if page > 1:
            links["prev"] = f"{base}?page={page - 1}&pageSize={size}"
        return JSONResponse({"links": links, "results": items[(page - 1) * size : page * size]})

    # The sandbox's own: outside the key and the rate limit.

    async def dump(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in _DUMPS:
            return JSONResponse({"error": f"known: {', '.join(_DUMPS)}"}, 404)
        self.imports.advance()
        return JSONResponse(self.account.list(kind))

    async def requests(self, _request: Request) -> Response:
        return JSONResponse(list(self.seen))

    async def fault(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self.faults.add(json.loads(await request.body()))
            except ValueError as error:
                return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(self.faults.describe())

    async def status(self, _request: Request) -> Response:
        self.imports.advance()
        counts = {k: len(self.account.records[k]) for k in (*_DUMPS, "fields", "imports")}
        recent = list(self.seen)[-20:]
        return JSONResponse({"counts": counts, "budget": self.rate.gauge(), "requests": recent})

    async def report(self, request: Request) -> Response:
        text = self.imports.reports.get(request.path_params["id"])
        return PlainTextResponse(text or "", 200 if text else 404, media_type="text/csv")

    async def page(self, _request: Request) -> Response:
        return HTMLResponse(PAGE)


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        raise ApiError(400, "The body is not valid JSON.") from None


def create_app(settings: SandboxSettings) -> Starlette:
    """The application of one simulated account; its Sandbox is `app.state.sandbox`."""
    box = Sandbox(settings)
    some = ["GET", "PATCH", "DELETE"]
    api: list[tuple[str, Handler, list[str]]] = [
        ("/store", box.store, ["GET"]),
        ("/contacts/email/{email:path}", box.contact, some),
        ("/contacts/external-id/{external_id:path}", box.contact, some),
        ("/contacts/{email:path}", box.contact, some),
        ("/contact-fields", box.fields, ["GET", "POST"]),
        ("/contact-fields/{id}", box.field, ["GET", "DELETE"]),
        ("/products/product-id/{product_id:path}", box.product, some),
        ("/products/{id}", box.product, ["GET", "DELETE"]),
        ("/imports", box.import_list, ["GET", "POST"]),
        ("/imports/{id}", box.import_one, ["GET", "DELETE"]),
    ]
    routes = []
    for path, handler, methods in api:
        endpoint = box.api(handler)
        routes.append(Route(path, endpoint, methods=methods))
        if "{" not in path:  # collections are called with and without a slash at the end
            routes.append(Route(path + "/", endpoint, methods=methods))
    routes = [
        Route("/", box.page),
        Route("/_sandbox/dump/{kind}", box.dump),
        Route("/_sandbox/requests", box.requests),
        Route("/_sandbox/faults", box.fault, methods=["GET", "POST"]),
        Route("/_sandbox/status", box.status),
        Route("/_sandbox/error-reports/{id}.csv", box.report),
        *routes,
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    app.state.sandbox = box
    return app
