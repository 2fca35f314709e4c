"""What the simulated account holds: in memory, and in a SQLite file when asked to keep it."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compasso.model import CompassoError

Record = dict[str, Any]
# The fields by which a record is found, beside its id.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "contacts": ("_email", "_externalId"),
    "products": ("productId",),
    "purchases": ("purchaseId",),
    "event_types": ("alias",),
}
# The fields by which many records are found together.
_GROUPS: Mapping[str, str] = {"purchases": "contactId", "coupons": "couponSetId"}


class Account:
    """Records by kind and Connectif id, found by their keys; and the files of imports and exports.

    A kind is made by its first record. Properties that begin with two underscores are the
    sandbox's own and never shown by the API. `file` keeps everything across restarts.
    """

    def __init__(self, file: Path | None) -> None:
        self.records: defaultdict[str, dict[str, Record]] = defaultdict(dict)
        self.files: dict[str, bytes] = {}
        self._found: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        self._grouped: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._database: sqlite3.Connection | None = None
        self._inside = 0  # how many transactions are open, one in the other
        if file is not None:
            self._open(file)

    def _open(self, file: Path) -> None:
        try:
            # The server answers in one thread at a time, but not always in the one that began.
            database = sqlite3.connect(file, check_same_thread=False)
            database.execute("PRAGMA locking_mode = EXCLUSIVE")  # one server a file
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")  # a process may die, not the machine
            database.execute(
                "CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, kind TEXT, "
                "id TEXT, body TEXT, UNIQUE (kind, id))"
            )
            database.execute(
                "CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, content BLOB)"
            )
            rows = database.execute("SELECT kind, id, body FROM records ORDER BY number")
            for kind, identity, body in rows:
                record = json.loads(body)
                self.records[kind][identity] = record
                self._index(kind, record)
            self.files = dict(database.execute("SELECT name, content FROM files"))
        except sqlite3.Error as error:
            hint = "name a file that `compasso sandbox --data` wrote, or one that is not there yet"
            if "locked" in str(error):
                hint = "another sandbox uses it: stop that one, or name another file"
            raise CompassoError.say(
                f"{file} cannot be used as the sandbox's data: {error}", hint
            ) from error
        self._database = database

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is kept inside reaches the file together, or not at all.

        Nothing inside may wait for anything: other requests would be in it too.
        """
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if self._inside == 0 and self._database is not None:
                self._database.commit()

    def _write(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        if self._database is not None:
            with self.transaction():
                self._database.executemany(statement, rows)

    def stage(self, kind: str, record: Record) -> None:
        """Keep a record in memory; a `put` must follow. For many records that see each other."""
        before = self.records[kind].get(record["id"])
        if before is not None:
            self._unindex(kind, before)
        self.records[kind][record["id"]] = record
        self._index(kind, record)

    def put(self, kind: str, records: Iterable[Record]) -> None:
        """Keep records under their ids, all or none."""
        listed = list(records)
        for record in listed:
            self.stage(kind, record)
        self._write(
            "INSERT INTO records (kind, id, body) VALUES (?, ?, ?) "
            "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            ((kind, record["id"], json.dumps(record)) for record in listed),
        )

    def remove(self, kind: str, record: Mapping[str, Any]) -> None:
        """Drop a record."""
        known = self.records[kind].pop(record["id"], None)
        if known is not None:
            self._unindex(kind, known)
        self._write("DELETE FROM records WHERE kind = ? AND id = ?", [(kind, record["id"])])

    def get(self, kind: str, identity: str) -> Record | None:
        """The record with this id."""
        return self.records[kind].get(identity)

    def find(self, kind: str, field: str, value: str) -> Record | None:
        """The record whose key field holds this value; the latest where there are several."""
        identity = self._found[kind, field].get(value)
        return self.records[kind].get(identity) if identity else None

    def group(self, kind: str, value: str) -> list[Record]:
        """The purchases of a contact, or the coupons of a set, by its Connectif id."""
        return [self.records[kind][identity] for identity in self._grouped[kind, value]]

    def group_size(self, kind: str, value: str) -> int:
        """How many `group` would list."""
        return len(self._grouped[kind, value])

    def list(self, kind: str) -> list[Record]:
        """All records of a kind, in the order of their creation."""
        return list(self.records[kind].values())

    def put_file(self, name: str, content: bytes) -> None:
        """Keep a file."""
        self.files[name] = content
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?)", [(name, content)])

    def drop_file(self, name: str) -> None:
        """Forget a file, if it is there."""
        if self.files.pop(name, None) is not None:
            self._write("DELETE FROM files WHERE name = ?", [(name,)])

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _index(self, kind: str, record: Record) -> None:
        for field in _KEYS.get(kind, ()):
            if record.get(field):
                self._found[kind, field][record[field]] = record["id"]
        if kind in _GROUPS and record.get(_GROUPS[kind]):
            self._grouped[kind, record[_GROUPS[kind]]][record["id"]] = None

    def _unindex(self, kind: str, record: Record) -> None:
        for field in _KEYS.get(kind, ()):
            found = self._found[kind, field]
            if found.get(record.get(field) or "") == record["id"]:
                del found[record[field]]
        if kind in _GROUPS:
            self._grouped[kind, record.get(_GROUPS[kind]) or ""].pop(record["id"], None)


def shown(record: Mapping[str, Any]) -> Record:
    """A record as the API shows it: without what is the sandbox's own."""
    return {name: value for name, value in record.items() if not name.startswith("__")}


def new_id() -> str:
    """24 hex digits, as Connectif's ids are."""
    return secrets.token_hex(12)


def iso(seconds: float) -> str:
    """A moment as the API writes it."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
