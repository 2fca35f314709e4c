"""The sandbox of templates: no way out, and no value that grows without bound.

A spec may come from anyone, so a template must end soon and in little memory whatever it says.
It has no loops, and its length is bounded, so texts put together (`~`, `+`) stay within the
template's length times the row's. What could multiply a text is bounded here one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jinja2 import StrictUndefined, Undefined
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter

from compasso.mapping.formats import too_wide, too_wide_spec
from compasso.mapping.numbers import LARGEST_BASE
from compasso.mapping.text import LONGEST_TEXT

# Widths of center, ljust, indent …; enough for any real text.
_WIDEST = 10_000
_LARGEST_EXPONENT, _MOST_PLACES = 64, 300


class OutOfBoundsError(SecurityError):
    """A template asks for too much. The message quotes no value."""


def bounded(text: Any) -> Any:
    """A text, unless it is too long. Raises OutOfBoundsError."""
    if isinstance(text, str) and len(text) > LONGEST_TEXT:
        raise OutOfBoundsError("the text would be longer than a million characters")
    return text


def narrow(width: Any) -> None:
    """Raises OutOfBoundsError for a width that is too large."""
    if isinstance(width, (int, float)) and abs(width) > _WIDEST:
        raise OutOfBoundsError("that is too wide")


def replace(value: str, old: Any, new: Any, count: Any = -1) -> str:
    """str.replace, unless the result would be too long."""
    if isinstance(old, str) and isinstance(new, str) and len(new) > len(old):
        found = value.count(old)
        if isinstance(count, int) and count >= 0:
            found = min(found, count)
        if len(value) + found * (len(new) - len(old)) > LONGEST_TEXT and found:
            raise OutOfBoundsError("the text would be longer than a million characters")
    return value.replace(old, new, count)


def join(separator: str, items: Iterable[Any]) -> str:
    """str.join of the items' texts, without the nones; the separators are bounded."""
    texts = [str(item) for item in items if item is not None]
    if len(separator) * (len(texts) - 1) > LONGEST_TEXT:
        raise OutOfBoundsError("the text would be longer than a million characters")
    return separator.join(texts)


class _Formatter(SandboxedFormatter):
    def format_field(self, value: Any, format_spec: str) -> Any:
        if too_wide_spec(format_spec):
            raise OutOfBoundsError("a width has at most three digits")
        return super().format_field(value, format_spec)


class NoneInFormat(Exception):  # noqa: N818 - a signal, not an error
    """A format met a none: its result is none."""


def percent(form: str, values: Any) -> Any:
    """'%…' % values. A none in it makes all of it none."""
    listed = values.values() if isinstance(values, Mapping) else values
    if any(v is None for v in (listed if isinstance(values, (tuple, Mapping)) else (values,))):
        return None
    if too_wide(form):
        raise OutOfBoundsError("a width has at most three digits")
    return bounded(form % values)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, and the bounds."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, methods: Iterable[str], **options: Any) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, **options)
        self.methods = frozenset(methods)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "*" and not all(isinstance(v, (int, float)) for v in (left, right)):
            self._complain(left, right)
            raise OutOfBoundsError("only numbers can be multiplied")
        numbers = all(isinstance(v, (int, float)) for v in (left, right))
        if operator == "**" and numbers and _too_large(left, right):
            raise OutOfBoundsError("the power is too large")
        if operator == "%" and isinstance(left, str):
            self._complain(right)
            return percent(left, right)
        return super().call_binop(context, operator, left, right)

    @staticmethod
    def _complain(*values: Any) -> None:
        """Undefined values say so themselves."""
        for value in values:
            if isinstance(value, Undefined):
                str(value)

    def wrap_str_format(self, value: Any) -> Callable[..., Any] | None:
        """str.format by our formatter; format_map is not to be had."""
        if super().wrap_str_format(value) is None:
            return None
        form: str = value.__self__

        def formatted(*args: Any, **kwargs: Any) -> Any:
            if any(v is None for v in (*args, *kwargs.values())):
                return None
            return bounded(_Formatter(self).vformat(form, args, kwargs))

        formatted.__name__ = value.__name__
        return formatted

    def call(self, context: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a method of a value, within bounds."""
        name = getattr(function, "__name__", "")
        owner = getattr(function, "__self__", None)
        if isinstance(function, Undefined):
            return function(*args, **kwargs)  # raises, and says what is missing
        if name not in self.methods:
            raise SecurityError(f"{name} cannot be called")
        if isinstance(owner, str):
            if name in {"center", "ljust", "rjust", "zfill", "expandtabs"} and args:
                narrow(args[0])
            if name == "replace":
                return replace(owner, *args, **kwargs)
            if name == "join" and len(args) == 1 and not kwargs:
                return join(owner, args[0])
        return super().call(context, function, *args, **kwargs)


def _too_large(base: float, exponent: float) -> bool:
    return abs(exponent) > _LARGEST_EXPONENT or abs(base) > LARGEST_BASE


def bounded_round(value: Any, precision: Any = 0, method: Any = "common") -> Any:
    """Jinja's round; 10 ** precision is computed, so the precision is bounded."""
    from jinja2.filters import do_round

    if isinstance(precision, int) and abs(precision) > _MOST_PLACES:
        raise OutOfBoundsError("too many places")
    return do_round(value, precision, method)
