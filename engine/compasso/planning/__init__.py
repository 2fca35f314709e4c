"""From desired and cached state to a plan file."""

from compasso.planning.make import PlanOptions, make_plan
from compasso.planning.masking import mask
from compasso.planning.planfile import Plan, open_plan
from compasso.planning.resolve import compile_sync, resolve_target

__all__ = [
    "Plan",
    "PlanOptions",
    "compile_sync",
    "make_plan",
    "mask",
    "open_plan",
    "resolve_target",
]
