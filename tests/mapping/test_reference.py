"""docs/mapping.md names all that a mapping may say, as the code has it."""

import os
import re
from pathlib import Path

from compasso.mapping.filters import FILTERS
from compasso.mapping.reference import BEGIN, END, reference
from compasso.mapping.templates import environment

DOCS = Path(__file__).parents[2] / "docs" / "mapping.md"


def test_the_tables_in_the_docs_are_those_of_the_code():
    """Write them anew with COMPASSO_WRITE_DOCS=1."""
    text = DOCS.read_text("utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    wanted = f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"
    if os.environ.get("COMPASSO_WRITE_DOCS"):
        DOCS.write_text(wanted, "utf-8")
    assert DOCS.read_text("utf-8") == wanted


def test_what_stands_in_the_table_is_there():
    env = environment()
    assert set(env.filters) == set(FILTERS)
    assert all(callable(function) for function in env.filters.values())


def test_the_examples_in_the_docs_are_templates():
    from compasso.mapping.templates import parse

    found = re.findall(r"^\w+: \"(\{\{.*\}\})\"$", DOCS.read_text("utf-8"), re.MULTILINE)
    assert len(found) > 5
    for text in found:
        parse(text)
