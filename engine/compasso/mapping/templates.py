"""Jinja as Compasso speaks it: sandboxed, strict, and with one rule of its own.

The rule: *none is not text*. A text filter, `~`, a format and a template with text around a none
give none, and a join leaves it out, so that a missing name never becomes the text "None". All
else is exactly Jinja.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, nodes

from compasso.mapping.bounds import BoundedEnvironment, OutOfBoundsError
from compasso.mapping.compiler import ROW, row_column
from compasso.mapping.dates import FilterError
from compasso.mapping.filters import CONCAT, FILTERS
from compasso.mapping.functions import MAPPABLE, own_filters
from compasso.mapping.methods import METHODS
from compasso.mapping.predicates import TESTS

# Enough for any mapping that people write and read. In characters, and in nested parts.
_LONGEST_TEMPLATE, _DEEPEST = 20_000, 80
# What a mapping may be made of. Loops, macros, imports, assignments are programs, not mappings.
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.Name, nodes.Const,
    nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.CondExpr, nodes.Filter, nodes.Test,
    nodes.Call, nodes.Getitem, nodes.Getattr, nodes.Slice, nodes.Concat, nodes.Compare,
    nodes.Operand, nodes.BinExpr, nodes.UnaryExpr, nodes.Keyword,
)  # fmt: skip


class _NoneInText(Exception):  # noqa: N818 - a signal, not an error
    """A template with text around it met a none."""


def _finalize(value: Any) -> Any:
    if value is None:
        raise _NoneInText
    return value


@cache
def environment() -> BoundedEnvironment:
    """The one environment of all mappings."""
    # Not optimized: Jinja would evaluate constants when it compiles, and fail there for all rows.
    env = BoundedEnvironment(METHODS, finalize=_finalize, optimized=False)
    filters = {**env.filters, **own_filters(env.filters)}
    env.filters = {name: filters[name] for name in FILTERS}
    env.tests = {name: env.tests[name] for name in TESTS}
    env.globals.clear()
    return env


@dataclass(frozen=True)
class Parsed:
    """A template: one expression whose value counts, or a text made of parts.

    `names` are the columns that it reads, and `vars`; `whole_row` says that it reads some by
    `row['a name']`.
    """

    text: str
    expression: nodes.Expr | None
    body: nodes.Template
    names: tuple[str, ...]
    whole_row: bool = False


class TemplateProblem(Exception):  # noqa: N818 - it becomes a diagnostic
    """A template that cannot be used, with what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@lru_cache(maxsize=4096)
def parse(text: str) -> Parsed:
    """Parse a template. Raises TemplateProblem."""
    too_much = TemplateProblem("the template is too long, or nested too deeply", "split it up")
    if len(text) > _LONGEST_TEMPLATE:
        raise too_much
    try:
        tree = environment().parse(text)
    except TemplateError as error:
        raise TemplateProblem(
            f"not a valid template: {error.message}", "see the template's brackets and quotes"
        ) from error
    except (ValueError, OverflowError) as error:  # a number of more digits than Python reads
        raise TemplateProblem(
            "not a valid template: a number in it cannot be read", "write a shorter number"
        ) from error
    except RecursionError:
        raise too_much from None
    if _depth(tree) > _DEEPEST:
        raise too_much
    _check(tree)
    _spell_concat(tree)
    expression = None
    if len(tree.body) == 1 and isinstance(tree.body[0], nodes.Output):
        parts = tree.body[0].nodes
        if len(parts) == 1 and not isinstance(parts[0], nodes.TemplateData):
            expression = parts[0]
    named = {n.name for n in tree.find_all(nodes.Name) if n.ctx == "load"}
    by_row = [n for n in tree.find_all(nodes.Getitem) if row_column(n) is not None]
    if by_row and sum(n.name == ROW for n in tree.find_all(nodes.Name)) == len(by_row):
        named.discard(ROW)
    names = sorted(named | {str(row_column(n)) for n in by_row})
    return Parsed(text, expression, tree, tuple(names), bool(by_row))


def parse_condition(text: str) -> Parsed:
    """Parse a `when`: a template, or the bare expression of one."""
    return parse(text if "{{" in text or "{%" in text else "{{ " + text + " }}")


def _depth(node: nodes.Node) -> int:
    """How deep the parts are nested, counted without nesting ourselves."""
    deepest, level = 0, [node]
    while level:
        deepest += 1
        level = [child for parent in level for child in parent.iter_child_nodes()]
        if deepest > _DEEPEST:
            break
    return deepest


def _check(tree: nodes.Template) -> None:
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED) and not isinstance(node, nodes.Helper):
            what = type(node).__name__.lower()
            raise TemplateProblem(
                f"`{what}` cannot be used in a mapping", "use expressions, filters and `if`"
            )
        if isinstance(node, nodes.Filter):
            _check_filter(node)
        if isinstance(node, nodes.Test) and node.name not in TESTS:
            raise _unknown(f"test `is {node.name}`", node.name, TESTS)
        if isinstance(node, nodes.Call):
            _check_call(node)
        if isinstance(node, (nodes.Getattr, nodes.Getitem)) and _hidden(node):
            raise TemplateProblem("names that begin with _ cannot be read", "use a column or vars")


def _check_filter(node: nodes.Filter) -> None:
    if node.name not in FILTERS or node.name == CONCAT:
        raise _unknown(f"filter `{node.name}`", node.name, FILTERS)
    if node.node is None:
        raise TemplateProblem("a filter needs a value before it", "write `value | filter`")
    if node.name not in {"map", "select", "reject"}:
        return
    names = [a.value if isinstance(a, nodes.Const) else None for a in node.args[:1]]
    known = MAPPABLE if node.name == "map" else tuple(TESTS)
    if node.kwargs or node.dyn_args or (node.name == "map" and not names):
        raise TemplateProblem(
            f"`{node.name}` takes a name, in quotes", f"one of {', '.join(known)}"
        )
    if names and names[0] not in known:
        raise _unknown(f"{node.name}({names[0]!r})", str(names[0]), known)


def _check_call(node: nodes.Call) -> None:
    if not isinstance(node.node, nodes.Getattr):
        raise TemplateProblem(
            "only a method of a value can be called", f"known: {', '.join(sorted(METHODS))}"
        )
    if node.node.attr not in METHODS:
        raise _unknown(f"method `{node.node.attr}`", node.node.attr, METHODS)


def _unknown(what: str, name: str, known: Any) -> TemplateProblem:
    from compasso.spec.problems import did_you_mean

    listed = sorted(n for n in known if not n.startswith("_"))
    return TemplateProblem(f"there is no {what}", did_you_mean(name, listed))


def _hidden(node: nodes.Getattr | nodes.Getitem) -> bool:
    if isinstance(node, nodes.Getattr):
        return node.attr.startswith("_")
    # A column's name may begin with _.
    named = isinstance(node.arg, nodes.Const) and str(node.arg.value).startswith("_")
    return named and row_column(node) is None


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
    """A function from a row's values to the template's value. It raises RowError.

    Raises TemplateProblem when Python cannot compile the template.
    """
    template = _runnable(parsed.text)
    context = template.new_context()

    def evaluate(row: Mapping[str, Any]) -> Any:
        # One context for all rows: making one costs more than most expressions.
        values = dict(row)
        if parsed.whole_row:
            values[ROW] = row
        context.parent = values
        context.vars.clear()
        context.exported_vars.clear()
        try:
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
        return value

    return evaluate


@lru_cache(maxsize=4096)
def _runnable(text: str) -> Template:
    """The template as Python's code. It does not depend on the columns, and takes most of a
    millisecond to make: specs that are alike share it."""
    env, parsed = environment(), parse(text)
    tree = parsed.body
    if parsed.expression is not None:
        target = nodes.Name("result", "store", lineno=1)
        tree = nodes.Template([nodes.Assign(target, parsed.expression, lineno=1)], lineno=1)
        tree.set_environment(env)
    try:
        with warnings.catch_warnings():
            # Python's opinion of `none[0]`: the rows that it fails for are named when they do.
            warnings.simplefilter("ignore", SyntaxWarning)
            return env.from_string(tree)
    except (RecursionError, SyntaxError, MemoryError):
        raise TemplateProblem("the template is nested too deeply", "split it up") from None


def _reason(error: Exception) -> str:
    """What went wrong, without the row's values: Python's messages may quote them."""
    names = {
        "UndefinedError": "a value is missing",
        "TypeError": "a value has the wrong type, or is none",
        "ValueError": "a value cannot be converted",
        "ZeroDivisionError": "division by zero",
        "SecurityError": "this is not allowed in a mapping",
        "OverflowError": "a number is too large",
        "AttributeError": "a value has the wrong type, or is none",
    }
    said = str(error) if isinstance(error, (FilterError, OutOfBoundsError)) else ""
    return f"template: {said or names.get(type(error).__name__, type(error).__name__)}"
