"""The simulated Connectif as a web application, made of the declared endpoints."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from compasso.sandbox.control import control_routes
from compasso.sandbox.endpoints import endpoints
from compasso.sandbox.errors import ApiError
from compasso.sandbox.gateway import ConnectionDropped, guarded
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.settings import SandboxSettings

__all__ = ["ConnectionDropped", "Sandbox", "create_app"]


class _Anything(Convertor[str]):
    """A part of a path that may hold slashes and, unlike Starlette's own, line ends."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any", _Anything())
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_app(settings: SandboxSettings) -> Starlette:
    """The application of one simulated account; its Sandbox is `app.state.sandbox`."""
    sandbox = Sandbox(settings)
    api = []
    for endpoint in endpoints():
        handler = guarded(sandbox, endpoint.handler, [p.name for p in endpoint.query])
        api.append(Route(endpoint.path, handler, methods=[endpoint.method]))
        if endpoint.path.endswith("/"):  # collections are called with and without the slash
            api.append(Route(endpoint.path.rstrip("/"), handler, methods=[endpoint.method]))

    async def unknown(_sandbox: Sandbox, request: Request) -> Response:
        matches = [route for route in api if route.matches(request.scope)[0] is Match.PARTIAL]
        if not matches:
            raise ApiError(404, f"There is nothing at {request.url.path}.")
        allowed = sorted(m for r in matches for m in r.methods or () if m != "HEAD")
        raise ApiError(405, f"The methods of this address are {', '.join(allowed)}.")

    last = Route("/{path:any}", guarded(sandbox, unknown, None), methods=_METHODS)
    app = Starlette(routes=[*control_routes(sandbox), *api, last])
    app.router.redirect_slashes = False
    app.state.sandbox = sandbox
    return app
