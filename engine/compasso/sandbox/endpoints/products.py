"""Products: by the store's id and by Connectif's (API facts: section 4)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from compasso.sandbox.answers import created_status, deleted, missing, path_id, read_json
from compasso.sandbox.endpoint import Area, Endpoint, Evidence, ref
from compasso.sandbox.fields import PRODUCT
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.shapes import DATE_TIME, ID, TEXT, body_schema, record_schema


def _found(sandbox: Sandbox, request: Request) -> dict[str, Any] | None:
    if "productId" in request.path_params:
        return sandbox.records.product("productId", request.path_params["productId"])
    return sandbox.records.product("id", path_id(sandbox, request))


async def get_product(sandbox: Sandbox, request: Request) -> Response:
    """The product, or 404."""
    found = _found(sandbox, request)
    return missing(sandbox, "product", "GET") if found is None else JSONResponse(found)


async def patch_product(sandbox: Sandbox, request: Request) -> Response:
    """Create the product, or change what the body names."""
    identity = request.path_params["productId"]
    record, created = sandbox.records.patch_product(identity, await read_json(request))
    return JSONResponse(record, created_status(sandbox, created))


async def delete_product(sandbox: Sandbox, request: Request) -> Response:
    """Remove the product."""
    found = _found(sandbox, request)
    if found is None:
        return missing(sandbox, "product", "DELETE")
    sandbox.account.remove("products", found)
    return deleted()


_BY_STORE_ID, _BY_ID = "/products/product-id/{productId:any}", "/products/{id}"
_PRODUCT = ref("Product")

AREA = Area(
    title="Products",
    rank=3,
    endpoints=(
        Endpoint(
            "GET", _BY_STORE_ID, get_product, "A product, by the store's id",
            Evidence.DOCUMENTED, "D7, C4", {200: _PRODUCT}, (400, 404),
        ),
        Endpoint(
            "PATCH", _BY_STORE_ID, patch_product, "Create or change a product",
            Evidence.DOCUMENTED, "D7", {200: _PRODUCT, 201: _PRODUCT}, (400, 413, 415, 422),
            body=ref("ProductPatch"),
        ),
        Endpoint(
            "DELETE", _BY_STORE_ID, delete_product, "Delete a product, by the store's id",
            Evidence.DOCUMENTED, "H17, C4", {204: None}, (400, 404),
        ),
        Endpoint(
            "GET", _BY_ID, get_product, "A product, by Connectif's id",
            Evidence.DOCUMENTED, "D7, C4", {200: _PRODUCT}, (400, 404), path_schemas={"id": ID},
        ),
        Endpoint(
            "DELETE", _BY_ID, delete_product, "Delete a product, by Connectif's id",
            Evidence.DOCUMENTED, "H17, C4", {204: None}, (400, 404), path_schemas={"id": ID},
        ),
    ),
    schemas={
        "ProductPatch": body_schema(PRODUCT, closed=True),
        "Product": record_schema(
            PRODUCT,
            {"id": ID, "productId": TEXT, "createdAt": DATE_TIME, "updatedAt": DATE_TIME},
            ("id", "productId", "name", "productDetailUrl", "unitPrice", "createdAt", "updatedAt"),
        ),
    },
)  # fmt: skip
