"""A Jinja expression as SQL, where SQL gives exactly what Jinja gives.

Each part is compiled to SQL of a known type, with a guard: a condition under which the result
is Jinja's. Rows outside the guard, and expressions that SQL cannot say, go to Jinja itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes

from compasso.mapping.quoting import quote_name, quote_text
from compasso.mapping.templates import CONCAT

TEXT, INTEGER, DECIMAL, BOOLEAN, NONE = "text", "integer", "decimal", "boolean", "none"
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
# Python's white space, as str.strip() removes it.
BLANKS = "".join(
    map(
        chr,
        [*range(0x9, 0xE), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028,
         0x2029, 0x202F, 0x205F, 0x3000],
    )
)  # fmt: skip
# In Latin text (up to U+017F) without these three, upper and lower case are the same in Python
# and in the engine; a test goes through all of it. Other scripts ask Jinja.
_OTHER_CASES = r"[^\x00-\x{17f}]|[ßİŉ]"
_SAFE_INTEGER = 2**31
_COMPARISONS = {"eq": "=", "ne": "<>", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}


class NotCompiled(Exception):  # noqa: N818 - a signal, not an error
    """SQL cannot say this. The message is the reason, for `preview --explain`."""


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL of a known type; `guard` is None or a condition that is never NULL."""

    sql: str
    type: str
    guard: str | None = None
    constant: Any = None


def both(*guards: str | None) -> str | None:
    """All guards at once."""
    given = list(dict.fromkeys(g for g in guards if g))
    return f"({' AND '.join(given)})" if given else None


def column(name: str, kind: str) -> Sql:
    """A column of the source, by its DuckDB type."""
    sql = f"source.{quote_name(name)}"
    if kind == "VARCHAR":
        return Sql(sql, TEXT)
    if kind in _INTEGERS:
        return Sql(f"{sql}::BIGINT", INTEGER)
    if kind in {"DOUBLE", "FLOAT"} or kind.startswith("DECIMAL"):
        return Sql(f"{sql}::DOUBLE", DECIMAL)
    if kind == "BOOLEAN":
        return Sql(sql, BOOLEAN)
    raise NotCompiled(f"the column {name} is of the type {kind}")


def literal(value: Any) -> Sql:
    """A constant."""
    if value is None:
        return Sql("NULL", NONE)
    if isinstance(value, bool):
        return Sql(str(value).lower(), BOOLEAN, None, value)
    if isinstance(value, int):
        if abs(value) >= 2**63:
            raise NotCompiled("the number is too large")
        return Sql(f"{value}::BIGINT", INTEGER, None, value)
    if isinstance(value, float):
        return Sql(f"{value!r}::DOUBLE", DECIMAL, None, value)
    if isinstance(value, str) and "\0" not in value:
        return Sql(quote_text(value), TEXT, None, value)
    raise NotCompiled(f"a constant of the type {type(value).__name__}")


class Compiler:
    """Compiles the expressions of one mapping."""

    def __init__(self, columns: Mapping[str, str], variables: Mapping[str, Any]) -> None:
        self.columns = columns
        self.variables = variables

    def value(self, node: nodes.Node) -> Sql:
        """The SQL of an expression's value. Raises NotCompiled."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise NotCompiled(f"`{type(node).__name__.lower()}` is Jinja's")
        result: Sql = method(node)
        return result

    def truth(self, node: nodes.Node) -> Sql:
        """The SQL of an expression's truth, by Python's rules; never NULL."""
        if isinstance(node, (nodes.And, nodes.Or)):
            left, right = self.truth(node.left), self.truth(node.right)
            word = "AND" if isinstance(node, nodes.And) else "OR"
            # The right side is only looked at when the left does not decide.
            decided = f"NOT {left.sql}" if word == "AND" else left.sql
            guard = f"({decided} OR {right.guard})" if right.guard else None
            return Sql(f"({left.sql} {word} {right.sql})", BOOLEAN, both(left.guard, guard))
        if isinstance(node, nodes.Not):
            inner = self.truth(node.node)
            return Sql(f"(NOT {inner.sql})", BOOLEAN, inner.guard)
        return truth_of(self.value(node))

    def _name(self, node: nodes.Name) -> Sql:
        if node.name in self.columns:
            return column(node.name, self.columns[node.name])
        raise NotCompiled(f"{node.name} is no column")

    def _const(self, node: nodes.Const) -> Sql:
        return literal(node.value)

    def _getattr(self, node: nodes.Getattr) -> Sql:
        is_vars = isinstance(node.node, nodes.Name) and node.node.name == "vars"
        if is_vars and node.attr in self.variables:
            return literal(self.variables[node.attr])
        raise NotCompiled("reading a part of a value is Jinja's")

    def _templatedata(self, node: nodes.TemplateData) -> Sql:
        return literal(node.data)

    def _condexpr(self, node: nodes.CondExpr) -> Sql:
        if node.expr2 is None:
            raise NotCompiled("an `if` without `else`")
        test = self.truth(node.test)
        return choose(test, self.value(node.expr1), self.value(node.expr2))

    def _not(self, node: nodes.Not) -> Sql:
        return self.truth(node)

    def _and(self, node: nodes.And) -> Sql:
        left, right = self.value(node.left), self.value(node.right)
        return choose(truth_of(left), right, left)

    def _or(self, node: nodes.Or) -> Sql:
        left, right = self.value(node.left), self.value(node.right)
        return choose(truth_of(left), left, right)

    def _compare(self, node: nodes.Compare) -> Sql:
        if len(node.ops) != 1:
            raise NotCompiled("a chain of comparisons")
        operand = node.ops[0]
        if operand.op in {"in", "notin"}:
            return self._contains(node.expr, operand)
        left, right = self.value(node.expr), self.value(operand.expr)
        guard = both(left.guard, right.guard)
        numbers = {left.type, right.type} <= {INTEGER, DECIMAL}
        same = left.type == right.type or numbers or NONE in {left.type, right.type}
        if not same:
            raise NotCompiled("a comparison of different types")
        if operand.op in {"eq", "ne"}:
            word = "IS NOT DISTINCT FROM" if operand.op == "eq" else "IS DISTINCT FROM"
            return Sql(f"({left.sql} {word} {right.sql})", BOOLEAN, guard)
        if left.type not in {TEXT, INTEGER, DECIMAL} or NONE in {left.type, right.type}:
            raise NotCompiled("an order of these types")
        known = f"({left.sql} IS NOT NULL AND {right.sql} IS NOT NULL)"
        sql = f"coalesce({left.sql} {_COMPARISONS[operand.op]} {right.sql}, false)"
        return Sql(sql, BOOLEAN, both(guard, known))

    def _contains(self, expr: nodes.Expr, operand: nodes.Operand) -> Sql:
        left = self.value(expr)
        if isinstance(operand.expr, (nodes.List, nodes.Tuple)):
            items = [self.value(item) for item in operand.expr.items]
            if any(item.type != left.type or item.constant is None for item in items):
                raise NotCompiled("a list of other than constants of the same type")
            listed = ", ".join(item.sql for item in items)
            sql = f"coalesce({left.sql} IN ({listed}), false)" if items else "false"
            guard = left.guard
        else:
            right = self.value(operand.expr)
            if left.type != TEXT or right.type != TEXT:
                raise NotCompiled("`in` of other than texts")
            known = f"({left.sql} IS NOT NULL AND {right.sql} IS NOT NULL)"
            sql = f"coalesce(contains({right.sql}, {left.sql}), false)"
            guard = both(left.guard, right.guard, known)
        if operand.op == "notin":
            sql = f"(NOT {sql})"
        return Sql(sql, BOOLEAN, guard)

    def _test(self, node: nodes.Test) -> Sql:
        if node.args or node.kwargs:
            raise NotCompiled(f"the test `{node.name}` with an argument")
        inner = self.value(node.node)
        if node.name == "none":
            return Sql(f"({inner.sql} IS NULL)", BOOLEAN, inner.guard)
        if node.name == "defined":
            return Sql("true", BOOLEAN, inner.guard)
        if node.name == "string" and inner.type != NONE:
            sql = f"({inner.sql} IS NOT NULL)" if inner.type == TEXT else "false"
            return Sql(sql, BOOLEAN, inner.guard)
        raise NotCompiled(f"the test `{node.name}`")

    def _add(self, node: nodes.Add) -> Sql:
        left, right = self.value(node.left), self.value(node.right)
        if left.type == right.type == TEXT:
            known = f"({left.sql} IS NOT NULL AND {right.sql} IS NOT NULL)"
            guard = both(left.guard, right.guard, known)
            return Sql(f"({left.sql} || {right.sql})", TEXT, guard)
        return arithmetic("+", left, right)

    def _sub(self, node: nodes.Sub) -> Sql:
        return arithmetic("-", self.value(node.left), self.value(node.right))

    def _mul(self, node: nodes.Mul) -> Sql:
        return arithmetic("*", self.value(node.left), self.value(node.right))

    def _div(self, node: nodes.Div) -> Sql:
        left, right = self.value(node.left), self.value(node.right)
        result = arithmetic("/", left, right)
        sql = f"({left.sql}::DOUBLE / nullif({right.sql}::DOUBLE, 0))"
        return Sql(sql, DECIMAL, both(result.guard, f"coalesce({right.sql} <> 0, false)"))

    def _neg(self, node: nodes.Neg) -> Sql:
        return arithmetic("-", literal(0), self._integer(node.node))

    def _integer(self, node: nodes.Expr) -> Sql:
        inner = self.value(node)
        if inner.type != INTEGER:  # 0 - x is not -x for a float: the sign of zero
            raise NotCompiled("the negative of other than an integer")
        return inner

    def _call(self, node: nodes.Call) -> Sql:
        if not isinstance(node.node, nodes.Getattr) or node.kwargs or node.dyn_args:
            raise NotCompiled("this call is Jinja's")
        inner = self.value(node.node.node)
        arguments = [self.value(a) for a in node.args]
        if inner.type != TEXT or any(a.type != TEXT or a.constant is None for a in arguments):
            raise NotCompiled("a method of other than a text, or without constant arguments")
        name = node.node.attr
        known = both(inner.guard, f"({inner.sql} IS NOT NULL)")
        if name in {"startswith", "endswith"} and len(arguments) == 1:
            function = {"startswith": "starts_with", "endswith": "ends_with"}[name]
            return Sql(
                f"coalesce({function}({inner.sql}, {arguments[0].sql}), false)", BOOLEAN, known
            )
        simple = {"strip": "trim", "lower": "lower", "upper": "upper", "replace": "replace"}
        if name in simple and not (name == "strip" and arguments):
            result = self._filtered(simple[name], inner, arguments)
            return Sql(result.sql, result.type, both(known, result.guard))
        raise NotCompiled(f"the method {name}")

    def _filter(self, node: nodes.Filter) -> Sql:
        if node.kwargs or node.dyn_args or node.dyn_kwargs or node.node is None:
            raise NotCompiled(f"the filter {node.name} with named arguments")
        inner = self.value(node.node)
        return self._filtered(node.name, inner, [self.value(a) for a in node.args])

    def _filtered(self, name: str, inner: Sql, arguments: list[Sql]) -> Sql:
        if name == CONCAT:
            return concat([inner, *arguments])
        if name == "default":
            return _default(inner, arguments)
        method = _FILTERS.get(name)
        if method is None or inner.type == NONE:
            raise NotCompiled(f"the filter {name}")
        result: Sql = method(inner, arguments)
        return result


def truth_of(value: Sql) -> Sql:
    """Python's truth of a value: none, false, 0 and '' are false."""
    sql = {
        TEXT: f"coalesce({value.sql} <> '', false)",
        INTEGER: f"coalesce({value.sql} <> 0, false)",
        DECIMAL: f"coalesce({value.sql} <> 0, false)",
        BOOLEAN: f"coalesce({value.sql}, false)",
        NONE: "false",
    }[value.type]
    return Sql(sql, BOOLEAN, value.guard)


def choose(test: Sql, yes: Sql, no: Sql) -> Sql:
    """One of two values of the same type; a guard counts only where its value is chosen."""
    kinds = {yes.type, no.type} - {NONE}
    if len(kinds) > 1:
        raise NotCompiled("a choice between values of different types")
    kind = kinds.pop() if kinds else NONE
    guard = None
    if yes.guard or no.guard:
        guard = f"CASE WHEN {test.sql} THEN {yes.guard or 'true'} ELSE {no.guard or 'true'} END"
    sql = f"CASE WHEN {test.sql} THEN {yes.sql} ELSE {no.sql} END"
    return Sql(f"({sql})", kind, both(test.guard, guard))


def concat(parts: list[Sql]) -> Sql:
    """Texts put together; a none makes all of it none."""
    return Sql(f"({' || '.join(as_text(p) for p in parts)})", TEXT, both(*(p.guard for p in parts)))


def as_text(value: Sql) -> str:
    """Python's str() of a value that is not none."""
    if value.type == TEXT:
        return value.sql
    if value.type == INTEGER:
        return f"{value.sql}::VARCHAR"
    if value.type == BOOLEAN:
        return f"CASE {value.sql} WHEN true THEN 'True' WHEN false THEN 'False' END"
    if value.type == NONE:
        return "NULL::VARCHAR"
    raise NotCompiled("a decimal number as text")


def arithmetic(operator: str, left: Sql, right: Sql) -> Sql:
    """+, - and * of numbers that cannot overflow; none is an error in Jinja, so guarded."""
    if not {left.type, right.type} <= {INTEGER, DECIMAL}:
        raise NotCompiled("arithmetic of other than numbers")
    kind = INTEGER if left.type == right.type == INTEGER else DECIMAL
    guards = [left.guard, right.guard]
    for side in (left, right):
        if side.constant is not None and abs(side.constant) < _SAFE_INTEGER:
            continue
        test = (
            f"abs({side.sql}) < {_SAFE_INTEGER}"
            if side.type == INTEGER
            else f"{side.sql} IS NOT NULL"
        )
        guards.append(f"coalesce({test}, false)")
    cast = "::DOUBLE" if kind == DECIMAL else ""
    # An overflow in a row outside the guard must not stop the whole query.
    pair = f"try({left.sql}{cast} {operator} {right.sql}{cast})"
    return Sql(pair, kind, both(*guards))


def _default(inner: Sql, arguments: list[Sql]) -> Sql:
    if not arguments:
        raise NotCompiled("default without a value")
    also_false = len(arguments) > 1 and arguments[1].constant
    if not also_false:  # a column is always defined
        return inner
    return choose(truth_of(inner), inner, arguments[0])


def _trim(inner: Sql, arguments: list[Sql]) -> Sql:
    if inner.type != TEXT:
        raise NotCompiled("trim of other than a text")
    chars = arguments[0].constant if arguments else BLANKS
    if not isinstance(chars, str) or not chars or len(arguments) > 1:
        raise NotCompiled("trim with other than constant characters")
    if chars == BLANKS:
        return Sql(trimmed(inner.sql), TEXT, inner.guard)
    return Sql(f"trim({inner.sql}, {quote_text(chars)})", TEXT, inner.guard)


def trimmed(sql: str) -> str:
    """Python's str.strip() of a text.

    The engine's trim with a set of characters is slow, so texts that begin and end with a
    visible ASCII character, nearly all there are, are taken as they are.
    """
    ends = " AND ".join(f"unicode({end}) BETWEEN 33 AND 126" for end in (sql, f"right({sql}, 1)"))
    return f"CASE WHEN {ends} THEN {sql} ELSE trim({sql}, {quote_text(BLANKS)}) END"


def _latin(inner: Sql) -> str | None:
    # A text with as many bytes as characters is ASCII: no need to look closer.
    other = f"NOT coalesce(regexp_matches({inner.sql}, '{_OTHER_CASES}'), false)"
    ascii_only = f"strlen({inner.sql}) = length({inner.sql})"
    return both(inner.guard, f"CASE WHEN {ascii_only} THEN true ELSE {other} END")


def _case(function: str) -> Any:
    def compiled(inner: Sql, arguments: list[Sql]) -> Sql:
        if inner.type != TEXT or arguments:
            raise NotCompiled(f"{function} of other than a text")
        return Sql(f"{function}({inner.sql})", TEXT, _latin(inner))

    return compiled


def _capitalize(inner: Sql, arguments: list[Sql]) -> Sql:
    if inner.type != TEXT or arguments:
        raise NotCompiled("capitalize of other than a text")
    sql = f"(upper(left({inner.sql}, 1)) || lower(substr({inner.sql}, 2)))"
    return Sql(sql, TEXT, _latin(inner))


def _title(inner: Sql, arguments: list[Sql]) -> Sql:
    if inner.type != TEXT or arguments:
        raise NotCompiled("title of other than a text")
    # Jinja begins a word after blanks, - and opening brackets. Here only blanks, so texts with
    # the others, or with blanks that are not the common one, ask Jinja.
    words = (
        f"list_transform(string_split({inner.sql}, ' '), "
        "lambda w: upper(left(w, 1)) || lower(substr(w, 2)))"
    )
    plain = (
        f"(NOT coalesce(regexp_matches({inner.sql}, '[-({{\\[<\\x09-\\x0d\\x1c-\\x1f\\x85\\xa0]'), "
        "false))"
    )
    return Sql(f"array_to_string({words}, ' ')", TEXT, both(_latin(inner), plain))


def _replace(inner: Sql, arguments: list[Sql]) -> Sql:
    texts = [a.constant for a in arguments]
    if inner.type != TEXT or len(texts) != 2 or not all(isinstance(t, str) for t in texts):
        raise NotCompiled("replace with other than two constant texts")
    if not texts[0]:
        raise NotCompiled("replace of an empty text")
    old, new = arguments[0].sql, arguments[1].sql
    return Sql(f"replace({inner.sql}, {old}, {new})", TEXT, inner.guard)


def _int(inner: Sql, arguments: list[Sql]) -> Sql:
    if arguments:
        raise NotCompiled("int with arguments")
    if inner.type == INTEGER:
        return Sql(inner.sql, INTEGER, both(inner.guard, f"({inner.sql} IS NOT NULL)"))
    if inner.type != TEXT:
        raise NotCompiled("int of other than a text")
    plain = f"coalesce(regexp_full_match({inner.sql}, '[+-]?[0-9]{{1,18}}'), false)"
    return Sql(f"try_cast({inner.sql} AS BIGINT)", INTEGER, both(inner.guard, plain))


def _float(inner: Sql, arguments: list[Sql]) -> Sql:
    if arguments:
        raise NotCompiled("float with arguments")
    if inner.type in {INTEGER, DECIMAL}:
        known = f"({inner.sql} IS NOT NULL)"
        return Sql(f"{inner.sql}::DOUBLE", DECIMAL, both(inner.guard, known))
    if inner.type != TEXT:
        raise NotCompiled("float of other than a text")
    plain = (
        f"coalesce(regexp_full_match({inner.sql}, '[+-]?[0-9]{{1,15}}(\\.[0-9]{{1,10}})?'), false)"
    )
    return Sql(f"try_cast({inner.sql} AS DOUBLE)", DECIMAL, both(inner.guard, plain))


def _length(inner: Sql, arguments: list[Sql]) -> Sql:
    if inner.type != TEXT:
        raise NotCompiled("length of other than a text")
    return Sql(f"length({inner.sql})", INTEGER, both(inner.guard, f"({inner.sql} IS NOT NULL)"))


def _digits(inner: Sql, arguments: list[Sql]) -> Sql:
    if inner.type != TEXT:
        raise NotCompiled("digits of other than a text")
    return Sql(f"regexp_replace({inner.sql}, '[^0-9]', '', 'g')", TEXT, inner.guard)


_FILTERS: Mapping[str, Any] = {
    "trim": _trim,
    "lower": _case("lower"),
    "upper": _case("upper"),
    "capitalize": _capitalize,
    "title": _title,
    "replace": _replace,
    "int": _int,
    "float": _float,
    "length": _length,
    "count": _length,
    "digits": _digits,
}
