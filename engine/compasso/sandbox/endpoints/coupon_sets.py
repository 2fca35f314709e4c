"""Coupon sets: read only; they are made in the app (API facts: section 6)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from compasso.sandbox import coupons
from compasso.sandbox.answers import PAGING, found_by_id, page_of_records, paged
from compasso.sandbox.endpoint import Area, Endpoint, Evidence, ref
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.shapes import COUNT, DATE_TIME, ID, TEXT


async def list_coupon_sets(sandbox: Sandbox, request: Request) -> Response:
    """All coupon sets with their counters."""
    account = sandbox.account
    return page_of_records(sandbox, request, "coupon_sets", lambda s: coupons.view(account, s))


async def get_coupon_set(sandbox: Sandbox, request: Request) -> Response:
    """One coupon set."""
    found = found_by_id(sandbox, request, "coupon_sets", "coupon set")
    return JSONResponse(coupons.view(sandbox.account, found))


def _advance(sandbox: Sandbox) -> None:
    coupons.publish(sandbox.account, sandbox.now(), sandbox.behaviour.coupon_counter_seconds)


_COUNTER = {"type": ["integer", "null"], "minimum": 0}

AREA = Area(
    title="Coupon sets",
    rank=5,
    endpoints=(
        Endpoint(
            "GET", "/coupon-sets/", list_coupon_sets, "All coupon sets",
            Evidence.DOCUMENTED, "D9, path C4", {200: paged(ref("CouponSet"))}, (400,),
            query=PAGING,
        ),
        Endpoint(
            "GET", "/coupon-sets/{id}", get_coupon_set, "One coupon set",
            Evidence.DOCUMENTED, "D9, C4", {200: ref("CouponSet")}, (400, 404),
            path_schemas={"id": ID},
        ),
    ),
    schemas={
        "CouponSet": {
            "type": "object",
            "properties": {
                "id": ID,
                "name": TEXT,
                "type": {"type": "string", "enum": ["single", "multiple"]},
                "code": TEXT,
                "quantity": _COUNTER,
                "available": _COUNTER,
                "assigned": COUNT,
                "usedInWorkflows": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"workflowId": ID},
                        "required": ["workflowId"],
                        "additionalProperties": False,
                    },
                },
                "createdAt": DATE_TIME,
                "updatedAt": DATE_TIME,
            },
            "required": [
                "id", "name", "type", "quantity", "available", "assigned", "usedInWorkflows",
                "createdAt",
            ],
            "additionalProperties": False,
        }
    },
    advance=_advance,
)  # fmt: skip
