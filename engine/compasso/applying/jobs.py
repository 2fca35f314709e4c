"""The account's imports and exports as a person looks at them, with ours marked."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from compasso.applying.journal import Journal, RefusedRow
from compasso.connectif import Client
from compasso.model import ApiCall, CompassoError
from compasso.temporary import working_folder

_KEY_COLUMNS = ("_externalId", "_email", "productId", "code")  # in this order (H4)
# DELETE takes only these (documented, H3).
DELETABLE = frozenset({"finished", "error"})


@dataclass(frozen=True, slots=True)
class Job:
    """One import or export. `sync` and `run` are ours; None when somebody else made it."""

    identity: str
    body: Mapping[str, Any]
    sync: str | None = None
    run: str | None = None

    @property
    def status(self) -> str:
        """queued, inProgress, finished, error or cancelled."""
        return str(self.body.get("status"))


def our_jobs(journal: Journal, kind: str) -> dict[str, tuple[str, str]]:
    """The sync and the run of each import or export of ours, by its id."""
    if kind == "imports":
        return {i.import_id: (i.sync, i.run_id) for i in journal.imports() if i.import_id}
    return {e.export_id: (e.sync, e.run_id) for e in journal.exports() if e.export_id}


async def list_jobs(
    client: Client, kind: str, ours: Mapping[str, tuple[str, str]], most: int
) -> list[Job]:
    """The newest imports or exports of the account. Raises CompassoError."""
    found: list[Job] = []
    async for item in client.pages(f"/{kind}/"):
        found.append(_job(item, ours))
        if len(found) >= most:
            break
    return found


async def get_job(
    client: Client, kind: str, identity: str, ours: Mapping[str, tuple[str, str]]
) -> Job:
    """One import or export. Raises CompassoError when there is none."""
    answer = await client.send(ApiCall("GET", f"/{kind}/{quote(identity, safe='')}"))
    if answer.status in {400, 404}:
        raise CompassoError.say(
            f"the account has no {kind.removesuffix('s')} {identity}",
            f"see: compasso {kind} list",
        )
    if not answer.ok or not isinstance(answer.body, dict):
        raise CompassoError.say(f"{kind}/{identity} cannot be read: {answer.reason()}")
    return _job(answer.body, ours)


def _job(item: Mapping[str, Any], ours: Mapping[str, tuple[str, str]]) -> Job:
    identity = str(item.get("id"))
    return Job(identity, item, *ours.get(identity, (None, None)))


async def refused_rows(
    client: Client, job: Job, known: Sequence[RefusedRow], name_of: Callable[[str], str]
) -> list[RefusedRow]:
    """The rows that an import refused: by its error report, with their place in our source where
    it is `known` under the name that stands for a key in the state.

    Raises CompassoError when the report cannot be fetched and nothing is known.
    """
    url = job.body.get("errorReportFileUrl")
    if not url:
        return list(known)
    with tempfile.TemporaryDirectory(prefix="report-", dir=working_folder()) as folder:
        file = Path(folder) / "report.csv"
        try:
            await client.download(str(url), file)
        except CompassoError:
            if known:
                return list(known)
            raise
        reported = read_report(file)
    places = {row.key: row for row in known}
    rows = []
    for key, reason in reported:
        names = (name_of(key), name_of(key.strip().lower()))
        place = next((places[name] for name in names if name in places), None)
        file_of, row_of = (place.file, place.row) if place is not None else (None, None)
        rows.append(RefusedRow(key, file_of, row_of, reason))
    return rows


def read_report(file: Path, uploaded: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Key and reason of each row of an error report. Its columns are not known (a guess): those
    of the file that was uploaded, of which the first is the key, and what says the reason. Where
    these are not known, the key is found by its usual names and the last column is the reason."""
    with file.open(encoding="utf-8-sig", newline="") as text:
        first = text.readline()
        text.seek(0)
        delimiter = ";" if first.count(";") > first.count(",") else ","
        rows = csv.reader(text, delimiter=delimiter)
        header = [name.strip() for name in next(rows, [])]
        named = (k for k in [*uploaded[:1], *_KEY_COLUMNS] if k in header)
        key_at = header.index(next(named, header[0])) if header else 0
        reasons = [i for i, name in enumerate(header) if name not in uploaded]
        said_at = reasons if uploaded else reasons[-1:]
        return [
            (row[key_at], "; ".join(row[i] for i in said_at if i < len(row) and row[i]))
            for row in rows
            if len(row) > key_at
        ]


async def delete_job(client: Client, kind: str, job: Job) -> None:
    """Remove an import or export from the account's list.

    Raises CompassoError: it has not ended, and the API has no call that cancels it.
    """
    what = kind.removesuffix("s")
    if kind == "imports" and job.status not in DELETABLE:
        waits = "an apply of ours waits for it" if job.sync else "nobody of ours waits for it"
        raise CompassoError.say(
            f"the {what} {job.identity} is {job.status}, and Connectif's API cannot cancel one: it "
            f"deletes only those that are finished or error ({waits})",
            "cancel it in Connectif's app, or wait until it ends; an apply gives up after 2 hours, "
            "and its rows are sent again by the next plan",
        )
    answer = await client.send(ApiCall("DELETE", f"/{kind}/{job.identity}"))
    if not answer.ok and answer.status != 404:
        raise CompassoError.say(f"the {what} {job.identity} cannot be deleted: {answer.reason()}")
