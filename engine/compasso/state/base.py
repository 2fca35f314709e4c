"""What every state backend does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from compasso.model import CompassoError, Json

HASHED = "(hashed)"  # what stands for a value of which only the hash is known


@dataclass(frozen=True, slots=True)
class Form:
    """How the records of a sync rest in a state that keeps hashes: no value is in clear.

    `keys` is clear or hashed. `layout` names the fields in the order of a record's hashes.
    """

    keys: Literal["clear", "hashed"]
    layout: tuple[str, ...] = ()

    def text(self) -> str:
        """As JSON text, which always is the same for the same form."""
        return json.dumps({"keys": self.keys, "layout": self.layout}, ensure_ascii=False)

    @classmethod
    def of(cls, text: str | None) -> Form | None:
        """The form that `text` says; None: values are kept in full."""
        if text is None:
            return None
        given = json.loads(text)
        return cls(given["keys"], tuple(given["layout"]))


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the state knows it. `fields` holds all but the key; where only hashes are
    known, each value is HASHED, and a hashed key is # and 32 digits."""

    sync: str
    key: str
    fields: Mapping[str, Json]
    applied_at: datetime
    run_id: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A change that the API refused, until a later one of the same record succeeds.

    `content` stands for what was refused (see `content_hash`); None when that was not noted.
    `tries` counts how often this content was refused.
    """

    sync: str
    key: str
    operation: str
    reason: str
    tries: int
    at: datetime
    content: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """The outcome of some changes of one sync, all of one plan.

    The changes are those with first <= change_id <= last (of these only `only`, if given) in
    the Parquet file `changes`, which also holds, for each, the digest of its source row and what
    that digest stands for (its basis), and the form in which it is to be kept. All were applied, except the keys of `failures`, whose values
    are the API's reasons. Of these `gone` are no longer in the account: a record that was deleted
    to be made anew, and was not.
    """

    sync: str
    plan_id: str
    run_id: str
    changes: Path
    first: int
    last: int
    only: frozenset[int] | None = None
    failures: Mapping[int, str] = field(default_factory=dict)
    at: datetime | None = None  # None: now
    gone: frozenset[int] = frozenset()


def form_differs(sync: str) -> CompassoError:
    """The state keeps values in another way than compasso.yml says."""
    return CompassoError.say(
        f"the state keeps the records of {sync} in another way than `state:` in compasso.yml says",
        "put `values` and `keys` back; or forget the records, and the next apply sends them all "
        f"again: compasso state rm --all --spec {sync}",
    )


class State(Protocol):
    """One project's state in one environment."""

    @property
    def directory(self) -> Path:
        """A folder on this machine for the journal, the ledger and the plans under way."""

    @property
    def lineage(self) -> str:
        """A name given once, when the state was made. Plans of another lineage are refused."""

    def serial(self, sync: str) -> int:
        """How many plans changed this sync's records so far."""

    def last_plan(self, sync: str) -> str | None:
        """The plan that changed this sync's records last."""

    def digest_basis(self, sync: str) -> str | None:
        """What the digests of source rows in the records stand for."""

    def seen(self, sync: str) -> str | None:
        """The source (its fingerprint, and what was made of it) that gives these very records;
        None when it is not known, or when the records changed since."""

    def form(self, sync: str) -> Form | None:
        """How the sync's records are kept; None: in full, or there are none yet."""

    def name_of(self, sync: str, key: str) -> str:
        """What stands for a key in this state: the key, or # and the digits of its hash."""

    def records_file(self, sync: str) -> Path | None:
        """A DuckDB file with the table `records`, to be attached read-only; None if empty."""

    def lock(self, syncs: Sequence[str], command: str) -> AbstractContextManager[None]:
        """Hold these syncs alone. Raises CompassoError naming who holds one."""

    def commit(self, commit: Commit) -> None:
        """Record what was applied, at once or not at all. To do it twice changes nothing more."""

    def complete(
        self,
        sync: str,
        at: datetime,
        digests: Path | None = None,
        seen: str | None = None,
        passed: Sequence[str] = (),
    ) -> None:
        """Note that a plan of this sync was applied to its end.

        `passed` names the failures that nothing is pending for any more, by their hashed names.

        `seen` names the source that gives the records as they are now; it is not kept when some
        record failed, for that one must be tried again.

        `digests` is a Parquet file with the digests of source rows that changed nothing.
        """

    def last_completed(self, sync: str) -> datetime | None:
        """When a plan of this sync was last applied to its end."""

    def syncs(self) -> tuple[str, ...]:
        """The syncs that have records or failures."""

    def count(self, sync: str) -> int:
        """How many records the sync has."""

    def records(self, sync: str, key: str | None = None) -> Iterator[Record]:
        """The sync's records by key, or the one with this key."""

    def failures(self, sync: str) -> list[Failure]:
        """The changes that failed and have not succeeded since."""

    def retry(self, sync: str, keys: Sequence[str] | None = None) -> int:
        """Count the tries of these failed records (None: of all) anew; answers how many."""

    def remove(self, sync: str, keys: Sequence[str]) -> int:
        """Forget records (the account keeps them). Answers how many there were."""

    def forget_all(self, sync: str) -> int:
        """Forget all records of a sync (the account keeps them). Answers how many there were."""

    def find(self, sync: str, value: str, fields: Sequence[str] | None, *, key: bool) -> list[str]:
        """The keys of the records that hold this text, whatever its case, in one of these fields
        (None: in any) or, with `key`, as their key."""

    def erase(self, sync: str, keys: Sequence[str]) -> int:
        """Forget records and failures so that no byte of them is left in the state's file.
        Answers how many records there were."""

    def learn(self, sync: str, found: Mapping[str, Mapping[str, Json] | None]) -> int:
        """Take over what the account holds, by key: all fields of a record, or None where it has
        none any more. The next plan compares these anew. Answers how many records changed."""
