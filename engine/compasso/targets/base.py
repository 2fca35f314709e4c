"""What every target is made of: its fields, read from the schema, and how a change is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from compasso.model import ApiCall, Change, FieldType, Json
from compasso.schemas import load_schema

_TYPES = {
    "string": FieldType.TEXT,
    "integer": FieldType.INTEGER,
    "number": FieldType.DECIMAL,
    "boolean": FieldType.BOOLEAN,
    "object": FieldType.JSON,
}


EVENT_KEY = "(event)"  # no field of the account can have this name


@dataclass(frozen=True, slots=True)
class TargetField:
    """One field of a target's records."""

    name: str
    type: FieldType
    schema: Mapping[str, Any]
    read_only: bool = False
    sensitive: bool = False
    # A cell of this field may not be empty in an import file (documented for phone, date,
    # integer, decimal and radio fields of contacts; a guess for products).
    import_typed: bool = False


class Delivery(StrEnum):
    """What may be done when the answer to a POST of this target is lost.

    PATCH and DELETE can be sent again whatever the target says (API facts: 9.6).
    """

    REPEATABLE = "repeatable"  # the same request twice is one: sent again
    ONCE = "once"  # looked up (`Target.look_up`), and sent again only if it is not there
    AT_MOST_ONCE = "at_most_once"  # never sent again: it may be lost
    AT_LEAST_ONCE = "at_least_once"  # sent again: it may be there twice


@dataclass(frozen=True, slots=True)
class LineTotals:
    """The field of a record that is a list of lines, and the totals that its lines add up to.

    `price` and `count` are pairs: the field of a line, the field of the record.
    """

    field: str
    price: tuple[str, str]
    count: tuple[str, str]


@dataclass(frozen=True)
class Target:
    """One kind of Connectif record.

    `rank` orders targets in a plan (lower goes first). `call` builds the request for a change
    of one record whose key field is the second argument. `import_type` is the `type` of
    POST /imports/, or None where no import exists; `import_required` are the columns that
    every import file must fill. `retired` are the fields that put a record out of sight.
    """

    name: str
    label: str  # one record, in words: "contact"
    rank: int
    keys: tuple[str, ...]  # the fields that can identify a record; the first is the default
    schema: Mapping[str, Any]
    fields: Mapping[str, TargetField]
    call: Callable[[Change, str], ApiCall] = field(repr=False)
    delivery: Delivery = Delivery.REPEATABLE
    # The call that deletes a record which is then made anew, for a target without changes.
    removal: Callable[[Change], ApiCall] = field(default=lambda c: ApiCall("", c.key), repr=False)
    # The call that tells whether a create happened already: 2xx with the record, or 404.
    look_up: Callable[[Change], ApiCall] | None = field(default=None, repr=False)
    # The call that reads a record, from its key and its key field: 2xx with the record, or 404.
    read: Callable[[str, str], ApiCall] | None = field(default=None, repr=False)
    # Which fields of the change the record that was looked up does not have as wanted.
    differing: Callable[[Change, Mapping[str, Any]], Sequence[str]] = field(
        default=lambda change, record: [
            name for name, value in change.fields.items() if record.get(name) != value
        ],
        repr=False,
    )
    import_type: str | None = None
    import_required: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    retired: Mapping[str, Json] | None = None
    open_fields: bool = False  # the account may define more fields
    any_of: tuple[str, ...] = ()  # of these fields every record needs at least one
    can_update: bool = True
    # The API may make a second record of one key, and delete one that was just made anew.
    may_double: bool = False
    requests_a_change: int = 1  # 2: a change is a delete and a create
    lines: LineTotals | None = None
    # The record among what the look-up answered, where that is a list.
    pick: Callable[[Change, Mapping[str, Any]], Mapping[str, Any] | None] = field(
        default=lambda change, body: body, repr=False
    )
    # Which fields say whose record it is, and how: "email" or "external_id".
    person: Mapping[str, str] = field(default_factory=dict)
    composed_key: bool = False  # its key, EVENT_KEY, is made of the fields that `key:` names
    max_bytes: int | None = None  # of one record
    # Two keys that differ only in case or outer blanks are one record (a guess for e-mail).
    folded_keys: frozenset[str] = frozenset()
    # How dates stand in an import file: a strftime pattern.
    import_date: str = "%Y-%m-%d"
    spec_kind: str = "sync"  # the kind of spec that writes it

    @property
    def default_key(self) -> str:
        """The field that identifies a record when the spec does not say."""
        return self.keys[0]

    def with_fields(self, extra: Iterable[TargetField]) -> Target:
        """The same target that also knows the account's own fields."""
        return replace(self, fields={**self.fields, **{f.name: f for f in extra}})


def field_type(schema: Mapping[str, Any]) -> FieldType:
    """The type of a field from its JSON Schema."""
    if schema.get("format") == "date-time":
        return FieldType.DATE
    if schema.get("type") == "array":
        return FieldType.LIST if schema["items"].get("type") == "string" else FieldType.JSON
    return _TYPES.get(schema.get("type", "object"), FieldType.JSON)


def schema_fields(name: str) -> dict[str, TargetField]:
    """The fields of the schema called `name`, in the order of the file."""
    fields = {}
    for field_name, schema in load_schema(name)["properties"].items():
        fields[field_name] = TargetField(
            name=field_name,
            type=field_type(schema),
            schema=schema,
            read_only=schema.get("readOnly", False),
            sensitive=schema.get("x-compasso-sensitive", False),
            import_typed=schema.get("x-compasso-import") == "typed",
        )
    return fields


def line_fields(target: Target) -> dict[str, TargetField]:
    """The fields of a line of the target's records, by the schema of its list."""
    if target.lines is None:
        return {}
    items = target.fields[target.lines.field].schema["items"]
    return {
        name: TargetField(name=name, type=field_type(schema), schema=schema)
        for name, schema in items["properties"].items()
    }


def custom_fields(definitions: Iterable[Mapping[str, Any]]) -> list[TargetField]:
    """Contact fields from their definitions (the bodies of POST /contact-fields/)."""
    return [_custom_field(d) for d in definitions]


def _custom_field(definition: Mapping[str, Any]) -> TargetField:
    kind = definition["type"]
    options = [option["id"] for option in definition.get("options") or ()]
    schema: dict[str, Any] = {"type": "string"}
    if kind == "integer":
        schema = {"type": "integer"}
    elif kind == "decimal":
        schema = {"type": "number"}
    elif kind == "boolean":
        schema = {"type": "boolean"}
    elif kind == "checkbox":
        schema = {
            "type": "array",
            "items": {"type": "string", "enum": options},
            "uniqueItems": True,
        }
    elif kind == "radio":
        schema["enum"] = options
    elif kind == "date":
        schema["format"] = "date-time"
    elif kind == "email":
        schema["format"] = "email"
    elif kind == "phone":
        schema["pattern"] = r"^\+[1-9][0-9]{4,14}$"
    for source, keyword in (
        ("maxLength", "maxLength"),
        ("minValue", "minimum"),
        ("maxValue", "maximum"),
        ("minDate", "formatMinimum"),
        ("maxDate", "formatMaximum"),
    ):
        if definition.get(source) is not None:
            schema[keyword] = definition[source]
    return TargetField(
        name=definition["id"],
        type=field_type(schema),
        schema=schema,
        sensitive=kind in {"email", "phone"},
        import_typed=kind in {"phone", "date", "integer", "decimal", "radio"},
    )
