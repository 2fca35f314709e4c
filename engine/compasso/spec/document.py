"""YAML 1.2 to plain values with the line and column of each, and nothing else.

Only scalars, lists and mappings with text keys. A doubled key, a tag, a bomb or a file that is
too large is refused. Specs come from pull requests, so they are not trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compasso.model import Diagnostic, Json, Position
from compasso.spec.composing import TEXT_TAG, compose, construct

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 50

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A file's value, the place of every part of it, and what is wrong with it as YAML."""

    file: Path
    value: Json
    positions: Mapping[Path_, Position]
    problems: tuple[Diagnostic, ...]


def read_document(file: Path) -> Document:
    """Read a YAML file. Problems are in the document; nothing is raised."""
    try:
        if file.stat().st_size > MAX_BYTES:
            return _broken(file, "the file is larger than 1 MB", "split it into several specs")
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        return _broken(file, f"the file is not UTF-8 (byte {error.start})", "save it as UTF-8")
    except OSError as error:
        return _broken(file, f"cannot read the file: {error.strerror}", "check its name")
    return parse_document(text, file)


def _broken(file: Path, message: str, hint: str) -> Document:
    place = Position(file, 1, 1)
    return Document(file, None, {}, (Diagnostic(message=message, position=place, hint=hint),))


def parse_document(text: str, file: Path) -> Document:
    """Parse YAML text that stands in `file`."""
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        node = compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file, 1, 1)
        said = (error.problem or error.context or "cannot be parsed").strip()
        return Document(
            file,
            None,
            {},
            (Diagnostic(message=f"not valid YAML: {said}", position=place, hint=_yaml_hint(said)),),
        )
    except (YAMLError, ValueError, RecursionError) as error:
        return _broken(file, f"not valid YAML: {str(error).splitlines()[0]}", "mend the file")
    reader = _Reader(file)
    value = reader.read(node, (), 0) if node is not None else None
    return Document(file, value, reader.positions, tuple(reader.problems))


def _yaml_hint(said: str) -> str:
    if "mapping values are not allowed" in said:
        return "a value with `: ` or `{{` in it must stand in quotes"
    if "found character" in said and "\\t" in repr(said):
        return "indent with blanks, not tabs"
    return "check the indentation, the quotes and the colons near this place"


class _Reader:
    """Walks the node graph once, building values and positions."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.positions: dict[Path_, Position] = {}
        self.problems: list[Diagnostic] = []
        self.nodes = 0

    def read(self, node: Any, path: Path_, depth: int) -> Json:
        place = Position(self.file, node.start_mark.line + 1, node.start_mark.column + 1)
        self.positions.setdefault(path, place)
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            if not any("too large" in p.message for p in self.problems):
                self._problem(place, "the document is too large or too deep", "make it smaller")
            return None
        kind = type(node).__name__
        if kind == "ScalarNode":
            return self._scalar(node, place)
        tag = str(node.tag or "")
        if tag and not tag.startswith("tag:yaml.org,2002:"):
            self._problem(place, f"the tag {tag} is not allowed", "write plain values")
            return None
        if kind == "SequenceNode":
            return [self.read(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        return self._mapping(node, path, depth)

    def _mapping(self, node: Any, path: Path_, depth: int) -> Json:
        result: dict[str, Json] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            place = Position(
                self.file, key_node.start_mark.line + 1, key_node.start_mark.column + 1
            )
            key = key_node.value
            if not isinstance(key, str):
                self._problem(place, "a key must be a plain text", "write it as a word")
                continue
            if key == "<<":
                self._problem(place, "merge keys (<<) are not allowed", "write the keys out")
                continue
            if key in result:
                self._problem(
                    place,
                    f"the key `{key}` stands here and in line {lines[key]}",
                    "keep one of them",
                )
                continue
            lines[key] = place.line
            self.positions[(*path, key)] = place
            result[key] = self.read(value_node, (*path, key), depth + 1)
        return result

    def _scalar(self, node: Any, place: Position) -> Json:
        tag = str(node.tag or "")
        if tag == TEXT_TAG:
            return str(node.value)
        try:
            value = construct(tag, node.value)
        except Exception as error:  # the constructor's own errors have many types
            said = str(getattr(error, "problem", "") or error).splitlines()[:1]
            self._problem(place, f"this value is not allowed: {' '.join(said)}", "write plain text")
            return None
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, (int, float)):
            return float(value) if isinstance(value, float) else int(value)
        if tag.endswith(":timestamp"):  # a date is the text that the file shows
            return str(node.value)
        self._problem(place, "this value is not allowed", "write plain text")
        return None

    def _problem(self, place: Position, message: str, hint: str) -> None:
        self.problems.append(Diagnostic(message=message, position=place, hint=hint))
