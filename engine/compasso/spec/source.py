"""The `source:` of a spec: its kind, its place and its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from compasso.spec.durations import seconds_of
from compasso.spec.problems import did_you_mean
from compasso.spec.types import SourceSpec

Complain = Callable[..., None]

KINDS = ("csv", "parquet", "jsonl", "json", "excel", "sql", "http")
LATER_KINDS = ("dlt",)
_OPTIONS: Mapping[str, frozenset[str]] = {
    "csv": frozenset(
        {
            "delimiter", "encoding", "quote", "escape", "header", "columns", "compression",
            "null_text",
        }
    ),
    "parquet": frozenset(),
    "jsonl": frozenset(),
    "json": frozenset(),
    "excel": frozenset({"sheet", "header_row"}),
    "sql": frozenset({"connection"}),
    "http": frozenset(
        {
            "connection", "format", "delimiter", "encoding", "quote", "escape", "header",
            "columns", "compression", "null_text",
        }
    ),
}  # fmt: skip


# Every kind has these: the column that tells newer rows, and how far to look behind it.
_CURSOR = frozenset({"cursor", "lookback"})


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


# What a value must be, and what is said when it is not: message and hint.
_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str, str]] = {
    "lookback": (
        lambda v: isinstance(v, str) and seconds_of(v) is not None,
        "`lookback` is not a duration",
        "30m, 12h or 2d",
    ),
    "header_row": (
        lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 1,
        "`header_row` must be a whole number from 1",
        "header_row: 3",
    ),
    "header": (
        lambda v: isinstance(v, bool),
        "`header` must be true or false",
        "write it without quotes",
    ),
    "columns": (_is_texts, "`columns` must be a list of texts", 'columns: ["a", "b"]'),
    "null_text": (_is_texts, "`null_text` must be a list of texts", 'null_text: ["a", "b"]'),
    "format": (
        lambda v: v in ("csv", "jsonl", "json", "parquet"),
        "unknown format {value!r}",
        "it can be: csv, jsonl, json, parquet",
    ),
    "compression": (
        lambda v: v in ("auto", "none", "gzip", "zstd"),
        "unknown compression {value!r}",
        "it can be: auto, none, gzip, zstd",
    ),
}
_CHARACTERS = {"delimiter", "quote", "escape"}


def build_source(
    source: Mapping[str, Any], complain: Complain, at: tuple[str, ...] = ("source",)
) -> SourceSpec | None:
    """Where the rows come from, as it stands at the path `at`; None when that is not clear."""
    kinds = [key for key in source if key in KINDS or key in LATER_KINDS]
    if len(kinds) != 1:
        known = _CURSOR.union(*_OPTIONS.values())
        strange = next((key for key in source if key not in known), None)
        complain(
            (*at, strange) if strange and not kinds else at,
            "the source must name its kind and file, once"
            if not strange or kinds
            else f"unknown kind of source `{strange}`",
            did_you_mean(strange, KINDS) if strange and not kinds else "csv: data/customers.csv",
        )
        return None
    kind = kinds[0]
    if kind in LATER_KINDS:
        complain(
            (*at, kind),
            f"this version does not read {kind} sources yet",
            f"it reads: {', '.join(KINDS)}",
        )
        return None
    location = source[kind]
    if not isinstance(location, str) or not location:
        complain((*at, kind), "the source's file must be a text", f"{kind}: data/file.{kind}")
        return None
    parts = PurePosixPath(location).parts
    is_query = kind == "sql" and not location.endswith(".sql")
    if is_query:
        parts = ("",)
    if kind in {"sql", "http"} and "connection" not in source:
        complain(
            at,
            f"an {kind} source needs the name of a connection",
            "add `connection: NAME`, and NAME under `connections:` in compasso.yml",
        )
    if location.startswith(("/", "~")) or ".." in parts or ":" in parts[0]:
        complain(
            (*at, kind),
            "the source must lie inside the project",
            "write its path relative to compasso.yml, without ..",
            f"{kind}: {location}",
        )
        return None
    options = {k: v for k, v in source.items() if k != kind}
    if "lookback" in options and "cursor" not in options:
        complain((*at, "lookback"), "`lookback` goes with `cursor`", "cursor: updated_at")
    for name, value in options.items():
        _option(kind, name, value, complain, at)
    return SourceSpec(kind, location, options)


def _option(kind: str, name: str, value: Any, complain: Complain, at: tuple[str, ...]) -> None:
    path = (*at, name)
    if name not in _OPTIONS[kind] | _CURSOR:
        known = sorted(_OPTIONS[kind] | _CURSOR)
        hint = did_you_mean(name, known)
        complain(path, f"{kind} sources have no option `{name}`", hint)
    elif name in _CHECKS:
        keeps, message, hint = _CHECKS[name]
        if not keeps(value):
            complain(path, message.format(value=value), hint)
    elif not isinstance(value, str):
        complain(path, f"`{name}` must be a text", "put it in quotes")
    elif name in _CHARACTERS and len(value) > 1:
        complain(path, f"`{name}` must be one character", 'such as ";" or "\\t"')
