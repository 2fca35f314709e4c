"""A rule compiled to SQL gives the same verdict as jsonschema, on any value."""

import json

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compasso.model import SQL_TYPES, FieldType
from compasso.planning.checks import FORMATS, compile_checks, failed_rules
from compasso.planning.desired import _judge
from compasso.targets import TargetField, custom_fields, load_target, target_names
from examples import property_test

CONNECTION = duckdb.connect()

TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "ana@x.es", "a.b+c@sub.example.com", "a..b@x.es", "@x.es", "ana@x", "ana@-x.es",
            "señor@x.es", "a@b.c1", "ana@x.es\n", " ana@x.es", "a@xn--80ak6aa92e.xn--p1ai",
            "https://x.es/a?b=1", "http://", "ftp://x.es", "https://x .es", "https://x.es\n",
            "2024-02-29T00:00:00.000Z", "2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z",
            "2024-01-01", "2024-01-01T24:00:00Z", "0001-01-01T00:00:00Z",
            "2024-01-01T10:00:00+02:00", "+34600111222", "+0600", "34600111222",
            "+34600111222\n", "subscribed", "none", "instock", "👩🏽‍🚀" * 12, "x" * 51, "x" * 50,
        ]
    ),
    st.from_regex(FORMATS["email"], fullmatch=True),
    st.from_regex(FORMATS["date-time"], fullmatch=True),
)  # fmt: skip
VALUES = {
    FieldType.TEXT: TEXTS,
    FieldType.DATE: TEXTS,
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    FieldType.DECIMAL: st.floats(allow_nan=False, allow_infinity=False),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.LIST: st.lists(TEXTS, max_size=4),
}
CUSTOM = custom_fields(
    [
        {"id": "size", "type": "radio", "options": [{"id": "s", "label": "S"}]},
        {"id": "hobbies", "type": "checkbox", "options": [{"id": "golf", "label": "Golf"}]},
        {"id": "age", "type": "integer", "minValue": 0, "maxValue": 120},
        {"id": "score", "type": "decimal", "minValue": -1.5},
        {"id": "note", "type": "text", "maxLength": 5},
    ]
)
SCHEMAS = [
    pytest.param(field, id=f"{where}.{field.name}")
    for where, fields in [
        *((name, list(load_target(name).fields.values())) for name in target_names()),
        ("custom", CUSTOM),
    ]
    for field in fields
    if field.type in VALUES and not field.read_only and "not" not in field.schema
]


@pytest.mark.parametrize("field", SCHEMAS)
@property_test(20, 100)
@given(data=st.data())
def test_sql_and_jsonschema_agree(field, data):
    value = data.draw(VALUES[field.type])
    # DuckDB's texts cannot hold a lone surrogate, and no source delivers one.
    if "\\ud" in json.dumps(value):
        return
    checks = compile_checks(field.schema, field.type, "v")
    assert checks is not None, "every keyword of our schemas is compiled"
    select = ", ".join(f"({c.sql})" for c in checks) or "true"
    row = CONNECTION.execute(
        f"SELECT {select} FROM (SELECT $v::{SQL_TYPES[field.type]} AS v)", {"v": value}
    ).fetchone()
    by_sql = {c.rule for c, kept in zip(checks, row, strict=False) if not kept}
    assert by_sql == set(failed_rules(field.schema, value))


def test_a_keyword_that_sql_cannot_express_goes_to_the_judge():
    schema = {"type": "string", "pattern": "(?=a)"}
    assert compile_checks(schema, FieldType.TEXT, "v") is None
    assert failed_rules(schema, "b") == ["pattern"]
    assert failed_rules(schema, "ab") == []


# Random schemas of every keyword that is compiled, over random values.

WORDS = [
    "",
    "a",
    "ab",
    "é",
    "👩🏽‍🚀",
    "12",
    "+34600",
    "a\n",
    "\u00a0",
    "\ufeff",
    "\x1c",
    "\u2028",
    "²",
    "A-Z",
]
words = st.sampled_from(WORDS) | st.text(max_size=4)
PATTERNS = [
    "^a", "a$", "^[a-z]+$", r"^\d{2}$", r"^\w+$", r"\s", r"^\S*$", "^.$", r"^\D", "a|b", "^(ab)?$",
    r"^\+[0-9]*$", "[^a]", r"[\s\d]", r"^[^\s]([^\t\r\n]*[^\s])?$", "(?:a|é)", "[a-]$", "^$", "a{1,2}?b",
    r"\$", "[$]", r"(?i)A", r"\bA", "(?!a)", r"(.)\1", "[[:alpha:]]", "a**", r"\u0061", "{", "a{,2}",
]  # fmt: skip
numbers = st.integers(-30, 30) | st.sampled_from(
    [0.5, -0.5, 1.0, 2**53 + 1, 2**63, -(2**64), 1e300, 0.1, 2.5, -1.5]
)
dates = st.sampled_from(
    ["2024-02-29T00:00:00Z", "2024-01-01T10:00:00+02:00", "2023-12-31T23:59:59.999999Z",
     "2024-01-01T00:00:00Z", "2023-02-29T00:00:00Z", "2024-01-01", ""]
)  # fmt: skip
anything = st.one_of(words, numbers, st.booleans(), st.none(), dates, st.lists(words, max_size=2))
KEYWORDS = {
    "enum": st.lists(anything, max_size=4),
    "const": anything,
    "type": st.sampled_from(["string", "integer", "number", "boolean", "array", ["string", "null"], ["integer", "string"]]),
    "minLength": st.integers(0, 4), "maxLength": st.sampled_from([0, 1, 2, 3.0]),
    "pattern": st.sampled_from(PATTERNS),
    "format": st.sampled_from([*FORMATS, "no-such-format"]),
    "formatMinimum": dates, "formatMaximum": dates,
    "minimum": numbers, "maximum": numbers, "exclusiveMinimum": numbers, "exclusiveMaximum": numbers,
    "multipleOf": st.sampled_from([1, 2, 7, 0.5, 0.1, 0.01, 2.5, 1.0, 2**70, 3.0]),
    "minItems": st.integers(0, 3), "maxItems": st.integers(0, 3), "uniqueItems": st.booleans(),
    "description": words, "x-own": words, "contains": st.just({"const": "a"}), "required": st.just(["a"]),
}  # fmt: skip
plain = st.fixed_dictionaries({}, optional=KEYWORDS).flatmap(
    lambda d: (
        st.lists(st.sampled_from(sorted(d)), max_size=3, unique=True).map(
            lambda kept: {k: d[k] for k in kept}
        )
        if d
        else st.just(d)
    )
)
one_keyword = st.sampled_from(sorted(KEYWORDS)).flatmap(
    lambda k: KEYWORDS[k].map(lambda value: {k: value})
)
schemas = st.recursive(
    st.one_of(one_keyword, one_keyword, plain, st.booleans().map(lambda b: {"not": b})),
    lambda inner: st.one_of(
        st.builds(lambda a: {"not": a}, inner),
        st.builds(lambda a: {"items": a}, inner),
        st.builds(lambda a, b: {"allOf": [a, b]}, inner, inner),
        st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner),
        st.builds(lambda a, b: {"oneOf": [a, b]}, inner, inner),
        st.builds(lambda a, b, c: {"if": a, "then": b, "else": c}, inner, inner, inner),
    ),
    max_leaves=4,
)
floats = st.floats() | st.sampled_from(
    [0.0, -0.0, 0.3, 2.0, 1e300, -1.5, 9007199254740992.0, 5e-324]
)
RANDOM = {
    FieldType.TEXT: words | dates | TEXTS,
    FieldType.DATE: dates | words,
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1) | st.integers(-30, 30),
    FieldType.DECIMAL: floats | st.integers(-30, 30).map(float),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.LIST: st.lists(words, max_size=4),
}


def storable(value):
    return "\\ud" not in json.dumps(value)


def verdicts_agree(schema, kind, values):
    """Whether SQL was asked; fails when it does not say what jsonschema says."""
    checks = compile_checks(schema, kind, "v")
    if checks is None:
        return False
    select = ", ".join(f"({c.sql})" for c in checks) or "true"
    CONNECTION.execute(f"CREATE OR REPLACE TABLE given (i INTEGER, v {SQL_TYPES[kind]})")
    CONNECTION.execute(
        f"INSERT INTO given VALUES {', '.join('(?, ?)' for _ in values)}",
        [cell for pair in enumerate(values) for cell in pair],
    )
    found = CONNECTION.execute(f"SELECT {select} FROM given ORDER BY i").fetchall()
    for value, row in zip(values, found, strict=True):
        by_sql = [c.rule for c, kept in zip(checks, row, strict=False) if not kept]
        assert sorted(set(by_sql)) == sorted(failed_rules(schema, value)), (schema, value)
    return True


@pytest.mark.parametrize("kind", list(RANDOM))
@property_test(20, 100)
@given(data=st.data())
def test_any_schema_has_one_verdict(kind, data):
    schema = data.draw(schemas.filter(storable))
    values = data.draw(st.lists(RANDOM[kind].filter(storable), min_size=1, max_size=8))
    verdicts_agree(schema, kind, values)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(RANDOM))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_thousands_of_schemas_have_one_verdict(kind, data):
    schema = data.draw(schemas.filter(storable))
    values = data.draw(st.lists(RANDOM[kind].filter(storable), min_size=4, max_size=16))
    verdicts_agree(schema, kind, values)


def test_the_dates_of_a_contact_field_are_bounds():
    definition = {"id": "since", "type": "date", "minDate": "2020-01-01T00:00:00Z"}
    (field,) = custom_fields([definition])
    (check,) = [
        c for c in compile_checks(field.schema, field.type, "v") if c.rule == "formatMinimum"
    ]
    asked = "SELECT {} FROM (SELECT '{}' AS v)"
    assert CONNECTION.execute(asked.format(check.sql, "2019-12-31T23:00:00-02:00")).fetchone() == (
        True,
    )
    assert CONNECTION.execute(asked.format(check.sql, "2019-12-31T23:00:00Z")).fetchone() == (
        False,
    )


@pytest.mark.parametrize(
    ("kind", "schema", "good", "bad", "rule"),
    [
        (FieldType.TEXT, {"pattern": "(?=a)"}, "a", "b", "pattern"),
        (FieldType.LIST, {"contains": {"const": "a"}}, ["a"], ["b"], "contains"),
        (FieldType.JSON, {"items": {"minimum": 2}}, "[2]", "[1]", "items"),
    ],
)
def test_the_judge_marks_the_rows_of_each_value_that_fails(kind, schema, good, bad, rule):
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE TABLE records (f0 {SQL_TYPES[kind]}, "
            "problems STRUCT(field INTEGER, rule VARCHAR, value VARCHAR)[])"
        )
        for value in (good, bad, bad, None):
            connection.execute("INSERT INTO records VALUES (?, NULL)", [value])
        _judge(connection, "records", None, "key", [TargetField("x", kind, schema)])
        found = connection.execute("SELECT f0, problems FROM records").fetchall()
    broken = [(value, problems[0]["rule"]) for value, problems in found if problems]
    assert broken == [(bad, rule)] * 2
