"""A mapping gives the same record whether SQL or Jinja computes it."""

import json

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compasso.mapping import compile_mapping, from_clause, prepare_lookups
from compasso.mapping.compiler import Compiler, NotCompiled
from compasso.mapping.lookups import describe
from compasso.mapping.templates import RowError, TemplateProblem, evaluator, parse
from compasso.model import FieldType
from compasso.spec import Cast, FieldKind, FieldSpec

COLUMNS = {"t": "VARCHAR", "u": "VARCHAR", "n": "BIGINT", "x": "DOUBLE", "b": "BOOLEAN"}


def run(fields, rows, columns=COLUMNS, types=None, when=None, variables=None):
    """The mapped values and errors of some rows, through DuckDB as a plan does it."""
    mapping = compile_mapping(fields, when, columns, types or {}, variables or {"p": "34"})
    assert not mapping.problems, mapping.problems
    connection = duckdb.connect()
    connection.execute(
        f"CREATE TABLE src (i BIGINT, {', '.join(f'{c} {t}' for c, t in columns.items())})"
    )
    for i, row in enumerate(rows):
        marks = ", ".join("?" for _ in range(len(columns) + 1))
        connection.execute(f"INSERT INTO src VALUES ({marks})", [i, *(row.get(c) for c in columns)])
    prepare_lookups(connection, "src", mapping.lookups)
    select = ", ".join(f"{f.value_sql}, {f.error_sql or 'NULL'}" for f in mapping.fields)
    where = f" WHERE {mapping.when_sql}" if mapping.when_sql else ""
    found = connection.execute(
        f"SELECT {select} FROM {from_clause('src', mapping.lookups)}{where} ORDER BY source.i"
    ).fetchall()
    return [[tuple(row[k : k + 2]) for k in range(0, len(row), 2)] for row in found]


def template(text, **cast):
    return FieldSpec(FieldKind.TEMPLATE, text, Cast(**cast) if cast else None)


def one(text, row, kind=None, **cast):
    types = {"f": kind} if kind else {}
    return run({"f": template(text, **cast)}, [row], types=types)[0][0]


ROW = {"t": " José MARÍA ", "u": "", "n": 7, "x": 2.5, "b": True}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ t | trim | lower }}", "josé maría"),
        ("{{ t | trim | title }}", "José María"),
        ("{{ t | replace(' ', '') }}", "JoséMARÍA"),
        ("{{ '+' ~ vars.p ~ n }}", "+347"),
        ("{{ u if u else none }}", None),
        ("{{ u | default('none given', true) }}", "none given"),
        ("https://x/{{ t | trim | upper }}/{{ n }}", "https://x/JOSÉ MARÍA/7"),
        ("{{ 'big' if n > 5 and b else 'small' }}", "big"),
        ("{{ 'in' if t | trim in ['José MARÍA'] else 'out' }}", "in"),
        ("{{ t.strip().split(' ')[0] }}", "José"),
        ("{% if b %}yes{% else %}no{% endif %}", "yes"),
        ("{{ t | digits }}", ""),
        ("{{ t | trim | length ~ '' }}", "10"),
    ],
)
def test_expressions(text, value):
    assert one(text, ROW) == (value, None)


@pytest.mark.parametrize(
    "text", ["{{ t | lower }}", "{{ 'a' ~ t }}", "Hello {{ t }}!", "{{ t | title }}"]
)
def test_none_is_not_text(text):
    assert one(text, {}) == (None, None)


@pytest.mark.parametrize(
    ("cast", "text", "expected"),
    [
        ({"type": "integer"}, " 42 ", (42, None)),
        ({"type": "integer"}, "4.2", (None, "is not an integer")),
        ({"type": "integer"}, "", (None, None)),
        ({"type": "integer"}, "99999999999999999999", (None, "is not an integer")),
        ({"type": "decimal"}, "19.90", (19.9, None)),
        ({"type": "decimal", "decimal": ","}, "19,90", (19.9, None)),
        ({"type": "decimal"}, "1,234", (None, "is not a number")),
        ({"type": "boolean"}, "Sí", (True, None)),
        ({"type": "boolean"}, "não", (False, None)),
        ({"type": "boolean"}, "perhaps", (None, "is not a yes or no")),
        ({"type": "date"}, "2024-02-29", ("2024-02-29T00:00:00.000Z", None)),
        ({"type": "date"}, "2023-02-29", (None, "is not a date")),
        ({"type": "date"}, "2024-01-01T10:00:00+02:00", ("2024-01-01T08:00:00.000Z", None)),
        ({"type": "date", "formats": ("%d/%m/%Y", "%Y-%m-%d")}, "24/12/1985", ("1985-12-24T00:00:00.000Z", None)),
        ({"type": "date", "formats": ("%d/%m/%Y",)}, "1985-12-24", (None, "is not a date")),
        ({"type": "list", "separator": "|"}, "a | b||c", (["a", "b", "c"], None)),
        ({"type": "list"}, "", (None, None)),
        ({"type": "text"}, "x", ("x", None)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("road", ["sql", "jinja"])
def test_casts_are_the_same_on_both_roads(cast, text, expected, road):
    # A slice is not compiled, so the second template asks Jinja.
    source = "{{ t }}" if road == "sql" else "{{ t[:] }}"
    assert one(source, {"t": text}, **cast) == expected


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("{{ nme }}", None, "no column 'nme'"),
        ("{{ t | lowr }}", None, "no filter `lowr`"),
        ("{{ t", None, "not a valid template"),
        ("{% for i in t %}x{% endfor %}", None, "`for` cannot be used"),
        ("{{ t.__class__ }}", None, "begin with _"),
        ("{{ vars.q }}", None, "no variable vars.q"),
        ("{{ t }}", FieldType.INTEGER, "`f` takes an integer, and this gives a text"),
        ("{{ n }}", FieldType.TEXT, "`f` takes a text, and this gives an integer"),
        ("{{ t is nonsense }}", None, "is nonsense"),
        ("{% set a = 1 %}{{ a }}", None, "`assign` cannot be used"),
    ],
)
def test_problems_are_named(text, kind, message):
    found = compile_mapping({"f": template(text)}, None, COLUMNS, {"f": kind} if kind else {}, {})
    assert any(message in p.message for p in found.problems), found.problems


def test_a_text_that_grows_without_bound_is_an_error_of_the_row():
    value, error = one("{{ ('a' * 10000000)[:1] ~ t }}", {"t": "x"})
    assert (value, error) == (None, "template: this is not allowed in a mapping")


def test_errors_do_not_quote_values():
    value, error = one("{{ (t | trim)[0:3].nope }}", {"t": "secret"})
    assert value is None
    assert "secret" not in error


def test_when_keeps_the_rows_for_which_it_is_true():
    fields = {"f": FieldSpec(FieldKind.COLUMN, "t")}
    rows = [{"t": "a", "n": 1}, {"t": "b", "n": None}, {"t": "c", "n": 0}]
    assert run(fields, rows, when="n")[0][0] == ("a", None)
    assert len(run(fields, rows, when="{{ n }}")) == 1
    assert len(run(fields, rows, when="t[:1] in ['a', 'b']")) == 2


def test_distinct_inputs_are_evaluated_once():
    rows = [{"t": "x"}] * 500
    assert run({"f": template("{{ t[::-1] }}")}, rows) == [[("x", None)]] * 500


# Random expressions over random rows, by both roads.

TEXT_FILTERS = [
    "trim",
    "lower",
    "upper",
    "title",
    "capitalize",
    "digits",
    "replace('a', 'é')",
    "string",
]
texts = st.recursive(
    st.sampled_from(["t", "u", "'aB'", "''", "vars.p", "none", "'ñ '"]),
    lambda inner: st.one_of(
        st.builds("({} | {})".format, inner, st.sampled_from(TEXT_FILTERS)),
        st.builds("({} ~ {})".format, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({} | default({}, true))".format, inner, st.sampled_from(["'z'", "u"])),
        st.builds("({} or {})".format, inner, inner),
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} + {})".format, inner, inner),
    ),
    max_leaves=5,
)
numbers = st.recursive(
    st.sampled_from(["n", "x", "1", "0", "2.5", "(t | int)", "(u | float)", "(t | length)"]),
    lambda inner: st.one_of(
        st.builds("({} + {})".format, inner, inner),
        st.builds("({} * {})".format, inner, inner),
        st.builds("({} / {})".format, inner, inner),
        st.builds("({} - {})".format, inner, inner),
        st.builds("({} if b else {})".format, inner, inner),
    ),
    max_leaves=4,
)
booleans = st.one_of(
    st.builds("({} == {})".format, texts, texts),
    st.builds("({} < {})".format, texts, texts),
    st.builds("({} >= {})".format, numbers, numbers),
    st.builds("({} in {})".format, texts, texts),
    st.builds("({} in ['aB', 'x'])".format, texts),
    st.builds("({} is none)".format, texts),
    st.builds("(not {})".format, texts),
    st.builds("({}.startswith('a'))".format, st.sampled_from(["t", "u"])),
)
values = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "a", "aB", "straße", "ÁÉ", "İ", "ΑΣ", "12", "-7", " 3", "1_0", "2.50", "ana maría", "o'neil-x", "x\u00a0y", "ﬁn"]),
    st.text(max_size=8),
)  # fmt: skip
rows = st.fixed_dictionaries(
    {
        "t": values,
        "u": values,
        "n": st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5),
        "x": st.none() | st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 3)),
        "b": st.none() | st.booleans(),
    }
)


def by_jinja(text, row):
    from types import SimpleNamespace

    try:
        return describe(evaluator(parse(text))({**row, "vars": SimpleNamespace(p="34")}))
    except RowError as error:
        return {"error": str(error)}


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(expression=st.one_of(texts, numbers, booleans), row=rows)
def test_what_is_compiled_is_what_jinja_gives(expression, row):
    if "\x00" in f"{row['t']}{row['u']}":
        return  # the engine's text cannot hold it
    text = "{{ " + expression + " }}"
    try:
        compiled = Compiler(COLUMNS, {"p": "34"}).value(parse(text).expression)
    except (NotCompiled, TemplateProblem):
        return
    connection = duckdb.connect()
    select = ", ".join(f"${c}::{t} AS {c}" for c, t in COLUMNS.items())
    used = {c: row[c] for c in COLUMNS}
    # A table, as in the product: DuckDB 2.0 fails to fold some expressions over parameters.
    connection.execute(f"CREATE TABLE given AS SELECT {select}", used)
    guard, value = connection.execute(
        f"SELECT {compiled.guard or 'true'}, {compiled.sql} FROM given AS source"
    ).fetchone()
    assert guard is not None, "a guard is never NULL"
    if guard:
        expected = by_jinja(text, row)
        assert describe(value) == expected, (compiled.sql, json.dumps(row))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(expression=texts, row=rows)
def test_a_whole_field_is_what_jinja_gives(expression, row):
    if "\x00" in f"{row['t']}{row['u']}":
        return
    text = "{{ " + expression + " }}"
    expected = by_jinja(text, row)
    value, error = run({"f": template(text)}, [row], types={"f": FieldType.TEXT})[0][0]
    if "error" in expected:
        assert (value, error) == (None, expected["error"])
    elif expected["kind"] in {"text", "none"}:
        assert (value, error) == (expected.get("value"), None)
    else:
        assert value is None
        assert "must be text" in error


def test_latin_case_is_the_same_in_python_and_in_the_engine():
    """The ground under the guard of upper, lower and title."""
    connection = duckdb.connect()
    for code in range(1, 0x180):
        if chr(code) in "ßİŉ":
            continue
        lower, upper = connection.execute(
            "SELECT lower($c), upper($c)", {"c": chr(code)}
        ).fetchone()
        assert (lower, upper) == (chr(code).lower(), chr(code).upper()), hex(code)
