"""The type of an expression that only Jinja evaluates, as far as its form tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import nodes

from compasso.mapping.compiler import row_column
from compasso.mapping.filters import FILTERS
from compasso.mapping.methods import METHODS
from compasso.mapping.sql import (
    BOOLEAN,
    DECIMAL,
    INTEGER,
    LIST,
    NONE,
    NUMBER,
    NUMBERS,
    TEXT,
    NotCompiled,
    column,
    literal,
)

UNKNOWN = ""
# Filters whose result has the type of their input.
_SAME = {"abs", "round", "min", "max", "sum", "default", "d", "reverse", "date_add"}


def inferred(node: nodes.Node, columns: Mapping[str, str], variables: Mapping[str, Any]) -> str:
    """The type of an expression's value, or UNKNOWN."""

    def infer(part: nodes.Node | None) -> str:
        return UNKNOWN if part is None else inferred(part, columns, variables)

    leaf = _leaf(node, columns, variables)
    if leaf is not None:
        return leaf
    if isinstance(node, nodes.Filter):
        return FILTERS[node.name].gives or (infer(node.node) if node.name in _SAME else UNKNOWN)
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
        return METHODS[node.node.attr].gives
    if isinstance(node, (nodes.Compare, nodes.Not, nodes.Test)):
        return BOOLEAN
    if isinstance(node, (nodes.List, nodes.Tuple)):
        texts = all(infer(item) in {TEXT, NONE} for item in node.items)
        return LIST if texts else UNKNOWN
    if isinstance(node, nodes.Getitem):
        inner = infer(node.node)
        sliced = isinstance(node.arg, nodes.Slice)
        return inner if sliced or inner == TEXT else (TEXT if inner == LIST else UNKNOWN)
    if isinstance(node, nodes.CondExpr):
        return _common(infer(node.expr1), infer(node.expr2) if node.expr2 else NONE)
    if isinstance(node, (nodes.And, nodes.Or)):
        return _common(infer(node.left), infer(node.right))
    if isinstance(node, nodes.BinExpr):
        return _arithmetic(node, infer(node.left), infer(node.right))
    if isinstance(node, (nodes.Neg, nodes.Pos)):
        return infer(node.node)
    return UNKNOWN


def _leaf(node: nodes.Node, columns: Mapping[str, str], variables: Mapping[str, Any]) -> str | None:
    try:
        name = node.name if isinstance(node, nodes.Name) else row_column(node)
        if name is not None:
            return column(name, columns[name]).type if name in columns else UNKNOWN
        if isinstance(node, nodes.Const):
            return literal(node.value).type
        if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
            is_vars = node.node.name == "vars" and node.attr in variables
            return literal(variables[node.attr]).type if is_vars else UNKNOWN
    except NotCompiled:
        return UNKNOWN
    return None


def _common(left: str, right: str) -> str:
    kinds = {left, right} - {NONE}
    if len(kinds) == 1:
        return kinds.pop()
    return NUMBER if kinds and kinds <= NUMBERS else UNKNOWN


def _arithmetic(node: nodes.BinExpr, left: str, right: str) -> str:
    if isinstance(node, nodes.Div):
        return DECIMAL
    if isinstance(node, (nodes.Mod, nodes.Add)) and left == TEXT:
        return TEXT
    if {left, right} <= NUMBERS:
        return INTEGER if left == right == INTEGER else NUMBER
    return UNKNOWN
