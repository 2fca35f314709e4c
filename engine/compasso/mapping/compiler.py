"""A Jinja expression as SQL, where SQL gives exactly what Jinja gives.

Each part is compiled to SQL of a known type, with a guard: conditions under which the result
is Jinja's. Rows outside the guard, and expressions that SQL cannot say, go to Jinja itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import nodes

from compasso.mapping import numbers, operators, text
from compasso.mapping.filters import CONCAT, FILTERS
from compasso.mapping.formats import by_percent
from compasso.mapping.methods import METHODS
from compasso.mapping.predicates import OF_UNDEFINED, TESTS
from compasso.mapping.sql import (
    BOOLEAN,
    LIST,
    TEXT,
    Guard,
    NotCompiled,
    Sql,
    as_text,
    both,
    choose,
    column,
    concat,
    conjunction,
    leaves,
    literal,
    short,
    truth_of,
)

ROW = "row"


def row_column(node: nodes.Node) -> str | None:
    """The column that `row['a name with blanks']` stands for."""
    of_row = (
        isinstance(node, nodes.Getitem)
        and isinstance(node.node, nodes.Name)
        and node.node.name == ROW
        and isinstance(node.arg, nodes.Const)
        and isinstance(node.arg.value, str)
    )
    return str(node.arg.value) if of_row else None  # type: ignore[attr-defined]


class Compiler:
    """Compiles the expressions of one mapping."""

    def __init__(self, columns: Mapping[str, str], variables: Mapping[str, Any]) -> None:
        self.columns = columns
        self.variables = variables

    def value(self, node: nodes.Node) -> Sql:
        """The SQL of an expression's value. Raises NotCompiled."""
        return self._any(node).settled()

    def truth(self, node: nodes.Node) -> Sql:
        """The SQL of an expression's truth, by Python's rules; never NULL."""
        if isinstance(node, (nodes.And, nodes.Or)):
            left, right = self.truth(node.left), self.truth(node.right)
            word = "AND" if isinstance(node, nodes.And) else "OR"
            # The right side is only looked at when the left does not decide.
            decided = f"NOT {left.sql}" if word == "AND" else left.sql
            other = conjunction(right.guard)
            part = (Guard(f"({decided} OR {other})", *leaves(right.guard)),) if other else ()
            guard = both(left.guard, part)
            return Sql(f"({left.sql} {word} {right.sql})", BOOLEAN, guard, nullable=False)
        if isinstance(node, nodes.Not):
            inner = self.truth(node.node)
            return Sql(f"(NOT {inner.sql})", BOOLEAN, inner.guard, nullable=False)
        return truth_of(self.value(node))

    def text(self, body: list[nodes.Node]) -> Sql:
        """The SQL of a template with text around its expressions, and of its `if` blocks."""
        parts: list[Sql] = []
        for node in body:
            if isinstance(node, nodes.Output):
                parts += [as_text(self.value(part)) for part in node.nodes]
            elif isinstance(node, nodes.If):
                parts.append(self._block(node))
            else:
                raise NotCompiled(f"`{type(node).__name__.lower()}` is Jinja's")
        return short(concat(parts))

    def _block(self, node: nodes.If) -> Sql:
        cases = [(node.test, node.body), *((other.test, other.body) for other in node.elif_)]
        result = self.text(node.else_)
        for test, body in reversed(cases):
            result = short(choose(self.truth(test), self.text(body), result))
        return result

    def _any(self, node: nodes.Node) -> Sql:
        """As `value`, of what may be undefined."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise NotCompiled(f"`{type(node).__name__.lower()}` is Jinja's")
        result: Sql = method(node)
        return short(result)

    def _column(self, name: str) -> Sql:
        if name not in self.columns:
            raise NotCompiled(f"{name} is no column")
        return column(name, self.columns[name])

    def _name(self, node: nodes.Name) -> Sql:
        return self._column(node.name)

    def _const(self, node: nodes.Const) -> Sql:
        return literal(node.value)

    def _templatedata(self, node: nodes.TemplateData) -> Sql:
        return literal(node.data)

    def _variable(self, node: nodes.Expr, name: str) -> Sql:
        is_vars = isinstance(node, nodes.Name) and node.name == "vars"
        if is_vars and name in self.variables:
            return literal(self.variables[name])
        raise NotCompiled("reading a part of a value is Jinja's")

    def _getattr(self, node: nodes.Getattr) -> Sql:
        return self._variable(node.node, node.attr)

    def _getitem(self, node: nodes.Getitem) -> Sql:
        name = row_column(node)
        if name is not None:
            return self._column(name)
        if isinstance(node.arg, nodes.Slice):
            return self._slice(self.value(node.node), node.arg)
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            return self._variable(node.node, node.arg.value)
        index = text.constant_integer(self.value(node.arg), "an index", 2**31)
        inner = self.value(node.node)
        if inner.type == LIST:
            return text.item(inner, index)
        if inner.type != TEXT:
            raise NotCompiled(f"an item of a {inner.type}")
        return text.character(inner, index)

    def _slice(self, inner: Sql, node: nodes.Slice) -> Sql:
        start, stop, step = (
            None if part is None else self._bound(part)
            for part in (node.start, node.stop, node.step)
        )
        if step == -1 and start is None and stop is None and inner.type == TEXT:
            return text.backwards(inner)
        if step not in {None, 1}:
            raise NotCompiled("a slice with a step")
        if inner.type == LIST:
            return text.some_items(inner, start, stop)
        if inner.type != TEXT:
            raise NotCompiled(f"a slice of a {inner.type}")
        return text.sliced(inner, start, stop)

    def _bound(self, node: nodes.Expr) -> int | None:
        bound = self.value(node)
        if bound.type == "none":
            return None
        return text.constant_integer(bound, "a slice", 2**31)

    def _condexpr(self, node: nodes.CondExpr) -> Sql:
        if node.expr2 is None:
            test, yes = self.truth(node.test), self.value(node.expr1)
            result = choose(test, yes, Sql("NULL", "none"))
            missing = f"(NOT {test.sql})"
            return Sql(
                result.sql, result.type, result.guard, nullable=result.nullable,
                missing=missing, letters=result.letters,
            )  # fmt: skip
        return choose(self.truth(node.test), self.value(node.expr1), self.value(node.expr2))

    def _not(self, node: nodes.Not) -> Sql:
        return self.truth(node)

    def _and(self, node: nodes.And) -> Sql:
        left, right = self.value(node.left), self.value(node.right)
        return choose(truth_of(left), right, left)

    def _or(self, node: nodes.Or) -> Sql:
        left, right = self.value(node.left), self.value(node.right)
        return choose(truth_of(left), left, right)

    def _compare(self, node: nodes.Compare) -> Sql:
        tests = []
        expr = node.expr
        for operand in node.ops:
            if operand.op in {"in", "notin"}:
                tests.append(self._contains(expr, operand))
            else:
                tests.append(
                    operators.compared(operand.op, self.value(expr), self.value(operand.expr))
                )
            expr = operand.expr
        return operators.chained(tests)

    def _contains(self, expr: nodes.Expr, operand: nodes.Operand) -> Sql:
        left, negated = self.value(expr), operand.op == "notin"
        if isinstance(operand.expr, (nodes.List, nodes.Tuple)):
            items = [self.value(item) for item in operand.expr.items]
            return operators.one_of(left, items, negated)
        return operators.contained(left, self.value(operand.expr), negated)

    def _test(self, node: nodes.Test) -> Sql:
        entry = TESTS.get(node.name)
        if entry is None or node.dyn_args or node.dyn_kwargs:
            raise NotCompiled(f"the test `{node.name}`")
        inner = self._any(node.node)
        if node.name not in OF_UNDEFINED:
            inner = inner.settled()
        if node.name == "in" and node.args and isinstance(node.args[0], (nodes.List, nodes.Tuple)):
            items = [self.value(item) for item in node.args[0].items]
            return operators.one_of(inner, items, negated=False)
        return entry.sql(inner, [self.value(a) for a in node.args], self._named(node.kwargs))

    def _named(self, pairs: Sequence[nodes.Keyword | nodes.Pair]) -> dict[str, Sql]:
        return {str(pair.key): self.value(pair.value) for pair in pairs}

    def _add(self, node: nodes.Add) -> Sql:
        left, right = self.value(node.left), self.value(node.right)
        if left.type == right.type == TEXT:
            return concat([left, right]).but(*left.known, *right.known)
        return numbers.arithmetic("+", left, right)

    def _sub(self, node: nodes.Sub) -> Sql:
        return numbers.arithmetic("-", self.value(node.left), self.value(node.right))

    def _mul(self, node: nodes.Mul) -> Sql:
        return numbers.arithmetic("*", self.value(node.left), self.value(node.right))

    def _div(self, node: nodes.Div) -> Sql:
        return numbers.divided(self.value(node.left), self.value(node.right))

    def _floordiv(self, node: nodes.FloorDiv) -> Sql:
        return numbers.floored("//", self.value(node.left), self.value(node.right))

    def _mod(self, node: nodes.Mod) -> Sql:
        left = self.value(node.left)
        if left.type != TEXT:
            return numbers.floored("%", left, self.value(node.right))
        form = text.constant_text(left, "a format")
        values = node.right.items if isinstance(node.right, nodes.Tuple) else [node.right]
        return by_percent(form, [self.value(value) for value in values])

    def _pow(self, node: nodes.Pow) -> Sql:
        return numbers.power(self.value(node.left), self.value(node.right))

    def _neg(self, node: nodes.Neg) -> Sql:
        inner = self.value(node.node)
        if inner.constant is not None and not isinstance(inner.constant, (str, bool)):
            return literal(-inner.constant)
        return numbers.negative(inner)

    def _pos(self, node: nodes.Pos) -> Sql:
        inner = self.value(node.node)
        if inner.type not in {"integer", "decimal"}:
            raise NotCompiled("+ before other than a number")
        return inner.but(*inner.known)

    def _call(self, node: nodes.Call) -> Sql:
        if not isinstance(node.node, nodes.Getattr) or node.dyn_args or node.dyn_kwargs:
            raise NotCompiled("this call is Jinja's")
        entry = METHODS.get(node.node.attr)
        if entry is None:
            raise NotCompiled(f"the method {node.node.attr}")
        inner = self.value(node.node.node)
        return entry.sql(inner, [self.value(a) for a in node.args], self._named(node.kwargs))

    def _filter(self, node: nodes.Filter) -> Sql:
        entry = FILTERS.get(node.name)
        if entry is None or node.node is None or node.dyn_args or node.dyn_kwargs:
            raise NotCompiled(f"the filter `{node.name}`")
        arguments = [self.value(argument) for argument in node.args]
        named = self._named(node.kwargs)
        if node.name == "join" and isinstance(node.node, (nodes.List, nodes.Tuple)):
            between = arguments[0] if arguments else named.get("d", literal(""))
            if len(arguments) + len(named) > 1:
                raise NotCompiled("join with an attribute")
            parts = [self.value(item) for item in node.node.items]
            return text.joined_parts(parts, text.constant_text(between, "a text to join with"))
        inner = self._any(node.node)
        if node.name not in {"default", "d"}:
            inner = inner.settled()
        return entry.sql(inner, arguments, named)


__all__ = ["CONCAT", "ROW", "Compiler", "row_column"]
