"""Random expressions of all that a mapping may say, and random rows, nasty ones among them."""

from datetime import date, datetime

from hypothesis import strategies as st

LITERALS = [
    "'aB'", "''", "'ñ '", "'ß'", "'12'", "'-3.50'", "' x y '", "'Ana-María'", "'%'", "none",
    "vars.p", "'👩🏽‍🚀'", "'a,b,,c'",
]  # fmt: skip
SEPARATORS = ["','", "' '", "'-'", "'a'", "', '", "'é'", "'ab'"]
AFFIXES = ["'a'", "''", "'ñ'", "' '", "'12'", "'ab'", "u"]
STRFTIMES = ["'%d/%m/%Y'", "'%Y-%m-%d'", "'%H:%M'", "'%y%j'", "'%B'", "'%Y'"]
STRPTIMES = ["'%d/%m/%Y'", "'%Y-%m-%d'", "'%Y-%m-%dT%H:%M:%S'", "'%d.%m.%Y %H:%M'", "'%d/%m/%y'"]
INDEXES = ["0", "1", "-1", "-2", "3", "9"]
SLICES = [":", ":2", "1:", "-2:", ":-1", "1:3", "-3:-1", "2:-2", "::-1", "3:1", "-2:2", "::2", "0:"]


@st.composite
def texts(draw, depth):
    """An expression that mostly gives a text."""
    if depth <= 0:
        return draw(st.sampled_from(["t", "u", "row['t']", *LITERALS]))
    inner = texts(depth - 1)
    pick = draw(st.integers(0, 27))
    one = draw(inner)
    if pick <= 3:
        names = ["trim", "lower", "upper", "title", "capitalize", "digits", "string", "reverse"]
        return f"({one} | {draw(st.sampled_from(names))})"
    if pick <= 6:
        forms = [
            "strip()", "lstrip()", "rstrip()", "strip('a ')", "lstrip('-0')", "rstrip('ñx')",
            "lower()", "upper()", "title()", "capitalize()", "zfill(5)", "rjust(6)", "ljust(6, '*')",
            "removeprefix('a')", "removesuffix('B')", "removesuffix('')", "replace('a', 'bb')",
            "replace('B', '')", "rjust(5, 'é')",
        ]  # fmt: skip
        return f"{one}.{draw(st.sampled_from(forms))}"
    if pick <= 8:
        forms = [
            "replace('a', 'é')", "replace(' ', '')", "replace('é', 'ee')", "trim('a ')", "truncate(5)", "truncate(6, true)", "truncate(4, false, '…', 0)",
            "truncate(3, true, '', 1)", "replace(old='B', new='b')",
        ]  # fmt: skip
        return f"({one} | {draw(st.sampled_from(forms))})"
    if pick == 9:
        return f"({one} | default({draw(inner)}{draw(st.sampled_from(['', ', true', ', false']))}))"
    if pick <= 12:
        return f"({one} {draw(st.sampled_from(['~', '+', 'or', 'and']))} {draw(inner)})"
    if pick == 13:
        return f"({one} ~ {draw(numbers(depth - 1))} ~ {draw(booleans(depth - 1))})"
    if pick <= 15:
        return f"({one} if {draw(booleans(depth - 1))} else {draw(inner)})"
    if pick == 16:
        return f"({one} if {draw(booleans(depth - 1))})"
    if pick == 17:
        return f"{one}[{draw(st.sampled_from(INDEXES))}]"
    if pick == 18:
        return f"{one}[{draw(st.sampled_from(SLICES))}]"
    if pick == 19:
        return f"({one} | {draw(st.sampled_from(['first', 'last']))})"
    if pick == 20:
        between = draw(st.sampled_from(SEPARATORS))
        return draw(
            st.sampled_from(
                [f"([{one}, {draw(inner)}] | join({between}))", f"({draw(lists(depth - 1))} | join({between}))",
                 f"{between}.join({draw(lists(depth - 1))})", f"([{one}, none, 'z'] | join)"]
            )
        )  # fmt: skip
    if pick == 21:
        index = draw(st.sampled_from(INDEXES))
        default = draw(st.sampled_from(["", " | default('')", " | default('z', true)"]))
        end = draw(st.sampled_from([f"[{index}]", " | first", " | last"]))
        return f"({draw(lists(depth - 1))}{end}{default})"
    if pick == 22:
        number = draw(numbers(depth - 1))
        return draw(
            st.sampled_from(
                [f"('%s-%s' | format({one}, {number}))", f"('%05d' % {number})", f"('%.2f' % ({number}))",
                 f"('%s %% %s' % ({one}, {one}))", f"('%d' | format({number}))", f"('%s' % {one})",
                 f"'{{}}/{{}}'.format({one}, {number})", f"'{{1}}{{0}}'.format({one}, 'é')",
                 f"'{{:.3f}} {{:04d}}'.format({number}, {number})", f"'{{:>5}}'.format({one})",
                 f"'{{0}} {{}}'.format({one}, {one})", f"('%x' | format({number}))"]
            )
        )  # fmt: skip
    if pick == 23:
        return f"({draw(dates(depth - 1))} | strftime({draw(st.sampled_from(STRFTIMES))}))"
    if pick == 24:
        return f"({draw(dates(depth - 1))} | isoformat)"
    if pick == 25:
        forms = [
            "phone('ES')",
            "phone",
            "phone('PT', invalid=none)",
            "phone('FR')",
            "phone('es', none)",
        ]
        return f"({one} | {draw(st.sampled_from(forms))})"
    if pick == 26:
        return f"({one} | {draw(st.sampled_from(['email', 'email(invalid=none)']))})"
    jinja = [
        f"{one}.swapcase()", f"{one}.casefold()", f"{one}.center(7)", f"({one} | replace('a', '', 1))",
        f"({one} | center(9))", f"({one} | urlencode)", f"({one} | escape)", f"({one} | striptags)",
        f"({one} | tojson)", f"({one} | wordwrap(3))", f"({one} | indent(1))", f"({one} | replace('-', u))",
    ]  # fmt: skip
    return draw(st.sampled_from(jinja))


@st.composite
def numbers(draw, depth):
    """An expression that mostly gives a number."""
    if depth <= 0:
        return draw(
            st.sampled_from(
                ["n", "x", "n", "x", "1", "0", "2.5", "-3", "vars.rate", "vars.many", "b"]
            )
        )
    inner = numbers(depth - 1)
    pick = draw(st.integers(0, 14))
    one = draw(inner)
    if pick <= 4:
        operator = draw(st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]))
        return f"({one} {operator} {draw(inner)})"
    if pick == 5:
        return f"({one} {draw(st.sampled_from(['// 7', '% 7', '// -3', '% -5', '** 2', '** 3', '/ 100']))})"
    if pick == 6:
        return f"({draw(st.sampled_from(['-', '+']))}{one})"
    if pick == 7:
        forms = ["round", "round(2)", "round(1, 'floor')", "round(2, 'ceil')", "round(0, 'floor')", "round(-1)", "abs", "round(3)", "round(2)"]  # fmt: skip
        return f"({one} | {draw(st.sampled_from(forms))})"
    if pick <= 9:
        forms = [
            "int",
            "float",
            "int(-1)",
            "float(1.5)",
            "int(0, 16)",
            "length",
            "count",
            "wordcount",
        ]
        return f"({draw(texts(depth - 1))} | {draw(st.sampled_from(forms))})"
    if pick == 10:
        return f"({one} | {draw(st.sampled_from(['int', 'float']))})"
    if pick == 11:
        return f"({one} if {draw(booleans(depth - 1))} else {draw(inner)})"
    if pick == 12:
        forms = ["find('a')", "find('')", "count('a')", "count('ab')", "find('ñ')", "rfind('a')"]
        return f"{draw(texts(depth - 1))}.{draw(st.sampled_from(forms))}"
    if pick == 13:
        return f"({draw(lists(depth - 1))} | length)"
    return f"({one} | default({draw(inner)}, true))"


@st.composite
def booleans(draw, depth):
    """An expression that mostly gives true or false."""
    if depth <= 0:
        return draw(st.sampled_from(["b", "true", "t", "n", "(not b)", "x"]))
    pick = draw(st.integers(0, 14))
    kind = draw(st.sampled_from([texts, texts, numbers, dates]))(depth - 1)
    one = draw(kind)
    if pick <= 2:
        return f"({one} {draw(st.sampled_from(['==', '!=', '<', '<=', '>', '>=']))} {draw(kind)})"
    if pick == 3:
        return f"({one} < {draw(kind)} <= {draw(kind)})"
    if pick == 4:
        return f"({draw(texts(depth - 1))} {draw(st.sampled_from(['in', 'not in']))} {draw(texts(depth - 1))})"
    if pick == 5:
        listed = draw(st.sampled_from(["['aB', 'x', '']", "('12', none)", "[1, 2, 7]", "[]", "[u, 'a']", "[1, 'a']"]))  # fmt: skip
        return f"({one} {draw(st.sampled_from(['in', 'not in']))} {listed})"
    if pick == 6:
        return f"({draw(texts(0))} in {draw(lists(depth - 1))})"
    if pick <= 8:
        names = [
            "none", "not none", "defined", "undefined", "string", "number", "integer", "float", "boolean", "true",
            "false", "lower", "upper", "odd", "even", "divisibleby(3)", "eq('a')", "in(['a', 'aB'])",
            "sequence", "mapping", "iterable", "ge(2)", "sameas(none)",
        ]  # fmt: skip
        return f"({one} is {draw(st.sampled_from(names))})"
    if pick == 9:
        index = draw(st.sampled_from(INDEXES))
        return f"({draw(lists(depth - 1))}[{index}] is {draw(st.sampled_from(['defined', 'undefined']))})"
    if pick == 10:
        forms = ["startswith", "endswith"]
        return f"{draw(texts(depth - 1))}.{draw(st.sampled_from(forms))}({draw(st.sampled_from(AFFIXES))})"
    if pick == 11:
        forms = [
            "isdigit",
            "isdecimal",
            "isnumeric",
            "isalpha",
            "isalnum",
            "isspace",
            "islower",
            "isupper",
        ]
        return f"{draw(texts(depth - 1))}.{draw(st.sampled_from(forms))}()"
    if pick == 12:
        return f"(not {draw(booleans(depth - 1))})"
    return f"({draw(booleans(depth - 1))} {draw(st.sampled_from(['and', 'or']))} {draw(booleans(depth - 1))})"


@st.composite
def lists(draw, depth):
    """An expression that gives a list of texts."""
    one = draw(texts(depth - 1))
    forms = [
        "split({})",
        "split()",
        "split({}, 1)",
        "split({}, 2)",
        "rsplit({}, 1)",
        "splitlines()",
    ]
    weights = [*forms, *["split({})", "split()"] * 4, "split({}, 1)"]
    split = f"{one}.{draw(st.sampled_from(weights)).format(draw(st.sampled_from(SEPARATORS)))}"
    ends = [
        "",
        "",
        "",
        "[1:]",
        "[:2]",
        "[1:3]",
        "[-2:]",
        " | map('trim') | list",
        " | sort",
        " | unique",
    ]
    end = draw(st.sampled_from(ends))
    return f"({split}{end})" if end else split


@st.composite
def dates(draw, depth):
    """An expression that mostly gives a date."""
    if depth <= 0:
        return draw(st.sampled_from(["d", "s", "(t | strptime('%d/%m/%Y'))"]))
    pick = draw(st.integers(0, 3))
    if pick == 0:
        form = draw(st.sampled_from(STRPTIMES))
        return f"({draw(texts(depth - 1))} | strptime({form}))"
    if pick == 1:
        return f"(u | strptime({draw(st.sampled_from(STRPTIMES))}))"
    if pick == 2:
        amounts = [
            "days=1",
            "months=1",
            "years=-1",
            "weeks=2, hours=3",
            "months=13, days=-31",
            "minutes=90",
        ]
        return f"({draw(dates(depth - 1))} | date_add({draw(st.sampled_from(amounts))}))"
    return (
        f"({draw(dates(depth - 1))} if {draw(booleans(depth - 1))} else {draw(dates(depth - 1))})"
    )


NASTY = [
    "", " ", "a", "aB", "straße", "ÁÉ", "İ", "ΑΣ", "12", "-7", " 3", "1_0", "2.50", "ana maría",
    "o'neil-x", "x\u00a0y", "ﬁn", "a,b,,c", "1/2/2024", "31/12/2024", "31/02/2024", "2024-02-29",
    "2023-02-29", "2024-01-05T10:00:00", "05.01.2024 10:00", "1e5", "inf", "nan", "+34 600 111 222",
    "600111222", "34600111222", "600-111-222", "0034600111222", "912345678", "+351 912 345 678",
    "Ana@X.es", " ana@x.es ", "ana@x", "a..b@x.es", "señor@x.es", "ana@ñ.es", "x" * 70 + "@x.es",
    "a\x00b", "👩🏽‍🚀x", "e\u0301a", "ǅ", "²", "٣", "µ", "ŉ", "\u2028a ", "\x1cx\x1f", "9" * 25,
    "+0012", "0x1f", ".5", "5.", "- 5", "ABC", "abc", "one two  three", "\ta\n", "1.005", "%s", "{}",
    "consultar", "\ufeff", "a-b", "(a) [b", "ſ", "Ǳ", "K", "0", "-0", "ana@test", "a@xn--80ak6aa92e.com",
]  # fmt: skip
cells = st.one_of(st.none(), st.sampled_from(NASTY), st.sampled_from(NASTY), st.text(max_size=8))
DECIMALS = [
    0.0,
    -0.0,
    0.5,
    1.5,
    2.5,
    -0.5,
    2.675,
    1.005,
    1e15,
    1e16,
    1e22,
    -1e-5,
    1e-4,
    0.1,
    5e-324,
    1.7e308,
]
rows = st.fixed_dictionaries(
    {
        "t": cells,
        "u": cells,
        "n": st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 20) | st.sampled_from(
            [2**53, 2**53 + 1, -(2**63), 2**31, 2**61, -(2**31) - 1]
        ),
        "x": st.none() | st.sampled_from(DECIMALS) | st.floats(-1e6, 1e6).map(lambda v: round(v, 3))
        | st.floats(),
        "b": st.none() | st.booleans(),
        "d": st.none() | st.dates(date(1000, 1, 1)) | st.sampled_from([date(2024, 2, 29), date(2024, 1, 31)]),
        "s": st.none() | st.datetimes(datetime(1000, 1, 1)) | st.sampled_from([datetime(2024, 3, 31, 10)]),
    }
)  # fmt: skip


def expressions(depth):
    """Any expression."""
    return st.one_of(
        texts(depth), texts(depth), numbers(depth), booleans(depth), lists(depth), dates(depth)
    )


@st.composite
def templates(draw, depth):
    """Any template: one expression, words around some, or a block."""
    one = draw(expressions(depth))
    form = draw(st.sampled_from(["{{ ONE }}"] * 8 + ["a {{ ONE }} b {{ TWO }}", "{% if TEST %}{{ ONE }}{% elif b %}x{{ TWO }}{% else %}no{% endif %}"]))  # fmt: skip
    if "TWO" not in form:
        return form.replace("ONE", one)
    two, test = draw(texts(depth - 1)), draw(booleans(depth - 1))
    return form.replace("ONE", one).replace("TWO", two).replace("TEST", test)
