"""A spec may come from anyone: no way out of a template, and no value without bound."""

import time

import pytest
from roads import COLUMNS, VARIABLES, run, template

from compasso.mapping import compile_mapping
from compasso.mapping.text import LONGEST_TEXT
from compasso.model import FieldType

REFUSED = {
    "template: the text would be longer than a million characters",
    "template: a width has at most three digits",
    "template: that is too wide",
    "template: too many places",
    "template: the power is too large",
    "template: only numbers can be multiplied",
}
TOO_LONG = "template: the text would be longer than a million characters"
ROW = {"t": "abc" * 10, "u": "x\ty", "n": 9, "x": 1.5, "b": True}

BOMBS = [
    "{{ 'x' * 1000000000 }}", "{{ t * n }}", "{{ [t] * 1000000000 }}", "{{ (1,) * n }}",
    "{{ '%999999999d' % 1 }}", "{{ '%0*d' % (999999999, 1) }}", "{{ '%.99999f' % x }}",
    "{{ '%999999999s' | format(t) }}", "{{ '%(a)99999s' | format(a=t) }}", "{{ t ~ '%99999d' % n }}",
    "{{ '{:>999999999}'.format(t) }}", "{{ '{:{}}'.format(t, 999999999) }}", "{{ '{:.99999f}'.format(x) }}",
    "{{ t | center(1000000000) }}", "{{ t.center(1000000000) }}", "{{ t.ljust(1000000000) }}",
    "{{ t.rjust(99999999, 'x') }}", "{{ t.zfill(1000000000) }}", "{{ t | indent(1000000000) }}",
    "{{ t | wordwrap(1, true, 'x' ~ '" + "y" * 9000 + "') | wordwrap(1, true, '" + "y" * 9000 + "') }}",
    "{{ 10 ** 1000000000 }}", "{{ n ** n ** n ** n }}", "{{ 2.0 ** 99999 }}", "{{ (n * 1000000) ** 60 }}",
    "{{ n | round(1000000000) }}", "{{ n | round(-1000000000) }}", "{{ x | round(1000000000, 'ceil') }}",
    "{{ t " + f"| replace('a', '{'a' * 900}') " * 4 + "}}",
    "{{ t" + f".replace('a', '{'a' * 900}')" * 4 + " }}",
    "{{ '" + "y" * 900 + "'.join((t ~ t) | list | join('" + "z" * 900 + "') | list) | list | join('" + "z" * 900 + "') }}",
    "{{ t " + "| tojson " * 60 + "}}", "{{ ('\\\\' ~ t) " + "| tojson " * 60 + "}}",
    "{{ (t | list) " + "| string | list " * 18 + "| string }}",
]  # fmt: skip


@pytest.mark.parametrize("text", BOMBS, ids=range(len(BOMBS)))
@pytest.mark.parametrize("only_jinja", [False, True], ids=["sql", "jinja"])
def test_what_would_fill_the_memory_is_an_error_of_the_row(text, only_jinja):
    began = time.monotonic()
    ((value, error),) = run({"f": template(text)}, [ROW], only_jinja=only_jinja)[0]
    assert value is None
    assert error in REFUSED
    assert time.monotonic() - began < 30  # not a measure: a bomb takes hours, or the memory


def test_the_bounds_leave_room_for_real_texts():
    long = "a" * 400_000
    for only_jinja in (False, True):
        fields = {"f": template("{{ t | replace('a', 'bb') | length }}")}
        assert run(fields, [{"t": long}], only_jinja=only_jinja) == [[(800_000, None)]]
        fields = {"f": template("{{ t | replace('a', 'bbb') }}")}
        assert run(fields, [{"t": long}], only_jinja=only_jinja) == [[(None, TOO_LONG)]]
        fields = {"f": template("{{ t ~ t ~ t ~ t }}")}
        found = run(fields, [{"t": long}], only_jinja=only_jinja)[0][0][0]
        assert len(found) > LONGEST_TEXT


ESCAPES = [
    "{{ t.__class__ }}", "{{ t['__class__'] }}", "{{ ''.__class__.__mro__ }}", "{{ self }}", "{{ range(9) }}",
    "{{ lipsum() }}", "{{ cycler }}", "{{ t | attr('__class__') }}", "{{ t.format_map(vars) }}",
    "{{ [t.upper][0]() }}", "{{ t['upper']() }}", "{{ (t.center if b else t.ljust)(9) }}", "{{ vars() }}",
    "{{ t.encode() }}", "{{ t.translate({}) }}", "{{ t | map('attr') }}", "{{ t | map(attribute='x') | list }}",
    "{{ t | map(u) }}", "{{ t | xmlattr }}", "{{ t | pprint }}", "{% include 'x' %}", "{% import 'x' as y %}",
    "{% extends 'x' %}", "{% macro m() %}{% endmacro %}", "{% set ns = namespace() %}", "{% for c in t %}{% endfor %}",
    "{% raw %}{% endraw %}{% call x() %}{% endcall %}", "{% filter upper %}x{% endfilter %}", "{{ t | _concat('x') }}",
    "{{ " + "(" * 3000 + "t" + ")" * 3000 + " }}", "{{ " + "[" * 500 + "]" * 500 + " }}", "{{ t" + " | trim" * 200 + " }}",
    "{{ " + " ~ ".join(["t"] * 9000) + " }}", "{{ " + "9" * 5000 + " }}", "{{ not " * 300 + "t }}",
]  # fmt: skip


@pytest.mark.parametrize("text", ESCAPES, ids=range(len(ESCAPES)))
def test_there_is_no_way_out_of_a_template(text):
    found = compile_mapping({"f": template(text)}, None, COLUMNS, {}, VARIABLES)
    assert found.problems
    assert all(p.message and p.hint for p in found.problems)


@pytest.mark.parametrize(
    "text",
    [
        "{{ '{0.__class__}'.format(t) }}", "{{ '{0[__class__]}'.format(t) }}", "{{ t['_' ~ '_class__'] }}",
        "{{ '{a.__init__}'.format(a=vars) }}", "{{ t.format.__self__ if false else t['__len' ~ '__'] }}",
    ],
)  # fmt: skip
def test_what_is_hidden_stays_hidden_while_it_runs(text):
    mapping = compile_mapping({"f": template(text)}, None, COLUMNS, {}, VARIABLES)
    if not mapping.problems:
        ((value, error),) = run({"f": template(text)}, [ROW])[0]
        assert value is None
        assert error


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{{ '\\ud800' }}", None), ("{{ t ~ '\\udfff' }}", None), ("{{ ['\\ud800'] }}", FieldType.LIST),
    ],
)  # fmt: skip
def test_half_a_character_is_an_error_of_the_row(text, kind):
    types = {"f": kind} if kind else {}
    ((value, error),) = run({"f": template(text)}, [ROW], types=types)[0]
    assert (value, error) == (None, "the text holds half of a character")


def test_nul_goes_through():
    for only_jinja in (False, True):
        found = run({"f": template("{{ t ~ '\\x00' }}")}, [{"t": "a\0"}], only_jinja=only_jinja)
        assert found == [[("a\0\0", None)]]


def test_sql_does_not_explode():
    text = "{{ t" + " | trim | title" * 30 + " }}"
    mapping = compile_mapping({"f": template(text)}, None, COLUMNS, {}, VARIABLES)
    assert mapping.fields[0].road == "jinja"
    assert mapping.fields[0].reason == "the SQL would be very long"


def test_errors_of_our_filters_do_not_quote_values():
    for text in ("{{ t | phone('ES') }}", "{{ t | email }}", "{{ t | strptime('%Y') }}"):
        ((value, error),) = run({"f": template(text)}, [{"t": "secret"}])[0]
        assert value is None
        assert error.startswith("template: ")
        assert "secret" not in error
