"""Keys of a sync that only some targets know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from compasso.model import Json

if TYPE_CHECKING:
    from compasso.spec.shapes import SyncShape

# Which targets a key belongs to (their names up to a slash), and what to do elsewhere.
_BELONGS = {
    "trigger_event": (("purchases",), "only purchases raise a purchase event; leave it out"),
    "create_contact": (("custom-events",), "only events make contacts; leave it out"),
    "delivery": (("custom-events",), "everything else is sent exactly once; leave it out"),
    "retire": (("products",), "it puts products out of sight; leave it out"),
    "on_change": (("purchases",), "other records are changed in place; leave it out"),
}
_NO_RETIRE = "it puts products out of stock; use keep or delete"
_NO_IMPORT = ("purchases", "custom-events")


def check_options(shape: SyncShape, complain: Callable[..., None]) -> None:
    """Complain about keys that the target does not know."""
    target = shape.target.partition("/")[0]
    for name, (targets, hint) in _BELONGS.items():
        if getattr(shape, name) is not None and target not in targets:
            complain((name,), f"`{name}` does not exist for {shape.target}", hint)
    if shape.retire is not None and target == "products":
        if shape.missing != "retire":
            complain(("retire",), "`retire` goes with `missing: retire`", "add it, or leave it out")
        elif not shape.retire.model_dump(exclude_none=True):
            complain(("retire",), "`retire` names no field", "retire: {isBlacklisted: true}")
    if shape.missing == "retire" and target != "products":
        said = f"`missing: retire` does not exist for {shape.target}"
        complain(("missing",), said, _NO_RETIRE, "missing: retire")
    if shape.missing == "delete" and target == "custom-events":
        said = "an event cannot be deleted"
        complain(("missing",), said, "leave `missing` out", "missing: delete")
    if shape.route == "import" and target in _NO_IMPORT:
        complain(
            ("route",),
            f"Connectif has no import of {target}",
            "leave `route` out: each goes by one call",
            "route: import",
        )
    if shape.nulls == "clear" and target in _NO_IMPORT:
        said = f"`nulls: clear` does not exist for {target}: they cannot be changed"
        complain(("nulls",), said, "leave it out", "nulls: clear")


def target_options(shape: SyncShape) -> dict[str, Json]:
    """What the executor must know of a sync beyond its records, as JSON."""
    found: dict[str, Json] = {}
    if shape.trigger_event is not None:
        given = shape.trigger_event
        found["trigger_event"] = given if isinstance(given, bool) else {"since": given.since}
    if shape.create_contact is not None:
        found["create_contact"] = shape.create_contact
    if shape.delivery is not None:
        found["delivery"] = shape.delivery
    target, _, alias = shape.target.partition("/")
    if target == "custom-events":
        found["alias"] = alias
    return found
