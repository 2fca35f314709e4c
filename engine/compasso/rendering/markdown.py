"""Markdown for a comment on a pull request, for a reader who is no programmer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from compasso.rendering.words import (
    SYMBOLS,
    plan_line,
    rehearsal_facts,
    rehearsal_line,
    result_line,
    value,
)

# Everything that Markdown, HTML or a forge would read as more than text.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!$&])")


def escape(text: object) -> str:
    """Text that shows as itself: no markup, no mention, no link, no line break."""
    flat = " ".join(str(text).split())
    return _SPECIAL.sub(r"\\\1", flat).replace("@", "@\N{ZERO WIDTH SPACE}")


def plan(document: Mapping[str, Any], *, color: bool, show: int | None) -> str:
    """A plan as a comment."""
    lines = [f"### Compasso: {escape(document['project'])}", "", escape(plan_line(document)), ""]
    lines += [
        "| spec | target | create | update | delete | unchanged | rejected | requests |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for sync in document["syncs"]:
        numbers = [
            f"{sync[k]:,}"
            for k in ("create", "update", "delete", "unchanged", "rejected", "requests")
        ]
        cells = [escape(sync["name"]), escape(sync["target"]), *numbers]
        lines.append(f"| {' | '.join(cells)} |")
    for sync in document["syncs"]:
        lines += _details(sync, show)
    return "\n".join(lines)


def _details(sync: Mapping[str, Any], show: int | None) -> list[str]:
    lines: list[str] = []
    for sample in sync["samples"][: None if show is None else show * len(SYMBOLS)]:
        symbol = SYMBOLS[sample["operation"]]
        changes = [
            f"{escape(f['name'])}: "
            + (f"{escape(value(f['before']))} → " if sample["operation"] == "update" else "")
            + escape(value(f["after"]))
            for f in sample["fields"]
            if sample["operation"] != "delete"
        ]
        lines.append(f"- {escape(symbol)} **{escape(sample['key'])}** {', '.join(changes)}")
    rejects = [f"- {escape(r['location'])}: {escape(r['message'])}" for r in sync["rejects"]]
    notes = [f"- {escape(n)}" for n in [*sync["guards"], *sync["warnings"], *sync["route_reasons"]]]
    parts = [("Examples", lines), ("Rejected rows", rejects), ("Notes", notes)]
    return [
        line
        for title, body in parts
        if body
        for line in (
            "",
            f"<details><summary>{escape(sync['name'])}: {title}</summary>",
            "",
            *body,
            "",
            "</details>",
        )
    ]


def result(document: Mapping[str, Any], *, color: bool) -> str:
    """An apply as a comment."""
    lines = [f"### {escape(result_line(document))}"]
    if document["stopped"]:
        lines += ["", f"Stopped: {escape(document['reason'])}. Run apply again to go on."]
    lines += [f"- {escape(note)}" for note in document.get("notes", [])]
    for failure in document["failures"][:50]:
        what = f"{failure['operation']} {failure['key']}: {failure['reason']}"
        lines.append(f"- {escape(what)}")
    return "\n".join(lines)


def rehearsal(document: Mapping[str, Any], *, color: bool) -> str:
    """What a plan did to a simulated account, as a comment."""
    lines = [f"### {escape(rehearsal_line(document))}", "", "| | |", "| --- | --- |"]
    lines += [f"| {escape(name)} | {escape(text)} |" for name, text in rehearsal_facts(document)]
    lines.append("")
    lines += [
        f"- would fail: {escape(f['records'])} {escape(f['operation'])} of {escape(f['sync'])}: "
        f"{escape(f['reason'])} ({escape(', '.join(f['keys']))})"
        for f in document["failures"]
    ]
    lines += [f"- ended an apply: {escape(why)}" for why in document["ended_by"]]
    lines += [f"- taken for granted: {escape(what)}" for what in document["assumed"]]
    return "\n".join([*lines, *(f"- {escape(note)}" for note in document["notes"])])
