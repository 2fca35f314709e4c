"""The sentences that every format says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SYMBOLS = {"create": "+", "update": "~", "delete": "-"}


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def plural(count: int, word: str) -> str:
    """ "1 request", "2 requests"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def has_changes(document: Mapping[str, Any]) -> bool:
    """Whether a plan would change anything."""
    summary = document["summary"]
    return bool(summary["create"] or summary["update"] or summary["delete"])


def plan_line(document: Mapping[str, Any]) -> str:
    """The summary line of a plan."""
    s = document["summary"]
    if not has_changes(document):
        rejected = f" {s['rejected']:,} rejected." if s["rejected"] else ""
        blind = [sync["name"] for sync in document["syncs"] if not sync.get("looked_at", True)]
        if blind:
            return (
                f"No changes are known: {s['unchanged']:,} unchanged.{rejected} Not looked at: "
                f"{', '.join(blind)}."
            )
        return f"No changes. The account matches the specs: {s['unchanged']:,} unchanged.{rejected}"
    limit = document.get("budget", {}).get("requests_per_minute", 100)
    return (
        f"Plan: {s['create']:,} to create, {s['update']:,} to update, {s['delete']:,} to delete, "
        f"{s['unchanged']:,} unchanged, {s['rejected']:,} rejected. "
        f"{plural(s['requests'], 'request')}, about {duration(s['estimated_seconds'])} "
        f"at {limit:,} a minute."
    )


def result_line(document: Mapping[str, Any]) -> str:
    """The summary line of an apply."""
    s = document["summary"]
    done = "Apply stopped" if document["stopped"] else "Apply complete"
    return (
        f"{done}: {s['applied']:,} applied, {s['failed']:,} failed, {s['skipped']:,} left. "
        f"{plural(s['requests'], 'request')} in {duration(s['seconds'])}."
    )


def rehearsal_line(document: Mapping[str, Any]) -> str:
    """The summary line of a rehearsal."""
    s = document["summary"]
    again = f", in {s['applies']} applies" if s["applies"] > 1 else ""
    return (
        f"Rehearsal: {s['applied']:,} applied, {s['failed']:,} failed, {s['skipped']:,} left. "
        f"{plural(s['requests'], 'request')} in {duration(s['seconds'])}{again}. "
        "Nothing was sent."
    )


def rehearsal_facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a rehearsal measured, by name."""
    s, budget = document["summary"], document["budget"]
    limit = f"{budget['requests_per_minute']:,} a minute"
    if budget["reserve"]:
        limit += f", {budget['reserve']:,} of them left for others"
    kinds = ", ".join(f"{name} {count:,}" for name, count in document["requests"].items())
    facts = [
        ("requests", f"{s['requests']:,} ({kinds})" if kinds else "0"),
        ("duration", f"{duration(s['seconds'])} at {limit}"),
        ("busiest 60 s", plural(s["peak_requests_in_60s"], "request")),
        ("refused (429)", f"{s['refused']:,}"),
    ]
    if s["imports"]:
        facts.append(("imports", f"{s['imports']:,}, {plural(s['import_rows'], 'row')}"))
    if document["faults"] != "none":
        facts.append(("faults", document["faults"]))
    return facts


def value(given: Any) -> str:
    """A value as a reader sees it: JSON, cut where it is long."""
    text = json.dumps(given, ensure_ascii=False)
    return text if len(text) <= 100 else text[:97] + '..."'
