"""Plain text for a terminal, in the words and symbols that people know from Terraform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compasso.rendering.words import (
    SYMBOLS,
    plan_line,
    plural,
    rehearsal_facts,
    rehearsal_line,
    result_line,
    value,
)

_COLORS = {"+": "32", "~": "33", "-": "31", "!": "33", "bold": "1"}
_SHOWN_REJECTS = 10
_SHOWN_FAILURES = 20


class _Paint:
    """Colours on a terminal, and nothing elsewhere."""

    def __init__(self, color: bool) -> None:
        self.color = color

    def __call__(self, kind: str, text: str) -> str:
        if not self.color:
            return text
        return f"\x1b[{_COLORS[kind]}m{text}\x1b[0m"


def clean(text: str) -> str:
    """Text from outside without control characters: they could move the cursor."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def plan(document: Mapping[str, Any], *, color: bool, show: int | None) -> str:
    """A plan for reading."""
    paint = _Paint(color)
    lines: list[str] = []
    for sync in document["syncs"]:
        lines += _sync(sync, paint, show)
    lines += [paint("!", f"Warning: {clean(w)}") for w in document.get("warnings", [])]
    return "\n".join([*lines, paint("bold", plan_line(document))])


def _sync(sync: Mapping[str, Any], paint: _Paint, show: int | None) -> list[str]:
    counts = (
        f"{sync['create']:,} to create, {sync['update']:,} to update, {sync['delete']:,} to "
        f"delete, {sync['unchanged']:,} unchanged, {sync['rejected']:,} rejected"
    )
    lines = [
        paint("bold", f"{sync['name']}") + f"  {sync['source']} -> {sync['target']}",
        f"  {counts}",
    ]
    lines += [f"  {clean(reason)}" for reason in sync["route_reasons"]]
    if sync["update"]:
        fields = ", ".join(f"{n} ({c:,})" for n, c in list(sync["changed_fields"].items())[:10])
        lines.append(f"  changed fields: {fields}")
    lines += _samples(sync, paint, show)
    lines += _rejects(sync)
    lines += [paint("!", f"  Warning: {clean(w)}") for w in [*sync["guards"], *sync["warnings"]]]
    return [*lines, ""]


def _samples(sync: Mapping[str, Any], paint: _Paint, show: int | None) -> list[str]:
    lines: list[str] = []
    shown = dict.fromkeys(SYMBOLS, 0)
    for sample in sync["samples"]:
        operation = sample["operation"]
        if show is not None and shown[operation] >= show:
            continue
        shown[operation] += 1
        symbol = SYMBOLS[operation]
        row = f"  (row {sample['source_row']})" if sample["source_row"] else ""
        lines.append("")
        lines.append(paint(symbol, f"  {symbol} {clean(str(sample['key']))}") + row)
        if operation == "delete":
            continue
        for field in sample["fields"]:
            before = f"{value(field['before'])} -> " if operation == "update" else ""
            lines.append(f"      {field['name']}: {clean(before + value(field['after']))}")
    for operation, symbol in SYMBOLS.items():
        more = sync[operation] - shown[operation]
        if more > 0:
            lines.append(
                f"  {symbol} ... and {more:,} more to {operation} (--show {sync[operation]})"
            )
    return lines


def _rejects(sync: Mapping[str, Any]) -> list[str]:
    if not sync["rejects"]:
        return []
    lines = ["", f"  {plural(sync['rejected'], 'row')} rejected (the others go on):"]
    for reject in sync["rejects"][:_SHOWN_REJECTS]:
        given = "" if reject["value"] is None else f": {value(reject['value'])}"
        lines.append(f"    {reject['location']}: {clean(reject['message'] + given)}")
    more = sync["rejected"] - min(len(sync["rejects"]), _SHOWN_REJECTS)
    if more > 0:
        lines.append(f"    ... and {more:,} more (--rejects FILE writes them all)")
    return lines


def result(document: Mapping[str, Any], *, color: bool) -> str:
    """What an apply did."""
    paint = _Paint(color)
    lines = []
    failures = document["failures"]
    for failure in failures[:_SHOWN_FAILURES]:
        what = f"{failure['operation']} {failure['key']} ({failure['sync']})"
        lines.append(paint("-", f"Failed: {clean(what)}: {clean(failure['reason'])}"))
    if document["summary"]["failed"] > _SHOWN_FAILURES:
        lines.append(f"... and {document['summary']['failed'] - _SHOWN_FAILURES:,} more")
    if failures:
        lines.append(
            "Failed records are tried again by the next plan; mend the data if it was refused."
        )
    lines += [f"Note: {clean(note)}" for note in document.get("notes", [])]
    if uncertain := document.get("uncertain", 0):
        lines.append(
            f"{plural(uncertain, 'record')} sent once and never answered for may not have arrived "
            "(delivery: at_most_once)."
        )
    if document["stopped"]:
        lines.append(f"Stopped: {document['reason']}. Nothing is lost: run apply again to go on.")
    return "\n".join([*lines, paint("bold", result_line(document))])


def rehearsal(document: Mapping[str, Any], *, color: bool) -> str:
    """What a plan did to a simulated account."""
    paint = _Paint(color)
    facts = rehearsal_facts(document)
    width = max(len(name) for name, _ in facts)
    lines = [f"  {name:<{width}}  {clean(text)}" for name, text in facts]
    for failure in document["failures"]:
        what = f"{plural(failure['records'], failure['operation'])} of {failure['sync']}"
        keys = f" ({', '.join(failure['keys'])})"
        lines.append(paint("-", f"  Would fail: {clean(what + ': ' + failure['reason'] + keys)}"))
    lines += [paint("!", f"  Ended an apply: {clean(why)}") for why in document["ended_by"]]
    lines += [f"  Taken for granted: {clean(what)}" for what in document["assumed"]]
    lines += [f"  Note: {clean(note)}" for note in document["notes"]]
    return "\n".join([*lines, paint("bold", rehearsal_line(document))])
