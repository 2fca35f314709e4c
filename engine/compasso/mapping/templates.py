"""Jinja as Compasso speaks it: sandboxed, strict, and with one rule of its own.

The rule: *none is not text*. A text filter, `~` and a template with text around a none give
none, so that a missing name never becomes the text "None". All else is exactly Jinja.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

CONCAT = "_concat"
_MAX_TEXT = 1_000_000
_TEXT_FILTERS = ("trim", "lower", "upper", "title", "capitalize", "replace", "truncate", "wordwrap")
# What a mapping may be made of. Loops, macros, imports, assignments are programs, not mappings.
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.Name, nodes.Const,
    nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.CondExpr, nodes.Filter, nodes.Test,
    nodes.Call, nodes.Getitem, nodes.Getattr, nodes.Slice, nodes.Concat, nodes.Compare,
    nodes.Operand, nodes.BinExpr, nodes.UnaryExpr, nodes.Keyword,
)  # fmt: skip
_HIDDEN_FILTERS = ("attr", "map", "select", "reject", "selectattr", "rejectattr", "random")


class _NoneInText(Exception):  # noqa: N818 - a signal, not an error
    """A template with text around it met a none."""


class _Environment(ImmutableSandboxedEnvironment):
    """Refuses texts that grow without bound: a spec is not trusted."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "*" and not all(isinstance(v, (int, float)) for v in (left, right)):
            raise SecurityError("only numbers can be multiplied")
        if operator == "**" and (abs(right) > 64 or abs(left) > 1e6):
            raise SecurityError("the power is too large")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("write `~` to put texts together")
        return super().call_binop(context, operator, left, right)


def _finalize(value: Any) -> Any:
    if value is None:
        raise _NoneInText
    return value


def _concat(*parts: Any) -> Any:
    if any(part is None for part in parts):
        return None
    return "".join(str(part) for part in parts)


def _keeps_none(function: Callable[..., Any]) -> Callable[..., Any]:
    # Jinja passes its context to a filter that asks for it by an attribute.
    wrapped: Any = None
    if getattr(function, "jinja_pass_arg", None) is not None:

        def wrapped(context: Any, value: Any, *args: Any, **names: Any) -> Any:
            return None if value is None else function(context, value, *args, **names)
    else:

        def wrapped(value: Any, *args: Any, **names: Any) -> Any:
            return None if value is None else function(value, *args, **names)

    for name in ("jinja_pass_arg", "jinja_async_variant"):
        if hasattr(function, name) and name != "jinja_async_variant":
            setattr(wrapped, name, getattr(function, name))
    result: Callable[..., Any] = wrapped
    return result


def _digits(value: str | None) -> str | None:
    """Only the digits 0-9 of a text."""
    return None if value is None else re.sub("[^0-9]", "", str(value))


def _strptime(value: str | None, *formats: str) -> datetime | None:
    """A text as a date and time, by the first of the formats that fits."""
    if value is None or value == "":
        return None
    for pattern in formats or ("%Y-%m-%d",):
        try:
            return datetime.strptime(value.strip(), pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError("the date does not fit the format")


def _isoformat(value: date | None) -> str | None:
    """A date or time as ISO 8601 text."""
    return None if value is None else value.isoformat()


@cache
def environment() -> ImmutableSandboxedEnvironment:
    """The one environment of all mappings."""
    env = _Environment(undefined=StrictUndefined, finalize=_finalize, autoescape=False)
    for name in _HIDDEN_FILTERS:
        env.filters.pop(name, None)
    for name in _TEXT_FILTERS:
        env.filters[name] = _keeps_none(env.filters[name])
    env.filters.update(
        {CONCAT: _concat, "digits": _digits, "strptime": _strptime, "isoformat": _isoformat}
    )
    env.globals.clear()
    return env


@dataclass(frozen=True)
class Parsed:
    """A template: one expression whose value counts, or a text made of parts."""

    text: str
    expression: nodes.Expr | None
    body: nodes.Template
    names: tuple[str, ...]


class TemplateProblem(Exception):  # noqa: N818 - it becomes a diagnostic
    """A template that cannot be used, with what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@lru_cache(maxsize=4096)
def parse(text: str) -> Parsed:
    """Parse a template. Raises TemplateProblem."""
    env = environment()
    try:
        tree = env.parse(text)
    except TemplateError as error:
        raise TemplateProblem(
            f"not a valid template: {error.message}", "see the template's brackets and quotes"
        ) from error
    _check(tree)
    _spell_concat(tree)
    expression = None
    if len(tree.body) == 1 and isinstance(tree.body[0], nodes.Output):
        parts = tree.body[0].nodes
        if len(parts) == 1 and not isinstance(parts[0], nodes.TemplateData):
            expression = parts[0]
    names = sorted({n.name for n in tree.find_all(nodes.Name) if n.ctx == "load"})
    return Parsed(text, expression, tree, tuple(names))


def parse_condition(text: str) -> Parsed:
    """Parse a `when`: a template, or the bare expression of one."""
    return parse(text if "{{" in text or "{%" in text else "{{ " + text + " }}")


def _check(tree: nodes.Template) -> None:
    env = environment()
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED) and not isinstance(node, nodes.Helper):
            what = type(node).__name__.lower()
            raise TemplateProblem(
                f"`{what}` cannot be used in a mapping", "use expressions, filters and `if`"
            )
        if isinstance(node, nodes.Filter) and node.name not in env.filters:
            raise TemplateProblem(
                f"there is no filter `{node.name}`", f"known: {', '.join(known_filters())}"
            )
        if isinstance(node, nodes.Test) and node.name not in env.tests:
            raise TemplateProblem(f"there is no test `is {node.name}`", "see the list in the docs")
        if isinstance(node, (nodes.Getattr, nodes.Getitem)) and _hidden(node):
            raise TemplateProblem("names that begin with _ cannot be read", "use a column or vars")


def _hidden(node: nodes.Getattr | nodes.Getitem) -> bool:
    if isinstance(node, nodes.Getattr):
        return node.attr.startswith("_")
    return isinstance(node.arg, nodes.Const) and str(node.arg.value).startswith("_")


def known_filters() -> list[str]:
    """The filters that a mapping can use."""
    return sorted(n for n in environment().filters if not n.startswith("_"))


def _spell_concat(node: nodes.Node) -> None:
    """Replace `a ~ b` by a filter of ours: Jinja's own makes a none the text "None"."""
    for name, value in list(node.iter_fields()):
        if isinstance(value, nodes.Node):
            _spell_concat(value)
            setattr(node, name, _spelled(value))
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, nodes.Node):
                    _spell_concat(item)
            setattr(node, name, [_spelled(v) if isinstance(v, nodes.Node) else v for v in value])


def _spelled(node: nodes.Node) -> nodes.Node:
    if not isinstance(node, nodes.Concat):
        return node
    first, *rest = node.nodes
    return nodes.Filter(first, CONCAT, rest, [], None, None, lineno=node.lineno)


class RowError(Exception):
    """Jinja could not evaluate a template for one row."""


def evaluator(parsed: Parsed) -> Callable[[Mapping[str, Any]], Any]:
    """A function from a row's values to the template's value. It raises RowError."""
    env = environment()
    tree = parsed.body
    if parsed.expression is not None:
        target = nodes.Name("result", "store", lineno=1)
        tree = nodes.Template([nodes.Assign(target, parsed.expression, lineno=1)], lineno=1)
        tree.set_environment(env)
    template = env.from_string(tree)

    def evaluate(row: Mapping[str, Any]) -> Any:
        try:
            context = template.new_context(dict(row))
            parts = list(template.root_render_func(context))
        except _NoneInText:
            return None
        except Exception as error:  # a template can raise anything that Python can
            raise RowError(_reason(error)) from None
        if parsed.expression is None:
            return "".join(parts)
        value = context.vars["result"]
        if isinstance(value, StrictUndefined):
            raise RowError("the template has no value for this row")
        if isinstance(value, str) and len(value) > _MAX_TEXT:
            raise RowError("the text is longer than a million characters")
        return value

    return evaluate


def _reason(error: Exception) -> str:
    """What went wrong, without the row's values: Python's messages may quote them."""
    names = {
        "UndefinedError": "a value is missing",
        "TypeError": "a value has the wrong type, or is none",
        "ValueError": "a value cannot be converted",
        "ZeroDivisionError": "division by zero",
        "SecurityError": "this is not allowed in a mapping",
        "OverflowError": "a number is too large",
    }
    return f"template: {names.get(type(error).__name__, type(error).__name__)}"
