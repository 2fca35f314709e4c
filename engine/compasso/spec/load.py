"""Load a project: every file, every mistake at once."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compasso.model import CompassoError, Diagnostic, Json, Position, Severity
from compasso.spec.document import Document, read_document
from compasso.spec.kinds import Declared, kind_names, load_kind
from compasso.spec.problems import did_you_mean, explain_errors
from compasso.spec.secrets import check_secret, notifications_of
from compasso.spec.types import (
    BudgetSettings,
    ConnectifSettings,
    ContactFieldSpec,
    EventTypeSpec,
    Export,
    Project,
    Secret,
    SourceSpec,
    StateSettings,
    Sync,
    nearest,
)

if TYPE_CHECKING:
    from compasso.spec.shapes import ProjectShape

# What is declared rather than synced has a state too, under these names.
CONTACT_FIELDS, EVENT_TYPES = "contact-fields", "custom-event-types"
DECLARED = {CONTACT_FIELDS: "contact fields", EVENT_TYPES: "types of custom events"}
PROJECT_FILE = "compasso.yml"


def load_project(
    root: Path,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    *,
    only: Collection[str] = (),
) -> Project:
    """Load compasso.yml and all specs of the project in `root`.

    Raises one CompassoError with the mistakes of all files.
    """
    root = root.resolve()
    document = _project_document(root)
    problems = list(document.problems)
    shape = None if problems else _check_project(document, problems)
    if shape is None:
        raise CompassoError(*problems)
    settings = _overlay(shape, environment, document, problems)
    merged: dict[str, Json] = {**settings["vars"], **(variables or {})}
    declared: list[Declared] = []
    for path in _spec_files(root, shape, document, problems):
        spec = read_document(path)
        problems.extend(spec.problems)
        if not spec.problems:
            declared += _build(spec, merged, problems)
    syncs = [d for d in declared if isinstance(d, Sync)]
    exports = [d for d in declared if isinstance(d, Export)]
    fields = [d for d in declared if isinstance(d, ContactFieldSpec)]
    events = [d for d in declared if isinstance(d, EventTypeSpec)]
    _check_events(events, problems)
    _check_names(root, [*syncs, *exports], fields, problems)
    _check_sharing(root, syncs, exports, problems)
    if StateSettings(**settings["state"]).hashed_keys:
        problems += [_needs_keys(s) for s in syncs if s.missing != "keep" and s.stock is None]
    connections = _connections(settings["connections"], root, document)
    syncs = [_connect(sync, connections, problems) for sync in syncs]
    for export in exports:
        if export.into.kind == "sql" and export.into.place not in connections:
            place = export.position("into", "sql")
            problems.append(_no_connection(export.into.place, "sql", place, connections))
    warnings = [p for p in problems if p.severity is Severity.WARNING]
    errors = [p for p in problems if p.severity is Severity.ERROR]
    if errors:
        raise CompassoError(*_sorted(errors))
    project = Project(
        root=root,
        name=shape.project,
        environment=environment,
        connectif=_connectif(settings["connectif"], root, document),
        budget=BudgetSettings(**settings["budget"]),
        state=StateSettings(**settings["state"]),
        variables=merged,
        syncs=tuple(syncs),
        contact_fields=tuple(fields),
        warnings=tuple(warnings),
        connections=connections,
        exports=tuple(exports),
        event_types=tuple(events),
        stocks=tuple(s.name for s in syncs if s.stock is not None),
        quarantine_after=shape.failures.quarantine_after,
        notifications=notifications_of(shape, root, document),
    )
    return _choose(project, only)


def _connections(
    references: Mapping[str, Any], root: Path, document: Document
) -> dict[str, Secret]:
    return {
        name: Secret(
            str(reference), root, nearest(document.positions, ("connections", name), document.file)
        )
        for name, reference in references.items()
    }


def _connect(sync: Sync, connections: Mapping[str, Secret], problems: list[Diagnostic]) -> Sync:
    """The sync with the addresses of the databases that its sources name."""

    def connected(source: SourceSpec, *path: str) -> SourceSpec:
        name = source.options.get("connection")
        if name is None:
            return source
        if name not in connections:
            place = sync.position(*path, "connection")
            problems.append(_no_connection(str(name), "connection", place, connections))
            return source
        return dataclasses.replace(source, connection=connections[str(name)])

    source = connected(sync.source, "source")
    fields = dict(sync.fields)
    for name, field in sync.fields.items():
        if field.lines is not None and field.lines.source is not None:
            other = connected(field.lines.source, "fields", name, "lines", "source")
            lines = dataclasses.replace(field.lines, source=other)
            fields[name] = dataclasses.replace(field, lines=lines)
    return dataclasses.replace(sync, source=source, fields=fields)


def _no_connection(
    name: str, key: str, place: Position, connections: Mapping[str, Secret]
) -> Diagnostic:
    return Diagnostic(
        message=f"compasso.yml has no connection {name!r}",
        position=place,
        text=f"{key}: {name}",
        hint=did_you_mean(name, connections)
        if connections
        else f"add it there: connections: {{{name}: '${{env:{name.upper()}_URL}}'}}",
    )


def project_files(root: Path) -> list[Path]:
    """compasso.yml and the spec files of the project in `root`, read or not.

    Raises CompassoError when compasso.yml itself is missing or wrong.
    """
    document = _project_document(root)
    problems = list(document.problems)
    shape = None if problems else _check_project(document, problems)
    if shape is None:
        raise CompassoError(*problems)
    return [root / PROJECT_FILE, *_spec_files(root, shape, document, problems)]


def _sorted(errors: list[Diagnostic]) -> list[Diagnostic]:
    def place(diagnostic: Diagnostic) -> tuple[str, int, int]:
        p = diagnostic.position
        return (str(p.file), p.line, p.column) if p else ("", 0, 0)

    return sorted(errors, key=place)


def _project_document(root: Path) -> Document:
    file = root / PROJECT_FILE
    if not file.is_file():
        raise CompassoError.say(
            f"there is no {PROJECT_FILE} in {root}",
            "go to the project's folder, name it with --project DIR, or make one: compasso init",
        )
    return read_document(file)


def _check_project(document: Document, problems: list[Diagnostic]) -> ProjectShape | None:
    from pydantic import ValidationError

    from compasso.spec.shapes import ProjectShape

    try:
        return ProjectShape.model_validate(document.value or {})
    except ValidationError as error:
        problems += explain_errors(
            error.errors(), document.positions, document.file, ProjectShape, document.value or {}
        )
        return None


def _overlay(
    shape: ProjectShape, environment: str | None, document: Document, problems: list[Diagnostic]
) -> dict[str, dict[str, Any]]:
    """The project's settings with those of the environment on top."""
    base = {part: dict(iter(getattr(shape, part))) for part in ("connectif", "budget", "state")}
    base["connections"] = dict(shape.connections)
    base["vars"] = dict(shape.vars)
    if environment is not None:
        if environment not in shape.environments:
            raise CompassoError.say(
                f"{PROJECT_FILE} has no environment {environment!r}",
                did_you_mean(environment, shape.environments)
                if shape.environments
                else "it has none at all; leave --env out",
            )
        overlay = shape.environments[environment]
        for part, known in base.items():
            extra = getattr(overlay, part)
            for key in extra:
                if part not in {"vars", "connections"} and key not in known:
                    place = nearest(
                        document.positions, ("environments", environment, part, key), document.file
                    )
                    problems.append(
                        Diagnostic(
                            message=f"unknown key `{key}`",
                            position=place,
                            hint=did_you_mean(key, known),
                        )
                    )
            known.update(extra)
    _check_settings(base, environment, document, problems)
    path: tuple[str, ...] = ("connectif", "api_key")
    check_secret("api_key", str(base["connectif"]["api_key"]), path, document, problems)
    if shape.notifications is not None:
        address = shape.notifications.webhook
        check_secret("webhook", address, ("notifications", "webhook"), document, problems)
    for name, address in base["connections"].items():
        path = ("connections", name)
        if environment is not None and name in shape.environments[environment].connections:
            path = ("environments", environment, *path)
        check_secret(name, str(address), path, document, problems)
    return base


def _check_settings(
    base: Mapping[str, Mapping[str, Any]],
    environment: str | None,
    document: Document,
    problems: list[Diagnostic],
) -> None:
    """What the settings of an environment, laid over the project's, must still fulfil."""

    def wrong(path: tuple[str, str], message: str, hint: str) -> None:
        over = ("environments", str(environment), *path)
        known = document.positions.get(over) if environment else None
        place = known or nearest(document.positions, path, document.file)
        problems.append(Diagnostic(message=message, position=place, hint=hint))

    limit, reserve = base["budget"]["requests_per_minute"], base["budget"]["reserve"]
    for name, value, least in (("requests_per_minute", limit, 1), ("reserve", reserve, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            wrong(("budget", name), f"`{name}` must be a whole number of at least {least}", "100")
            return
    if reserve >= limit:
        wrong(
            ("budget", "reserve"),
            f"reserve: {reserve} leaves nothing of requests_per_minute: {limit}",
            "reserve less than the limit",
        )
    state = base["state"]
    for name, choices in (("values", ("full", "hashed")), ("keys", ("clear", "hashed", None))):
        if state[name] not in choices:
            wrong(("state", name), f"`{name}` cannot be {state[name]}", f"{choices[0]} or hashed")
    if state["values"] == "full" and state["keys"] == "hashed":
        wrong(("state", "keys"), "`keys: hashed` goes with `values: hashed`", "add it")
    backend = str(state["backend"])
    if backend != "local":
        wrong(
            ("state", "backend"),
            f"this version cannot keep the state in {backend!r}",
            "use `backend: local`, and keep the folder .compasso from run to run",
        )


def _needs_keys(sync: Sync) -> Diagnostic:
    """A record that is gone from the source can only be named by its key."""
    return Diagnostic(
        message=f"`missing: {sync.missing}` needs the keys of records that have no row any more, "
        "and this project's state keeps keys as hashes only",
        position=sync.position("missing"),
        text=f"missing: {sync.missing}",
        hint="say `keys: clear` under `state:` in compasso.yml, or `missing: keep`",
    )


def _connectif(settings: Mapping[str, Any], root: Path, document: Document) -> ConnectifSettings:
    url = os.environ.get("CONNECTIF_BASE_URL") or str(settings["base_url"])
    place = nearest(document.positions, ("connectif", "api_key"), document.file)
    return ConnectifSettings(
        base_url=url.rstrip("/"),
        api_key=Secret(str(settings["api_key"]), root, place),
        late_seconds=float(settings["late_seconds"]),
    )


def _spec_files(
    root: Path, shape: ProjectShape, document: Document, problems: list[Diagnostic]
) -> list[Path]:
    found: set[Path] = set()
    for pattern in shape.specs:
        try:
            found |= {p for p in root.glob(pattern) if p.is_file()}
        except (ValueError, NotImplementedError):
            problems.append(
                Diagnostic(
                    message=f"the pattern {pattern!r} cannot be used",
                    position=nearest(document.positions, ("specs",), document.file),
                    hint="write it relative to the project: specs/**/*.yml",
                )
            )
    outside = [p for p in found if not p.resolve().is_relative_to(root)]
    for path in outside:
        problems.append(
            Diagnostic(
                message="the spec leads out of the project",
                position=Position(path, 1, 1),
                hint="keep specs inside the project",
            )
        )
    if not found:
        problems.append(
            Diagnostic(
                message="the project has no specs",
                severity=Severity.WARNING,
                position=Position(document.file, 1, 1),
                hint=f"put one where {' or '.join(shape.specs)} finds it",
            )
        )
    return sorted(found - set(outside))


def _build(
    spec: Document, variables: Mapping[str, Json], problems: list[Diagnostic]
) -> Sequence[Declared]:
    """Check one spec file; answers what it declares."""
    from pydantic import ValidationError

    place = Position(spec.file, 1, 1)
    if not isinstance(spec.value, dict):
        said = "the spec is empty" if spec.value is None else "a spec must be keys and values"
        problems.append(Diagnostic(message=said, position=place, hint="start with `kind: sync`"))
        return ()
    name = spec.value.get("kind")
    if name not in kind_names():
        problems.append(
            Diagnostic(
                message=f"there is no kind {name!r}" if name else "the key `kind` is missing",
                position=nearest(spec.positions, ("kind",), spec.file),
                text=f"kind: {name}" if name else None,
                hint=did_you_mean(str(name), kind_names()) if name else "add `kind: sync`",
            )
        )
        return ()
    kind = load_kind(str(name))
    try:
        checked: Any = kind.SHAPE.model_validate(spec.value)
    except ValidationError as error:
        problems += explain_errors(
            error.errors(), spec.positions, spec.file, kind.SHAPE, spec.value
        )
        return ()
    return kind.build(checked, spec, variables, problems)


def _short(file: Path, root: Path) -> Path:
    return file.relative_to(root) if file.is_relative_to(root) else file


def _check_names(
    root: Path,
    syncs: Sequence[Sync | Export],
    fields: list[ContactFieldSpec],
    problems: list[Diagnostic],
) -> None:
    seen: dict[str, Sync | Export] = {}
    for sync in syncs:
        if sync.name in seen:
            other = seen[sync.name].position("name")
            problems.append(
                Diagnostic(
                    message=f"the name {sync.name!r} is taken by {_short(other.file, root)}"
                    f":{other.line}",
                    position=sync.position("name"),
                    hint="give each spec a name of its own: the state is kept under it",
                )
            )
        seen.setdefault(sync.name, sync)
        if sync.name in DECLARED:
            problems.append(
                Diagnostic(
                    message=f"the name {sync.name!r} is kept for the {DECLARED[sync.name]}",
                    position=sync.position("name"),
                    hint="choose another name",
                )
            )
    known: dict[str, ContactFieldSpec] = {}
    for field in fields:
        if field.id in known:
            problems.append(
                Diagnostic(
                    message=f"the contact field {field.id!r} is declared twice",
                    position=field.position,
                    hint="keep one of them",
                )
            )
        known[field.id] = field


def _check_events(events: Sequence[EventTypeSpec], problems: list[Diagnostic]) -> None:
    seen: set[str] = set()
    for event in events:
        if event.alias in seen:
            problems.append(
                Diagnostic(
                    message=f"the event type {event.alias!r} is declared twice",
                    position=event.position,
                    hint="keep one of them: an alias is of one type",
                )
            )
        seen.add(event.alias)


def _check_sharing(
    root: Path, syncs: Sequence[Sync], exports: Sequence[Export], problems: list[Diagnostic]
) -> None:
    """Two coupon stocks may not fill one set, nor two exports write one file or table."""
    seen: dict[tuple[object, ...], Sync | Export] = {}
    owned: list[tuple[tuple[object, ...], Sync | Export, str]] = [
        ((sync.stock.set_id, sync.stock.set_name), sync, "set") for sync in syncs if sync.stock
    ]
    for export in exports:
        into = export.into
        alone = into.kind in {"csv", "parquet"}
        for name in filter(None, (into.place if alone else into.table, into.products)):
            owned.append(((into.kind, None if alone else into.place, name), export, "into"))
    for place, spec, key in owned:
        if place in seen:
            other = seen[place].position(key)
            what = "coupon set" if key == "set" else "file or table"
            problems.append(
                Diagnostic(
                    message=f"this {what} is taken by {_short(other.file, root)}:{other.line}",
                    position=spec.position(key),
                    hint="join the two specs" if key == "set" else "name another",
                )
            )
        seen.setdefault(place, spec)


def _choose(project: Project, only: Collection[str]) -> Project:
    """The project with the named specs alone."""
    if not only:
        return project
    names = [s.name for s in project.named]
    names += [CONTACT_FIELDS] if project.contact_fields else []
    names += [EVENT_TYPES] if project.event_types else []
    for name in only:
        if name not in names:
            raise CompassoError.say(f"there is no spec called {name!r}", did_you_mean(name, names))
    return dataclasses.replace(
        project,
        syncs=tuple(s for s in project.syncs if s.name in only),
        exports=tuple(e for e in project.exports if e.name in only),
    )
