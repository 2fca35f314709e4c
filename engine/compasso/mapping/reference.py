"""The tables of docs/mapping.md, written from what is compiled."""

from __future__ import annotations

from compasso.mapping.filters import FILTERS
from compasso.mapping.methods import METHODS
from compasso.mapping.predicates import TESTS
from compasso.mapping.table import Entry, Table

BEGIN, END = "<!-- reference: written by tests/mapping/test_reference.py -->", "<!-- /reference -->"


def reference() -> str:
    """All filters, methods and tests in Markdown."""
    return "\n".join(
        [
            *_section("Filters", "{{ value | name }}", FILTERS),
            *_section("Methods of texts", "{{ value.name() }}", METHODS),
            *_section("Tests", "{{ value is name }}", TESTS),
        ]
    )


def _section(title: str, form: str, table: Table) -> list[str]:
    lines = [
        f"### {title}",
        "",
        f"`{form}`",
        "",
        "| name | gives | asked of Jinja |",
        "| --- | --- | --- |",
    ]
    groups: dict[tuple[str, str], list[str]] = {}
    for entry in table.values():
        groups.setdefault((entry.meaning, _asks(entry)), []).append(entry.name)
    for (meaning, asks), names in groups.items():
        shown = ", ".join(f"`{n}`" for n in names) if names != ["_concat"] else "`a ~ b`"
        lines.append(f"| {shown} | {_cell(meaning)} | {_cell(asks)} |")
    return [*lines, ""]


def _asks(entry: Entry) -> str:
    if entry.compiled is None:
        return "all"
    return entry.asks


def _cell(text: str) -> str:
    return text.replace("|", "\\|").removeprefix("`a ~ b`: ")
