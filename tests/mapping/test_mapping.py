"""A mapping gives the same record whether SQL or Jinja computes it."""

import duckdb
import pytest
from roads import COLUMNS, one, run, template

from compasso.mapping import compile_mapping
from compasso.model import FieldType
from compasso.spec import FieldKind, FieldSpec

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
    found = run({"f": template("{{ t }}", **cast)}, [{"t": text}], only_jinja=road == "jinja")
    assert found == [[expected]]


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
    assert (value, error) == (None, "template: only numbers can be multiplied")


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


def test_pythons_opinion_of_a_template_is_not_printed(recwarn):
    assert one("{{ none[0] }}", ROW) == (None, "the template has no value for this row")
    assert not list(recwarn)
