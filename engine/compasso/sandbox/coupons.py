"""Coupon sets, their codes, and the counters that come late (API facts: section 6)."""

from __future__ import annotations

from typing import Any

from compasso.sandbox.fields import CellError
from compasso.sandbox.settings import MAX_COUPONS
from compasso.sandbox.store import Account, Record, iso, shown


def new_code(account: Account, set_id: str, code: str) -> Record:
    """A code of a set; not kept yet. Raises CellError: it is there already, or the set is full."""
    code = code.strip()
    identity = f"{set_id}:{code}"
    if account.get("coupons", identity) is not None:
        raise CellError("code: Value is in the coupon set already")
    if account.group_size("coupons", set_id) >= MAX_COUPONS:
        raise CellError(f"code: The coupon set holds {MAX_COUPONS} codes already")
    return {"id": identity, "couponSetId": set_id, "code": code, "assigned": False}


def count(
    account: Account, set_id: str, now: float, *, quantity: int = 0, assigned: int = 0
) -> None:
    """Add to a set's counters. What GET shows of them follows later (documented)."""
    found = account.get("coupon_sets", set_id)
    if found is None:
        return
    changed = dict(found)
    if quantity:
        changed["quantity"] = (changed["quantity"] or 0) + quantity
    changed["__assigned"] += assigned
    changed["updatedAt"] = iso(now)
    changed.setdefault("__changed", now)
    account.put("coupon_sets", [changed])


def assign(account: Account, set_id: str, number: int, now: float) -> int:
    """Give codes to customers, as a workflow does; how many there were to give.

    Raises KeyError: there is no such set.
    """
    found = account.records["coupon_sets"][set_id]
    free = available(found)
    given = number if free is None else min(number, free)
    if found["type"] == "multiple":
        open_codes = (c for c in account.group("coupons", set_id) if not c["assigned"])
        taken = [
            {**code, "assigned": True} for code, _ in zip(open_codes, range(given), strict=False)
        ]
        account.put("coupons", taken)
    count(account, set_id, now, assigned=given)
    return given


def available(coupon_set: Record) -> int | None:
    """How many codes or uses are left; None: without limit."""
    quantity: int | None = coupon_set["quantity"]
    return None if quantity is None else max(0, quantity - coupon_set["__assigned"])


def publish(account: Account, now: float, lag: float) -> None:
    """Bring the counters that GET shows up to date, where their time has come."""
    for found in account.list("coupon_sets"):
        if "__changed" in found and now >= found["__changed"] + lag:
            changed = {n: v for n, v in found.items() if n != "__changed"}
            changed |= {"assigned": found["__assigned"], "available": available(found)}
            account.put("coupon_sets", [changed])


def view(account: Account, coupon_set: Record) -> dict[str, Any]:
    """A coupon set as the API shows it: with all workflows that use it, active or not."""
    users = [
        {"workflowId": workflow["id"]}
        for workflow in account.list("workflows")
        if coupon_set["id"] in workflow.get("__couponSetIds", ())
    ]
    return {**shown(coupon_set), "usedInWorkflows": users}
