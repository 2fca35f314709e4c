"""What the simulated account holds: in memory, and in a SQLite file when asked to keep it."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KINDS = ("contacts", "products", "purchases", "coupons", "events", "fields", "imports")


class Account:
    """Records by kind and Connectif id, with indexes by the keys that calls use."""

    def __init__(self, file: Path | None) -> None:
        self.records: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}
        self.by_email: dict[str, str] = {}
        self.by_external_id: dict[str, str] = {}
        self.by_product_id: dict[str, str] = {}
        self._database: sqlite3.Connection | None = None
        if file is not None:
            self._open(file)

    def _open(self, file: Path) -> None:
        # The server answers in one thread at a time, but not always in the one that began.
        database = sqlite3.connect(file, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(
            "CREATE TABLE IF NOT EXISTS records (kind TEXT, id TEXT, body TEXT, "
            "PRIMARY KEY (kind, id)) WITHOUT ROWID"
        )
        for kind, identity, body in database.execute("SELECT kind, id, body FROM records"):
            record = json.loads(body)
            self.records[kind][identity] = record
            self.index(kind, record)
        self._database = database

    def put(self, kind: str, records: Iterable[dict[str, Any]]) -> None:
        """Keep records under their ids, all or none."""
        listed = list(records)
        for record in listed:
            self.records[kind][record["id"]] = record
            self.index(kind, record)
        if self._database is not None:
            with self._database:
                self._database.executemany(
                    "INSERT OR REPLACE INTO records VALUES (?, ?, ?)",
                    [(kind, r["id"], json.dumps(r)) for r in listed],
                )

    def remove(self, kind: str, record: Mapping[str, Any]) -> None:
        """Drop a record."""
        self.records[kind].pop(record["id"], None)
        if kind == "contacts":
            self.by_email.pop(record.get("_email") or "", None)
            self.by_external_id.pop(record.get("_externalId") or "", None)
        elif kind == "products":
            self.by_product_id.pop(record["productId"], None)
        if self._database is not None:
            with self._database:
                self._database.execute(
                    "DELETE FROM records WHERE kind = ? AND id = ?", (kind, record["id"])
                )

    def index(self, kind: str, record: Mapping[str, Any]) -> None:
        if kind == "contacts":
            if record.get("_email"):
                self.by_email[record["_email"]] = record["id"]
            if record.get("_externalId"):
                self.by_external_id[record["_externalId"]] = record["id"]
        elif kind == "products":
            self.by_product_id[record["productId"]] = record["id"]

    def unindex(self, record: Mapping[str, Any]) -> None:
        """Forget a contact's keys, before they change."""
        self.by_email.pop(record.get("_email") or "", None)
        self.by_external_id.pop(record.get("_externalId") or "", None)

    def list(self, kind: str) -> list[dict[str, Any]]:
        """All records of a kind, in the order of their creation."""
        return list(self.records[kind].values())


def new_id() -> str:
    """24 hex digits, as Connectif's ids are."""
    return secrets.token_hex(12)


def iso(seconds: float) -> str:
    """A moment as the API writes it."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
