"""The Python of the filters that are not Jinja's own, or that Jinja would not bound."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import filters as jinja
from jinja2.runtime import Context, Undefined
from jinja2.utils import pass_context, pass_environment, pass_eval_context
from markupsafe import escape

from compasso.mapping import bounds, dates, normalize
from compasso.mapping.bounds import OutOfBoundsError, bounded
from compasso.mapping.filters import CONCAT
from compasso.mapping.text import LONGEST_TEXT

# Filters that `map` may name: those whose result is no longer than what they are given.
MAPPABLE = (
    "abs", "capitalize", "digits", "first", "float", "int", "last", "length", "lower", "round",
    "string", "title", "trim", "upper",
)  # fmt: skip
_NONE_IN_NONE_OUT = ("trim", "lower", "upper", "title", "capitalize", "truncate")


def keeps_none(function: Callable[..., Any]) -> Callable[..., Any]:
    """A text filter under the rule that none is not text."""
    # Jinja passes its context to a filter that asks for it by an attribute.
    if getattr(function, "jinja_pass_arg", None) is None:

        def plain(value: Any, *args: Any, **names: Any) -> Any:
            return None if value is None else function(value, *args, **names)

        return plain

    def wrapped(context: Any, value: Any, *args: Any, **names: Any) -> Any:
        return None if value is None else function(context, value, *args, **names)

    wrapped.jinja_pass_arg = function.jinja_pass_arg  # type: ignore[attr-defined]
    return wrapped


def concat(*parts: Any) -> Any:
    """`a ~ b`. A none makes it none."""
    if any(part is None for part in parts):
        return None
    text = "".join([str(part) for part in parts])
    if all(isinstance(part, (str, int, float)) for part in parts):
        return text
    return bounded(text)  # a list as text is longer than its items


def _plain(text: Any) -> Any:
    # Jinja marks what it has escaped; a mapping's texts are all plain.
    return str.__str__(text) if isinstance(text, str) else text


def _replace(value: Any, old: Any, new: Any, count: Any = None) -> Any:
    if value is None:
        return None
    return bounds.replace(str(value), str(old), str(new), -1 if count is None else count)


def _join(value: Any, d: Any = "") -> str:
    return bounds.join(str(d), value)


def _format(value: Any, *args: Any, **kwargs: Any) -> Any:
    if args and kwargs:
        raise TypeError("values by place and by name")
    return bounds.percent(str(value), kwargs or args)


def _string(value: Any) -> Any:
    return None if value is None else bounded(str(value))


def _digits(value: Any) -> Any:
    return None if value is None else re.sub("[^0-9]", "", str(value))


def _center(value: Any, width: Any = 80) -> Any:
    bounds.narrow(width)
    return None if value is None else _plain(jinja.do_center(value, width))


def _indent(value: Any, width: Any = 4, first: Any = False, blank: Any = False) -> Any:
    if value is None:
        return None
    size = len(width) if isinstance(width, str) else width
    if (str(value).count("\n") + 1) * size > LONGEST_TEXT:
        raise OutOfBoundsError("the text would be longer than a million characters")
    return _plain(jinja.do_indent(str(value), width, first, blank))


@pass_environment
def _wordwrap(env: Any, value: Any, width: Any = 79, break_long_words: Any = True,
              wrapstring: Any = None, break_on_hyphens: Any = True) -> Any:  # fmt: skip
    if value is None:
        return None
    lines = len(value) // max(int(width), 1) + value.count("\n") + 1
    if lines * len(wrapstring or "") > LONGEST_TEXT:
        raise OutOfBoundsError("the text would be longer than a million characters")
    return jinja.do_wordwrap(env, value, width, break_long_words, wrapstring, break_on_hyphens)


def _text_filter(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def filtered(value: Any) -> Any:
        if isinstance(value, Undefined):
            str(value)  # raises, and says what is missing
        return None if value is None else bounded(_plain(function(value)))

    return filtered


@pass_eval_context
def _tojson(context: Any, value: Any) -> Any:
    return bounded(_plain(jinja.do_tojson(context, value)))


@pass_context
def _map(context: Context, value: Any, name: str, *args: Any) -> list[Any]:
    return [context.environment.call_filter(name, v, list(args), context=context) for v in value]


def _selector(wanted: bool) -> Callable[..., list[Any]]:
    @pass_context
    def select(context: Context, value: Any, name: str | None = None, *args: Any) -> list[Any]:
        def test(item: Any) -> bool:
            if name is None:
                return bool(item)
            found = context.environment.call_test(name, item, list(args), context=context)
            return bool(found)

        return [item for item in value if test(item) is wanted]

    return select


@pass_environment
def _unique(env: Any, value: Any, case_sensitive: bool = False) -> list[Any]:
    return list(jinja.do_unique(env, value, case_sensitive))


def _items(value: Any) -> list[Any]:
    return list(jinja.do_items(value))


def _reverse(value: Any) -> Any:
    found = jinja.do_reverse(value)
    return found if isinstance(found, str) else list(found)


def own_filters(known: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Our filters by name; `known` are Jinja's."""
    wrapped = {name: keeps_none(known[name]) for name in _NONE_IN_NONE_OUT}
    return {
        **wrapped,
        CONCAT: concat,
        "replace": _replace,
        "join": _join,
        "format": _format,
        "string": _string,
        "digits": _digits,
        "center": _center,
        "indent": _indent,
        "wordwrap": _wordwrap,
        "striptags": _text_filter(jinja.do_striptags),
        "urlencode": _text_filter(jinja.do_urlencode),
        "escape": _text_filter(escape),
        "e": _text_filter(escape),
        "tojson": _tojson,
        "round": bounds.bounded_round,
        "map": _map,
        "select": _selector(True),
        "reject": _selector(False),
        "unique": _unique,
        "items": _items,
        "reverse": _reverse,
        "strptime": dates.strptime,
        "strftime": dates.strftime,
        "isoformat": dates.isoformat,
        "date_add": dates.date_add,
        "phone": normalize.phone,
        "email": normalize.email,
    }
