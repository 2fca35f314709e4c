"""The SQL of numbers, by Python's rules."""

from __future__ import annotations

from dataclasses import replace

from compasso.mapping.sql import (
    BOOLEAN,
    DECIMAL,
    EXACT,
    INTEGER,
    LARGE,
    NUMBER,
    NUMBERS,
    TEXT,
    Guard,
    NotCompiled,
    Sql,
    as_number,
    both,
    holds,
    literal,
)
from compasso.mapping.text import constant_integer, matches

# Sums of integers up to this fit in 64 bits, and so do products of integers up to the other.
_SUMMABLE = 2**61
_MULTIPLIABLE = 2**31
# Products up to this are exact in a DOUBLE.
_EXACT_FACTOR = 2**26
# What the sandbox lets ** take.
LARGEST_BASE = 1_000_000


def within(value: Sql, largest: int) -> tuple[Guard, ...]:
    """The condition that a number is there and no larger than that."""
    if value.constant is not None and abs(value.constant) <= largest:
        return ()
    said = ("none", LARGE) if value.nullable else (LARGE,)
    return (Guard(holds(f"{value.sql} BETWEEN -{largest} AND {largest}"), *said),)


def _not_zero(value: Sql) -> tuple[Guard, ...]:
    return (Guard(holds(f"{value.sql} <> 0"), "a division by zero"),) if not value.constant else ()


def _numbers(*values: Sql) -> None:
    if any(value.type not in NUMBERS for value in values):
        raise NotCompiled("arithmetic of other than numbers")


def arithmetic(operator: str, left: Sql, right: Sql) -> Sql:
    """+, - and *. None is an error in Jinja, so it is guarded."""
    _numbers(left, right)
    guard = both(left.guard, right.guard)
    if left.type == right.type == INTEGER:
        most = _MULTIPLIABLE if operator == "*" else _SUMMABLE
        # An overflow in a row outside the guard must not stop the whole query.
        sql = f"try({left.sql} {operator} {right.sql})"
        guard = both(guard, within(left, most), within(right, most))
        return Sql(sql, INTEGER, guard, nullable=False, letters=())
    if DECIMAL in {left.type, right.type}:
        guard = both(guard, left.known, right.known)
        sql = f"({left.sql}::DOUBLE {operator} {right.sql}::DOUBLE)"
        return Sql(sql, DECIMAL, guard, nullable=False, letters=())
    most = _EXACT_FACTOR if operator == "*" else EXACT // 2
    left, right = as_number(left), as_number(right)
    guard = both(guard, within(left, most), within(right, most))
    return Sql(f"({left.sql} {operator} {right.sql})", NUMBER, guard, nullable=False, letters=())


def divided(left: Sql, right: Sql) -> Sql:
    """/ gives a decimal, always."""
    _numbers(left, right)
    sides = [side if side.type == DECIMAL else as_number(side) for side in (left, right)]
    guard = both(*(side.guard for side in sides), left.known, _not_zero(right))
    sql = f"({sides[0].sql} / nullif({sides[1].sql}, 0))"
    return Sql(sql, DECIMAL, guard, nullable=False, letters=())


def floored(operator: str, left: Sql, right: Sql) -> Sql:
    """// and % of integers: Python rounds down, the engine towards zero."""
    if left.type != INTEGER or right.type != INTEGER:
        raise NotCompiled(f"{operator} of other than integers")
    a, b = left.sql, f"nullif({right.sql}, 0)"
    guard = both(
        left.guard,
        right.guard,
        within(left, _SUMMABLE),
        within(right, _SUMMABLE),
        _not_zero(right),
    )
    if operator == "%":
        sql = f"try(((({a} % {b}) + {b}) % {b}))"
    else:
        below = f"(({a} % {b}) <> 0 AND ({a} < 0) <> ({b} < 0))"
        sql = f"try(({a} // {b}) - (CASE WHEN {below} THEN 1 ELSE 0 END))"
    return Sql(sql, INTEGER, guard, nullable=False, letters=())


def power(left: Sql, right: Sql) -> Sql:
    """** of an integer with a constant 0, 1, 2 or 3."""
    exponent = constant_integer(right, "an exponent", 3)
    if left.type != INTEGER or right.type != INTEGER or exponent < 0:
        raise NotCompiled("a power of other than an integer")
    guard = both(left.guard, left.known, within(left, LARGEST_BASE))
    if exponent == 0:
        return Sql("1::BIGINT", INTEGER, guard, nullable=False, letters=())
    result = replace(left, guard=guard)
    for _ in range(exponent - 1):
        result = arithmetic("*", result, left)
    return result


def negative(value: Sql) -> Sql:
    """-x."""
    _numbers(value)
    if value.type == INTEGER:
        return arithmetic("-", literal(0), value)
    if value.type == NUMBER:  # the negative of an integer zero has no sign
        raise NotCompiled("the negative of a number that may be an integer")
    guard = both(value.guard, value.known)
    return Sql(f"(- {value.sql})", value.type, guard, nullable=False, letters=())


def absolute(value: Sql) -> Sql:
    """abs."""
    _numbers(value)
    guard = both(value.guard, within(value, _SUMMABLE) if value.type == INTEGER else value.known)
    return Sql(f"try(abs({value.sql}))", value.type, guard, nullable=False, letters=())


_STRANGE = "unusual forms of a number"
_SIGNED = "[ \\t\\r\\n]*[+-]?"
_END = "[ \\t\\r\\n]*"
# No form of a number has these letters, so such a text takes the default.
_NO_NUMBER = "[b-dg-hj-mo-su-xzB-DG-HJ-MO-SU-XZ]"


def to_integer(value: Sql, default: Sql) -> Sql:
    """Jinja's int: what is no number takes the default."""
    if default.type != INTEGER or default.constant is None:
        raise NotCompiled("int with other than a constant integer for a default")
    if value.type == INTEGER:
        return _or_default(value, default)
    if value.type == BOOLEAN:
        inner = Sql(f"{value.sql}::BIGINT", INTEGER, value.guard, nullable=value.nullable)
        return _or_default(inner, default)
    if value.type in {DECIMAL, NUMBER}:
        guard = both(
            value.guard, (Guard(f"coalesce(abs({value.sql}) < {_SUMMABLE}, true)", LARGE),)
        )
        inner = Sql(f"try_cast(trunc({value.sql}) AS BIGINT)", INTEGER, guard, letters=())
        return _or_default(inner, default)
    if value.type != TEXT:
        raise NotCompiled(f"int of a {value.type}")
    text = value.sql
    # A number as the engine would write it needs no closer look.
    common = f"try_cast({text} AS BIGINT)::VARCHAR = {text}"
    whole = f"(CASE WHEN {common} THEN true ELSE {_whole(text)} END)"
    broken = matches(text, rf"{_SIGNED}[0-9]{{1,15}}\.[0-9]*{_END}")
    none = _no_number(text)
    sql = (
        f"(CASE WHEN {whole} THEN try_cast(trim({text}, ' \t\r\n') AS BIGINT) "
        f"WHEN {broken} THEN try_cast(trunc(try_cast(trim({text}, ' \t\r\n') AS DOUBLE)) AS BIGINT) "
        f"ELSE {default.sql} END)"
    )
    plain = f"(CASE WHEN {whole} THEN true WHEN {broken} THEN true ELSE {none} END)"
    guard = both(value.guard, (Guard(plain, _STRANGE),))
    return Sql(sql, INTEGER, guard, nullable=False, letters=())


def _whole(text: str) -> str:
    return matches(text, f"{_SIGNED}[0-9]{{1,18}}{_END}")


def _no_number(text: str) -> str:
    return f"({text} IS NULL OR {text} = '' OR coalesce(regexp_matches({text}, '{_NO_NUMBER}'), false))"


def _or_default(value: Sql, default: Sql) -> Sql:
    if not value.nullable:
        return value
    sql = f"coalesce({value.sql}, {default.sql})"
    return Sql(sql, value.type, value.guard, nullable=False, letters=())


def to_decimal(value: Sql, default: Sql) -> Sql:
    """Jinja's float: what is no number takes the default."""
    if default.type != DECIMAL or default.constant is None:
        raise NotCompiled("float with other than a constant decimal for a default")
    if value.type == DECIMAL:
        return _or_default(value, default)
    if value.type in {INTEGER, BOOLEAN, NUMBER}:
        inner = Sql(f"{value.sql}::DOUBLE", DECIMAL, value.guard, nullable=value.nullable)
        return _or_default(inner, default)
    if value.type != TEXT:
        raise NotCompiled(f"float of a {value.type}")
    text = value.sql
    plain = matches(text, rf"{_SIGNED}[0-9]{{1,15}}(\.[0-9]{{0,10}})?{_END}")
    none = _no_number(text)
    sql = (
        f"(CASE WHEN {plain} THEN try_cast(trim({text}, ' \t\r\n') AS DOUBLE) "
        f"ELSE {default.sql} END)"
    )
    simple = f"(CASE WHEN {plain} THEN true ELSE {none} END)"
    guard = both(value.guard, (Guard(simple, _STRANGE),))
    return Sql(sql, DECIMAL, guard, nullable=False, letters=())


def rounded(value: Sql, precision: int, method: str) -> Sql:
    """Jinja's round: to the even neighbour in the middle, as Python, or up or down."""
    _numbers(value)
    if not 0 <= precision <= 9 or method not in {"common", "ceil", "floor"}:
        raise NotCompiled("round to other than 0 to 9 places")
    if value.type == INTEGER:
        if method == "common":
            return value.but(*value.known)
        value = as_number(value)
        kind = DECIMAL
    else:
        kind = value.type if method == "common" else DECIMAL
    scaled = f"{value.sql} * {float(10**precision)!r}::DOUBLE"
    near = holds(f"abs({scaled}) < {2**40}")
    said = [LARGE, "none"] if value.nullable else [LARGE]
    if method == "common":
        sql = f"round_even({value.sql}, {precision})"
        if precision:
            # Near the middle the product is not exact enough to tell which neighbour is near.
            middle = f"abs(abs({scaled}) - floor(abs({scaled})) - 0.5::DOUBLE)"
            near = holds(f"abs({scaled}) < {2**40} AND {middle} > 0.001::DOUBLE")
            said.append("numbers very near the middle")
    else:  # an integer before it is divided, so a zero has no sign
        sql = f"({method}({scaled}) / {float(10**precision)!r}::DOUBLE + 0.0::DOUBLE)"
    return Sql(sql, kind, both(value.guard, (Guard(near, *said),)), nullable=False, letters=())


def formatted(value: Sql, places: int) -> Sql:
    """'%.2f' of a number."""
    _numbers(value)
    if not 0 <= places <= 9:
        raise NotCompiled("a format with that many places")
    fits = f"coalesce(abs({value.sql}::DOUBLE) < 1e15::DOUBLE, true)"
    number = f"{value.sql}::DOUBLE"
    sql = f"(CASE WHEN isnan({number}) THEN 'nan' ELSE printf('%.{places}f', {number}) END)"
    guard = both(value.guard, (Guard(fits, LARGE),))
    return Sql(sql, TEXT, guard, nullable=value.nullable, letters=())


def whole_number(value: Sql, zeros: int) -> Sql:
    """'%d' and '%05d' of an integer."""
    if value.type != INTEGER:
        raise NotCompiled("%d of other than an integer")
    sql = f"printf('%0{zeros}d', {value.sql})" if zeros else f"{value.sql}::VARCHAR"
    return Sql(sql, TEXT, value.guard, nullable=value.nullable, letters=())
