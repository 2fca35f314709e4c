"""What a plan must ask the account itself: coupon sets with their counters, active workflows.

All else is known from the state. Only `GET /coupon-sets/` and `GET /workflows/` are called, and
only when a coupon stock is planned or filled up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from compasso.model import CompassoError, Diagnostic
from compasso.spec import Sync

if TYPE_CHECKING:  # planning itself sends nothing, and validate not even knows httpx
    from compasso.connectif import Client

# What the API's workflows say of themselves is not known (section 10): these are guesses, and
# this is their one place.
_ACTIVE_FLAGS = ("active", "isActive", "enabled", "isEnabled")
_ACTIVE_STATUSES = frozenset({"active", "enabled", "running", "started", "published"})


@dataclass(frozen=True, slots=True)
class CouponSet:
    """One coupon set. Its counters are up to ten seconds late (documented, D9)."""

    identity: str
    name: str
    type: str
    quantity: int | None
    available: int | None
    used_in: frozenset[str]  # ids of workflows, active or not


@dataclass(frozen=True)
class Account:
    """The account as it was looked at, `at` which time by its own clock; or, with a `problem`,
    why it was not."""

    sets: tuple[CouponSet, ...] = ()
    active_workflows: frozenset[str] = frozenset()
    problem: str | None = None
    at: datetime | None = None

    def find(self, sync: Sync) -> CouponSet:
        """The set of a coupon stock. Raises CompassoError: none, several, or of another type."""
        from compasso.spec.problems import did_you_mean

        stock = sync.stock
        assert stock is not None  # noqa: S101 - only coupon stocks have a set
        by_id = stock.set_id is not None
        found = [
            s for s in self.sets if (s.identity == stock.set_id if by_id else s.name == stock.label)
        ]
        names = [s.identity if by_id else s.name for s in self.sets]
        said, hint = "", ""
        if not found:
            said = f"the account has no coupon set {stock.label!r}"
            hint = did_you_mean(stock.label, names) if names else "it has none at all"
            hint += "; sets are made in the app"
        elif len(found) > 1:
            said = f"{len(found)} coupon sets are called {stock.label!r}"
            hint = f"name one by its id: {', '.join(s.identity for s in found)}"
        elif found[0].type != "multiple":
            said = f"the coupon set {stock.label!r} is of the type {found[0].type}: it has one code"
            hint = "only sets with a list of codes (multiple) can be filled up"
        if said:
            place = sync.position("set")
            raise CompassoError(Diagnostic(f"{sync.name}: {said}", position=place, hint=hint))
        return found[0]

    def is_used(self, found: CouponSet) -> bool:
        """Whether an active workflow uses the set."""
        return bool(found.used_in & self.active_workflows)


NOT_LOOKED_AT = Account(problem="the plan was made without a look at the account")


async def look_at_account(client: Client, *, workflows: bool) -> Account:
    """Read the coupon sets, and the workflows if asked. Raises CompassoError."""
    sets = [_coupon_set(item) async for item in client.pages("/coupon-sets/")]
    active: set[str] = set()
    if workflows:
        active = {str(w.get("id")) async for w in client.pages("/workflows/") if _is_active(w)}
    return Account(tuple(sets), frozenset(active), at=client.account_clock.now())


def _coupon_set(item: Mapping[str, Any]) -> CouponSet:
    used = item.get("usedInWorkflows") or []
    return CouponSet(
        identity=str(item.get("id")),
        name=str(item.get("name")),
        type=str(item.get("type")),
        quantity=item.get("quantity"),
        available=item.get("available"),
        used_in=frozenset(str(u.get("workflowId")) for u in used if isinstance(u, dict)),
    )


def _is_active(workflow: Mapping[str, Any]) -> bool:
    for flag in _ACTIVE_FLAGS:
        if isinstance(workflow.get(flag), bool):
            return bool(workflow[flag])
    return str(workflow.get("status", "")).lower() in _ACTIVE_STATUSES
