"""From a checked shape to the types: sources, fields, limits, schedules."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from compasso.model import Diagnostic, Json, Priority
from compasso.spec.document import Document
from compasso.spec.durations import seconds_of
from compasso.spec.options import check_options, target_options
from compasso.spec.problems import did_you_mean
from compasso.spec.source import build_source
from compasso.spec.types import (
    Cast,
    ContactFieldSpec,
    FieldKind,
    FieldSpec,
    Guards,
    Limit,
    ScheduleSpec,
    SpecTest,
    Sync,
    nearest,
)

if TYPE_CHECKING:
    from compasso.spec.shapes import (
        ContactFieldShape,
        ContactFieldsShape,
        FieldShape,
        LinesShape,
        ScheduleShape,
        SyncShape,
    )

_SECRET = re.compile(r"\$\{(env|file):")

Complain = Callable[..., None]


def build_sync(
    shape: SyncShape,
    spec: Document,
    variables: Mapping[str, Json],
    problems: list[Diagnostic],
) -> Sync | None:
    """One sync; None if it has problems, which are added to `problems`."""
    before = len(problems)

    def complain(
        path: tuple[str | int, ...], message: str, hint: str, text: str | None = None
    ) -> None:
        problems.append(
            Diagnostic(
                message=message,
                position=nearest(spec.positions, path, spec.file),
                text=text,
                hint=hint,
            )
        )

    check_secrets(spec.value, (), complain)
    source = build_source(shape.source, complain)
    fields = {name: _field(name, value, complain) for name, value in shape.fields.items()}
    rejects = (
        build_limit(shape.rejects.max, ("rejects", "max"), complain) if shape.rejects else None
    )
    guards = Guards(
        build_limit(shape.guards.max_delete, ("guards", "max_delete"), complain),
        build_limit(shape.guards.max_change, ("guards", "max_change"), complain),
    )
    schedule = build_schedule(shape.schedule, complain)
    check_options(shape, complain)
    if not shape.fields:
        complain(("fields",), "the mapping has no fields", "name at least the key")
    if shape.order_by and shape.duplicates == "error":
        complain(
            ("order_by",),
            "`order_by` has no effect with `duplicates: error`",
            "say `duplicates: first` or `duplicates: last`, or leave order_by out",
        )
    if len(problems) > before or source is None:
        return None
    key = (shape.key,) if isinstance(shape.key, str) else tuple(shape.key or ())
    meaning = json.dumps([spec.value, dict(variables)], sort_keys=True, ensure_ascii=False)
    return Sync(
        name=shape.name,
        owner=shape.owner,
        source=source,
        target=shape.target,
        key=key,
        when=shape.when,
        fields={n: f for n, f in fields.items() if f is not None},
        duplicates=shape.duplicates,
        order_by=shape.order_by,
        missing=shape.missing,
        nulls=shape.nulls,
        rejects_max=rejects,
        guards=guards,
        route=shape.route,
        priority=Priority(shape.priority),
        schedule=schedule,
        tests=tuple(
            SpecTest(tuple(t.row) if isinstance(t.row, list) else (t.row,), t.expect, i)
            for i, t in enumerate(shape.tests)
        ),
        file=spec.file,
        fingerprint=hashlib.sha256(meaning.encode()).hexdigest(),
        positions=spec.positions,
        on_change=shape.on_change or "report",
        retire=shape.retire.model_dump(exclude_none=True) if shape.retire else None,
        options=target_options(shape),
    )


def check_secrets(value: Json, path: tuple[str | int, ...], complain: Complain) -> None:
    """A spec may not name a secret: its values end up in plans and in the account."""
    if isinstance(value, str) and _SECRET.search(value):
        complain(
            path,
            "a secret cannot be used here: it would end up in the plan and in the account",
            "secrets belong in compasso.yml, under `connectif`",
        )
    elif isinstance(value, dict):
        for key, item in value.items():
            check_secrets(item, (*path, key), complain)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_secrets(item, (*path, index), complain)


def _field(name: str, shape: str | FieldShape | LinesShape, complain: Complain) -> FieldSpec | None:
    from compasso.spec.lines import build_lines
    from compasso.spec.shapes import LinesShape

    if isinstance(shape, LinesShape):
        return build_lines(name, shape, complain)
    return build_field((name,), shape, complain)


def build_field(
    at: tuple[str, ...], shape: str | FieldShape, complain: Complain
) -> FieldSpec | None:
    """A field of a mapping, which stands at the path `at` under `fields`."""
    name, here = at[-1], ("fields", *at)
    if isinstance(shape, str):
        return text_field(shape, None)
    given = shape.model_fields_set
    if ("from_" in given) == ("value" in given):
        complain(
            here,
            f"the field `{name}` needs either `from` or `value`",
            "from: a column or a template; value: a constant",
        )
        return None
    cast = _cast(here, shape, complain)
    if "value" in given:
        if cast is not None:
            complain(here, "a constant needs no type", "write the value as it is")
            return None
        return FieldSpec(FieldKind.CONSTANT, shape.value)
    return text_field(shape.from_ or "", cast)


def text_field(text: str, cast: Cast | None) -> FieldSpec:
    """A column, or a template when the text has braces."""
    kind = FieldKind.TEMPLATE if "{{" in text or "{%" in text else FieldKind.COLUMN
    return FieldSpec(kind, text, cast)


def _cast(here: tuple[str, ...], shape: FieldShape, complain: Complain) -> Cast | None:
    extras = [
        (shape.format, "format", "date"),
        (shape.separator, "separator", "list"),
        (shape.decimal, "decimal", "decimal"),
    ]
    for value, option, kind in extras:
        if value is not None and shape.type != kind:
            complain(
                (*here, option),
                f"`{option}` goes with `type: {kind}`",
                f"add `type: {kind}`, or leave `{option}` out",
            )
            return None
    if shape.type is None:
        return None
    formats = (shape.format,) if isinstance(shape.format, str) else tuple(shape.format or ())
    for pattern in formats:
        try:
            datetime.strptime(datetime(2001, 2, 3, tzinfo=UTC).strftime(pattern), pattern)
        except ValueError:
            complain(
                (*here, "format"),
                f"{pattern!r} is not a date pattern",
                "such as %d/%m/%Y or %Y-%m-%d %H:%M:%S",
            )
    return Cast(shape.type, formats, shape.separator, shape.decimal or ".")


def build_limit(value: Any, path: tuple[str, ...], complain: Complain) -> Limit | None:
    """A limit such as 5% or 200."""
    if value is None:
        return None
    percent = isinstance(value, str) and value.strip().endswith("%")
    try:
        number = float(str(value).strip().removesuffix("%"))
    except ValueError:
        number = -1
    if number < 0 or (percent and number > 100):
        complain(
            path,
            f"`{path[-1]}` must be a share or a number of rows",
            "write 5% or 200",
            f"{path[-1]}: {value}",
        )
        return None
    return Limit(number, percent)


def build_schedule(given: ScheduleShape | None, complain: Complain) -> ScheduleSpec | None:
    """When a spec is due."""
    if given is None:
        return None
    from zoneinfo import ZoneInfo

    from cronsim import CronSim, CronSimError

    try:
        CronSim(given.cron, datetime.now(UTC))
    except CronSimError as error:
        complain(
            ("schedule", "cron"),
            f"`cron` is not a schedule: {str(error).lower()}",
            "five fields: minute hour day month weekday, such as 30 6 * * 1-5",
            f"cron: {given.cron}",
        )
    try:
        ZoneInfo(given.timezone)
    except (KeyError, ValueError, OSError):
        from zoneinfo import available_timezones

        complain(
            ("schedule", "timezone"),
            f"there is no timezone {given.timezone!r}",
            did_you_mean(given.timezone, sorted(available_timezones())),
        )
    seconds = None
    if given.deadline is not None:
        seconds = seconds_of(given.deadline)
        if seconds is None:
            complain(("schedule", "deadline"), "`deadline` is not a duration", "20m, 1h or 90s")
    return ScheduleSpec(given.cron, given.timezone, None if seconds is None else float(seconds))


def build_contact_fields(
    shape: ContactFieldsShape, spec: Document, problems: list[Diagnostic]
) -> list[ContactFieldSpec]:
    """The contact fields of a spec, checked by the rules of POST /contact-fields/ (3.2)."""
    result = []
    for index, field in enumerate(shape.fields):
        place = nearest(spec.positions, ("fields", index), spec.file)
        for message, hint in _field_problems(field):
            problems.append(Diagnostic(message=f"{field.id}: {message}", position=place, hint=hint))
        result.append(
            ContactFieldSpec(
                **{
                    name: getattr(field, name)
                    for name in (
                        "id", "name", "type", "required", "default", "default_country_code",
                        "max_length", "min_value", "max_value",
                    )
                },
                min_date=_moment(field.min_date),
                max_date=_moment(field.max_date),
                options=tuple({"id": o.id, "label": o.label} for o in field.options),
                position=place,
            )
        )  # fmt: skip
    return result


def _moment(text: str | None) -> str | None:
    """A day or a moment as the API takes it: UTC, ISO 8601 (3.2). What is no date stays as it is."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    found = found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_date(text: str | None) -> bool:
    try:
        return text is None or bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def _field_problems(field: ContactFieldShape) -> list[tuple[str, str]]:
    choice = field.type in {"checkbox", "radio"}
    number = field.type in {"integer", "decimal"}
    ids = [o.id for o in field.options]
    rules = [
        (field.id == "id", "the word `id` is reserved", "choose another id"),
        (field.id.startswith("_"), "ids with _ are Connectif's own", "choose another id"),
        (choice and not ids, f"a {field.type} field needs options", "options: [{id: a, label: A}]"),
        (bool(ids) and not choice, "only checkbox and radio fields have options", "leave them out"),
        (len(set(ids)) < len(ids), "two options have the same id", "give each its own"),
        (field.type == "phone" and not field.default_country_code,
         "a phone field needs default_country_code", 'default_country_code: "34"'),
        (field.type != "phone" and field.default_country_code is not None,
         "only phone fields have default_country_code", "leave it out"),
        (field.type != "text" and field.max_length is not None,
         "only text fields have max_length", "leave it out"),
        (not number and (field.min_value is not None or field.max_value is not None),
         "only integer and decimal fields have min_value and max_value", "leave them out"),
        (field.type != "date" and (field.min_date is not None or field.max_date is not None),
         "only date fields have min_date and max_date", "leave them out"),
        (not _is_date(field.min_date) or not _is_date(field.max_date),
         "min_date and max_date must be dates", 'min_date: "1900-01-01"'),
        (_is_date(field.min_date) and _is_date(field.max_date) and field.min_date is not None
         and field.max_date is not None
         and str(_moment(field.max_date)) < str(_moment(field.min_date)),
         "max_date is before min_date", "correct one of them"),
        (field.required and field.default is None,
         "a required field needs a default", "default: …"),
        (field.required and field.type in {"phone", "email"},
         f"a {field.type} field cannot be required by this API", "required: false"),
        (not field.required and field.type in {"checkbox", "boolean"},
         f"a {field.type} field is always required", "required: true, with a default"),
        (field.type == "radio" and field.default is not None and field.default not in ids,
         "the default must be the id of an option", f"one of: {', '.join(ids)}"),
        (field.min_value is not None and field.max_value is not None
         and field.max_value < field.min_value,
         "max_value is less than min_value", "correct one of them"),
    ]  # fmt: skip
    return [(message, hint) for wrong, message, hint in rules if wrong]
