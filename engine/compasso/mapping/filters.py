"""The filters of a mapping: what each means, and its SQL."""

from __future__ import annotations

from compasso.mapping import dates, normalize, numbers, text
from compasso.mapping.formats import by_percent
from compasso.mapping.sql import (
    BOOLEAN,
    DECIMAL,
    INTEGER,
    LIST,
    MOMENT,
    TEXT,
    NotCompiled,
    Sql,
    choose,
    concat,
    literal,
    truth_of,
)
from compasso.mapping.table import Table

FILTERS = Table()
add = FILTERS.add
_OTHER_SCRIPTS = "letters outside Latin; ß, İ, ŉ, µ"
# Jinja's `a ~ b`, as templates.py spells it.
CONCAT = "_concat"


@add(CONCAT, gives=TEXT, meaning="`a ~ b`: texts put together", asks="")
def _concat(value: Sql, *others: Sql) -> Sql:
    return concat([value, *others])


@add("trim", gives=TEXT, meaning="without blanks, or the given characters, at both ends")
def _trim(value: Sql, chars: Sql | None = None) -> Sql:
    return text.strip(text.text_of(value, "trim"), chars)


@add("lower", gives=TEXT, meaning="in lower case", asks=_OTHER_SCRIPTS)
def _lower(value: Sql) -> Sql:
    return text.case("lower", text.text_of(value, "lower"))


@add("upper", gives=TEXT, meaning="in upper case", asks=_OTHER_SCRIPTS)
def _upper(value: Sql) -> Sql:
    return text.case("upper", text.text_of(value, "upper"))


@add(
    "capitalize", gives=TEXT, meaning="first letter upper, the rest lower case", asks=_OTHER_SCRIPTS
)
def _capitalize(value: Sql) -> Sql:
    return text.capitalize(text.text_of(value, "capitalize"))


@add(
    "title",
    gives=TEXT,
    meaning="each word with a capital; words begin after blanks, `-` and `( { [ <`",
    asks=f"{_OTHER_SCRIPTS}; texts with one of `- ( {{ [ <` or an uncommon blank",
)
def _title(value: Sql) -> Sql:
    return text.title(text.text_of(value, "title"))


@add(
    "replace",
    gives=TEXT,
    meaning="one text replaced by another, everywhere",
    asks="a count; texts that are not constants; results that may be very long",
)
def _replace(value: Sql, old: Sql, new: Sql) -> Sql:
    return text.replaced(text.text_of(value, "replace"), old, new)


@add("string", gives=TEXT, meaning="as text", asks="lists and dates")
def _string(value: Sql) -> Sql:
    return text.text_of(value, "string")


@add("digits", gives=TEXT, meaning="only the digits 0 to 9 (our own)")
def _digits(value: Sql) -> Sql:
    inner = text.text_of(value, "digits")
    result = text.derived(inner, f"regexp_replace({inner.sql}, '[^0-9]', '', 'g')")
    return Sql(result.sql, TEXT, inner.guard, nullable=inner.nullable, letters=())


@add(
    "truncate",
    gives=TEXT,
    meaning="at most 255 (or the given) characters, with `...` at the end",
    asks="arguments that are not constants",
)
def _truncate(
    value: Sql,
    length: Sql | None = None,
    killwords: Sql | None = None,
    end: Sql | None = None,
    leeway: Sql | None = None,
) -> Sql:
    size = 255 if length is None else text.constant_integer(length, "a length", 100_000)
    kill = False if killwords is None else killwords.constant
    if not isinstance(kill, bool):
        raise NotCompiled("truncate with other than constants")
    ending = "..." if end is None else text.constant_text(end, "an ending")
    slack = 5 if leeway is None else text.constant_integer(leeway, "a leeway")
    if value.type != TEXT:
        raise NotCompiled(f"truncate of a {value.type}")
    return text.truncated(value, size, kill, ending, slack)


@add(
    "default", "d",
    gives="",
    meaning="another value where there is none to speak of (`undefined`); "
    "with `true` also instead of none, '', 0 and false",
    asks="values of different types",
)  # fmt: skip
def _default(value: Sql, default_value: Sql | None = None, boolean: Sql | None = None) -> Sql:
    other = literal("") if default_value is None else default_value
    also_false = False if boolean is None else boolean.constant
    if boolean is not None and boolean.constant is None:
        raise NotCompiled("default with other than a constant true or false")
    missing, present = value.missing, Sql.settled(value)
    if also_false:
        test = truth_of(Sql(value.sql, value.type, value.guard, nullable=value.nullable))
        if missing is not None:
            both = f"({test.sql} AND NOT {missing})"
            test = Sql(both, BOOLEAN, value.guard, nullable=False)
        return choose(test, present, other).but(*other.guard)
    if missing is None:
        return value.but(*other.guard)
    test = Sql(f"(NOT {missing})", BOOLEAN, value.guard, nullable=False)
    return choose(test, present, other).but(*other.guard)


@add(
    "int",
    gives=INTEGER,
    meaning="as an integer; what is none gives 0, or the given default",
    asks="exponents, `_`, `inf`, `nan`, digits of other scripts, more than 18 digits; a base",
)
def _int(value: Sql, default: Sql | None = None) -> Sql:
    return numbers.to_integer(value, literal(0) if default is None else default)


@add(
    "float",
    gives=DECIMAL,
    meaning="as a decimal; what is none gives 0.0, or the given default",
    asks="exponents, `_`, `inf`, `nan`, digits of other scripts, very long numbers",
)
def _float(value: Sql, default: Sql | None = None) -> Sql:
    return numbers.to_decimal(value, literal(0.0) if default is None else default)


@add(
    "round",
    gives="",
    meaning="to 0 (or the given) places; the middle to the even neighbour (2.5 gives 2.0), "
    "or `'ceil'`, `'floor'`",
    asks="numbers very near the middle (where 2.675 is not what it seems), very large ones",
)
def _round(value: Sql, precision: Sql | None = None, method: Sql | None = None) -> Sql:
    places = 0 if precision is None else text.constant_integer(precision, "a number of places")
    how = "common" if method is None else text.constant_text(method, "a method")
    return numbers.rounded(value, places, how)


@add("abs", gives="", meaning="without its sign", asks="integers over 2^61")
def _abs(value: Sql) -> Sql:
    return numbers.absolute(value)


@add("length", "count", gives=INTEGER, meaning="the number of characters, or of items")
def _length(value: Sql) -> Sql:
    if value.type not in {TEXT, LIST}:
        raise NotCompiled(f"the length of a {value.type}")
    return text.length(value)


@add("first", gives=TEXT, meaning="the first character or item")
def _first(value: Sql) -> Sql:
    return _at(value, 0)


@add("last", gives=TEXT, meaning="the last character or item")
def _last(value: Sql) -> Sql:
    return _at(value, -1)


def _at(value: Sql, index: int) -> Sql:
    if value.type == TEXT:
        return text.character(value, index)
    if value.type == LIST:
        return text.item(value, index)
    raise NotCompiled(f"an item of a {value.type}")


@add(
    "join",
    gives=TEXT,
    meaning="the items as one text, with a text between them; nones are left out",
    asks="other than lists of texts; a text between that is not a constant",
)
def _join(value: Sql, d: Sql | None = None) -> Sql:
    if value.type != LIST:
        raise NotCompiled(f"join of a {value.type}")
    return text.joined(value, literal("") if d is None else d)


@add("reverse", gives=TEXT, meaning="from its end", asks="texts that are not ASCII; lists")
def _reverse(value: Sql) -> Sql:
    if value.type != TEXT:
        raise NotCompiled(f"reverse of a {value.type}")
    return text.backwards(value)


@add(
    "format",
    gives=TEXT,
    meaning="`'%s %05d %.2f' | format(a, b, c)`; a none in it makes all of it none",
    asks="conversions other than `%s`, `%d`, `%05d`, `%.2f`; names; very large numbers",
)
def _format(value: Sql, *arguments: Sql) -> Sql:
    return by_percent(text.constant_text(value, "a format"), list(arguments))


@add(
    "strptime",
    gives=MOMENT,
    meaning="a text as a date and time in UTC, by the first of the given formats that fits (our own)",
    asks="texts not written in full (`1/2/2024`), or that are no date; several formats",
)
def _strptime(value: Sql, *formats: Sql) -> Sql:
    return dates.parsed(value, [text.constant_text(f, "a date format") for f in formats])


@add(
    "strftime",
    gives=TEXT,
    meaning="a date as text (our own): `{{ born | strftime('%d/%m/%Y') }}`",
    asks="letters other than `%Y %m %d %H %M %S %y %j`; years before 1000",
)
def _strftime(value: Sql, form: Sql) -> Sql:
    return dates.written(value, text.constant_text(form, "a date format"))


@add(
    "isoformat",
    gives=TEXT,
    meaning="a date as ISO 8601 text (our own)",
    asks="fractions of a second; years before 1000",
)
def _isoformat(value: Sql) -> Sql:
    return dates.iso(value)


@add(
    "date_add",
    gives="",
    meaning="a later date (our own): `years`, `months`, `weeks`, `days`, `hours`, `minutes`, "
    "`seconds`; a day that the month lacks becomes its last",
    asks="amounts that are not constants; dates far from today",
)
def _date_add(value: Sql, **amounts: Sql) -> Sql:
    return dates.later(
        value, {n: text.constant_integer(a, "an amount", 10_000) for n, a in amounts.items()}
    )


@add(
    "phone",
    gives=TEXT,
    meaning="a phone number in international form, `+34600111222` (our own); its argument is the "
    "country of numbers without a prefix: `phone('ES')`. What is no number is an error, or none "
    "with `invalid=none`",
    asks="all but plain mobile numbers, of countries whose numbers have no prefix of their own "
    "(ES, PT, MX, CL and 80 others)",
)
def _phone(value: Sql, region: Sql | None = None, invalid: Sql | None = None) -> Sql:
    if value.type != TEXT or region is None:
        raise NotCompiled("phone numbers are read by a library")
    return normalize.phone_sql(value, text.constant_text(region, "a country"))


@add(
    "email",
    gives=TEXT,
    meaning="an e-mail address checked (without asking the network), trimmed, in lower case, its "
    "domain in ASCII (our own). What is no address is an error, or none with `invalid=none`",
    asks="all but plain ASCII addresses",
)
def _email(value: Sql, invalid: Sql | None = None) -> Sql:
    if value.type != TEXT:
        raise NotCompiled(f"the e-mail address of a {value.type}")
    return normalize.email_sql(value)


FILTERS.leave_to_jinja(
    TEXT,
    center="in the middle of a given width",
    wordwrap="lines of a given width",
    indent="each line but the first with blanks before it",
    striptags="without HTML tags",
    urlencode="for a web address",
    escape="`& < > ' \"` for HTML",
    e="as `escape`",
    tojson="as JSON",
    filesizeformat="a number of bytes in words",
)
FILTERS.leave_to_jinja(INTEGER, wordcount="the number of words")
FILTERS.leave_to_jinja(
    LIST,
    list="as a list",
    sort="in order",
    unique="each item once",
    map="a filter for each item: `map('trim')`",
    select="the items that pass a test",
    reject="the items that do not",
)
FILTERS.leave_to_jinja(
    "", sum="the sum", min="the least", max="the greatest", items="a mapping's pairs"
)
