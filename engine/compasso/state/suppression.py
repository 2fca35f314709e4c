"""People who were forgotten: as salted hashes, so that a plan can leave their rows out.

The file `suppressed.json` beside the state holds no address. Who has the file and an address can
check whether it is listed (the salt is in the file); nobody can read a list of people from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from compasso.model import CompassoError


class Identity(StrEnum):
    """What a person is known by."""

    EMAIL = "email"
    EXTERNAL_ID = "external_id"


@dataclass(frozen=True)
class Suppressed:
    """Who is not to be made again: the salt, and for each hash since when."""

    salt: str
    people: Mapping[str, str]

    def hash(self, kind: Identity, value: str) -> str:
        """The salted hash of an address or an id. `planning/suppressed.py` makes the same in
        SQL."""
        folded = value.strip().lower() if kind is Identity.EMAIL else value.strip()
        return hashlib.sha256(f"{self.salt}{kind}:{folded}".encode()).hexdigest()

    def has(self, kind: Identity, value: str) -> bool:
        """Whether a person was forgotten."""
        return self.hash(kind, value) in self.people


def suppressed_file(directory: Path) -> Path:
    """Where a state keeps the list."""
    return directory / "suppressed.json"


def read_suppressed(directory: Path) -> Suppressed:
    """The list of a state; a new salt when there is none yet. Raises CompassoError."""
    path = suppressed_file(directory)
    if not path.exists():
        return Suppressed(secrets.token_hex(16), {})
    try:
        found = json.loads(path.read_text("utf-8"))
        return Suppressed(found["salt"], dict(found["people"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CompassoError.say(
            f"the list of forgotten people {path} is damaged",
            "restore it from a copy: without it, people who were forgotten would come back",
        ) from error


def suppressed_digest(directory: Path) -> str:
    """A short text that changes when someone is added to the list: a plan that was made before
    may still make that person anew."""
    people = sorted(read_suppressed(directory).people)
    return hashlib.sha256("\n".join(people).encode()).hexdigest()[:32] if people else ""


def suppress(
    directory: Path, known: Suppressed, people: Iterable[tuple[Identity, str]]
) -> Suppressed:
    """Add people to the list, and write it at once or not at all."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    added = {known.hash(kind, value): now for kind, value in people}
    made = Suppressed(known.salt, {**added, **known.people})
    path = suppressed_file(directory)
    write_whole(path, {"format": 1, "salt": made.salt, "people": dict(made.people)})
    return made


def write_whole(path: Path, document: object) -> None:
    """Write JSON so that a reader sees all of it or none, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
