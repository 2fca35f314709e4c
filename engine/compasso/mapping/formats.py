"""The SQL of '%s' % x, of '{}'.format(x), and how both are bounded."""

from __future__ import annotations

import re
from string import Formatter

from compasso.mapping import numbers
from compasso.mapping.sql import NotCompiled, Sql, as_text, both, concat, literal

_PERCENT = re.compile(r"%(?:%|s|d|0(?P<zeros>[1-9][0-9]?)d|\.(?P<places>[0-9])f|(?P<other>.?))")
_SPEC = re.compile(r"(?:0(?P<zeros>[1-9][0-9]?)?d|\.(?P<places>[0-9])f|d)?")
# Widths and precisions have at most three digits: '%999999999d' would fill the memory.
_WIDE = re.compile(r"[0-9]{4}|\*")
_CONVERSION = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(?P<size>[0-9*]*(?:\.[0-9*]*)?)[hlL]?[a-zA-Z%]?")


def too_wide(form: str) -> bool:
    """Whether a %-format asks for a width or precision without bound."""
    return any(_WIDE.search(found["size"]) for found in _CONVERSION.finditer(form))


def too_wide_spec(spec: str) -> bool:
    """Whether a format spec (`>10`) asks for a width or precision without bound."""
    return re.search("[0-9]{4}", spec) is not None


def _text(value: str) -> Sql:
    return literal(value)


def by_percent(form: str, arguments: list[Sql]) -> Sql:
    """The text of '%…' % arguments. Raises NotCompiled."""
    parts: list[Sql] = []
    rest = list(arguments)
    end = 0
    for found in _PERCENT.finditer(form):
        parts.append(_text(form[end : found.start()]))
        end = found.end()
        if found[0] == "%%":
            parts.append(_text("%"))
            continue
        if found["other"] is not None or not rest:
            raise NotCompiled("this conversion of a format")
        parts.append(_converted(rest.pop(0), found[0] == "%s", found["zeros"], found["places"]))
    if rest:
        raise NotCompiled("more values than the format takes")
    parts.append(_text(form[end:]))
    return _put_together(parts)


def by_braces(form: str, arguments: list[Sql]) -> Sql:
    """The text of '{}'.format(arguments). Raises NotCompiled."""
    parts: list[Sql] = []
    number, numbered = 0, False
    used = set()
    try:
        pieces = list(Formatter().parse(form))
    except ValueError:
        raise NotCompiled("a broken format") from None
    for before, field, spec, conversion in pieces:
        parts.append(_text(before))
        if field is None:
            continue
        index = field
        if field == "":
            index, number = str(number), number + 1
        else:
            numbered = True
        if number and numbered:  # an error in Python
            raise NotCompiled("a format with and without numbers")
        if conversion or not re.fullmatch("[0-9]", index) or int(index) >= len(arguments):
            raise NotCompiled("this field of a format")
        known = _SPEC.fullmatch(spec or "")
        if known is None:
            raise NotCompiled("this field of a format")
        used.add(int(index))
        value = arguments[int(index)]
        parts.append(_converted(value, not spec, known["zeros"], known["places"]))
    # An argument that is not used may still be none, which makes all of it none.
    for place, value in enumerate(arguments):
        if place not in used and value.nullable:
            raise NotCompiled("a value that the format does not use")
    return _put_together(parts).but(*both(*(value.guard for value in arguments)))


def _converted(value: Sql, as_it_is: bool, zeros: str | None, places: str | None) -> Sql:
    if as_it_is:
        return as_text(value)
    if value.type == "none":
        return as_text(value)
    if places is not None:
        return numbers.formatted(value, int(places))
    return numbers.whole_number(value, int(zeros or 0))


def _put_together(parts: list[Sql]) -> Sql:
    return concat([part for part in parts if part.constant != ""] or [literal("")])
