"""From desired and cached state to a plan file."""

from compasso.planning.account import NOT_LOOKED_AT, Account, look_at_account
from compasso.planning.make import PlanOptions, make_plan
from compasso.planning.masking import mask
from compasso.planning.planfile import Plan, open_plan
from compasso.planning.resolve import compile_sync, resolve_target

__all__ = [
    "NOT_LOOKED_AT",
    "Account",
    "Plan",
    "PlanOptions",
    "compile_sync",
    "look_at_account",
    "make_plan",
    "mask",
    "open_plan",
    "resolve_target",
]
