"""Jinja's answers in the type of their field: their own type is only known row by row."""

from __future__ import annotations

from compasso.mapping.casts import CAST_TYPES, Typed, cast_text
from compasso.mapping.quoting import quote_text
from compasso.model import SQL_TYPES, FieldType
from compasso.spec import Cast

_ACCEPTED = {
    FieldType.TEXT: ("text",),
    FieldType.INTEGER: ("integer",),
    FieldType.DECIMAL: ("decimal", "integer"),
    FieldType.BOOLEAN: ("boolean",),
    FieldType.DATE: ("date", "text"),
    FieldType.LIST: ("list",),
    FieldType.JSON: ("json", "list", "text"),
}
_LISTED = "from_json({}, '[\"VARCHAR\"]')"


def answered(table: str, cast: Cast | None, final: FieldType) -> Typed:
    """The value and error of a lookup's answer."""
    value, given = f"{table}.value", f"{table}.kind"
    if cast is not None:
        inner = cast
        if CAST_TYPES[cast.type] is not final:
            inner = Cast(final.value, cast.formats, cast.separator, cast.decimal)
        typed = _from_kinds(value, given, inner)
        return Typed(typed.sql, f"coalesce({table}.error, {typed.error or 'NULL'})")
    fits = f"{given} IN ({', '.join(map(quote_text, _ACCEPTED[final]))})"
    if final is FieldType.DATE:
        typed = cast_text(value, Cast("date"))
    elif final is FieldType.JSON:
        typed = cast_text(value, Cast("json"))
    elif final is FieldType.LIST:
        typed = Typed(_LISTED.format(value))
    elif final is FieldType.INTEGER:
        number = f"try_cast({value} AS BIGINT)"
        typed = Typed(number, f"CASE WHEN {number} IS NULL THEN 'is too large' END")
    else:
        typed = Typed(f"try_cast({value} AS {SQL_TYPES[final]})")
    wrong = (
        f"CASE WHEN {given} <> 'none' AND NOT {fits} "
        f"THEN 'is of the type ' || {given} || '; it must be {final}' END"
    )
    inside = f"CASE WHEN {fits} THEN {typed.error or 'NULL'} END"
    return Typed(
        f"CASE WHEN {fits} THEN {typed.sql} END", f"coalesce({table}.error, {wrong}, {inside})"
    )


def _from_kinds(value: str, given: str, cast: Cast) -> Typed:
    """A cast of an answer: what already has the type stays, the rest is cast from its text."""
    as_python = (
        f"(CASE WHEN {given} = 'boolean' THEN upper(left({value}, 1)) || substr({value}, 2) "
        f"ELSE {value} END)"
    )
    if cast.type == "list":
        listed = f"CASE WHEN {given} = 'list' THEN {_LISTED.format(value)}"
        return Typed(f"{listed} ELSE {cast_text(as_python, cast).sql} END")
    if cast.type == "text":
        return Typed(as_python)
    plain = Cast(cast.type, (), cast.separator)
    if cast.type == "decimal" and cast.decimal == ",":
        return _by_kind(f"{given} IN ('integer', 'decimal')", value, plain, cast)
    if cast.type == "date" and cast.formats:
        return _by_kind(f"{given} = 'date'", value, plain, cast)
    return cast_text(value, cast)


def _by_kind(test: str, value: str, yes: Cast, no: Cast) -> Typed:
    first, second = cast_text(value, yes), cast_text(value, no)
    return Typed(
        f"CASE WHEN {test} THEN {first.sql} ELSE {second.sql} END",
        f"CASE WHEN {test} THEN {first.error} ELSE {second.error} END",
    )
