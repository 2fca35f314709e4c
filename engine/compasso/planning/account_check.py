"""The custom fields that a sync maps, against the fields that the account has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compasso.model import Diagnostic, Severity
from compasso.spec import Project, Sync
from compasso.spec.problems import did_you_mean
from compasso.targets import Target, custom_fields, load_target


def undeclared(sync: Sync, project: Project) -> list[str]:
    """The fields of a sync that neither the target nor a spec declares."""
    target = load_target(sync.target)
    if not target.open_fields or target.composed_key:
        return []
    declared = {f.id for f in project.contact_fields}
    return [n for n in sync.fields if n not in target.fields and n not in declared]


def check_account(
    sync: Sync, project: Project, fields: Sequence[Mapping[str, Any]] | None, read_at: str
) -> list[Diagnostic]:
    """Whether undeclared fields exist in the account. `fields` are its custom ones as they were
    read at `read_at`; None: nobody asked the account yet."""
    names = undeclared(sync, project)
    if not names:
        return []
    if fields is None:
        return [
            Diagnostic(
                message=f"{sync.name} maps {', '.join(names)}, which no spec declares: whether "
                "the account has "
                + ("these fields" if len(names) > 1 else "this field")
                + " is not known",
                severity=Severity.WARNING,
                code="unknown-field",
                position=sync.position("fields", names[0]),
                hint="declare it in a spec of `kind: contact-fields`, or ask the account once: "
                "compasso validate --online",
            )
        ]
    known = [str(f["id"]) for f in fields]
    return [
        Diagnostic(
            message=f"the account has no contact field `{name}` (read {read_at})",
            code="unknown-field",
            position=sync.position("fields", name),
            text=name,
            hint=f"{did_you_mean(name, known)}; or declare it in a spec of `kind: contact-fields`, "
            "and it is made"
            if known
            else "declare it in a spec of `kind: contact-fields`, and it is made",
        )
        for name in names
        if name not in known
    ]


def with_account(
    target: Target, sync: Sync, project: Project, fields: Sequence[Mapping[str, Any]] | None
) -> Target:
    """The target that also knows the types of the account's own fields which the sync maps."""
    names = set(undeclared(sync, project))
    return target.with_fields(custom_fields(f for f in fields or () if f["id"] in names))
