"""Renderings of a plan whose data is hostile: it shows as text, whatever it holds."""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compasso.rendering import render_plan
from compasso.rendering.markdown import escape
from compasso.rendering.text import clean

HOSTILE = ["<script>alert(1)</script>", "| a | b |", "[x](javascript:alert(1))", "@everyone"]
HOSTILE += [
    "**bold** `code` ~~s~~",
    "\x1b[2J\x1b]0;title\x07",
    "line\nbreak",
    "![i](http://x/y.png)",
]


def document(text):
    return {
        "project": "shop",
        "plan_id": "0",
        "summary": {
            "create": 1, "update": 0, "delete": 0, "unchanged": 0, "rejected": 1,
            "requests": 1, "estimated_seconds": 0.3,
        },
        "budget": {"requests_per_minute": 100},
        "warnings": [],
        "syncs": [
            {
                "name": "crm", "target": "contacts", "source": "c.csv", "owner": None,
                "create": 1, "update": 0, "delete": 0, "unchanged": 0, "rejected": 1,
                "requests": 1, "imports": 0, "calls": 1, "route_reasons": ["by call"],
                "samples": [
                    {
                        "operation": "create", "key": text, "source_row": 1, "sensitive": [],
                        "fields": [{"name": "_name", "before": None, "after": text}],
                    }
                ],
                "changed_fields": {},
                "rejects": [
                    {
                        "location": "c.csv row 2", "source_row": 2, "field": "_name",
                        "rule": "is wrong", "value": text, "message": f"_name is wrong {text}",
                    }
                ],
                "warnings": [],
                "guards": [],
            }
        ],
    }  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_hostile_data_as_text(text):
    shown = render_plan(document(text), "markdown")
    assert "<script" not in shown.replace("\\<", "")
    assert "@everyone" not in shown
    assert "](javascript" not in shown.replace("\\]", "")
    table = [line for line in shown.splitlines() if line.startswith("| crm")]
    assert table[0].replace("\\|", "").count("|") == 9


@pytest.mark.parametrize("text", HOSTILE)
def test_a_terminal_is_never_steered_by_data(text):
    shown = render_plan(document(text), "text")
    assert "\x1b" not in shown
    assert "\x07" not in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_a_page_shows_hostile_data_as_text_and_loads_nothing(text):
    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.tags = []
            self.words = ""

        def handle_starttag(self, tag, attrs):
            self.tags.append((tag, attrs))

        def handle_data(self, data):
            self.words += data

    reader = Reader()
    reader.feed(render_plan(document(text), "html"))
    assert not {tag for tag, _ in reader.tags} & {"script", "img", "a", "link", "iframe"}
    assert not [a for _, attrs in reader.tags for a, _ in attrs if a in {"src", "href", "onload"}]
    assert json.dumps(text, ensure_ascii=False) in reader.words


@given(st.text())
def test_escaped_markdown_has_no_line_break_and_no_bare_markup(text):
    shown = escape(text)
    assert "\n" not in shown
    bare = shown
    for pair in ("\\\\", "\\`", "\\*", "\\_", "\\<", "\\>", "\\|", "\\[", "\\]"):
        bare = bare.replace(pair, "")
    assert not set("`*<>|[]") & set(bare)


@given(st.text())
def test_cleaned_text_is_printable(text):
    assert all(c.isprintable() or c == "\n" for c in clean(text))
