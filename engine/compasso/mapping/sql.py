"""SQL with what is known about it: its type, and on which rows it gives what Jinja gives.

Two rules hold for every `Sql`: it never raises, whatever the row (rows outside its guard are
computed too, and thrown away); and on the rows for which its guard holds it is what Jinja gives.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from compasso.mapping.quoting import quote_name, quote_text

TEXT, INTEGER, DECIMAL, BOOLEAN, NONE = "text", "integer", "decimal", "boolean", "none"
# An integer in some rows and a decimal in others; its SQL is a DOUBLE.
NUMBER = "number"
# A list of texts.
LIST = "list"
# A date; a date and time without a zone; one in UTC (its SQL is a TIMESTAMP).
DATE, DATETIME, MOMENT = "date", "datetime", "moment"
NUMBERS = frozenset({INTEGER, DECIMAL, NUMBER})
DATES = frozenset({DATE, DATETIME, MOMENT})
# Types that a list in a template may hold: Python and SQL compare and write them alike.
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
# Integers that a DOUBLE holds exactly.
EXACT = 2**53
LARGE = "very large numbers"
# Longer SQL costs more to plan than Jinja costs to run; nested filters could make it explode.
_LONGEST = 20_000


class NotCompiled(Exception):  # noqa: N818 - a signal, not an error
    """SQL cannot say this. The message is the reason, for `preview --explain`."""


class Guard(str):
    """A condition that is never NULL, with the rows that it leaves to Jinja in words."""

    leaves: tuple[str, ...]

    def __new__(cls, condition: str, *leaves: str) -> Guard:
        made = super().__new__(cls, condition)
        made.leaves = tuple(dict.fromkeys(leaves))
        return made


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL of a known type.

    `guard`: conditions, never NULL, that must all hold for the result to be Jinja's.
    `missing`: a condition, never NULL, under which the value is undefined.
    `letters`: texts that together hold every character of this text (None: the text itself),
    so that a condition on its characters can be asked of a plain column.
    `split`: for a list that comes of a split, the text's SQL and the separator.
    """

    sql: str
    type: str
    guard: tuple[Guard, ...] = ()
    constant: Any = None
    nullable: bool = True
    missing: str | None = None
    letters: tuple[str, ...] | None = None
    split: tuple[str, str] | None = None

    @property
    def alphabet(self) -> tuple[str, ...]:
        """Texts whose characters include all of this one's."""
        return (self.sql,) if self.letters is None else self.letters

    @property
    def known(self) -> tuple[Guard, ...]:
        """The condition that the value is not none."""
        return (Guard(f"({self.sql} IS NOT NULL)", "none"),) if self.nullable else ()

    def but(self, *guards: Guard) -> Sql:
        """The same under more conditions."""
        return replace(self, guard=both(self.guard, guards))

    @property
    def there(self) -> Guard:
        """The condition that the value is not undefined."""
        return Guard(f"(NOT {self.missing or 'false'})", "nothing at that place")

    def settled(self) -> Sql:
        """The same as a value that is used: where it is undefined, Jinja raises."""
        if self.missing is None:
            return self
        return replace(self, guard=both(self.guard, (self.there,)), missing=None)


Part = TypeVar("Part", bound=str)


def both(*guards: Iterable[Part]) -> tuple[Part, ...]:
    """All conditions (or texts), each once."""
    return tuple(dict.fromkeys(condition for guard in guards for condition in guard))


def conjunction(guard: Iterable[str]) -> str | None:
    """The conditions as one; None when there are none."""
    return f"({' AND '.join(guard)})" if guard else None


def leaves(*guards: Iterable[Guard]) -> tuple[str, ...]:
    """What the conditions leave to Jinja, each once."""
    return tuple(dict.fromkeys(words for g in guards for part in g for words in part.leaves))


def holds(condition: str) -> str:
    """A condition as one that is never NULL."""
    return f"coalesce({condition}, false)"


def short(value: Sql) -> Sql:
    """The value, unless its SQL is too long to be worth running. Raises NotCompiled."""
    if len(value.sql) + sum(map(len, value.guard)) > _LONGEST:
        raise NotCompiled("the SQL would be very long")
    return value


def column(name: str, kind: str) -> Sql:
    """A column of the source, by its DuckDB type. Raises NotCompiled."""
    sql = f"source.{quote_name(name)}"
    if kind == "VARCHAR":
        return Sql(sql, TEXT)
    if kind in _INTEGERS:
        return Sql(f"{sql}::BIGINT" if kind != "BIGINT" else sql, INTEGER, letters=())
    if kind in {"DOUBLE", "FLOAT"} or kind.startswith("DECIMAL"):
        # Minus zero counts as zero, as it does where rows are told apart.
        return Sql(f"({sql}::DOUBLE + 0.0::DOUBLE)", DECIMAL, letters=())
    if kind == "BOOLEAN":
        return Sql(sql, BOOLEAN, letters=())
    if kind == "DATE":
        return Sql(sql, DATE)
    if kind.startswith("TIMESTAMP"):
        if "TIME ZONE" in kind:
            return Sql(f"make_timestamp(epoch_us({sql}))", MOMENT)
        return Sql(f"{sql}::TIMESTAMP", DATETIME)
    if kind == "VARCHAR[]":
        return Sql(sql, LIST)
    raise NotCompiled(f"the column {name} is of the type {kind}")


def literal(value: Any) -> Sql:
    """A constant. Raises NotCompiled for one that SQL cannot write."""
    if value is None:
        return Sql("NULL", NONE)
    if isinstance(value, bool):
        return Sql(str(value).lower(), BOOLEAN, (), value, False, letters=())
    if isinstance(value, int):
        if abs(value) >= 2**63:
            raise NotCompiled("the number is too large")
        return Sql(_cast(value, "BIGINT"), INTEGER, (), value, False, letters=())
    if isinstance(value, float) and math.isfinite(value):
        return Sql(_cast(value, "DOUBLE"), DECIMAL, (), value, False, letters=())
    if isinstance(value, str) and storable(value):
        sql = quote_text(value)
        return Sql(sql, TEXT, (), value, False, letters=() if value.isascii() else (sql,))
    raise NotCompiled(f"a constant of the type {type(value).__name__}")


def _cast(value: float, kind: str) -> str:
    return f"{value!r}::{kind}" if value >= 0 else f"({value!r})::{kind}"


def storable(text: str, nul: bool = False) -> bool:
    """Whether a text can be written: no half of a character, and no NUL unless `nul`."""
    if "\0" in text and not nul:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def truth_of(value: Sql) -> Sql:
    """Python's truth of a value: none, false, 0, '' and an empty list are false."""
    if value.type in DATES:
        sql = f"({value.sql} IS NOT NULL)"
    elif value.type == NONE:
        sql = "false"
    else:
        test = {
            TEXT: f"{value.sql} <> ''",
            BOOLEAN: value.sql,
            LIST: f"len({value.sql}) > 0",
        }.get(value.type, f"{value.sql} <> 0")
        sql = holds(test)
    return Sql(sql, BOOLEAN, value.guard, nullable=False, letters=())


def choose(test: Sql, yes: Sql, no: Sql) -> Sql:
    """One of two values of one type; a guard counts only where its value is chosen."""
    kinds = {yes.type, no.type} - {NONE}
    if len(kinds) > 1:
        if not kinds <= NUMBERS:
            raise NotCompiled("a choice between values of different types")
        yes, no = (side if side.type == NONE else as_number(side) for side in (yes, no))
        kinds = {NUMBER}
    kind = kinds.pop() if kinds else NONE
    guard = test.guard
    if yes.guard or no.guard:
        branch = (
            f"(CASE WHEN {test.sql} THEN {conjunction(yes.guard) or 'true'} "
            f"ELSE {conjunction(no.guard) or 'true'} END)"
        )
        guard = both(guard, (Guard(branch, *leaves(yes.guard, no.guard)),))
    letters: tuple[str, ...] | None = ()
    if kind in {TEXT, LIST}:
        letters = both(*(side.alphabet for side in (yes, no) if side.type != NONE))
    sql = f"(CASE WHEN {test.sql} THEN {yes.sql} ELSE {no.sql} END)"
    nullable = NONE in {yes.type, no.type} or yes.nullable or no.nullable
    return Sql(sql, kind, guard, nullable=nullable, letters=letters)


def as_number(value: Sql) -> Sql:
    """A number as a DOUBLE; not for integers that one cannot hold."""
    if value.type != INTEGER:
        return replace(value, type=NUMBER)
    if value.constant is not None and abs(value.constant) <= EXACT:
        return Sql(_cast(float(value.constant), "DOUBLE"), NUMBER, nullable=False, letters=())
    exact = Guard(f"coalesce({value.sql} BETWEEN -{EXACT} AND {EXACT}, true)", LARGE)
    guard = both(value.guard, (exact,))
    return Sql(f"{value.sql}::DOUBLE", NUMBER, guard, nullable=value.nullable, letters=())


def concat(parts: list[Sql]) -> Sql:
    """Texts put together; a none makes all of it none."""
    texts = [as_text(part) for part in parts]
    if not texts:
        return literal("")
    return Sql(
        f"({' || '.join(text.sql for text in texts)})",
        TEXT,
        both(*(part.guard for part in texts)),
        nullable=any(part.nullable for part in texts),
        letters=both(*(text.alphabet for text in texts)),
    )


def as_text(value: Sql) -> Sql:
    """Python's str() of a value; none stays none. Raises NotCompiled."""
    if value.type == TEXT:
        return value
    if value.type == INTEGER:
        sql = f"{value.sql}::VARCHAR"
    elif value.type == DECIMAL:  # the engine writes a DOUBLE as Python does, but for -nan
        sql = f"(CASE WHEN isnan({value.sql}) THEN 'nan' ELSE {value.sql}::VARCHAR END)"
    elif value.type == BOOLEAN:
        sql = f"(CASE {value.sql} WHEN true THEN 'True' WHEN false THEN 'False' END)"
    elif value.type == NONE:
        sql = "NULL::VARCHAR"
    else:
        raise NotCompiled(f"a {value.type} as text")
    return Sql(sql, TEXT, value.guard, nullable=value.nullable, letters=())
