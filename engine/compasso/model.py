"""The vocabulary of Compasso as plain types. The ground floor: it imports no other room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class ExitCode:
    """The process exit codes of the contract."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    STOPPED = 3


class FieldType(StrEnum):
    """What a record's field holds. Each has one canonical form in JSON and in SQL."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"  # canonical: text, ISO 8601 UTC, "2024-03-01T00:00:00.000Z"
    LIST = "list"  # of text
    JSON = "json"  # any nested value, as JSON text


SQL_TYPES: Mapping[FieldType, str] = {
    FieldType.TEXT: "VARCHAR",
    FieldType.INTEGER: "BIGINT",
    FieldType.DECIMAL: "DOUBLE",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.DATE: "VARCHAR",
    FieldType.LIST: "VARCHAR[]",
    FieldType.JSON: "VARCHAR",
}


class Operation(StrEnum):
    """What a change does to a record."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Route(StrEnum):
    """How a change is carried out: one request a record, one file for many, or by an export."""

    CALL = "call"
    IMPORT = "import"
    EXPORT = "export"


class Priority(StrEnum):
    """Who gets the budget first."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """0 for high, 1 for normal, 2 for low: sorts in the order of service."""
        return {"high": 0, "normal": 1, "low": 2}[self.value]


class Severity(StrEnum):
    """How bad a diagnostic is. Only errors stop work."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file. Lines and columns count from 1."""

    file: Path
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong, where it stands, and what to do about it."""

    message: str
    severity: Severity = Severity.ERROR
    code: str = "error"
    position: Position | None = None
    text: str | None = None  # the offending text
    hint: str | None = None  # what to do

    def render(self, root: Path | None = None) -> str:
        """One to three lines of plain text: place, message, then the hint."""
        place = ""
        if self.position is not None:
            file = self.position.file
            if root is not None and file.is_absolute() and file.is_relative_to(root):
                file = file.relative_to(root)
            place = f"{file}:{self.position.line}:{self.position.column}: "
        lines = [f"{place}{self.severity}: {self.message}"]
        if self.text is not None:
            lines.append(f"    {self.text}")
        if self.hint is not None:
            lines.append(f"    -> {self.hint}")
        return "\n".join(lines)


class CompassoError(Exception):
    """Every error a user can cause or meet. It carries what the user needs to mend it.

    The command line prints its diagnostics and exits with its code, never a traceback.
    """

    def __init__(self, *diagnostics: Diagnostic, exit_code: int = ExitCode.ERROR) -> None:
        super().__init__("\n".join(d.message for d in diagnostics))
        self.diagnostics = diagnostics
        self.exit_code = exit_code

    @classmethod
    def say(cls, message: str, hint: str | None = None, **more: object) -> CompassoError:
        """The short form: one error without a place in a file."""
        return cls(Diagnostic(message=message, hint=hint, **more))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One HTTP request to Connectif, with a JSON body or none. The path is already encoded."""

    method: str
    path: str
    body: Json | None = None
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One record that has to change in the account.

    `fields` is what is sent (a null clears the field), `before` what the state held for
    those same fields. `key` is the record's key as text. `record` holds all fields of a record
    that is made anew to change it. `options` is what the spec says of how to send it.
    """

    change_id: int
    sync: str
    operation: Operation
    key: str
    fields: Mapping[str, Json]
    before: Mapping[str, Json]
    source_row: int | None
    batch_id: int
    record: Mapping[str, Json] = field(default_factory=dict)
    options: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """A run of changes of one sync that travels together: `first`..`last` are change ids.

    Route call: one request for each change. Route import: one file, whose columns are
    `columns` (the first is the key).
    """

    batch_id: int
    sync: str
    target: str
    operation: Operation
    route: Route
    priority: Priority
    first: int
    last: int
    columns: tuple[str, ...]
    size_bytes: int  # of the import file, estimated; 0 for calls
    requests: int  # what the batch is expected to cost
    reason: str  # why this route, in words for the reviewer

    @property
    def rows(self) -> int:
        """How many changes the batch holds."""
        return self.last - self.first + 1
