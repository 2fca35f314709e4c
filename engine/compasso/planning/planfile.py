"""A plan file: a zip of a manifest and Parquet tables that anyone can query.

The same inputs give the same bytes. The plan's id is a digest of all it holds, so a file that
was altered is not opened.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from compasso.engine import cursor
from compasso.mapping.quoting import quote_name, quote_text
from compasso.model import Batch, Change, CompassoError, FieldType, Operation, Priority, Route
from compasso.state import State
from compasso.state.suppression import suppressed_digest
from compasso.targets import load_target
from compasso.temporary import working_folder

FORMAT_VERSION = "1.0"
TABLES = ("changes.parquet", "requests.parquet", "rejects.parquet", "digests.parquet")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time a zip can hold: the file keeps no time at all


def write_plan(folder: Path, manifest: Mapping[str, Any], out: Path) -> str:
    """Pack the tables of `folder` with the manifest into `out`, whole or not at all."""
    digests = {name: _digest(folder / name) for name in TABLES}
    body = {**manifest, "format_version": FORMAT_VERSION, "files": digests}
    plan_id = plan_digest(body)
    body = {**body, "plan_id": plan_id}
    draft = out.with_name(out.name + ".draft")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
            text = json.dumps(body, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
            info = zipfile.ZipInfo("manifest.json", _EPOCH)
            archive.writestr(info, text)
            for name in TABLES:
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.file_size = (folder / name).stat().st_size
                with (folder / name).open("rb") as source, archive.open(entry, "w") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        draft.replace(out)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise CompassoError.say(
            f"cannot write the plan file {out}: {error.strerror}", "choose another place with --out"
        ) from error
    return plan_id


def plan_digest(manifest: Mapping[str, Any]) -> str:
    """The plan's id: a digest of the manifest, and through its checksums of every table."""
    body = {k: v for k, v in manifest.items() if k != "plan_id"}
    text = json.dumps(body, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_plan(path: Path) -> Plan:
    """Open a plan file. Raises CompassoError: no such file, not a plan, altered, another format."""
    folder = Path(tempfile.mkdtemp(prefix="plan-", dir=working_folder()))
    try:
        manifest = _unpack(path, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Plan(path, folder, manifest)


def _unpack(path: Path, folder: Path) -> dict[str, Any]:
    again = "make a new one with `compasso plan --out FILE`"
    try:
        with zipfile.ZipFile(path) as archive:
            manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))
            version = str(manifest.get("format_version"))
            if version.split(".", 1)[0] != FORMAT_VERSION.split(".", 1)[0]:
                raise CompassoError.say(
                    f"{path} is a plan of format {version}; this version reads {FORMAT_VERSION}",
                    again,
                )
            for name in TABLES:
                archive.extract(name, folder)
    except FileNotFoundError:
        raise CompassoError.say(f"there is no plan file {path}", again) from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CompassoError.say(f"{path} is not a plan file, or it is damaged", again) from error
    altered = [n for n in TABLES if _digest(folder / n) != manifest.get("files", {}).get(n)]
    if altered or plan_digest(manifest) != manifest.get("plan_id"):
        what = f" ({', '.join(altered)})" if altered else " (manifest.json)"
        raise CompassoError.say(f"{path} was altered after it was made{what}", again)
    return manifest


@dataclass(frozen=True, slots=True)
class ChangePlace:
    """A change's key, and the row of the source that it is from."""

    key: str
    file: str | None
    row: int | None


class Plan:
    """An open plan file. Close it: its tables lie in a temporary folder meanwhile."""

    def __init__(self, path: Path, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self._folder = folder

    @property
    def plan_id(self) -> str:
        """The digest of all that the plan holds."""
        return str(self.manifest["plan_id"])

    @property
    def document(self) -> dict[str, Any]:
        """The plan as JSON, in the form of the contract."""
        return {
            "format_version": FORMAT_VERSION,
            "plan_id": self.plan_id,
            **self.manifest["document"],
        }

    @property
    def changes_file(self) -> Path:
        """The Parquet file with all changes, as long as the plan is open."""
        return self._folder / "changes.parquet"

    @property
    def rejects_file(self) -> Path:
        """The Parquet file with all rejects, as long as the plan is open."""
        return self._folder / "rejects.parquet"

    @property
    def digests_file(self) -> Path:
        """The Parquet file with the digests of rows that change nothing (see `selection`)."""
        return self._folder / "digests.parquet"

    @property
    def syncs(self) -> tuple[str, ...]:
        """The names of the plan's syncs."""
        return tuple(self.manifest["syncs"])

    def deadline_seconds(self, sync: str) -> float | None:
        """How long the sync may take once it is due, if its schedule says so."""
        found = self.manifest["syncs"][sync].get("deadline_seconds")
        return None if found is None else float(found)

    def key_field(self, sync: str) -> str:
        """The field that identifies the records of a sync."""
        return str(self.manifest["syncs"][sync]["key"])

    def seen(self, sync: str) -> str | None:
        """What the state is to remember of the source when the plan was applied to its end."""
        seen = self.manifest["syncs"][sync].get("seen")
        return None if seen is None else str(seen)

    def passed(self, sync: str) -> list[str]:
        """The failures of a sync that nothing is pending for any more, by their hashed names."""
        return list(self.manifest["syncs"][sync].get("passed", []))

    def options(self, sync: str) -> dict[str, Any]:
        """What the executor must know of a sync beside its changes."""
        return dict(self.manifest["syncs"][sync].get("options", {}))

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        """What is to be sent, in the order of application."""
        with cursor() as connection:
            rows = connection.execute(
                "SELECT batch_id, sync, target, operation, route, priority, first, last, columns, "
                "size_bytes, requests, reason FROM read_parquet($f) ORDER BY batch_id",
                {"f": str(self._folder / "requests.parquet")},
            ).fetchall()
        return tuple(
            Batch(
                row[0], row[1], row[2], Operation(row[3]), Route(row[4]), Priority(row[5]),
                row[6], row[7], tuple(row[8]), *row[9:],
            )
            for row in rows
        )  # fmt: skip

    def changes(self, batch: Batch, skip: Collection[int] = ()) -> Iterator[Change]:
        """The changes of a batch in their order, a few at a time; `skip` names change ids."""
        left_out = frozenset(skip)
        options = self.manifest["syncs"][batch.sync].get("options", {})
        with cursor() as connection:
            connection.execute(
                "SELECT change_id, sync, operation, key, fields, before, source_row, batch_id, carry "
                "FROM read_parquet($f) WHERE change_id BETWEEN $first AND $last ORDER BY change_id",
                {"f": str(self.changes_file), "first": batch.first, "last": batch.last},
            )
            while rows := connection.fetchmany(1000):
                for row in rows:
                    if row[0] not in left_out:
                        yield Change(
                            change_id=row[0],
                            sync=row[1],
                            operation=Operation(row[2]),
                            key=row[3],
                            fields=json.loads(row[4]),
                            before=json.loads(row[5] or "{}"),
                            source_row=row[6],
                            batch_id=row[7],
                            record=json.loads(row[8] or "{}"),
                            options=options,
                        )

    def write_import(self, batch: Batch, path: Path, skip: Collection[int] = ()) -> int:
        """Write the import file of a batch; answers its rows. UTF-8, commas, a header."""
        fields = {n: FieldType(t) for n, t in self.manifest["syncs"][batch.sync]["types"].items()}
        target = load_target(batch.target)
        cells = [f"key AS {quote_name(batch.columns[0])}"]
        cells += [
            f"{_cell(name, fields[name], target.import_date)} AS {quote_name(name)}"
            for name in batch.columns[1:]
        ]
        where = "change_id BETWEEN $first AND $last"
        names: dict[str, Any] = {"first": batch.first, "last": batch.last}
        with cursor() as connection:
            if skip:
                connection.execute(
                    "CREATE TEMP TABLE skipped AS SELECT unnest($skip) AS change_id",
                    {"skip": sorted(skip)},
                )
                where += " AND change_id NOT IN (SELECT change_id FROM skipped)"
            select = (
                f"SELECT {', '.join(cells)} FROM read_parquet({quote_text(str(self.changes_file))})"
                f" WHERE {where} ORDER BY change_id"
            )
            row = connection.execute(
                f"COPY ({select}) TO {quote_text(str(path))} (FORMAT csv, HEADER, DELIMITER ',', "
                "QUOTE '\"', ESCAPE '\"', NULLSTR '')",
                names,
            ).fetchone()
        return int(row[0]) if row else 0

    def keys(self, batch: Batch) -> dict[str, int]:
        """The change id of each key of a batch."""
        with cursor() as connection:
            return dict(
                connection.execute(
                    "SELECT key, change_id FROM read_parquet($f) "
                    "WHERE change_id BETWEEN $first AND $last",
                    {"f": str(self.changes_file), "first": batch.first, "last": batch.last},
                ).fetchall()
            )

    def places(self, changes: Sequence[int]) -> dict[int, ChangePlace]:
        """The key of each of these changes, and the row of the source that it is from."""
        with cursor() as connection:
            rows = connection.execute(
                "SELECT change_id, sync, key, source_file, source_row FROM read_parquet($f) "
                "WHERE change_id IN (SELECT unnest($changes)) ORDER BY change_id",
                {"f": str(self.changes_file), "changes": list(changes)},
            ).fetchall()
        names = {sync: self.options(sync).get("files") or [] for sync in {r[1] for r in rows}}
        return {
            change: ChangePlace(
                key,
                names[sync][file] if file is not None and file < len(names[sync]) else None,
                row,
            )
            for change, sync, key, file, row in rows
        }

    def check_state(self, state: State) -> None:
        """Raise CompassoError when the state has moved on since the plan was made.

        What this very plan changed, before it was stopped, does not make it stale.
        """
        again = "make a new plan"
        known = self.manifest["state"]
        if known["lineage"] != state.lineage:
            raise CompassoError.say(
                "the plan was made for another state (another project, folder or environment)",
                again,
            )
        if known.get("forgotten", "") != suppressed_digest(state.directory):
            raise CompassoError.say(
                "the plan is stale: a person was forgotten since it was made, and it may hold their "
                "data",
                "delete it, and make a new plan",
            )
        for sync, serial in known["serials"].items():
            now = state.serial(sync)
            if now == serial or (now == serial + 1 and state.last_plan(sync) == self.plan_id):
                continue
            raise CompassoError.say(
                f"the plan is stale: {sync} was changed since it was made "
                f"(state serial {serial} then, {now} now)",
                again,
            )

    def keep_file(self) -> None:
        """Take the plan file along: it goes when the plan is closed."""
        own = self._folder / "plan.zip"
        self.path.replace(own)
        self.path = own

    def close(self) -> None:
        """Remove the temporary folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Plan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _cell(name: str, kind: FieldType, date_form: str) -> str:
    """A field's cell in an import file (API facts: 7.4 and 7.5)."""
    path = quote_text('$."' + name.replace('"', '\\"') + '"')
    text = f"json_extract_string(fields, {path})"
    carried = f"coalesce({text}, json_extract_string(carry, {path}))"
    if kind is FieldType.LIST:
        return f"array_to_string(CAST(json_extract(fields, {path}) AS VARCHAR[]), '|')"
    if kind is FieldType.DATE:
        return f"strftime(CAST(left({text}, 19) AS TIMESTAMP), {quote_text(date_form)})"
    return carried
