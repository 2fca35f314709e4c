"""What stops a plan: too many rejects, and the guards."""

from __future__ import annotations

from collections.abc import Sequence

from compasso.model import CompassoError, Diagnostic
from compasso.planning.desired import Desired, Reject
from compasso.planning.diff import Diff
from compasso.planning.document import place_of
from compasso.planning.masking import mask
from compasso.spec import Limit, Sync

# Without `rejects: {max}`, a few bad rows of a small source do not stop the good ones.
DEFAULT_REJECTS = Limit(5, percent=True)
DEFAULT_REJECTED_ROWS = 10
# Without `guards: {max_delete}`.
DEFAULT_MAX_DELETE = Limit(30, percent=True)
# Below this many records in the state, a percentage says nothing.
FEW_RECORDS = 10


def check_rejects(
    sync: Sync, desired: Desired, rejected: int, total: int, first: Sequence[Reject]
) -> None:
    """Raise CompassoError when more rows are rejected than the spec allows."""
    if sync.rejects_max is None:
        allowed = rejected <= DEFAULT_REJECTED_ROWS or DEFAULT_REJECTS.allows(rejected, total)
        limit = f"{DEFAULT_REJECTS} (the default)"
    else:
        allowed = sync.rejects_max.allows(rejected, total)
        limit = str(sync.rejects_max)
    if allowed:
        return
    lines = [_reject_line(reject, desired) for reject in first[:10]]
    if rejected > 10:
        lines.append(f"... and {rejected - len(lines):,} more")
    raise CompassoError(
        Diagnostic(
            message=f"{sync.name}: {rejected:,} of {total:,} rows are rejected, "
            f"more than rejects.max {limit} allows",
            position=sync.position("rejects"),
            text="\n    ".join(lines),
            hint="mend the source or the mapping, or allow more with `rejects: {max: …}`; "
            "`--rejects FILE` writes them all",
        )
    )


def _reject_line(reject: Reject, desired: Desired) -> str:
    known = desired.target.fields.get(reject.field)
    value = mask(reject.value) if known is not None and known.sensitive else reject.value
    shown = "" if value is None else f" ({str(value)[:60]!r})"
    return f"{place_of(reject)}: {reject.field} {reject.rule}{shown}".replace(":  ", ": ")


def check_guards(sync: Sync, found: Diff, retired: int, *, overridden: bool) -> list[str]:
    """Raise CompassoError when the plan would delete or change more than the guards allow.

    Answers sentences for the reviewer about guards that were overridden.
    """
    if found.existing == 0:
        return []
    gone = found.delete + retired
    problems = []
    given = sync.guards.max_delete
    enough = found.existing >= FEW_RECORDS
    too_many = not (given or DEFAULT_MAX_DELETE).allows(gone, found.existing)
    if gone and too_many and (given is not None or enough):
        problems.append(
            f"{sync.name}: the plan would delete or retire {gone:,} of {found.existing:,} "
            f"records ({gone / found.existing:.1%}), more than max_delete "
            f"{given or f'{DEFAULT_MAX_DELETE} (the default)'} allows"
        )
    changed = found.update + found.delete
    most = sync.guards.max_change
    if most is not None and changed and not most.allows(changed, found.existing):
        problems.append(
            f"{sync.name}: the plan would change {changed:,} of {found.existing:,} records "
            f"({changed / found.existing:.1%}), more than max_change {most} allows"
        )
    if not problems or overridden:
        return [f"{problem}; overridden once" for problem in problems]
    raise CompassoError(
        *(
            Diagnostic(
                message=problem,
                position=sync.position("guards"),
                hint="if this is meant, allow it once with "
                f"`--override-guards {sync.name}`, or raise the limit in `guards:`",
            )
            for problem in problems
        )
    )


def doubled_error(
    sync: Sync, desired: Desired, doubled: Sequence[tuple[str, list[int]]]
) -> CompassoError:
    """The error that names keys which rows share, with their rows."""
    field_ = desired.target.fields.get(desired.key_field)
    hide = field_ is not None and field_.sensitive
    some = "; ".join(
        f"{mask(key) if hide else key} in rows {', '.join(map(str, rows[:5]))}"
        for key, rows in doubled[:5]
    )
    more = f"; and {len(doubled) - 5} more keys" if len(doubled) > 5 else ""
    return CompassoError(
        Diagnostic(
            message=f"{sync.name}: rows share the key {desired.key_field}: {some}{more}",
            position=sync.position("duplicates"),
            hint="mend the source, or say which row counts: `duplicates: first` or "
            "`duplicates: last`, with `order_by: COLUMN`",
        )
    )
