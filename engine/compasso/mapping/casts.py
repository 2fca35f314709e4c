"""Casts: a value of a known type to the type of a field, as SQL with an error beside it."""

from __future__ import annotations

from dataclasses import dataclass

from compasso.mapping.quoting import quote_text
from compasso.mapping.sql import (
    BOOLEAN,
    DATE,
    DATES,
    DATETIME,
    DECIMAL,
    INTEGER,
    LIST,
    MOMENT,
    NONE,
    NUMBER,
    TEXT,
    NotCompiled,
    Sql,
    as_text,
)
from compasso.mapping.text import BLANKS
from compasso.mapping.text import trimmed as strip
from compasso.model import FieldType
from compasso.spec import Cast

TRUE_WORDS = ("true", "1", "yes", "y", "si", "sí", "sim", "s", "verdadero", "verdadeiro")
FALSE_WORDS = ("false", "0", "no", "n", "não", "nao", "falso")
_BLANKS = quote_text(BLANKS)
_ISO = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_DATE_FORM = "'%Y-%m-%dT%H:%M:%S.%gZ'"

# The type that a cast gives.
CAST_TYPES = {
    "text": FieldType.TEXT,
    "integer": FieldType.INTEGER,
    "decimal": FieldType.DECIMAL,
    "boolean": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "list": FieldType.LIST,
    "json": FieldType.JSON,
}
STATIC_TYPES = {
    TEXT: FieldType.TEXT,
    INTEGER: FieldType.INTEGER,
    DECIMAL: FieldType.DECIMAL,
    BOOLEAN: FieldType.BOOLEAN,
    NUMBER: FieldType.DECIMAL,
    LIST: FieldType.LIST,
    DATE: FieldType.DATE,
    DATETIME: FieldType.DATE,
    MOMENT: FieldType.DATE,
}


@dataclass(frozen=True, slots=True)
class Typed:
    """A value in its final SQL type. `error` is NULL, or says why the value is none."""

    sql: str
    error: str | None = None


class Misfit(Exception):  # noqa: N818 - it becomes a diagnostic
    """A value whose type can never be that of its field."""

    def __init__(self, message: str, cast: str | None) -> None:
        super().__init__(message)
        self.message = message
        self.cast = cast


def cast_value(value: Sql, cast: Cast) -> Typed:
    """Apply a cast. An empty text is none in every type but text. Raises NotCompiled."""
    if value.type == NONE:
        return Typed("NULL")
    same = STATIC_TYPES[value.type] is CAST_TYPES[cast.type]
    if value.type in DATES and same and not cast.formats:
        return Typed(_written(value.sql))
    if same and value.type not in {TEXT, *DATES}:
        return Typed(value.sql)
    if cast.type == "decimal" and value.type == INTEGER:
        return Typed(f"{value.sql}::DOUBLE")
    if cast.type == "json" and value.type == BOOLEAN:
        return Typed(f"{value.sql}::VARCHAR")
    text = as_text(value).sql
    if cast.type == "text":
        return Typed(text)
    if cast.type == "decimal" and value.type != TEXT:
        return cast_text(text, Cast("decimal"))
    return cast_text(text, cast)


def _written(sql: str) -> str:
    return f"strftime({sql}::TIMESTAMP, {_DATE_FORM})"


def cast_text(text: str, cast: Cast) -> Typed:
    """Apply a cast to the SQL of a text."""
    trimmed = f"({strip(text)})"
    if cast.type == "integer":
        test = f"regexp_full_match({trimmed}, '[+-]?[0-9]+')"
        return _checked(
            f"CASE WHEN {test} THEN try_cast({trimmed} AS BIGINT) END", trimmed, "an integer"
        )
    if cast.type == "decimal":
        number = f"replace({trimmed}, ',', '.')" if cast.decimal == "," else trimmed
        form = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
        if cast.decimal == ",":
            form = form.replace(r"\.", ",")
        test = f"regexp_full_match({trimmed}, {quote_text(form)})"
        return _checked(
            f"CASE WHEN {test} THEN try_cast({number} AS DOUBLE) END", trimmed, "a number"
        )
    if cast.type == "boolean":
        word = f"lower({trimmed})"
        sql = (
            f"CASE WHEN {word} IN ({', '.join(map(quote_text, TRUE_WORDS))}) THEN true "
            f"WHEN {word} IN ({', '.join(map(quote_text, FALSE_WORDS))}) THEN false END"
        )
        return _checked(sql, trimmed, "a yes or no")
    if cast.type == "date":
        return _checked(_date(trimmed, cast.formats), trimmed, "a date")
    if cast.type == "list":
        items = (
            f"list_filter(list_transform(string_split({text}, {quote_text(cast.separator or ',')}), "
            f"lambda i: trim(i, {_BLANKS})), lambda i: i <> '')"
        )
        return Typed(f"CASE WHEN {trimmed} <> '' THEN {items} END")
    return _checked(f"CASE WHEN json_valid({trimmed}) THEN {trimmed} END", trimmed, "JSON")


def _checked(sql: str, trimmed: str, what: str) -> Typed:
    error = f"CASE WHEN {trimmed} <> '' AND ({sql}) IS NULL THEN 'is not {what}' END"
    return Typed(sql, error)


def _date(text: str, formats: tuple[str, ...]) -> str:
    if formats:
        listed = ", ".join(map(quote_text, formats))
        # An exact form: the engine's own parser lets some digits be left out.
        return f"strftime(try_strptime({text}, [{listed}]), {_DATE_FORM})"
    zoned = f"regexp_matches({text}, '(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$')"
    # A time without a zone is taken as UTC. The cast of a zoned text gives the moment.
    moment = (
        f"CASE WHEN length({text}) > 10 AND {zoned} "
        f"THEN make_timestamp(epoch_us(try_cast({text} AS TIMESTAMPTZ))) "
        f"ELSE try_cast({text} AS TIMESTAMP) END"
    )
    # The common form first, without a regular expression: 2024-12-31.
    plain = (
        f"length({text}) = 10 AND {text}[5] = '-' AND {text}[8] = '-' "
        f"AND {text}[1] BETWEEN '0' AND '9' AND try_cast({text} AS DATE) IS NOT NULL"
    )
    return (
        f"CASE WHEN {plain} THEN {text} || 'T00:00:00.000Z' "
        f"WHEN regexp_full_match({text}, {quote_text(_ISO)}) "
        f"THEN strftime({moment}, {_DATE_FORM}) END"
    )


def fit(value: Sql, kind: FieldType, name: str) -> Typed:
    """A value without a cast in a field of this type. Raises Misfit and NotCompiled."""
    if value.type in DATES and kind is FieldType.DATE:
        return Typed(_written(value.sql))
    if value.type == NONE or STATIC_TYPES[value.type] is kind:
        return Typed(value.sql)
    if kind is FieldType.DECIMAL and value.type == INTEGER:
        return Typed(f"{value.sql}::DOUBLE")
    if kind is FieldType.DATE and value.type == TEXT:
        return cast_text(value.sql, Cast("date"))
    if kind is FieldType.JSON and value.type == TEXT:
        return cast_text(value.sql, Cast("json"))
    if (kind, value.type) in {(FieldType.INTEGER, NUMBER), (FieldType.JSON, LIST)}:
        raise NotCompiled(f"a {value.type} in a field of the type {kind}")
    given = STATIC_TYPES[value.type].value
    raise Misfit(f"`{name}` takes {_article(kind)}, and this gives {_article(given)}", kind.value)


def fit_column(sql: str, duck_type: str, kind: FieldType | None) -> tuple[Typed, FieldType] | None:
    """A bare column of a type that expressions do not know: lists, structs."""
    if (
        kind is FieldType.JSON
        or duck_type.startswith(("STRUCT", "MAP", "JSON"))
        or duck_type.endswith("[]")
    ):
        return Typed(f"to_json({sql})::VARCHAR"), FieldType.JSON
    return None


def _article(kind: str) -> str:
    return {
        "integer": "an integer",
        "list": "a list",
        "json": "JSON",
        "boolean": "true or false",
        "decimal": "a number",
    }.get(str(kind), f"a {kind}")
