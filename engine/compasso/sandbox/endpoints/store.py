"""The store behind the key (API facts: S1)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from compasso.sandbox.endpoint import Area, Endpoint, Evidence, ref
from compasso.sandbox.sandbox import Sandbox


async def get_store(_sandbox: Sandbox, _request: Request) -> Response:
    """The store; which properties it has is a guess."""
    return JSONResponse({"id": "0" * 24, "name": "Sandbox store"})


AREA = Area(
    title="Store",
    rank=0,
    endpoints=(
        Endpoint(
            "GET", "/store/", get_store, "The store behind the key", Evidence.SEEN, "C4, H14",
            {200: ref("Store")},
        ),
    ),
    schemas={
        "Store": {
            "type": "object",
            "properties": {"id": {"type": "string"}, "name": {"type": "string"}},
            "required": ["id", "name"],
        }
    },
)  # fmt: skip
