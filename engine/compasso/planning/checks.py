"""JSON Schema twice: as SQL checks for all rows, and as `jsonschema` for one value.

Both roads give the same verdict (a property test holds them together). A keyword that SQL
cannot express leaves the field to the judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from compasso.mapping.quoting import quote_text
from compasso.model import FieldType

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
}
_FORMAT_WORDS = {
    "email": "is not an e-mail address",
    "uri": "is not a web address (http:// or https://)",
    "date-time": "is not a date",
}
# Keywords that only describe: they have no verdict.
_SILENT = {"description", "title", "type", "readOnly", "default", "examples", "$comment"}
_LENGTHS = {"minLength": ">=", "maxLength": "<=", "minItems": ">=", "maxItems": "<="}
_BOUNDS = {"minimum": ">=", "maximum": "<=", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of one field: `sql` is true when the (not null) value keeps it."""

    rule: str
    sql: str


def compile_checks(schema: Mapping[str, Any], kind: FieldType, column: str) -> list[Check] | None:
    """The field's schema as checks over a column of its SQL type; None: ask the judge."""
    checks = []
    if kind is FieldType.DECIMAL:
        checks.append(Check("type", f"isfinite({column})"))
    for keyword, value in schema.items():
        if keyword in _SILENT or keyword.startswith("x-"):
            continue
        sql = _keyword(keyword, value, kind, column)
        if sql is None:
            return None
        if sql:
            checks.append(Check(keyword, sql))
    return checks


def _keyword(keyword: str, value: Any, kind: FieldType, column: str) -> str | None:
    """The SQL of one keyword: '' when it cannot fail for this type, None when unknown."""
    if kind is FieldType.LIST:
        return _list_keyword(keyword, value, column)
    if kind in {FieldType.TEXT, FieldType.DATE}:
        return _text_keyword(keyword, value, column)
    if kind in {FieldType.INTEGER, FieldType.DECIMAL} and keyword in _BOUNDS:
        return f"{column} {_BOUNDS[keyword]} {value!r}"
    return None


def _text_keyword(keyword: str, value: Any, column: str) -> str | None:
    if keyword == "enum" and all(isinstance(v, str) for v in value):
        return f"{column} IN ({', '.join(map(quote_text, value))})" if value else "false"
    if keyword == "pattern":
        return f"regexp_matches({column}, {quote_text(value)})"
    if keyword == "format" and value in FORMATS:
        return _format(value, column)
    if keyword in {"minLength", "maxLength"}:
        return f"length({column}) {_LENGTHS[keyword]} {int(value)}"
    return None


def _list_keyword(keyword: str, value: Any, column: str) -> str | None:
    if keyword in {"minItems", "maxItems"}:
        return f"len({column}) {_LENGTHS[keyword]} {int(value)}"
    if keyword == "uniqueItems":
        return f"len(list_distinct({column})) = len({column})" if value else ""
    if keyword == "items":
        inner = compile_checks(value, FieldType.TEXT, "item")
        if inner is None:
            return None
        kept = " AND ".join(f"({c.sql})" for c in inner) or "true"
        return f"len(list_filter({column}, lambda item: NOT (item IS NOT NULL AND {kept}))) = 0"
    return None


def _format(name: str, column: str) -> str:
    matched = f"regexp_full_match({column}, {quote_text(FORMATS[name])})"
    if name == "date-time":  # the pattern lets 31 February through
        return f"({matched} AND try_cast(left({column}, 10) AS DATE) IS NOT NULL)"
    return matched


def failed_rules(schema: Mapping[str, Any], value: Any) -> list[str]:
    """The rules that a value breaks, by `jsonschema`, in the order of the schema's keywords."""
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

    # ECMA 262, which JSON Schema's patterns are written in, ends a text at `$`; Python's `$`
    # also stops before a last line feed.
    def pattern(_validator: Any, wanted: str, value: Any, _schema: Any) -> Any:
        if isinstance(value, str) and not re.search(wanted.replace("$", r"\Z"), value):
            yield ValidationError(f"does not match {wanted}")

    extend: Any = validators.extend
    judge: Validator = extend(Draft202012Validator, {"pattern": pattern})(
        json.loads(text), format_checker=checker
    )
    return judge


def _matches(name: str, value: object) -> bool:
    if not isinstance(value, str):
        return True
    if re.fullmatch(FORMATS[name], value) is None:
        return False
    if name == "date-time":
        try:
            datetime.strptime(value[:10], "%Y-%m-%d")
        except ValueError:
            return False
    return True


def explain(rule: str, schema: Mapping[str, Any]) -> str:
    """The rule in words that fit behind "the value …"."""
    wanted = schema.get(rule)
    words = {
        "required": "is missing",
        "key": "is missing, and it is the key",
        "type": f"is not of the type {schema.get('type')}",
        "enum": f"must be one of: {', '.join(map(str, wanted or ()))}" if rule == "enum" else "",
        "format": _FORMAT_WORDS.get(str(wanted), f"is not a {wanted}"),
        "pattern": _pattern_words(schema),
        "minLength": f"must have at least {wanted} characters",
        "maxLength": f"must have at most {wanted} characters",
        "minimum": f"must be at least {wanted}",
        "maximum": f"must be at most {wanted}",
        "exclusiveMinimum": f"must be more than {wanted}",
        "exclusiveMaximum": f"must be less than {wanted}",
        "minItems": f"must have at least {wanted} items",
        "maxItems": f"must have at most {wanted} items",
        "uniqueItems": "has an item twice",
        "items": "has an item that is not allowed",
    }
    return words.get(rule, rule)


def _pattern_words(schema: Mapping[str, Any]) -> str:
    if str(schema.get("pattern", "")).startswith(r"^\+"):
        return "is not a phone number in international form, such as +34600111222"
    return f"does not have the form {schema.get('pattern')}"
