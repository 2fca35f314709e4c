"""The SQL of comparisons and of `in`, by Python's rules."""

from __future__ import annotations

from compasso.mapping.numbers import within
from compasso.mapping.sql import (
    BOOLEAN,
    DATES,
    DECIMAL,
    EXACT,
    INTEGER,
    LARGE,
    LIST,
    NONE,
    NUMBER,
    NUMBERS,
    TEXT,
    Guard,
    NotCompiled,
    Sql,
    both,
    holds,
    leaves,
)

_ORDERS = {"lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}


def _truth(sql: str, guard: tuple[Guard, ...]) -> Sql:
    return Sql(sql, BOOLEAN, guard, nullable=False, letters=())


def compared(operator: str, left: Sql, right: Sql) -> Sql:
    """One comparison."""
    guard = both(left.guard, right.guard)
    numbers = {left.type, right.type} <= NUMBERS
    if numbers and left.type != right.type:
        # Python compares an integer with a decimal exactly; a DOUBLE holds not all integers.
        for side in (left, right):
            if side.type == INTEGER and within(side, EXACT):
                exact = f"({within(side, EXACT)[0]} OR {side.sql} IS NULL)"
                guard = both(guard, (Guard(exact, LARGE),))
    if operator in {"eq", "ne"}:
        return _truth(_equal(left, right, numbers, operator == "ne"), guard)
    if not numbers and (left.type != right.type or left.type not in {TEXT, *DATES}):
        raise NotCompiled("an order of these types")
    sql = f"{left.sql} {_ORDERS[operator]} {right.sql}"
    sql += "".join(f" AND NOT isnan({side.sql})" for side in (left, right) if _may_be_nan(side))
    return _truth(holds(sql), both(guard, left.known, right.known))


def _may_be_nan(value: Sql) -> bool:
    return value.type in {DECIMAL, NUMBER} and value.constant is None


def _equal(left: Sql, right: Sql, numbers: bool, negated: bool) -> str:
    same = left.type == right.type or numbers
    if NONE in {left.type, right.type}:
        sql = f"({left.sql} IS NULL AND {right.sql} IS NULL)"
    elif not same:
        if {left.type, right.type} & {BOOLEAN} and {left.type, right.type} & NUMBERS:
            raise NotCompiled("a comparison of true or false with a number")
        if {left.type, right.type} <= DATES:
            raise NotCompiled("a comparison of different kinds of dates")
        # Of different types only none equals none.
        sql = f"({left.sql} IS NULL AND {right.sql} IS NULL)"
    else:
        if left.nullable or right.nullable:
            sql = f"({left.sql} IS NOT DISTINCT FROM {right.sql})"
        else:
            sql = f"({left.sql} = {right.sql})"
        if _may_be_nan(left) and _may_be_nan(right):  # not even equal to itself
            sql = f"({sql} AND NOT coalesce(isnan({left.sql}), false))"
    return f"(NOT {sql})" if negated else sql


def chained(tests: list[Sql]) -> Sql:
    """a < b < c: a later comparison counts only when the earlier ones hold."""
    result = tests[0]
    for test in tests[1:]:
        guard = result.guard
        if test.guard:
            later = " AND ".join(test.guard)
            part = Guard(f"(NOT {result.sql} OR ({later}))", *leaves(test.guard))
            guard = both(guard, (part,))
        result = _truth(f"({result.sql} AND {test.sql})", guard)
    return result


def contained(left: Sql, right: Sql, negated: bool) -> Sql:
    """A text in a text, or in a list of texts."""
    if right.type == LIST:
        found = f"list_contains({right.sql}, {left.sql})"
        if left.type != TEXT:
            raise NotCompiled("`in` a list of other than a text")
        guard = both(left.guard, right.guard, right.known, left.known)
    else:
        if left.type != TEXT or right.type != TEXT:
            raise NotCompiled("`in` of other than texts")
        found = f"contains({right.sql}, {left.sql})"
        guard = both(left.guard, right.guard, left.known, right.known)
    sql = holds(found)
    return _truth(f"(NOT {sql})" if negated else sql, guard)


def one_of(left: Sql, items: list[Sql], negated: bool) -> Sql:
    """A value in a list that stands in the template."""
    kinds = {item.type for item in items if item.type != NONE}
    if left.type == NONE or kinds - {left.type} or left.type in {DECIMAL, NUMBER, LIST, *DATES}:
        raise NotCompiled("`in` a list of another type")
    constants = [item for item in items if item.type != NONE]
    tests = []
    if constants:
        listed = ", ".join(item.sql for item in constants)
        tests.append(holds(f"{left.sql} IN ({listed})"))
    nullable = [item for item in items if item.nullable]
    if nullable and left.nullable:
        some = " OR ".join(f"{item.sql} IS NULL" for item in nullable)
        tests.append(f"({left.sql} IS NULL AND ({some}))")
    sql = f"({' OR '.join(tests)})" if tests else "false"
    guard = both(left.guard, *(item.guard for item in items))
    return _truth(f"(NOT {sql})" if negated else sql, guard)
