"""Whatever a spec file holds, loading it works or names what is wrong. Nothing else happens."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from compasso.model import CompassoError
from compasso.schemas import load_schema
from compasso.spec import load_project
from compasso.spec.language import project_schema, spec_schema
from examples import property_test

SHOP = Path(__file__).parents[2] / "specs" / "shop"
TEXTS = [p.read_text() for p in sorted(SHOP.rglob("*.yml"))]
PIECES = [
    "{",
    "}",
    "[",
    ":",
    "- ",
    "\n",
    "  ",
    "'",
    '"',
    "|",
    "&a",
    "*a",
    "!!x ",
    "{{",
    "%}",
    "null",
]
PIECES += ["1e999", "0x1F", "~", "é", "\u2028", "?", "#", "true", "5%", "-1", "2024-01-01", "<<: "]


@st.composite
def mutated(draw):
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 12))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)))
        text = text[:at] + piece + text[at + length :]
    return text


@property_test(60, 600)
@given(text=mutated(), which=st.sampled_from(["compasso.yml", "specs/a.yml"]))
def test_a_mutated_file_never_breaks_the_loader(text, which, tmp_path_factory):
    folder = tmp_path_factory.mktemp("p")
    (folder / "specs").mkdir()
    (folder / "compasso.yml").write_text("project: shop\n")
    (folder / which).write_text(text, "utf-8", "surrogatepass")
    try:
        project = load_project(folder)
    except CompassoError as error:
        for diagnostic in error.diagnostics:
            assert diagnostic.message
            if diagnostic.position:
                assert diagnostic.position.line >= 1
                assert diagnostic.position.column >= 1
    else:
        assert project.name


def test_the_published_schemas_are_those_of_the_language():
    assert load_schema("spec") == spec_schema()
    assert load_schema("project") == project_schema()
