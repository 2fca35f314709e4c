"""Whatever a mapping says, SQL and Jinja give the same record, or the same error."""

import os
from collections import Counter

import duckdb
import pytest
from grammar import expressions, rows, templates
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roads import COLUMNS, VARIABLES, by_jinja, select, table, template

from compasso.mapping import compile_mapping
from compasso.model import FieldType

CHECKS = list(HealthCheck)
CASTS = [None] * 6 + ["text", "integer", "decimal", "boolean", "date", "list", "json"]
# How many examples took which road; the long run prints it.
TAKEN = Counter()


def compiled(fields, types, only_jinja):
    return compile_mapping(fields, None, COLUMNS, types, VARIABLES, only_jinja=only_jinja)


def same(left, right):
    """Equal, where a NaN equals a NaN, and the type counts."""
    if isinstance(left, float) and isinstance(right, float):
        return repr(left) == repr(right)
    return type(left) is type(right) and left == right


def disagreement(expressions, given_rows):
    """What differs between the roads, or None; `expressions` are pairs of a text and a cast."""
    fields = {
        f"f{i}": template(text, **({"type": cast} if cast else {}))
        for i, (text, cast) in enumerate(expressions)
    }
    by_sql = compiled(fields, {}, only_jinja=False)
    refused = {problem.field for problem in by_sql.problems}
    TAKEN["refused"] += len(refused)
    TAKEN.update(field.road for field in by_sql.fields)
    # Where SQL is not taken both are the same road.
    types = {field.name: field.type for field in by_sql.fields if field.road != "jinja"}
    fields = {name: fields[name] for name in types}
    if not fields:
        return None
    with duckdb.connect() as connection:
        table(connection, given_rows)
        left = select(connection, compiled(fields, types, only_jinja=False))
        right = select(connection, compiled(fields, types, only_jinja=True))
    for row, ones, twos in zip(given_rows, left, right, strict=True):
        for name, one, two in zip(fields, ones, twos, strict=True):
            if not (same(one[0], two[0]) and one[1] == two[1]):
                text = f"{fields[name].value!r} as {types[name]}, {fields[name].cast}"
                return f"{text}: SQL {one!r}, Jinja {two!r}, row {row!r}"
    return None


# Found by the random suite: on each the roads once disagreed, or the query failed.
FOUND = [
    ("{{ n | default(n + x, true) }}", None, {"n": 1, "x": None}),
    ("{{ -3 ** 1 }}", "date", {}),
    ("{{ t ~ -3 ~ true }}", "list", {"t": "a"}),
    ("a {{ -3 | float }} b", "text", {}),
    ("{{ '%.2f' % n }}", "list", {"n": -(2**63)}),
    ("{{ n ** 0 }}", "boolean", {"n": 2**63 - 1}),
    ("{{ x ~ '' }}", None, {"x": -0.0}),
    ("{{ n * n * n }}", None, {"n": 2**62}),
    ("{{ t.split(',')[5] }}", None, {"t": "a,b"}),
    ("{{ t | upper | lower }}", None, {"t": "µ"}),
    ("{{ t | lower }}", None, {"t": "ΑΣ"}),
    ("{{ ''[0] or t }}", None, {"t": "a"}),
    ("{{ ('aB' ~ n ~ b).title() }}", None, {"n": 0, "b": False}),
    ("{{ ('a' ~ x) | title }}", None, {"x": float("-inf")}),
    ("{{ t ~ x }}", None, {"t": "", "x": -float("nan")}),
    ("{{ '%.2f' % x }}", None, {"x": -float("nan")}),
    ("{{ '%.2f' | format(x) }}", None, {"x": -float("nan")}),
    ("{{ x }}", "text", {"x": -float("nan")}),
]


@pytest.mark.parametrize(("text", "cast", "row"), FOUND)
def test_what_was_found_once(text, cast, row):
    assert disagreement([(text, cast)], [row, {}]) is None


def when_disagreement(text, given_rows):
    """As `disagreement`, of a condition."""
    fields = {"f": template("{{ n }}")}
    kept = []
    for only_jinja in (False, True):
        mapping = compile_mapping(fields, text, COLUMNS, {}, VARIABLES, only_jinja=only_jinja)
        if mapping.problems:
            return None
        with duckdb.connect() as connection:
            table(connection, given_rows)
            kept.append(len(select(connection, mapping)))
    return None if kept[0] == kept[1] else f"when {text!r}: {kept}, rows {given_rows!r}"


@pytest.mark.parametrize(
    "text", ["t | trim", "t | center(1)", "{{ t }}{{ u }}", "t.split('x') | list"]
)
@pytest.mark.parametrize("value", ["{}", "[]", "", "0", "false", None])
def test_a_condition_that_was_found_once(text, value):
    assert when_disagreement(text, [{"t": value}, {}]) is None


def seeded(examples):
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=CHECKS, database=None
    )


def fields_of(depth, most):
    return st.lists(st.tuples(templates(depth), st.sampled_from(CASTS)), min_size=1, max_size=most)


@seeded(60)
@given(expressions=fields_of(2, 6), given_rows=st.lists(rows, min_size=1, max_size=8))
def test_both_roads_give_the_same(expressions, given_rows):
    assert disagreement(expressions, given_rows) is None


@seeded(30)
@given(text=expressions(1), given_rows=st.lists(rows, min_size=1, max_size=8))
def test_both_roads_keep_the_same_rows(text, given_rows):
    assert when_disagreement(text, given_rows) is None


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_thousands_of_expressions(depth):
    @seeded(int(os.environ.get("COMPASSO_EXAMPLES", "60")))
    @given(expressions=fields_of(depth, 12), given_rows=st.lists(rows, min_size=8, max_size=16))
    def check(expressions, given_rows):
        assert disagreement(expressions, given_rows) is None

    check()
    print(dict(TAKEN))


def expected(kind, described):
    """A described value of Jinja as the value of a field of its own type."""
    value = described.get("value")
    if kind is FieldType.INTEGER:
        return int(value) if abs(int(value)) < 2**63 else None
    if kind is FieldType.DECIMAL:
        return float(value) + 0.0
    return value == "true" if kind is FieldType.BOOLEAN else value


@seeded(60)
@given(text=expressions(2), row=rows)
def test_what_the_field_holds_is_what_jinja_gives(text, row):
    described = by_jinja("{{ " + text + " }}", row)
    kinds = {
        "text": FieldType.TEXT, "integer": FieldType.INTEGER, "decimal": FieldType.DECIMAL,
        "boolean": FieldType.BOOLEAN,
    }  # fmt: skip
    kind = kinds.get(described.get("kind"))
    mapping = compiled(
        {"f": template("{{ " + text + " }}")}, {"f": kind} if kind else {}, only_jinja=True
    )
    with duckdb.connect() as connection:
        table(connection, [row])
        value, error = select(connection, mapping)[0][0]
    if "error" in described:
        assert (value, error) == (None, described["error"])
    elif kind is not None:
        wanted = expected(kind, described)
        assert same(value, wanted) or (wanted is None and value is None), (value, wanted)
