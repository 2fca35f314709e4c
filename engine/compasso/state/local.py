"""The state in a folder of the project: one DuckDB file a sync, and a lock file beside each."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from compasso.engine import copy_database, open_file
from compasso.model import CompassoError, Json
from compasso.state.base import HASHED, Commit, Failure, Form, Record, State, form_differs
from compasso.state.committed import Known, look, merge, select_changes
from compasso.state.hashing import (
    content_hash,
    hashed_name,
    hidden_name,
    hidden_numbers,
    holds,
    holds_hash,
    key_hash,
)
from compasso.state.holder import holder_text, user_name

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FORMAT = 4

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name VARCHAR PRIMARY KEY, value VARCHAR);
CREATE TABLE IF NOT EXISTS records (
  key VARCHAR, key_hash UHUGEINT NOT NULL, hash_high UBIGINT, hash_low UBIGINT,
  fields VARCHAR, field_hashes UBIGINT[], applied_at TIMESTAMP NOT NULL, run_id VARCHAR NOT NULL,
  source_high UBIGINT, source_low UBIGINT);
CREATE TABLE IF NOT EXISTS failures (
  key VARCHAR PRIMARY KEY, operation VARCHAR, reason VARCHAR, tries INTEGER,
  plan_id VARCHAR, tried_at TIMESTAMP, content VARCHAR);
"""

# The API's reason may repeat what it refuses: the key and addresses are taken out.
_CLEAN = "regexp_replace(replace(reason, key, '***'), '[^\\s\"''<>@]+@[^\\s\"''<>@]+', '***', 'g')"


def open_backend(root: Path, environment: str | None) -> State:
    """The local state of a project, made at the first call."""
    return LocalState(root / ".compasso" / (environment or "default"))


class LocalState:
    """See `State`. One process at a time writes a sync's file; `lock` sees to it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "records").mkdir(parents=True, exist_ok=True)

    @property
    def directory(self) -> Path:
        return self._directory

    @cached_property
    def lineage(self) -> str:
        path = self._directory / "state.json"
        if not path.exists():
            text = json.dumps({"format": FORMAT, "lineage": str(uuid.uuid4())}) + "\n"
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_text(text, "utf-8")
            with suppress(FileExistsError):
                os.link(draft, path)  # the first of two processes wins; the other reads it
            draft.unlink()
        try:
            document = json.loads(path.read_text("utf-8"))
            lineage: str = document["lineage"]
        except (ValueError, KeyError, TypeError) as error:
            raise CompassoError.say(
                f"the state file {path} is damaged", "restore it from a copy"
            ) from error
        if document.get("format") != FORMAT:
            raise CompassoError.say(
                f"the state was written in format {document.get('format')}, this version reads "
                f"format {FORMAT}",
                "use the version of compasso that wrote it, or a newer one",
            )
        return lineage

    def serial(self, sync: str) -> int:
        return int(self._meta(sync, "serial") or 0)

    def last_plan(self, sync: str) -> str | None:
        return self._meta(sync, "last_plan")

    def digest_basis(self, sync: str) -> str | None:
        return self._meta(sync, "digest_basis")

    def seen(self, sync: str) -> str | None:
        facts = self._facts(sync)
        serial, _, seen = facts.get("seen", "").partition(" ")
        return seen if seen and serial == facts.get("serial", "0") else None

    def form(self, sync: str) -> Form | None:
        return Form.of(self._meta(sync, "form"))

    def name_of(self, sync: str, key: str) -> str:
        form = self.form(sync)
        if form is None or form.keys == "clear":
            return key
        digest = hashlib.md5(f"{self.lineage}:{key}".encode(), usedforsecurity=False)
        return f"#{digest.hexdigest()}"

    def last_completed(self, sync: str) -> datetime | None:
        text = self._meta(sync, "completed_at")
        return datetime.fromisoformat(text) if text else None

    def records_file(self, sync: str) -> Path | None:
        path = self._path(sync)
        return path if path.exists() else None

    def syncs(self) -> tuple[str, ...]:
        return tuple(
            sorted(unquote(p.stem) for p in (self._directory / "records").glob("*.duckdb"))
        )

    def count(self, sync: str) -> int:
        rows = self._query(sync, "SELECT count(*) FROM records")
        return int(rows[0][0]) if rows else 0

    def records(self, sync: str, key: str | None = None) -> Iterator[Record]:
        if not self._path(sync).exists():
            return
        with self._open(sync, read_only=True) as connection:
            where = "" if key is None else f"WHERE key_hash = {key_hash('$key', self.lineage)}"
            form = Form.of(look(connection).meta.get("form"))
            layout = form.layout if form else ()
            connection.execute(
                "SELECT key, key_hash, fields, field_hashes, applied_at, run_id "
                f"FROM records {where} ORDER BY key, key_hash",
                {} if key is None else {"key": key},
            )
            while rows := connection.fetchmany(10_000):
                for found, number, fields, hashes, at, run in rows:
                    known = json.loads(fields) if fields else _names(layout, hashes)
                    name = found or hidden_name(number)
                    yield Record(sync, name, known, at.replace(tzinfo=UTC), run)

    def retry(self, sync: str, keys: Sequence[str] | None = None) -> int:
        if not self._path(sync).exists():
            return 0
        names = None if keys is None else [self.name_of(sync, key) for key in keys]
        with self._open(sync) as connection:
            rows = connection.execute(
                "UPDATE failures SET tries = 0 "
                "WHERE $names IS NULL OR list_contains($names::VARCHAR[], key) RETURNING key",
                {"names": names},
            ).fetchall()
        return len(rows)

    def failures(self, sync: str) -> list[Failure]:
        if not self._path(sync).exists():
            return []
        with self._open(sync, read_only=True) as connection:
            table = connection.execute("SELECT * FROM failures ORDER BY key")
            names = [column[0] for column in table.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in table.fetchall()]
        return [
            Failure(
                sync, row["key"], row["operation"], row["reason"], row["tries"],
                row["tried_at"].replace(tzinfo=UTC),
                row.get("content"),  # a file of an earlier version has none
            )
            for row in rows
        ]  # fmt: skip

    def forget_all(self, sync: str) -> int:
        if not self._path(sync).exists():
            return 0
        with self._open(sync) as connection:
            connection.begin()
            row = connection.execute("DELETE FROM records").fetchone()
            connection.execute("DELETE FROM failures")
            connection.execute("DELETE FROM meta WHERE name IN ('form', 'digest_basis')")
            self._move_on(connection)
            connection.commit()
        return int(row[0]) if row else 0

    def remove(self, sync: str, keys: Sequence[str]) -> int:
        if not self._path(sync).exists():
            return 0
        with self._open(sync) as connection:
            connection.begin()
            hashed = key_hash("key", self.lineage)
            rows = connection.execute(
                "DELETE FROM records WHERE key_hash IN (SELECT "
                f"{hashed} FROM (SELECT unnest($keys::VARCHAR[]) AS key)) RETURNING 1",
                {"keys": list(keys)},
            ).fetchall()
            if rows:
                # A plan made before knows records that are gone now.
                self._move_on(connection)
            connection.commit()
        return len(rows)

    def find(self, sync: str, value: str, fields: Sequence[str] | None, *, key: bool) -> list[str]:
        if not self._path(sync).exists():
            return []
        form = self.form(sync)
        if form is None:
            tests = holds(value, fields, key=key)
        else:
            named = form.layout if fields is None else fields
            tests = holds_hash(form.layout, value, named, self.lineage, key=key)
        if not tests:
            return []
        with self._open(sync, read_only=True) as connection:
            rows = connection.execute(
                f"SELECT key, key_hash FROM records WHERE {' OR '.join(tests)}"
            ).fetchall()
        return [key or hidden_name(number) for key, number in rows]

    def erase(self, sync: str, keys: Sequence[str]) -> int:
        if not self._path(sync).exists():
            return 0
        hidden = hidden_numbers(keys)
        removed = self.remove(sync, keys)
        with self._open(sync) as connection:
            if hidden:
                row = connection.execute(
                    "DELETE FROM records WHERE list_contains($hidden::UHUGEINT[], key_hash)",
                    {"hidden": hidden},
                ).fetchone()
                removed += int(row[0]) if row else 0
                self._move_on(connection)
            connection.execute(
                "DELETE FROM failures WHERE list_contains($keys::VARCHAR[], key)",
                {"keys": list(keys)},
            )
        # Deleted rows stay in the file's blocks: what is left moves into a new one.
        path = self._path(sync)
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        copy_database(path, draft)
        draft.replace(path)
        return removed

    def learn(self, sync: str, found: Mapping[str, Mapping[str, Json] | None]) -> int:
        if not found or not self._path(sync).exists():
            return 0
        kept = {key: json.dumps(fields) for key, fields in found.items() if fields is not None}
        with self._open(sync) as connection:
            connection.begin()
            connection.execute(
                "CREATE OR REPLACE TEMP TABLE learned AS "
                "SELECT unnest($keys::VARCHAR[]) AS key, unnest($fields::VARCHAR[]) AS fields",
                {"keys": list(kept), "fields": list(kept.values())},
            )
            changed = connection.execute(
                # Without its hashes a record is looked at whatever its row says.
                "UPDATE records SET fields = l.fields, hash_high = NULL, hash_low = NULL, "
                "source_high = NULL, source_low = NULL FROM learned AS l "
                "WHERE l.key = records.key RETURNING records.key"
            ).fetchall()
            changed += connection.execute(
                "DELETE FROM records WHERE list_contains($keys, key) RETURNING key",
                {"keys": [key for key, fields in found.items() if fields is None]},
            ).fetchall()
            if changed:
                # A plan made before knows records that are different now.
                self._move_on(connection)
            connection.commit()
        return len(changed)

    def commit(self, commit: Commit) -> None:
        at = (commit.at or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
        with self._open(commit.sync) as connection:
            if commit.failures:  # in a file of an earlier version
                connection.execute("ALTER TABLE failures ADD COLUMN IF NOT EXISTS content VARCHAR")
            connection.begin()
            known = look(connection)
            select_changes(connection, commit, key_hash("key", self.lineage))
            basis, form = self._take_form(connection, commit.sync, known)
            self._rebase(connection, basis, known.meta)
            hidden = form is not None and form.keys == "hashed"
            name = hashed_name("key", self.lineage) if hidden else "key"
            merge(connection, form, known, {"at": at, "run": commit.run_id}, name)
            if commit.failures:
                connection.execute(
                    f"INSERT INTO failures SELECT {name}, operation, "
                    f"{'reason' if form is None else _CLEAN}, 1, $plan, $at, "
                    f"{content_hash(self.lineage)} "
                    "FROM changed JOIN failed USING (change_id) "
                    "ON CONFLICT (key) DO UPDATE SET "
                    "operation = excluded.operation, reason = excluded.reason, "
                    "tried_at = excluded.tried_at, plan_id = excluded.plan_id, "
                    # Other content is a first try; the same plan told twice is one.
                    "tries = CASE WHEN failures.content <> excluded.content THEN 1 ELSE "
                    "failures.tries + (failures.plan_id <> excluded.plan_id)::INTEGER END, "
                    "content = excluded.content",
                    {"plan": commit.plan_id, "at": at},
                )
            if commit.gone:
                connection.execute(
                    "DELETE FROM records WHERE key IN (SELECT key FROM changed "
                    "WHERE list_contains($gone::BIGINT[], change_id))",
                    {"gone": sorted(commit.gone)},
                )
            if known.meta.get("last_plan") != commit.plan_id:
                serial = str(int(known.meta.get("serial") or 0) + 1)
                self._put(connection, {"serial": serial, "last_plan": commit.plan_id}, known.meta)
            connection.commit()

    def complete(
        self,
        sync: str,
        at: datetime,
        digests: Path | None = None,
        seen: str | None = None,
        passed: Sequence[str] = (),
    ) -> None:
        with self._open(sync) as connection:
            connection.begin()
            if passed:
                connection.execute(
                    "DELETE FROM failures WHERE list_contains($passed::VARCHAR[], key) "
                    f"OR list_contains($passed::VARCHAR[], {hashed_name('key', self.lineage)})",
                    {"passed": list(passed)},
                )
            known = look(connection)
            if digests is not None:
                self._adopt(connection, sync, digests, known.meta)
            serial = int(known.meta.get("serial") or 0)
            kept = "" if seen is None or known.failures else f"{serial} {seen}"
            self._put(connection, {"completed_at": at.isoformat(), "seen": kept}, known.meta)
            connection.commit()

    def _adopt(
        self, connection: DuckDBPyConnection, sync: str, digests: Path, meta: Mapping[str, str]
    ) -> None:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE adopted AS SELECT {key_hash('key', self.lineage)} AS "
            "key_hash, source_high, source_low, basis FROM read_parquet($file) WHERE sync = $sync",
            {"file": str(digests), "sync": sync},
        )
        basis = connection.execute("SELECT any_value(basis) FROM adopted").fetchone()
        if basis is None or basis[0] is None:  # no row of this sync
            return
        self._rebase(connection, basis[0], meta)
        connection.execute(
            "UPDATE records SET source_high = a.source_high, source_low = a.source_low "
            "FROM adopted AS a WHERE a.key_hash = records.key_hash"
        )

    def _take_form(
        self, connection: DuckDBPyConnection, sync: str, known: Known
    ) -> tuple[str | None, Form | None]:
        """What the changes' digests stand for, and how the changes are to be kept."""
        row = connection.execute("SELECT any_value(basis), any_value(form) FROM changed").fetchone()
        basis, text = row or (None, None)
        form, before = Form.of(text), Form.of(known.meta.get("form"))
        if known.records and (form and form.keys) != (before and before.keys):
            raise form_differs(sync)
        if form is not None:
            self._put(connection, {"form": form.text()}, known.meta)
        return basis, form

    def _rebase(
        self, connection: DuckDBPyConnection, basis: str | None, meta: Mapping[str, str]
    ) -> None:
        """Digests that stand for something else than `basis` say nothing any more."""
        if basis is None or basis == meta.get("digest_basis"):
            return
        connection.execute("UPDATE records SET source_high = NULL, source_low = NULL")
        self._put(connection, {"digest_basis": basis}, meta)

    @contextmanager
    def lock(self, syncs: Sequence[str], command: str) -> Iterator[None]:
        from filelock import FileLock, Timeout

        folder = self._directory / "locks"
        folder.mkdir(exist_ok=True)
        with ExitStack() as stack:
            for sync in sorted(syncs):  # in one order, so that two commands cannot wait in a ring
                path = folder / f"{quote(sync, safe='')}.lock"
                info = path.with_suffix(".json")
                try:
                    stack.enter_context(FileLock(path).acquire(timeout=0))
                except Timeout:
                    raise CompassoError.say(
                        f"the state of {sync} is locked: {holder_text(info)}",
                        "wait until that command ends; its lock goes with its process",
                    ) from None
                info.write_text(
                    json.dumps(
                        {
                            "who": f"{user_name()}@{socket.gethostname()}",
                            "pid": os.getpid(),
                            "since": datetime.now(UTC).isoformat(timespec="seconds"),
                            "command": command,
                        }
                    ),
                    "utf-8",
                )
                stack.callback(info.unlink, missing_ok=True)
            yield

    def _path(self, sync: str) -> Path:
        return self._directory / "records" / f"{quote(sync, safe='')}.duckdb"

    @contextmanager
    def _open(self, sync: str, *, read_only: bool = False) -> Iterator[DuckDBPyConnection]:
        import duckdb

        path = self._path(sync)
        if not path.exists():
            _create(path)
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(open_file(path, read_only=read_only))
            except duckdb.Error as error:
                if "lock" in str(error).lower() or "already attached" in str(error):
                    raise CompassoError.say(
                        f"the state of {sync} is in use by another compasso",
                        "try again when it ends",
                    ) from error
                raise CompassoError.say(
                    f"the state file {path} cannot be opened: {str(error).splitlines()[0]}",
                    "restore it from a copy, or delete it to start anew",
                ) from error
            yield connection

    def _query(self, sync: str, sql: str) -> list[tuple[Any, ...]]:
        if not self._path(sync).exists():
            return []
        with self._open(sync, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def _facts(self, sync: str) -> Mapping[str, str]:
        return dict(self._query(sync, "SELECT name, value FROM meta"))

    def _meta(self, sync: str, name: str) -> str | None:
        return self._facts(sync).get(name)

    @staticmethod
    def _put(
        connection: DuckDBPyConnection, values: Mapping[str, str], known: Mapping[str, str]
    ) -> None:
        """Keep values, where `known` is what is kept already."""
        # An upsert would say it in one statement, and take four times as long.
        for name, value in values.items():
            names = {"n": name, "v": value}
            if name not in known:
                connection.execute("INSERT INTO meta VALUES ($n, $v)", names)
            elif known[name] != value:
                connection.execute("UPDATE meta SET value = $v WHERE name = $n", names)

    def _move_on(self, connection: DuckDBPyConnection) -> None:
        """Plans that were made before are stale."""
        meta = look(connection).meta
        serial = str(int(meta.get("serial") or 0) + 1)
        self._put(connection, {"serial": serial, "last_plan": ""}, meta)


def _create(path: Path) -> None:
    """An empty state file, all of it or none: a process killed here must not leave half a one."""
    draft = path.with_suffix(f".{os.getpid()}.draft")
    draft.unlink(missing_ok=True)
    with open_file(draft) as connection:
        connection.execute(_SCHEMA)
    draft.replace(path)


def _names(layout: Sequence[str], hashes: Sequence[int]) -> dict[str, Json]:
    return {name: HASHED for name, number in zip(layout, hashes, strict=False) if number}
