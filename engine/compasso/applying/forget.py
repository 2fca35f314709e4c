"""Forget a person: in the account, in the state, and in what this project keeps of it.

Every step can be taken again: a receipt beside the state says what was done already, so a run that
was killed is simply run again. The order matters. First the person is put on the list of people
who are not made again, then the account is asked to delete, and only then the state forgets what
it needs to find the person's records.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compasso.applying.history import erase
from compasso.applying.journal import Journal
from compasso.connectif import Client
from compasso.engine import cursor
from compasso.mapping.quoting import quote_text
from compasso.model import Change, CompassoError, Operation, Priority
from compasso.planning.suppressed import person_fields
from compasso.state import HASHED, State
from compasso.state.suppression import Identity, read_suppressed, suppress, write_whole
from compasso.targets import Target, load_target
from compasso.temporary import working_folder

_KEYS = {Identity.EMAIL: "_email", Identity.EXTERNAL_ID: "_externalId"}
NOT_REACHED = (
    "Connectif's statistics keep what they counted, and what workflows did stays done (documented)",
    "copies of the state, backups, and logs of other tools",
)


@dataclass(frozen=True)
class Place:
    """A sync whose records may be the person's."""

    sync: str
    target: Target
    key_field: str
    contact_field: str | None = None  # of events


@dataclass
class Person:
    """Who is to be forgotten: all that the person is known by."""

    identities: dict[Identity, set[str]] = field(
        default_factory=lambda: {kind: set() for kind in Identity}
    )

    def add(self, kind: Identity, value: object) -> bool:
        """Whether this was not known."""
        text = str(value or "").strip()
        text = text.lower() if kind is Identity.EMAIL else text
        if not text or text in self.identities[kind]:
            return False
        self.identities[kind].add(text)
        return True

    def pairs(self) -> list[tuple[Identity, str]]:
        """Each identity with its kind."""
        return [(kind, value) for kind in Identity for value in sorted(self.identities[kind])]


@dataclass
class Found:
    """What was found of a person: contacts in the account, records in the state by sync."""

    contacts: list[tuple[Identity, str]] = field(default_factory=list)
    records: dict[str, list[str]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    plans: list[str] = field(default_factory=list)  # plan files of the project that name them


async def find_person(
    client: Client, state: State, places: Sequence[Place], person: Person, root: Path
) -> Found:
    """Look for the person in the account and in the state. Widens `person` by what is found:
    the External ID of a contact that was named by its address, and the other way round."""
    found = Found()
    asked: set[tuple[Identity, str]] = set()
    seen: set[object] = set()
    while waiting := [pair for pair in person.pairs() if pair not in asked]:
        for kind, value in waiting:
            asked.add((kind, value))
            body = await _read_contact(client, kind, value)
            if body is not None:
                if body.get("id") is None or body["id"] not in seen:  # one contact, two keys
                    found.contacts.append((kind, value))
                seen.add(body.get("id"))
                person.add(Identity.EMAIL, body.get("_email"))
                person.add(Identity.EXTERNAL_ID, body.get("_externalId"))
        for place in places:
            _search(state, place, person, found)
    found.plans = sorted(str(p) for p in _plans_naming(root, person))
    return found


async def _read_contact(client: Client, kind: Identity, value: str) -> Mapping[str, Any] | None:
    read = load_target("contacts").read
    if read is None:
        raise AssertionError("contacts can be read")
    answer = await client.send(read(value, _KEYS[kind]), Priority.HIGH)
    if answer.ok and isinstance(answer.body, dict):
        return answer.body
    if answer.status in {400, 404}:  # 400: it cannot be the address of a contact
        return None
    raise CompassoError.say(
        f"the contact could not be read: {answer.reason()}", "nothing was deleted; try again"
    )


def _search(state: State, place: Place, person: Person, found: Found) -> None:
    """The records of one sync that are the person's, and those that failed."""
    fields = person_fields(place.target, place.contact_field)
    anywhere = place.target.composed_key and not fields
    keys: set[str] = set()
    for kind, value in person.pairs():
        names = [n for n, k in fields.items() if k is kind]
        if names or (anywhere and kind is Identity.EMAIL):
            within = None if anywhere else [n for n in names if n != place.key_field]
            keys |= set(state.find(place.sync, value, within, key=place.key_field in names))
    found.records[place.sync] = sorted(keys)
    values = {v for _, v in person.pairs()}
    values |= {state.name_of(place.sync, v) for v in values}
    found.failures[place.sync] = sorted(
        f.key
        for f in state.failures(place.sync)
        if f.key in keys or f.key.strip().lower() in values or any(v in f.reason for v in values)
    )
    for record in (r for key in keys for r in state.records(place.sync, key)):
        if place.target.name == "contacts":
            whole = {**record.fields, place.key_field: record.key}
            for kind, name in _KEYS.items():
                if whole.get(name) != HASHED and not str(whole.get(name)).startswith("#"):
                    person.add(kind, whole.get(name))


def _plans_naming(root: Path, person: Person) -> Iterator[Path]:
    """Plan files in the project (not in its state) that hold the person's data."""
    for path in root.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if hidden or path.suffix not in {".plan", ".zip"} or not path.is_file():
            continue
        if zipfile.is_zipfile(path) and _names_person(path, person):
            yield path.relative_to(root)


def _names_person(plan: Path, person: Person) -> bool:
    wanted = {f"p{i}": value.lower() for i, (_, value) in enumerate(person.pairs())}
    tests = " OR ".join(f"contains(lower(row_::VARCHAR), ${name})" for name in wanted)
    with (
        zipfile.ZipFile(plan) as archive,
        tempfile.TemporaryDirectory(prefix="work-", dir=working_folder()) as folder,
        cursor() as connection,
    ):
        for name in {"changes.parquet", "rejects.parquet"} & set(archive.namelist()):
            table = quote_text(archive.extract(name, folder))
            row = connection.execute(
                f"SELECT count(*) FROM read_parquet({table}) AS row_ WHERE {tests}", wanted
            ).fetchone()
            if row and row[0]:
                return True
    return False


async def forget_person(
    client: Client,
    state: State,
    places: Sequence[Place],
    person: Person,
    found: Found,
    unreached: Sequence[str],
) -> tuple[dict[str, Any], Path]:
    """Delete what was found, and answer the receipt with its file. The caller holds the locks."""
    known = suppress(state.directory, read_suppressed(state.directory), person.pairs())
    name = known.hash(*person.pairs()[0])
    path = state.directory / "forgotten" / f"{name[:16]}.json"
    receipt = _begin(path, [known.hash(kind, value) for kind, value in person.pairs()])

    def note(part: str, **what: object) -> None:
        receipt[part].append({**what, "at": _now()})
        write_whole(path, receipt)

    hidden = 0
    for place in places:
        if place.target.name == "purchases":
            for key in found.records.get(place.sync, ()):
                if key.startswith("#") and state.form(place.sync) is not None:
                    hidden += 1
                    continue
                status = await _delete(client, place, key)
                note("account", what="purchase", sync=place.sync, key=key, status=status)
    for kind, value in found.contacts:
        status = await _delete(client, _contacts(kind), value)
        note("account", what="contact", by=kind.value, status=status)
    for place in places:
        keys = found.records.get(place.sync, [])
        failed = found.failures.get(place.sync, [])
        if keys or failed:
            removed = state.erase(place.sync, [*keys, *failed])
            note("state", sync=place.sync, records=removed, failures=len(failed))
    reasons = _clean_journal(state, person)
    if reasons:
        note("state", journal_reasons=reasons)
    values = [value for _, value in person.pairs()]
    named = {key for place in places for key in found.records.get(place.sync, ())}
    named |= {key for place in places for key in found.failures.get(place.sync, ())} | set(values)
    hashed = {state.name_of(place.sync, key) for place in places for key in named}
    if events := erase(state.directory, sorted(named | hashed), values):
        note("state", history=events)
    receipt["not_reached"] = [
        *(
            [
                f"{hidden} purchases in Connectif: the state has only hashes of their ids, so find them "
                "in the source, and delete them in the app"
            ]
            if hidden
            else []
        ),
        *unreached,
        *(f"the plan file {plan}: delete it, it holds the person's data" for plan in found.plans),
        *NOT_REACHED,
    ]
    receipt["finished"] = _now()
    write_whole(path, receipt)
    return receipt, path


def _begin(path: Path, hashes: list[str]) -> dict[str, Any]:
    """The receipt: that of a run which was killed goes on, one that was finished begins anew."""
    if path.exists():
        try:
            before: dict[str, Any] = json.loads(path.read_text("utf-8"))
            before["person"] = sorted({*before["person"], *hashes})
            before["finished"] = None
            before["not_reached"] = []
            return before
        except (ValueError, KeyError, TypeError):
            pass  # a new one tells at least what this run does
    return {
        "format_version": "1.0",
        "person": sorted(hashes),  # salted, see suppressed.json
        "begun": _now(),
        "finished": None,
        "account": [],
        "state": [],
        "not_reached": [],
    }


def _contacts(kind: Identity) -> Place:
    return Place("", load_target("contacts"), _KEYS[kind])


async def _delete(client: Client, place: Place, key: str) -> int:
    """DELETE may be sent again; 404 means that it was gone already."""
    change = Change(0, place.sync, Operation.DELETE, key, {}, {}, None, 0)
    answer = await client.send(place.target.call(change, place.key_field), Priority.HIGH)
    if not answer.ok and answer.status != 404:
        raise CompassoError.say(
            f"Connectif did not delete a {place.target.label}: {answer.reason()}",
            "what was deleted until now is in the receipt; run the same command again",
        )
    return answer.status


def _clean_journal(state: State, person: Person) -> int:
    """Reasons in the journal that name the person."""
    if not (state.directory / "journal.sqlite").exists():
        return 0
    journal = Journal(state.directory)
    try:
        return journal.erase_reasons([value for _, value in person.pairs()])
    finally:
        journal.close()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
