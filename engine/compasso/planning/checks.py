"""JSON Schema twice: as SQL checks for all rows, and as `jsonschema` for one value.

Both roads give the same verdict (a property test holds them together). A keyword that SQL
cannot express leaves the field to the judge. To add a keyword: an entry in `_COMPILED`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from compasso.mapping.quoting import quote_text
from compasso.model import FieldType
from compasso.planning.patterns import in_python, portable

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

# Written in the syntax that Python's re and DuckDB's RE2 share; matched against the whole text.
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM = r"[^\x00-\x20\x7f@\"(),:;<>\[\]\\.]+"
_DAY = "(?:0[1-9]|[12][0-9]|3[01])"
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
FORMATS: Mapping[str, str] = {
    "email": rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?:[A-Za-z]{{2,63}}|xn--[A-Za-z0-9-]{{1,59}})",
    "uri": r"https?://[^\x00-\x20/?#\x7f]+[^\x00-\x20\x7f]*",
    "date-time": rf"[1-9][0-9]{{3}}-(?:0[1-9]|1[0-2])-{_DAY}T{_TIME}"
    r"(?:\.[0-9]{1,6})?(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])",
    "date": rf"[1-9][0-9]{{3}}-(?:0[1-9]|1[0-2])-{_DAY}",
    "uuid": "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "ipv4": r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}"
    "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])",
    "hostname": rf"(?:{_LABEL}\.)*{_LABEL}",
}
_DATES = {"date", "date-time"}
_FORMAT_WORDS = {
    "email": "is not an e-mail address",
    "uri": "is not a web address (http:// or https://)",
    "date-time": "is not a date",
    "date": "is not a date",
    "ipv4": "is not an IP address",
    "hostname": "is not a host's name",
}
_LENGTHS = {"minLength": ">=", "maxLength": "<=", "minItems": ">=", "maxItems": "<="}
_BOUNDS = {"minimum": ">=", "maximum": "<=", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
_MOMENTS = {"formatMinimum": ">=", "formatMaximum": "<="}
_TEXTS = {FieldType.TEXT, FieldType.DATE}
_NUMBERS = {FieldType.INTEGER, FieldType.DECIMAL}
_TYPE_NAMES = {
    FieldType.TEXT: ("string",),
    FieldType.DATE: ("string",),
    FieldType.INTEGER: ("integer", "number"),
    FieldType.DECIMAL: ("number",),
    FieldType.BOOLEAN: ("boolean",),
    FieldType.LIST: ("array",),
}
_JSON_TYPES = {
    "array": ("ARRAY",),
    "object": ("OBJECT",),
    "string": ("VARCHAR",),
    "boolean": ("BOOLEAN",),
    "number": ("BIGINT", "UBIGINT", "DOUBLE", "HUGEINT"),
    "null": ("NULL",),
}
# Integers that a DOUBLE holds exactly.
_EXACT = 2**53
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of one field: `sql` is true when the (not null) value keeps it."""

    rule: str
    sql: str


class _Unknown(Exception):  # noqa: N818 - a signal, not an error
    """SQL cannot express this."""


def compile_checks(schema: Mapping[str, Any], kind: FieldType, column: str) -> list[Check] | None:
    """The field's schema as checks over a column of its SQL type; None: ask the judge."""
    checks = []
    if kind is FieldType.DECIMAL:
        checks.append(Check("type", f"isfinite({column})"))
    try:
        for rule, sql in _rules(schema, kind, column):
            if kind is FieldType.DECIMAL:  # what is no number breaks that rule alone
                sql = f"(NOT isfinite({column}) OR {sql})"  # noqa: PLW2901
            checks.append(Check(rule, sql))
    except _Unknown:
        return None
    return checks


def _rules(schema: Any, kind: FieldType, column: str) -> list[tuple[str, str]]:
    """The keywords that could fail, with their SQL. Raises _Unknown."""
    if not isinstance(schema, Mapping):
        raise _Unknown
    if kind is FieldType.JSON and set(schema) & (_judged() - {"type"}):
        raise _Unknown
    found = []
    for keyword, value in schema.items():
        if keyword in {"if", "then", "else"}:
            continue
        compiled = _COMPILED.get(keyword)
        if compiled is None:
            if keyword in _judged():
                raise _Unknown
            continue  # it only describes: it has no verdict
        kinds, write = compiled
        if kind in kinds:
            sql = write(keyword, value, kind, column)
            if sql != "true":
                found.append((keyword, sql))
    return found + (_conditional(schema, kind, column) if "if" in schema else [])


@cache
def _judged() -> frozenset[str]:
    """The keywords that have a verdict."""
    from jsonschema import Draft202012Validator

    return frozenset({*Draft202012Validator.VALIDATORS, *_COMPILED, "if"})


def _all(schema: Any, kind: FieldType, column: str) -> str:
    """The SQL of a value's keeping a whole schema."""
    if isinstance(schema, bool):
        return str(schema).lower()
    return " AND ".join(f"({sql})" for _, sql in _rules(schema, kind, column)) or "true"


def _type(_keyword: str, value: Any, kind: FieldType, column: str) -> str:
    named = [value] if isinstance(value, str) else list(value)
    if kind is FieldType.JSON:
        kinds = [quote_text(sql) for name in named for sql in _JSON_TYPES.get(name, ())]
        return f"json_type({column}) IN ({', '.join(kinds)})" if kinds else "false"
    if set(named) & set(_TYPE_NAMES[kind]):
        return "true"
    if kind is FieldType.DECIMAL and "integer" in named:  # 2.0 is an integer
        return f"{column} = trunc({column})"
    return "false"


def _enum(_keyword: str, value: Any, kind: FieldType, column: str) -> str:
    items = [sql for item in value if (sql := _constant(item, kind)) is not None]
    return f"{column} IN ({', '.join(items)})" if items else "false"


def _const(keyword: str, value: Any, kind: FieldType, column: str) -> str:
    return _enum(keyword, [value], kind, column)


def _constant(value: Any, kind: FieldType) -> str | None:
    """A constant in the field's type; None: no value of that type equals it."""
    if kind in _TEXTS:
        if isinstance(value, str) and "\0" in value:
            raise _Unknown
        return quote_text(value) if isinstance(value, str) else None
    if kind is FieldType.LIST:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            return None
        return f"[{', '.join(_constant(item, FieldType.TEXT) or '' for item in value)}]::VARCHAR[]"
    if kind is FieldType.BOOLEAN:
        return str(value).lower() if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if kind is FieldType.INTEGER:
        whole = isinstance(value, int) or value.is_integer()
        fits = whole and abs(value) <= _LARGEST
        return f"({int(value)})::BIGINT" if fits else None
    return _double(value)


def _double(value: float) -> str:
    if isinstance(value, int) and abs(value) > _EXACT:
        raise _Unknown
    if not math.isfinite(value):
        raise _Unknown
    return f"({float(value)!r})::DOUBLE"


def _length(keyword: str, value: Any, kind: FieldType, column: str) -> str:
    return f"length({column}) {_LENGTHS[keyword]} {_size(value)}"


def _size(value: Any) -> int:
    if value != int(value) or value < 0:
        raise _Unknown
    return int(value)


def _pattern(_keyword: str, value: Any, kind: FieldType, column: str) -> str:
    pattern = portable(value)
    if pattern is None:
        raise _Unknown
    return f"regexp_matches({column}, {quote_text(pattern)})"


def _format(_keyword: str, value: Any, kind: FieldType, column: str) -> str:
    if value not in FORMATS:
        return "true"  # the judge knows no others either
    matched = f"regexp_full_match({column}, {quote_text(FORMATS[value])})"
    if value in _DATES:  # the pattern lets 31 February through
        return f"({matched} AND try_cast(left({column}, 10) AS DATE) IS NOT NULL)"
    if value == "hostname":
        return f"({matched} AND length({column}) <= 253)"
    return matched


def _moment(keyword: str, value: Any, kind: FieldType, column: str) -> str:
    limit = moment_of(value)
    if limit is None:
        raise _Unknown
    at = f"epoch_us(TIMESTAMPTZ '{limit.isoformat()}')"
    # A value that is no date breaks its format, not this.
    good = _format("format", "date-time", kind, column)
    value_at = f"epoch_us(try_cast({column} AS TIMESTAMPTZ))"
    return f"(CASE WHEN {good} THEN {value_at} {_MOMENTS[keyword]} {at} ELSE true END)"


def _bound(keyword: str, value: Any, kind: FieldType, column: str) -> str:
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise _Unknown
    operator = _BOUNDS[keyword]
    if kind is FieldType.DECIMAL:
        return f"{column} {operator} {_double(value)}"
    # For integers the nearest integer says the same, and exactly.
    upward = keyword in {"minimum", "exclusiveMaximum"}
    limit = math.ceil(value) if upward else math.floor(value)
    if abs(limit) > _LARGEST:
        return str((operator[0] == ">") == (limit < 0)).lower()
    return f"{column} {operator} ({limit})::BIGINT"


def _multiple(_keyword: str, value: Any, kind: FieldType, column: str) -> str:
    if isinstance(value, bool) or value <= 0:
        raise _Unknown
    if kind is FieldType.INTEGER and isinstance(value, int):
        return f"{column} % ({value})::BIGINT = 0" if value <= _LARGEST else f"{column} = 0"
    if isinstance(value, int):
        return f"fmod({column}, {_double(value)}) = 0"
    quotient = f"({column}::DOUBLE / {_double(value)})"
    return f"(isfinite({quotient}) AND {quotient} = trunc({quotient}))"


def _count(keyword: str, value: Any, kind: FieldType, column: str) -> str:
    return f"len({column}) {_LENGTHS[keyword]} {_size(value)}"


def _unique(_keyword: str, value: Any, kind: FieldType, column: str) -> str:
    return f"len(list_distinct({column})) = len({column})" if value else "true"


def _items(_keyword: str, value: Any, kind: FieldType, column: str) -> str:
    kept = _all(value, FieldType.TEXT, "item")
    if kept == "true":
        return "true"
    return f"len(list_filter({column}, lambda item: NOT (item IS NOT NULL AND {kept}))) = 0"


def _all_of(_keyword: str, value: Any, kind: FieldType, column: str) -> str:
    return " AND ".join(f"({_all(part, kind, column)})" for part in value)


def _any_of(_keyword: str, value: Any, kind: FieldType, column: str) -> str:
    return f"({' OR '.join(f'({_all(part, kind, column)})' for part in value)})"


def _one_of(_keyword: str, value: Any, kind: FieldType, column: str) -> str:
    return f"({' + '.join(f'({_all(part, kind, column)})::INTEGER' for part in value)}) = 1"


def _not(_keyword: str, value: Any, kind: FieldType, column: str) -> str:
    return f"NOT ({_all(value, kind, column)})"


def _conditional(schema: Mapping[str, Any], kind: FieldType, column: str) -> list[tuple[str, str]]:
    test = _all(schema["if"], kind, column)
    found = []
    for keyword, applies in (("then", test), ("else", f"NOT ({test})")):
        if keyword in schema:
            kept = _all(schema[keyword], kind, column)
            found.append((keyword, f"(CASE WHEN {applies} THEN {kept} ELSE true END)"))
    return found


_Writer = Callable[[str, Any, FieldType, str], str]
_SCALARS = {*_TEXTS, *_NUMBERS, FieldType.BOOLEAN}
_EVERY = {*_SCALARS, FieldType.LIST}
_LISTS = {FieldType.LIST}
# Each keyword: the types for which it can fail (it says nothing of others), and its SQL.
_COMPILED: Mapping[str, tuple[set[FieldType], _Writer]] = {
    "type": ({*_EVERY, FieldType.JSON}, _type),
    "enum": (_EVERY, _enum),
    "const": (_EVERY, _const),
    "minLength": (_TEXTS, _length),
    "maxLength": (_TEXTS, _length),
    "pattern": (_TEXTS, _pattern),
    "format": (_TEXTS, _format),
    "formatMinimum": (_TEXTS, _moment),
    "formatMaximum": (_TEXTS, _moment),
    "minimum": (_NUMBERS, _bound),
    "maximum": (_NUMBERS, _bound),
    "exclusiveMinimum": (_NUMBERS, _bound),
    "exclusiveMaximum": (_NUMBERS, _bound),
    "multipleOf": (_NUMBERS, _multiple),
    "minItems": (_LISTS, _count),
    "maxItems": (_LISTS, _count),
    "uniqueItems": (_LISTS, _unique),
    "items": (_LISTS, _items),
    "allOf": (_EVERY, _all_of),
    "anyOf": (_EVERY, _any_of),
    "oneOf": (_EVERY, _one_of),
    "not": (_EVERY, _not),
}


def moment_of(text: str) -> datetime | None:
    """A date-time of our format as a moment; None for anything else."""
    if not _matches("date-time", text):
        return None
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def failed_rules(schema: Mapping[str, Any], value: Any) -> list[str]:
    """The rules that a value breaks, by `jsonschema`, in the order of the schema's keywords."""
    if isinstance(value, float) and not math.isfinite(value):
        return ["type"]  # JSON has no such number
    validator = _validator(json.dumps(schema, sort_keys=False))
    broken = {str(error.absolute_schema_path[0]) for error in validator.iter_errors(value)}
    order = {"type": -1, **{keyword: i for i, keyword in enumerate(schema)}}
    return sorted(broken, key=lambda rule: order.get(rule, 99))


@cache
def _validator(text: str) -> Validator:
    from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

    checker = FormatChecker(formats=())
    for name in FORMATS:
        checker.checks(name)(lambda value, name=name: _matches(name, value))

    # JSON Schema's patterns are written in ECMA 262.
    def pattern(_validator: Any, wanted: str, value: Any, _schema: Any) -> Any:
        if isinstance(value, str) and not re.search(in_python(wanted), value):
            yield ValidationError(f"does not match {wanted}")

    def multiple(_validator: Any, divisor: Any, value: Any, _schema: Any) -> Any:
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        if numeric and not _is_multiple(value, divisor):
            yield ValidationError(f"is not a multiple of {divisor}")

    # ajv's keywords for dates, which JSON Schema itself lacks.
    def limit(keyword: str) -> Any:
        def check(_validator: Any, wanted: str, value: Any, _schema: Any) -> Any:
            found = moment_of(value) if isinstance(value, str) else None
            bound = moment_of(wanted)
            if found is None or bound is None:
                return
            if (found < bound) if keyword == "formatMinimum" else (found > bound):
                yield ValidationError(f"breaks {keyword}")

        return check

    own = {"pattern": pattern, "multipleOf": multiple, **{k: limit(k) for k in _MOMENTS}}
    extend: Any = validators.extend
    judge: Validator = extend(Draft202012Validator, own)(json.loads(text), format_checker=checker)
    return judge


def _is_multiple(value: float, divisor: float) -> bool:
    """As jsonschema says, but for a quotient that is too large for a float: no multiple."""
    if isinstance(divisor, int):
        return value % divisor == 0
    quotient = value / divisor
    return math.isfinite(quotient) and quotient == int(quotient)


def _matches(name: str, value: object) -> bool:
    if not isinstance(value, str):
        return True
    if re.fullmatch(FORMATS[name], value) is None:
        return False
    if name in _DATES:
        try:
            datetime.strptime(value[:10], "%Y-%m-%d")
        except ValueError:
            return False
    return name != "hostname" or len(value) <= 253


def explain(rule: str, schema: Mapping[str, Any]) -> str:
    """The rule in words that fit behind "the value …"."""
    wanted = schema.get(rule)
    words = {
        "required": "is missing",
        "key": "is missing, and it is the key",
        "type": f"is not of the type {schema.get('type')}",
        "enum": f"must be one of: {_listed(wanted)}",
        "const": f"must be {wanted}",
        "format": _FORMAT_WORDS.get(str(wanted), f"is not a {wanted}"),
        "pattern": _pattern_words(schema),
        "minLength": f"must have at least {wanted} characters",
        "maxLength": f"must have at most {wanted} characters",
        "minimum": f"must be at least {wanted}",
        "maximum": f"must be at most {wanted}",
        "exclusiveMinimum": f"must be more than {wanted}",
        "exclusiveMaximum": f"must be less than {wanted}",
        "multipleOf": f"must be a multiple of {wanted}",
        "formatMinimum": f"must not be before {wanted}",
        "formatMaximum": f"must not be after {wanted}",
        "not": "is not allowed",
        "minItems": f"must have at least {wanted} items",
        "maxItems": f"must have at most {wanted} items",
        "uniqueItems": "has an item twice",
        "items": "has an item that is not allowed",
    }
    return words.get(rule, rule)


def _listed(wanted: Any) -> str:
    items: Sequence[Any] = wanted if isinstance(wanted, (list, tuple)) else ()
    return ", ".join(map(str, items))


def _pattern_words(schema: Mapping[str, Any]) -> str:
    if str(schema.get("pattern", "")).startswith(r"^\+"):
        return "is not a phone number in international form, such as +34600111222"
    return f"does not have the form {schema.get('pattern')}"
