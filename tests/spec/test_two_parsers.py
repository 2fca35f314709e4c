"""YAML is read by libyaml where that is quicker. Nobody can tell: ruamel.yaml reads the same."""

from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compasso.spec import composing
from compasso.spec.document import parse_document
from examples import property_test

SHOP = Path(__file__).parents[2] / "specs" / "shop"
TEXTS = [p.read_text() for p in sorted(SHOP.rglob("*.yml"))]
TEXTS += [
    "",
    "a: 1\nb: [x, y]\nc: {d: e, f: 'g'}\nh: |\n  text\n  more\ni: \"q\\nw\"\n",
    "- a\n- b: c\n  d: e\n",
    "a:\n- 1\n-  b\n  - c\n",
    "a: >-\n  f\n  g\n\n  h\nb: 'it''s\n  long'\n",
    "fields:\n  a: \"{{ x if y != 'z' else none }}\"\n  b: {from: c, type: date}\n",
]
PIECES = [*"{}[]:,'\"|&*!%#?->\n~ @`\\", "- ", "\n  ", "\n- ", ": ", " #", "&a ", "*a", "!!x "]
PIECES += ["{{", "%}", "Null", "TRUE", "yes", "No", "0o17", "017", "0x1F", "1_000", "1e999", ".5"]
PIECES += ["-.inf", ".nan", "+1", "1:30", "2024-01-01", "2024-01-01T10:00:00Z", "é", "\U0001f600"]
PIECES += [
    "<<: ",
    "=",
    "---",
    "...",
    "%YAML 1.1\n---\n",
    "|\n",
    "|2\n",
    "|-\n",
    ">+\n",
    "? ",
    "a:b",
]
PIECES += ['{"a":1}', "'a':b", "- - -", "\\/", "\\x41", "\\\n", "''", "a  b", "\r\n", "\t", "! 12"]
PIECES += ["!!str 3", "a#b", "[,]", "[a,]", "{a: }", "k: |\n   text\n  less\n", "k: >\n a\n\n b\n"]


def read(text):
    """All that anyone sees of a text: its value with the types in it, the places, what is wrong."""
    found = parse_document(text, Path("a.yml"))
    return repr(found.value), dict(found.positions), found.problems


def read_by_ruamel(text):
    with patch.object(composing, "_quickly", lambda _text: None):
        return read(text)


def alike(text):
    assert read(text) == read_by_ruamel(text)


@st.composite
def mutated(draw):
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.sampled_from([0, 0, 1, 2, 5]))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)))
        text = text[:at] + piece + text[at + length :]
    return text


@property_test(150, 3_000)
@given(text=mutated())
def test_both_parsers_read_the_same(text):
    alike(text)


@pytest.mark.parametrize(
    "text",
    [  # each of these was read in two ways
        "---",
        "|-\n...\n",
        "a: >-\n \n  f\n",
        "a: |#\n  text\n",
        " |\n#''",
        "- &b: c\n  e\n",
        "c: {d: e, ? : g}\n",
        "{? ,}",
        "b: [x, 'a':b]\n",
        "a: \t b\n",
        "a: b\u2028c\n",
        "%YAML 1.1\n---\na: no\n",
        "a: " + "[" * 70 + "]" * 70,
    ],
)
def test_what_libyaml_reads_in_another_way_is_left_to_ruamel(text):
    alike(text)


@pytest.mark.parametrize("text", TEXTS[:-6] + TEXTS[-5:])
def test_the_specs_of_the_examples_are_read_by_libyaml(text):
    assert composing._quickly(text) is not None
    assert composing._UNSURE.search(text) is None
    alike(text)


def test_a_text_that_would_end_cs_stack_is_refused_without_harm():
    found = parse_document("[" * 100_000, Path("a.yml"))
    assert found.problems
