"""Purchases: create, read, delete; there is no update (API facts: section 5)."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from compasso.sandbox import purchases
from compasso.sandbox.answers import deleted, missing, path_id, read_json, read_switch
from compasso.sandbox.endpoint import Area, Endpoint, Evidence, Parameter, Schema, ref
from compasso.sandbox.errors import ApiError
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.shapes import ID
from compasso.sandbox.store import Record, shown


def _found(sandbox: Sandbox, request: Request) -> Record | None:
    if "purchaseId" in request.path_params:
        value = request.path_params["purchaseId"]
        return sandbox.account.find("purchases", "purchaseId", value)
    return sandbox.account.get("purchases", path_id(sandbox, request))


async def create_purchase(sandbox: Sandbox, request: Request) -> Response:
    """A purchase of a known contact, with known products."""
    trigger = read_switch(request, "triggerPurchaseEvent", default=True)
    record, status = purchases.create(sandbox, await read_json(request), trigger)
    return JSONResponse(shown(record), status)


async def get_purchase(sandbox: Sandbox, request: Request) -> Response:
    """The purchase, or 404."""
    found = _found(sandbox, request)
    return missing(sandbox, "purchase", "GET") if found is None else JSONResponse(shown(found))


async def delete_purchase(sandbox: Sandbox, request: Request) -> Response:
    """Remove the purchase. 204 also when there is none: its page lists no 404 (a guess)."""
    found = _found(sandbox, request)
    if found is not None:
        purchases.remove(sandbox, found)
    elif sandbox.behaviour.missing_purchase_delete_status == 404:
        raise ApiError(404, "The purchase was not found.")
    return deleted()


def _schemas(sandbox: Sandbox) -> Mapping[str, Schema]:
    return purchases.schemas(sandbox.behaviour)


_TRIGGER = Parameter(
    "triggerPurchaseEvent",
    {"type": "boolean", "default": True},
    "False: workflows that wait for a purchase do not start. For history loads.",
)
_BY_STORE_ID, _BY_ID = "/purchases/purchase-id/{purchaseId:any}", "/purchases/{id}"

AREA = Area(
    title="Purchases",
    rank=4,
    endpoints=(
        Endpoint(
            "POST", "/purchases/", create_purchase, "Create a purchase",
            Evidence.DOCUMENTED, "D8", {200: ref("Purchase"), 201: ref("Purchase")},
            (400, 413, 415, 422), body=ref("PurchaseCreate"), query=(_TRIGGER,),
        ),
        Endpoint(
            "GET", _BY_STORE_ID, get_purchase, "A purchase, by the store's id",
            Evidence.DOCUMENTED, "D8", {200: ref("Purchase")}, (404,),
        ),
        Endpoint(
            "DELETE", _BY_STORE_ID, delete_purchase, "Delete a purchase, by the store's id",
            Evidence.DOCUMENTED, "D16", {204: None}, (),
        ),
        Endpoint(
            "GET", _BY_ID, get_purchase, "A purchase, by Connectif's id",
            Evidence.DOCUMENTED, "D8", {200: ref("Purchase")}, (400, 404), path_schemas={"id": ID},
        ),
        Endpoint(
            "DELETE", _BY_ID, delete_purchase, "Delete a purchase, by Connectif's id",
            Evidence.DOCUMENTED, "H8, C4", {204: None}, (400,), path_schemas={"id": ID},
        ),
    ),
    live_schemas=_schemas,
)  # fmt: skip
