"""Coupon sets: read only. Codes are added with `imports.create("coupons", …)`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Required, TypedDict

from compasso.connectif.api.calls import Area, segment


class WorkflowUse(TypedDict):
    """A workflow that uses a coupon set, active or not (D9)."""

    workflowId: str


class CouponSet(TypedDict, total=False):
    """A coupon set (D9). The counters come up to 10 s late; None means without limit."""

    id: Required[str]
    name: Required[str]
    type: Required[Literal["single", "multiple"]]
    code: str
    quantity: Required[int | None]
    available: Required[int | None]
    assigned: Required[int]
    usedInWorkflows: Required[list[WorkflowUse]]
    createdAt: str
    updatedAt: str


class CouponSets(Area):
    """Coupon sets, which are made in Connectif's app (H21)."""

    async def list(self) -> AsyncIterator[CouponSet]:
        """GET /coupon-sets/ (D9, path C4): all of them, page by page."""
        async for coupon_set in self._pages("/coupon-sets/"):
            yield coupon_set

    async def get(self, set_id: str) -> CouponSet | None:
        """GET /coupon-sets/{id} (D9, C4). None where there is none."""
        found: CouponSet | None = await self._read(f"/coupon-sets/{segment(set_id)}")
        return found
