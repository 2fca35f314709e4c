"""The methods that a mapping may call: what each means, and its SQL."""

from __future__ import annotations

from compasso.mapping import text
from compasso.mapping.formats import by_braces
from compasso.mapping.quoting import quote_text
from compasso.mapping.sql import BOOLEAN, INTEGER, LIST, TEXT, NotCompiled, Sql, both, holds
from compasso.mapping.table import Table

METHODS = Table()
add = METHODS.add
_CASES = "letters outside Latin; ß, İ, ŉ, µ"
_CONSTANT = "arguments that are not constants"


def _used(value: Sql) -> Sql:
    """A text whose method is called: Jinja raises for none."""
    if value.type != TEXT:
        raise NotCompiled(f"a method of a {value.type}")
    return value.but(*value.known)


@add("strip", gives=TEXT, meaning="as the filter `trim`", asks=_CONSTANT)
def _strip(value: Sql, chars: Sql | None = None) -> Sql:
    return text.strip(_used(value), chars)


@add("lstrip", gives=TEXT, meaning="as `strip`, at the beginning", asks=_CONSTANT)
def _lstrip(value: Sql, chars: Sql | None = None) -> Sql:
    return text.strip(_used(value), chars, "l")


@add("rstrip", gives=TEXT, meaning="as `strip`, at the end", asks=_CONSTANT)
def _rstrip(value: Sql, chars: Sql | None = None) -> Sql:
    return text.strip(_used(value), chars, "r")


@add("lower", gives=TEXT, meaning="in lower case", asks=_CASES)
def _lower(value: Sql) -> Sql:
    return text.case("lower", _used(value))


@add("upper", gives=TEXT, meaning="in upper case", asks=_CASES)
def _upper(value: Sql) -> Sql:
    return text.case("upper", _used(value))


@add("capitalize", gives=TEXT, meaning="first letter upper, the rest lower case", asks=_CASES)
def _capitalize(value: Sql) -> Sql:
    return text.capitalize(_used(value))


@add(
    "title",
    gives=TEXT,
    meaning="each word with a capital; words begin after anything that is no letter",
    asks="texts of other than Latin letters and blanks",
)
def _title(value: Sql) -> Sql:
    return text.python_title(_used(value))


@add("replace", gives=TEXT, meaning="as the filter `replace`", asks="as the filter")
def _replace(value: Sql, old: Sql, new: Sql) -> Sql:
    return text.replaced(_used(value), old, new)


@add(
    "split",
    gives=LIST,
    meaning="the parts between a separator, or between blanks; `[0]`, `[-1]`, `| first`, `| last`, "
    "`| join`, `| length`, `in` work on it",
    asks="a separator that is not a constant; a limit other than 1",
)
def _split(value: Sql, sep: Sql | None = None, maxsplit: Sql | None = None) -> Sql:
    value = _used(value)
    if maxsplit is None or maxsplit.constant == -1:
        return text.split(value, sep)
    if text.constant_integer(maxsplit, "a limit") != 1 or sep is None:
        raise NotCompiled("a split with a limit other than 1")
    return text.split_once(value, sep)


@add("startswith", gives=BOOLEAN, meaning="whether it begins with a text", asks=_CONSTANT)
def _startswith(value: Sql, prefix: Sql) -> Sql:
    return _affix("starts_with", value, prefix)


@add("endswith", gives=BOOLEAN, meaning="whether it ends with a text", asks=_CONSTANT)
def _endswith(value: Sql, suffix: Sql) -> Sql:
    return _affix("ends_with", value, suffix)


def _affix(function: str, value: Sql, affix: Sql) -> Sql:
    if affix.type != TEXT:
        raise NotCompiled("an ending of other than a text")
    guard = both(_used(value).guard, affix.guard, affix.known)
    sql = holds(f"{function}({value.sql}, {affix.sql})")
    return Sql(sql, BOOLEAN, guard, nullable=False, letters=())


@add("removeprefix", gives=TEXT, meaning="without that beginning", asks=_CONSTANT)
def _removeprefix(value: Sql, prefix: Sql) -> Sql:
    return text.without_prefix(_used(value), prefix)


@add("removesuffix", gives=TEXT, meaning="without that ending", asks=_CONSTANT)
def _removesuffix(value: Sql, suffix: Sql) -> Sql:
    return text.without_suffix(_used(value), suffix)


@add("zfill", gives=TEXT, meaning="with zeros before it up to a width", asks=_CONSTANT)
def _zfill(value: Sql, width: Sql) -> Sql:
    return text.zero_filled(_used(value), width)


@add("rjust", gives=TEXT, meaning="with blanks before it up to a width", asks=_CONSTANT)
def _rjust(value: Sql, width: Sql, fillchar: Sql | None = None) -> Sql:
    return text.padded(_used(value), width, fillchar, left=True)


@add("ljust", gives=TEXT, meaning="with blanks behind it up to a width", asks=_CONSTANT)
def _ljust(value: Sql, width: Sql, fillchar: Sql | None = None) -> Sql:
    return text.padded(_used(value), width, fillchar, left=False)


@add("find", gives=INTEGER, meaning="where a text begins in it; -1: nowhere", asks="bounds")
def _find(value: Sql, sub: Sql) -> Sql:
    value = _used(value)
    wanted = text.constant_text(sub, "a text to find")
    sql = f"(instr({value.sql}, {sub.sql}) - 1)" if wanted else "0::BIGINT"
    return Sql(sql, INTEGER, value.guard, nullable=False, letters=())


@add("count", gives=INTEGER, meaning="how often a text stands in it", asks=_CONSTANT)
def _count(value: Sql, sub: Sql) -> Sql:
    value = _used(value)
    wanted = text.constant_text(sub, "a text to count")
    if not wanted:
        raise NotCompiled("a count of nothing")
    gone = f"length(replace({value.sql}, {quote_text(wanted)}, ''))"
    sql = f"((length({value.sql}) - {gone}) // {len(wanted)})"
    return Sql(sql, INTEGER, value.guard, nullable=False, letters=())


@add(
    "format",
    gives=TEXT,
    meaning="`'{} {:05d} {:.2f}'.format(a, b, c)`; a none in it makes all of it none",
    asks="fields other than `{}`, `{0}`, `{:d}`, `{:05d}`, `{:.2f}`",
)
def _format(value: Sql, *arguments: Sql) -> Sql:
    return by_braces(text.constant_text(value, "a format"), list(arguments))


@add("join", gives=TEXT, meaning="as the filter `join`: `', '.join(list)`", asks="as the filter")
def _join(value: Sql, items: Sql) -> Sql:
    if items.type != LIST:
        raise NotCompiled(f"join of a {items.type}")
    text.constant_text(value, "a text to join with")
    return text.joined(items, value)


def _form(name: str) -> None:
    @add(name, gives=BOOLEAN, meaning=_FORMS[name], asks="texts that are not ASCII")
    def compiled(value: Sql) -> Sql:
        return text.has_form(_used(value), name)


_FORMS = {
    "isdigit": "whether it is digits",
    "isdecimal": "whether it is decimal digits",
    "isnumeric": "whether it is numerals",
    "isalpha": "whether it is letters",
    "isalnum": "whether it is letters and digits",
    "isspace": "whether it is blanks",
    "islower": "whether its letters are lower case",
    "isupper": "whether its letters are upper case",
}
for _name in _FORMS:
    _form(_name)

METHODS.leave_to_jinja(
    TEXT,
    center="in the middle of a width",
    swapcase="with upper and lower case changed",
    casefold="for comparing without case",
)
METHODS.leave_to_jinja(
    LIST,
    rsplit="as `split`, from the end",
    splitlines="the lines",
    partition="what is before a text, the text, what is after",
    rpartition="as `partition`, from the end",
    keys="a mapping's names",
    values="a mapping's values",
    items="a mapping's pairs",
)
METHODS.leave_to_jinja(
    INTEGER, rfind="as `find`, from the end", index="where an item is", weekday="Monday is 0"
)
METHODS.leave_to_jinja("", get="a value of a mapping by its name")
METHODS.leave_to_jinja(TEXT, isoformat="as the filter", strftime="as the filter")
