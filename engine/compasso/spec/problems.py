"""What pydantic found, in words for people, with the place in the file and the nearest name."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compasso.model import Diagnostic, Position
from compasso.spec.types import nearest


def suggest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is nearest to `word`, if one is near."""
    from rapidfuzz import fuzz, process, utils

    found = process.extractOne(
        word, list(known), scorer=fuzz.ratio, processor=utils.default_process, score_cutoff=60
    )
    return str(found[0]) if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint: the nearest name, or all names."""
    names = list(known)
    near = suggest(word, names)
    return f"did you mean `{near}`?" if near else f"known: {', '.join(names)}"


def explain_errors(
    errors: Sequence[Mapping[str, Any]],
    positions: Mapping[tuple[str | int, ...], Position],
    file: Path,
    shape: Any,
    value: Any,
) -> list[Diagnostic]:
    """Pydantic's errors as diagnostics, one a place."""
    found: dict[tuple[str | int, ...], Diagnostic] = {}
    for error in errors:
        path = _real_path(error, value)
        if path not in found:
            found[path] = _explain(error, path, nearest(positions, path, file), shape)
    # A union tells the same mistake once for each of its members: the deepest place is the one.
    return [d for p, d in found.items() if not any(q[: len(p)] == p and q != p for q in found)]


def _real_path(error: Mapping[str, Any], value: Any) -> tuple[str | int, ...]:
    """The part of a pydantic location that is a path in the document.

    Pydantic adds the names of union members ("str", "FieldShape") to its locations.
    """
    path: list[str | int] = []
    here: Any = value
    steps: Sequence[str | int] = error["loc"]
    for step in steps:
        found: list[Any] = []
        if isinstance(step, int):
            found = here[step : step + 1] if isinstance(here, list) else []
        elif isinstance(here, dict) and step in here:
            found = [here[step]]
        if found:
            here = found[0]
            path.append(step)
    if error["type"] == "missing":
        path.append(steps[-1])
    return tuple(path)


def _explain(
    error: Mapping[str, Any], path: tuple[str | int, ...], place: Position, shape: Any
) -> Diagnostic:
    kind = error["type"]
    name = str(path[-1]) if path else "the file"
    given = error.get("input")
    shown = None if isinstance(given, (dict, list)) else f"{name}: {given}"
    context = error.get("ctx") or {}
    if kind == "extra_forbidden":
        return Diagnostic(
            message=f"unknown key `{name}`",
            code="unknown-key",
            position=place,
            text=shown,
            hint=did_you_mean(name, _keys_at(shape, path[:-1])),
        )
    if kind == "missing":
        return Diagnostic(
            message=f"the key `{name}` is missing",
            code="missing-key",
            position=place,
            hint=f"add `{name}:`",
        )
    if kind in {"literal_error", "enum"}:
        words = [
            w.strip().strip("'")
            for w in str(context.get("expected", "")).replace(" or ", ", ").split(",")
        ]
        return Diagnostic(
            message=f"`{name}` cannot be {given!r}; it can be: {', '.join(words)}",
            code="wrong-value",
            position=place,
            text=shown,
            hint=did_you_mean(str(given), words),
        )
    return Diagnostic(
        message=f"`{name}` {_words(kind, context, error)}",
        code="wrong-value",
        position=place,
        text=shown,
        hint=_EXAMPLES.get(kind, "see `compasso schema` for what may stand here"),
    )


_EXAMPLES = {
    "string_type": "write a text; put quotes around numbers, yes and no",
    "string_pattern_mismatch": "use letters, digits, hyphen and underscore, and no blanks",
    "int_type": "write a whole number without quotes",
    "bool_type": "write true or false without quotes",
    "list_type": "write a list: [a, b]",
    "dict_type": "write keys and values under it",
    "model_type": "write keys and values under it",
}


def _words(kind: str, context: Mapping[str, Any], error: Mapping[str, Any]) -> str:
    return {
        "string_type": "must be a text",
        "int_type": "must be a whole number",
        "bool_type": "must be true or false",
        "list_type": "must be a list",
        "dict_type": "must be a mapping (keys and values)",
        "model_type": "must be a mapping (keys and values)",
        "string_pattern_mismatch": "has a character that is not allowed",
        "string_too_long": f"is longer than {context.get('max_length')} characters",
        "string_too_short": "is empty",
        "too_long": f"has more than {context.get('max_length')} items",
        "greater_than_equal": f"must be at least {context.get('ge')}",
        "less_than_equal": f"must be at most {context.get('le')}",
    }.get(kind, str(error.get("msg", "is wrong")).lower())


def _keys_at(shape: Any, path: Sequence[str | int]) -> list[str]:
    """The keys that the shape knows at a path."""
    here = [shape]
    for step in path:
        here = [found for part in here for found in _steps(part, step)]
    keys = (
        str(field.alias or name)
        for part in here
        for model in _models_in(part)
        for name, field in model.model_fields.items()
    )
    return list(dict.fromkeys(keys))


def _steps(shape: Any, step: str | int) -> list[Any]:
    """What a shape has at one step: one shape for each of the models that it may be."""
    found = [
        field.annotation
        for model in _models_in(shape)
        for name, field in model.model_fields.items()
        if step in (name, field.alias)
    ]
    lists = [p for p in _parts(shape) if typing.get_origin(p) in {dict, list}]
    return found + [typing.get_args(p)[-1] for p in lists]


def _parts(shape: Any) -> list[Any]:
    """The members of a union, however deep; or the shape itself."""
    if typing.get_origin(shape) in {typing.Union, types.UnionType, typing.Annotated}:
        return [part for member in typing.get_args(shape) for part in _parts(member)]
    return [shape]


def _models_in(shape: Any) -> list[Any]:
    """The pydantic models that a type is or may be."""
    return [p for p in _parts(shape) if isinstance(p, type) and hasattr(p, "model_fields")]
