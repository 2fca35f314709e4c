"""The journal: what was intended before each request, and what came of it after.

A SQLite file beside the state. Every step is on the disk before the next one is taken, so that
a process can be killed at any instruction and the next one knows where it stood.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
  run_id TEXT PRIMARY KEY, plan_id TEXT, command TEXT, started TEXT, finished TEXT,
  outcome TEXT, summary TEXT);
CREATE TABLE IF NOT EXISTS imports (
  plan_id TEXT, batch_id INTEGER, run_id TEXT, sync TEXT, type TEXT, total INTEGER, at TEXT,
  import_id TEXT, settled INTEGER DEFAULT 0,
  PRIMARY KEY (plan_id, batch_id));
CREATE TABLE IF NOT EXISTS calls (
  plan_id TEXT, change_id INTEGER, run_id TEXT, sync TEXT, at TEXT, outcome TEXT,
  status INTEGER, reason TEXT, kept INTEGER DEFAULT 0, unrepeatable INTEGER DEFAULT 0,
  PRIMARY KEY (plan_id, change_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
  import_id TEXT, key TEXT, file TEXT, row INTEGER, reason TEXT,
  PRIMARY KEY (import_id, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS exports (
  plan_id TEXT, change_id INTEGER, run_id TEXT, sync TEXT, piece TEXT, body TEXT, at TEXT,
  export_id TEXT, settled INTEGER DEFAULT 0,
  PRIMARY KEY (plan_id, change_id)) WITHOUT ROWID;
"""
_AT_ONCE = 20_000  # rows that are removed in one transaction
# Uncertain: sent, and whether it arrived is not known (delivery: at_most_once).
# Gone: deleted to be made anew, and not made.
APPLIED, FAILED, UNCERTAIN, GONE = "applied", "failed", "uncertain", "gone"


@dataclass(frozen=True, slots=True)
class ImportIntent:
    """An import that was begun. `import_id` is None while no answer came."""

    plan_id: str
    batch_id: int
    run_id: str
    sync: str
    type: str
    total: int
    at: datetime
    import_id: str | None
    settled: bool


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row of an import that Connectif refused; `file` and `row` of the source that it is from."""

    key: str
    file: str | None
    row: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class ExportIntent:
    """An export that was begun. `body` is what was asked for, as text; `export_id` is None while
    no answer came. `settled` when its rows are at their destination, or will never be."""

    plan_id: str
    change_id: int
    run_id: str
    sync: str
    piece: str
    body: str
    at: datetime
    export_id: str | None = None
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one call."""

    change_id: int
    outcome: str
    status: int
    reason: str | None
    at: str | None = None  # when it was known, and by which run; the journal fills them in
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One apply, for history."""

    run_id: str
    plan_id: str
    command: str
    started: str
    finished: str | None
    outcome: str | None
    summary: dict[str, object]


def now_text() -> str:
    """This moment, as the journal writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Journal:
    """The journal of one state."""

    def __init__(self, directory: Path) -> None:
        self.plans = directory / "plans"
        self.plans.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "journal.sqlite", timeout=30, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        columns = {row[1] for row in self._db.execute("PRAGMA table_info(calls)")}
        if "unrepeatable" not in columns:  # a journal of an earlier version
            self._db.execute("ALTER TABLE calls ADD COLUMN unrepeatable INTEGER DEFAULT 0")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _write(self, sql: str, values: Sequence[object]) -> None:
        """Every step passes here; it is on the disk when this returns."""
        self._db.execute(sql, values)

    def plan_copy(self, plan_id: str) -> Path:
        """Where a plan under way is kept, so that recovery needs nothing else."""
        return self.plans / f"{plan_id}.plan"

    def begin_run(self, run_id: str, plan_id: str, command: str) -> None:
        """Note that an apply begins."""
        self._write(
            "INSERT INTO runs (run_id, plan_id, command, started) VALUES (?, ?, ?, ?)",
            (run_id, plan_id, command, now_text()),
        )

    def end_run(self, run_id: str, outcome: str, summary: dict[str, object]) -> None:
        """Note how an apply ended."""
        self._write(
            "UPDATE runs SET finished = ?, outcome = ?, summary = ? WHERE run_id = ?",
            (now_text(), outcome, json.dumps(summary), run_id),
        )

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        rows = self._db.execute(
            "SELECT run_id, plan_id, command, started, finished, outcome, summary FROM runs "
            "ORDER BY started DESC"
        ).fetchall()
        return [
            Run(run, plan, command, started, finished, outcome, json.loads(summary or "{}"))
            for run, plan, command, started, finished, outcome, summary in rows
        ]

    def intend_call(
        self,
        plan_id: str,
        change_id: int,
        run_id: str,
        sync: str,
        *,
        unrepeatable: bool = False,
        at: datetime | None = None,
    ) -> None:
        """A call is about to leave, `at` this time (now)."""
        when = at.isoformat(timespec="milliseconds") if at is not None else now_text()
        self._write(
            "INSERT OR REPLACE INTO calls (plan_id, change_id, run_id, sync, at, unrepeatable) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (plan_id, change_id, run_id, sync, when, unrepeatable),
        )

    def open_calls(self, plan_id: str, sync: str) -> dict[int, datetime]:
        """The changes whose call left and may not be repeated blindly, without an outcome; and
        when each left."""
        rows = self._db.execute(
            "SELECT change_id, at FROM calls WHERE plan_id = ? AND sync = ? AND unrepeatable "
            "AND outcome IS NULL",
            (plan_id, sync),
        )
        return {change: datetime.fromisoformat(at) for change, at in rows}

    def drop_call(self, plan_id: str, change_id: int) -> None:
        """The call never had its effect."""
        self._write("DELETE FROM calls WHERE plan_id = ? AND change_id = ?", (plan_id, change_id))

    def record_call(self, plan_id: str, outcome: Outcome) -> None:
        """A call was answered."""
        self._write(
            "UPDATE calls SET outcome = ?, status = ?, reason = ?, at = ? "
            "WHERE plan_id = ? AND change_id = ?",
            (
                outcome.outcome,
                outcome.status,
                outcome.reason,
                now_text(),
                plan_id,
                outcome.change_id,
            ),
        )

    def unkept(self, plan_id: str, sync: str) -> list[Outcome]:
        """Outcomes of calls that the state does not have yet."""
        rows = self._db.execute(
            "SELECT change_id, outcome, status, reason, at, run_id FROM calls "
            "WHERE plan_id = ? AND sync = ? AND outcome IS NOT NULL AND kept = 0 "
            "ORDER BY change_id",
            (plan_id, sync),
        ).fetchall()
        return [Outcome(*row) for row in rows]

    def mark_kept(self, plan_id: str, changes: Iterable[int]) -> None:
        """The state has these outcomes now."""
        listed = json.dumps(list(changes))
        self._write(
            "UPDATE calls SET kept = 1, reason = NULL WHERE plan_id = ? "
            "AND change_id IN (SELECT value FROM json_each(?))",
            (plan_id, listed),
        )

    def applied(self, plan_id: str) -> set[int]:
        """The changes of a plan that calls have applied."""
        rows = self._db.execute(
            "SELECT change_id FROM calls WHERE plan_id = ? AND outcome IN (?, ?)",
            (plan_id, APPLIED, UNCERTAIN),
        )
        return {row[0] for row in rows}

    def intend_import(self, intent: ImportIntent) -> None:
        """An import is about to be uploaded."""
        self._write(
            "INSERT OR REPLACE INTO imports VALUES (?, ?, ?, ?, ?, ?, ?, NULL, 0)",
            (
                intent.plan_id, intent.batch_id, intent.run_id, intent.sync, intent.type,
                intent.total, intent.at.isoformat(),
            ),
        )  # fmt: skip

    def record_import(self, plan_id: str, batch_id: int, import_id: str) -> None:
        """An import was accepted under this id."""
        self._write(
            "UPDATE imports SET import_id = ? WHERE plan_id = ? AND batch_id = ?",
            (import_id, plan_id, batch_id),
        )

    def settle_import(self, plan_id: str, batch_id: int) -> None:
        """The state has all outcomes of an import now."""
        self._write(
            "UPDATE imports SET settled = 1 WHERE plan_id = ? AND batch_id = ?",
            (plan_id, batch_id),
        )

    def drop_import(self, plan_id: str, batch_id: int) -> None:
        """The import never came to be."""
        self._write("DELETE FROM imports WHERE plan_id = ? AND batch_id = ?", (plan_id, batch_id))

    def imports(self, plan_id: str | None = None, *, open_only: bool = False) -> list[ImportIntent]:
        """Imports, of one plan or of all."""
        where = " AND settled = 0" if open_only else ""
        rows = self._db.execute(
            "SELECT plan_id, batch_id, run_id, sync, type, total, at, import_id, settled "
            f"FROM imports WHERE (?1 IS NULL OR plan_id = ?1){where} ORDER BY at",
            (plan_id,),
        ).fetchall()
        return [
            ImportIntent(
                plan_id=row[0],
                batch_id=row[1],
                run_id=row[2],
                sync=row[3],
                type=row[4],
                total=row[5],
                at=datetime.fromisoformat(row[6]),
                import_id=row[7],
                settled=bool(row[8]),
            )
            for row in rows
        ]  # fmt: skip

    def erase_reasons(self, texts: Sequence[str]) -> int:
        """Blank the reasons that hold one of these texts, down to the bytes of the file."""
        erased = 0
        self._db.execute("PRAGMA secure_delete = ON")
        for text in texts:
            erased += self._db.execute(
                "UPDATE calls SET reason = NULL WHERE instr(lower(reason), lower(?))", (text,)
            ).rowcount
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return erased

    def known_imports(self) -> set[str]:
        """The ids of all imports of ours."""
        rows = self._db.execute("SELECT import_id FROM imports WHERE import_id IS NOT NULL")
        return {row[0] for row in rows}

    def record_refused(self, import_id: str, rows: Iterable[RefusedRow]) -> None:
        """Keep where the refused rows of an import come from, after its plan is gone."""
        listed = json.dumps([[r.key, r.file, r.row, r.reason] for r in rows])
        self._write(
            "INSERT OR REPLACE INTO refused SELECT ?, value ->> 0, value ->> 1, value ->> 2, "
            "value ->> 3 FROM json_each(?)",
            (import_id, listed),
        )

    def refused(self, import_id: str) -> list[RefusedRow]:
        """The refused rows of an import, in the order of the source."""
        rows = self._db.execute(
            "SELECT key, file, row, reason FROM refused WHERE import_id = ? "
            "ORDER BY file, row, key",
            (import_id,),
        )
        return [RefusedRow(*row) for row in rows]

    def intend_export(self, intent: ExportIntent) -> None:
        """An export is about to be asked for, or is taken over from an earlier plan."""
        self._write(
            "INSERT OR REPLACE INTO exports VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (
                intent.plan_id, intent.change_id, intent.run_id, intent.sync, intent.piece,
                intent.body, intent.at.isoformat(), intent.export_id,
            ),
        )  # fmt: skip

    def record_export(self, plan_id: str, change_id: int, export_id: str) -> None:
        """An export was accepted under this id."""
        self._write(
            "UPDATE exports SET export_id = ? WHERE plan_id = ? AND change_id = ?",
            (export_id, plan_id, change_id),
        )

    def settle_exports(self, plan_id: str, changes: Iterable[int]) -> None:
        """Nothing is left to do for these exports."""
        self._write(
            "UPDATE exports SET settled = 1 WHERE plan_id = ? "
            "AND change_id IN (SELECT value FROM json_each(?))",
            (plan_id, json.dumps(list(changes))),
        )

    def drop_export(self, plan_id: str, change_id: int) -> None:
        """The export never came to be, or another plan has taken it over."""
        self._write("DELETE FROM exports WHERE plan_id = ? AND change_id = ?", (plan_id, change_id))

    def exports(self, sync: str | None = None) -> list[ExportIntent]:
        """Exports, of one sync or of all, oldest first."""
        rows = self._db.execute(
            "SELECT plan_id, change_id, run_id, sync, piece, body, at, export_id, settled "
            "FROM exports WHERE ?1 IS NULL OR sync = ?1 ORDER BY at",
            (sync,),
        ).fetchall()
        return [
            ExportIntent(
                plan, change, run, of, piece, body, datetime.fromisoformat(at), identity, bool(done)
            )
            for plan, change, run, of, piece, body, at, identity, done in rows
        ]

    def unfinished_plans(self, syncs: Iterable[str] | None = None) -> set[str]:
        """Plans with imports or outcomes that the state does not have yet, of these syncs."""
        listed = None if syncs is None else json.dumps(list(syncs))
        ours = "(?1 IS NULL OR sync IN (SELECT value FROM json_each(?1)))"
        rows = self._db.execute(
            f"SELECT plan_id FROM imports WHERE settled = 0 AND {ours} UNION "
            "SELECT plan_id FROM calls WHERE kept = 0 AND (outcome IS NOT NULL OR unrepeatable) "
            f"AND {ours}",
            (listed,),
        )
        return {row[0] for row in rows}

    def left_over(self, syncs: Iterable[str]) -> list[tuple[str, str, int, int]]:
        """What the state does not have yet of these syncs: import or call, sync, how many, and
        how many rows."""
        return self._db.execute(
            "SELECT 'import', sync, count(*), sum(total) FROM imports WHERE settled = 0 "
            "AND sync IN (SELECT value FROM json_each(?1)) GROUP BY sync UNION ALL "
            "SELECT 'call', sync, count(*), count(*) FROM calls "
            "WHERE kept = 0 AND (outcome IS NOT NULL OR unrepeatable) "
            "AND sync IN (SELECT value FROM json_each(?1)) GROUP BY sync",
            (json.dumps(list(syncs)),),
        ).fetchall()

    def needed_plans(self) -> set[str]:
        """Plans that may still be gone on with: those with something open, and of each sync the
        one that changed its records last (a plan file that was stopped can be applied again)."""
        last = self._db.execute(
            "SELECT plan_id, max(at) FROM ("
            "SELECT sync, plan_id, at FROM calls WHERE kept UNION ALL "
            "SELECT sync, plan_id, at FROM imports WHERE settled UNION ALL "
            "SELECT sync, plan_id, at FROM exports WHERE settled) GROUP BY sync"
        )
        return {row[0] for row in last} | self.unfinished_plans()

    def prune(self, before: str) -> int:
        """Remove the runs, imports and exports from before a moment, and the calls of plans that
        nobody can go on with, whenever they were. Answers how many runs went.

        A few at a time: another process may wait to write its next step.
        """
        needed = json.dumps(sorted(self.needed_plans()))
        free = "plan_id NOT IN (SELECT value FROM json_each(?1))"
        # A call without an outcome may be under way in another process. Its own time says little:
        # the clock may have been set since.
        late = "plan_id NOT IN (SELECT plan_id FROM runs WHERE started >= ?2)"
        done = f"{free} AND (kept OR (outcome IS NULL AND {late}))"
        chosen = f"SELECT plan_id, change_id FROM calls WHERE {done} LIMIT {_AT_ONCE}"
        while self._remove(
            f"DELETE FROM calls WHERE (plan_id, change_id) IN ({chosen})", needed, before
        ):
            pass
        for table in ("imports", "exports"):
            self._remove(
                f"DELETE FROM {table} WHERE {free} AND settled AND at < ?2", needed, before
            )
        self._db.execute(
            "DELETE FROM refused WHERE import_id NOT IN "
            "(SELECT import_id FROM imports WHERE import_id IS NOT NULL)"
        )
        return self._remove(f"DELETE FROM runs WHERE {free} AND started < ?2", needed, before)

    def _remove(self, sql: str, *values: object) -> int:
        return self._db.execute(sql, values).rowcount
