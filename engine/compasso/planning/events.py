"""Custom events: their fields by the declared type, and the key that makes a row one event."""

from __future__ import annotations

from dataclasses import replace

from compasso.mapping import CompiledMapping, MappedField
from compasso.mapping.quoting import quote_name, quote_text
from compasso.model import CompassoError, Diagnostic, FieldType
from compasso.planning.field_bodies import field_bodies
from compasso.spec import EventTypeSpec, Project, Sync
from compasso.spec.problems import did_you_mean
from compasso.targets import Target, custom_fields
from compasso.targets.base import EVENT_KEY

_TEXTS = {FieldType.TEXT, FieldType.DATE, FieldType.JSON}


def event_type(sync: Sync, project: Project) -> EventTypeSpec | None:
    """The declared type of a sync's events; None if no spec of the project declares it."""
    alias = sync.target.partition("/")[2]
    return next((t for t in project.event_types if t.alias == alias), None)


def check_events(sync: Sync, project: Project) -> list[Diagnostic]:
    """The fields that a sync maps against those of the event's type. The API is strict: it
    refuses an event with a field that its type does not have (documented, D13)."""
    declared = event_type(sync, project)
    problems = [
        Diagnostic(
            message=f"`{name}` is made of lines, and events have none",
            position=sync.position("fields", name),
            hint="map a column or a template",
        )
        for name, field in sync.fields.items()
        if field.lines is not None
    ]
    for name in sync.key:
        if name not in sync.fields:
            problems.append(
                Diagnostic(
                    message=f"the key `{name}` is not mapped",
                    position=sync.position("key"),
                    hint=did_you_mean(name, sync.fields),
                )
            )
    if declared is None:
        return problems
    known = {f.id for f in declared.fields}
    for name in sync.fields:
        if name not in known:
            problems.append(
                Diagnostic(
                    message=f"the event type {declared.alias} has no field `{name}`",
                    position=sync.position("fields", name),
                    text=name,
                    hint=did_you_mean(name, known),
                )
            )
    return problems


def resolve_events(sync: Sync, project: Project, target: Target) -> Target:
    """The target with the fields of the declared type. Raises CompassoError when one that every
    event needs is not mapped."""
    declared = event_type(sync, project)
    if declared is None:
        return target
    required = tuple(f.id for f in declared.fields if f.required)
    missing = sorted(set(required) - set(sync.fields))
    if missing:
        raise CompassoError(
            Diagnostic(
                message=f"the mapping lacks {', '.join(missing)}, which every event of the type "
                f"{declared.alias} needs",
                position=sync.position("fields"),
                hint="add it under `fields:`",
            )
        )
    fields = custom_fields(field_bodies(declared.fields))
    return replace(target.with_fields(fields), required=required, open_fields=False)


def compose_key(sync: Sync, target: Target, mapping: CompiledMapping) -> CompiledMapping:
    """The mapping with the event's key: the text of the field that `key:` names, or a digest.

    The key stands in the state and in messages, so it is a digest where it could name a person:
    of several fields, of an e-mail address, of a field that no spec declares.
    """
    values = {f.name: f"nullif({f.value_sql}, '')" if f.type in _TEXTS else f.value_sql
              for f in mapping.fields}  # fmt: skip
    named = sync.key or tuple(values)
    alone = target.fields.get(named[0]) if len(named) == 1 else None
    if alone is not None and not alone.sensitive:
        key = f"{values[alone.name]}::VARCHAR"
    else:
        texts = ", ".join(f"{values[n]}::VARCHAR" for n in named if n in values)
        key = f"md5(to_json([{texts}])::VARCHAR)"
    body = ", ".join(f"{quote_name(n)} := {sql}" for n, sql in values.items())
    error = "NULL::VARCHAR"
    if target.max_bytes is not None:
        size = f"strlen(to_json(struct_pack({body}))::VARCHAR)"
        said = f"is larger than {target.max_bytes // 1024} KB, the most that Connectif takes"
        error = f"CASE WHEN {size} > {target.max_bytes} THEN {quote_text(said)} END"
    made = MappedField(EVENT_KEY, FieldType.TEXT, f"CAST({key} AS VARCHAR)", error, "sql", "", ())
    return replace(mapping, fields=(*mapping.fields, made))
