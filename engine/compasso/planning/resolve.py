"""A sync of a spec with the target, key and mapping that it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compasso.mapping import CompiledMapping, compile_mapping
from compasso.model import CompassoError, Diagnostic, Json, Severity
from compasso.planning.cursor import check_cursor
from compasso.planning.events import check_events, compose_key, event_type, resolve_events
from compasso.planning.field_bodies import field_bodies
from compasso.planning.line_mapping import check_lines
from compasso.spec import Project, Sync
from compasso.targets import Target, custom_fields, load_target


def resolve_target(sync: Sync, project: Project) -> tuple[Target, str]:
    """A sync's target, with the account's declared fields, and its key field."""
    wrong = [p for p in check_fields(sync, project) if p.severity is Severity.ERROR]
    if wrong:
        raise CompassoError(*wrong)
    target = load_target(sync.target)
    if target.composed_key:
        return resolve_events(sync, project, target), target.default_key
    if target.open_fields:
        target = target.with_fields(custom_fields(field_bodies(project.contact_fields)))
    if sync.retire is not None:
        target = replace(target, retired=sync.retire)
    key_field = sync.key[0] if sync.key else target.default_key
    if len(sync.key) > 1 or key_field not in target.keys:
        raise CompassoError(
            Diagnostic(
                message=f"{', '.join(sync.key)} cannot be the key of {target.name}",
                position=sync.position("key"),
                hint=f"it can be: {' or '.join(target.keys)}",
            )
        )
    needed = {key_field, *target.required} - set(sync.fields)
    if target.lines is not None:  # totals that are not mapped are computed
        needed -= {target.lines.price[1], target.lines.count[1]}
    if needed:
        raise CompassoError(
            Diagnostic(
                message=f"the mapping lacks {', '.join(sorted(needed))}, "
                f"which every {target.label} needs",
                position=sync.position("fields"),
                hint="add it under `fields:`",
            )
        )
    if target.any_of:
        present = [n for n in target.any_of if n in sync.fields]
        if not present:
            raise CompassoError(
                Diagnostic(
                    message=f"every {target.label} needs {' or '.join(target.any_of)}",
                    position=sync.position("fields"),
                    hint="add one of them under `fields:`",
                )
            )
        if len(present) == 1:
            target = replace(target, required=(*target.required, *present))
    return target, key_field


def compile_sync(
    sync: Sync, project: Project, target: Target, columns: Mapping[str, str]
) -> CompiledMapping:
    """Compile a sync's mapping. Raises CompassoError with every problem, each at its line."""
    types = {name: f.type for name, f in target.fields.items()}
    mapping = compile_mapping(sync.fields, sync.when, columns, types, project.variables)
    ordered = (sync.order_by or "").removesuffix(" desc").removesuffix(" asc")
    if ordered and ordered not in columns:
        from compasso.spec.problems import did_you_mean

        raise CompassoError(
            Diagnostic(
                message=f"order_by names the column {ordered!r}, which the source does not have",
                position=sync.position("order_by"),
                text=f"order_by: {sync.order_by}",
                hint=did_you_mean(ordered, columns),
            )
        )
    wrong = check_cursor(sync, columns)
    if wrong:
        raise CompassoError(*wrong)
    if mapping.problems:
        raise CompassoError(
            *(
                Diagnostic(
                    message=problem.message,
                    position=sync.position("fields", problem.field)
                    if problem.field
                    else sync.position("when"),
                    text=problem.text,
                    hint=problem.hint,
                )
                for problem in mapping.problems
            )
        )
    return compose_key(sync, target, mapping) if target.composed_key else mapping


def sending_options(sync: Sync, project: Project) -> dict[str, Json]:
    """What the executor must know of a sync beyond its records."""
    declared = event_type(sync, project)
    found = {} if declared is None else {"contact_field": declared.key}
    return {**sync.options, **found}


def check_fields(sync: Sync, project: Project) -> list[Diagnostic]:
    """The fields that a sync maps against those that its target has."""
    from compasso.spec.problems import did_you_mean, suggest
    from compasso.targets import target_names

    kind = "sync" if sync.stock is None else "coupon-stock"
    names = [n for n in target_names() if load_target(n).spec_kind == kind]
    start, _, alias = sync.target.partition("/")
    composed = start in names and load_target(start).composed_key
    if (start if composed and alias else sync.target) not in names or (composed and not alias):
        other = load_target(sync.target).spec_kind if sync.target in target_names() else None
        hint = f"write `kind: {other}`" if other else did_you_mean(sync.target, names)
        return [
            Diagnostic(
                message=f"there is no target {sync.target!r}",
                position=sync.position("target"),
                text=f"target: {sync.target}",
                hint=f"write {start}/ALIAS" if composed else hint,
            )
        ]
    target = load_target(sync.target)
    if target.composed_key:
        return check_events(sync, project)
    wrong = check_lines(sync, target)
    if wrong:
        return wrong
    own = {spec.id for spec in project.contact_fields} if target.open_fields else set()
    problems = []
    for name in sync.fields:
        known = target.fields.get(name)
        place = sync.position("fields", name)
        writable = [n for n, f in target.fields.items() if not f.read_only]
        if known is not None and known.read_only:
            problems.append(
                Diagnostic(
                    message=f"`{name}` is read only: Connectif computes it",
                    position=place,
                    text=name,
                    hint="leave it out",
                )
            )
        elif known is None and name not in own:
            strange = not target.open_fields or name.startswith("_")
            if not strange and not (own and suggest(name, own)):
                continue  # a field of the account that no spec declares
            problems.append(
                Diagnostic(
                    message=f"{target.name} have no field `{name}`",
                    severity=Severity.ERROR if strange else Severity.WARNING,
                    position=place,
                    text=name,
                    hint=did_you_mean(name, [*writable, *own]),
                )
            )
    return problems
