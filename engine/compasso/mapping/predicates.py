"""The tests of a mapping (`x is …`): what each means, and its SQL."""

from __future__ import annotations

from compasso.mapping import operators, text
from compasso.mapping.numbers import floored
from compasso.mapping.sql import (
    BOOLEAN,
    DECIMAL,
    INTEGER,
    NUMBER,
    NUMBERS,
    TEXT,
    NotCompiled,
    Sql,
    holds,
    literal,
)
from compasso.mapping.table import Table

TESTS = Table()
# Tests that may be asked of what is undefined.
OF_UNDEFINED = {"defined", "undefined"}
add = TESTS.add


def _truth(sql: str, value: Sql) -> Sql:
    return Sql(sql, BOOLEAN, value.guard, nullable=False, letters=())


@add("none", gives=BOOLEAN, meaning="it is none")
def _none(value: Sql) -> Sql:
    return _truth(f"({value.sql} IS NULL)" if value.nullable else "false", value)


@add("defined", gives=BOOLEAN, meaning="it is there; none is")
def _defined(value: Sql) -> Sql:
    return _truth(f"(NOT {value.missing})" if value.missing else "true", value)


@add("undefined", gives=BOOLEAN, meaning="it is not there")
def _undefined(value: Sql) -> Sql:
    return _truth(value.missing or "false", value)


def _is_a(*kinds: str, value: Sql) -> Sql:
    if value.type == NUMBER and not set(kinds) >= NUMBERS:
        raise NotCompiled("the type of a number that may be an integer")
    there = f"({value.sql} IS NOT NULL)" if value.nullable else "true"
    return _truth(there if value.type in kinds else "false", value)


@add("string", gives=BOOLEAN, meaning="it is a text")
def _string(value: Sql) -> Sql:
    return _is_a(TEXT, value=value)


@add("number", gives=BOOLEAN, meaning="it is an integer, a decimal, true or false")
def _number(value: Sql) -> Sql:
    return _is_a(*NUMBERS, BOOLEAN, value=value)


@add("integer", gives=BOOLEAN, meaning="it is an integer")
def _integer(value: Sql) -> Sql:
    return _is_a(INTEGER, value=value)


@add("float", gives=BOOLEAN, meaning="it is a decimal")
def _float(value: Sql) -> Sql:
    return _is_a(DECIMAL, value=value)


@add("boolean", gives=BOOLEAN, meaning="it is true or false")
def _boolean(value: Sql) -> Sql:
    return _is_a(BOOLEAN, value=value)


@add("true", gives=BOOLEAN, meaning="it is true (1 is not)")
def _true(value: Sql) -> Sql:
    return _truth(holds(value.sql) if value.type == BOOLEAN else "false", value)


@add("false", gives=BOOLEAN, meaning="it is false (0 is not)")
def _false(value: Sql) -> Sql:
    return _truth(holds(f"NOT {value.sql}") if value.type == BOOLEAN else "false", value)


@add("even", gives=BOOLEAN, meaning="it can be divided by 2")
def _even(value: Sql) -> Sql:
    return _divisible(value, literal(2))


@add("odd", gives=BOOLEAN, meaning="divided by 2 it leaves 1")
def _odd(value: Sql) -> Sql:
    rest = floored("%", value, literal(2))
    return _truth(holds(f"{rest.sql} = 1"), rest)


@add("divisibleby", gives=BOOLEAN, meaning="it can be divided by a number")
def _divisible(value: Sql, num: Sql) -> Sql:
    rest = floored("%", value, num)
    return _truth(holds(f"{rest.sql} = 0"), rest)


@add("lower", gives=BOOLEAN, meaning="its letters are lower case", asks="texts that are not ASCII")
def _lower(value: Sql) -> Sql:
    return _has_form(value, "islower")


@add("upper", gives=BOOLEAN, meaning="its letters are upper case", asks="texts that are not ASCII")
def _upper(value: Sql) -> Sql:
    return _has_form(value, "isupper")


def _has_form(value: Sql, name: str) -> Sql:
    if value.type != TEXT:
        raise NotCompiled(f"the letters of a {value.type}")
    return text.has_form(value, name)


@add("in", gives=BOOLEAN, meaning="as `x in y`", asks="as `in`")
def _in(value: Sql, seq: Sql) -> Sql:
    return operators.contained(value, seq, negated=False)


def _comparison(operator: str, meaning: str, *names: str) -> None:
    @add(*names, gives=BOOLEAN, meaning=meaning)
    def compiled(value: Sql, other: Sql) -> Sql:
        return operators.compared(operator, value, other)


_comparison("eq", "as `==`", "eq", "equalto", "==")
_comparison("ne", "as `!=`", "ne", "!=")
_comparison("lt", "as `<`", "lt", "lessthan", "<")
_comparison("lteq", "as `<=`", "le", "<=")
_comparison("gt", "as `>`", "gt", "greaterthan", ">")
_comparison("gteq", "as `>=`", "ge", ">=")

TESTS.leave_to_jinja(
    BOOLEAN,
    sequence="it has a length and items",
    mapping="it is a mapping",
    iterable="it has items",
    sameas="it is the same object",
)
