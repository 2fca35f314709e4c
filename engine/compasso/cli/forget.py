"""`compasso forget`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compasso.cli import stopping
from compasso.cli.options import Common, common, output_format
from compasso.model import CompassoError, ExitCode

if TYPE_CHECKING:
    from compasso.applying.forget import Found, Person, Place
    from compasso.spec import Project
    from compasso.state import State

HELP = "Erase a person: in the account, in the state, and from coming plans."


@click.command(
    short_help=HELP,
    epilog="Examples:\n\n  compasso forget ana@example.org --dry-run\n\n"
    "  compasso forget ana@example.org --external-id C-1042 --yes",
)
@click.argument("emails", nargs=-1, metavar="[EMAIL]...")
@click.option(
    "--external-id", "ids", multiple=True, metavar="ID",
    help="Who has this External ID (repeatable). With one EMAIL: the same person.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@click.option("--reveal", is_flag=True, help="Show who it is; else only a salted hash.")
@output_format("text", "json")
@common
def command(
    common: Common,
    emails: tuple[str, ...],
    ids: tuple[str, ...],
    yes: bool,
    dry_run: bool,
    reveal: bool,
    form: str,
) -> int:
    """Erase a person, named by e-mail address or External ID.

    Deletes the contact and the purchases that the state knows of in Connectif (this cannot be
    undone), then the records in the state, and puts the person, as a salted hash, on a list:
    rows of theirs are left out of coming plans. A receipt tells what was deleted where, and what
    could not be reached. Run it again if it was interrupted.
    """
    if not emails and not ids:
        raise CompassoError.say(
            "forget whom?", "name an e-mail address, or --external-id ID; --dry-run only looks"
        )
    if not (yes or dry_run or sys.stdin.isatty()):
        raise CompassoError.say("there is no terminal to ask at", "say --yes, or --dry-run")
    from compasso.spec.load import DECLARED

    project = common.load()
    state = common.state(project)
    names = sorted({*(s.name for s in project.named), *DECLARED, *state.syncs()})
    with state.lock(names, "compasso forget"):
        documents = stopping.run(
            _run(project, state, _people(emails, ids), yes or dry_run, dry_run, reveal)
        )
    if form == "json":
        whole = {"format_version": "1.0", "dry_run": dry_run, "people": documents}
        click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(_text(d, dry_run) for d in documents))
    return ExitCode.DONE


def _people(emails: tuple[str, ...], ids: tuple[str, ...]) -> list[Person]:
    """Each address and each id is a person; one of each is one person."""
    from compasso.applying.forget import Person
    from compasso.state.suppression import Identity

    named = [(Identity.EMAIL, e) for e in emails] + [(Identity.EXTERNAL_ID, i) for i in ids]
    together = len(emails) == 1 and len(ids) == 1
    people: list[Person] = []
    for kind, value in named:
        if kind is Identity.EMAIL and "@" not in value:
            raise CompassoError.say(
                f"{value!r} is not an e-mail address", "for an External ID say --external-id"
            )
        if not (people and together):
            people.append(Person())
        people[-1].add(kind, value)
    return people


async def _run(
    project: Project, state: State, people: list[Person], agreed: bool, dry_run: bool, reveal: bool
) -> list[dict[str, Any]]:
    from compasso.applying import has_left_over, recover
    from compasso.applying.forget import find_person, forget_person
    from compasso.cli.running import client_of

    places = _places(project, state)
    documents = []
    async with client_of(project, state) as client:
        if not dry_run and has_left_over(state):
            click.echo("Settling what an interrupted apply left.", err=True)
            await recover(state, client, state.syncs())
        for person in people:
            found = await find_person(client, state, places, person, project.root)
            if not agreed:
                click.echo(_summary(person, found, reveal), err=True)
                if not click.confirm("Forget this person? It cannot be undone.", err=True):
                    raise CompassoError.say("not forgotten", "nothing was deleted")
            if dry_run:
                documents.append(_planned(person, found, places, reveal))
                continue
            copies = _drop_plan_copies(state)
            unreached = _unreached(project)
            receipt, path = await forget_person(client, state, places, person, found, unreached)
            shown = {
                **receipt,
                "receipt": str(path.relative_to(project.root)),
                "plan_copies": copies,
            }
            documents.append({**shown, **_revealed(person, reveal)})
    return documents


def _places(project: Project, state: State) -> list[Place]:
    """The syncs of the project whose records may be a person's; and those that only the state
    knows any more are told about by name."""
    from compasso.applying.forget import Place
    from compasso.planning import resolve_target
    from compasso.planning.resolve import sending_options

    places = []
    for sync in project.syncs:
        target, key_field = resolve_target(sync, project)
        if target.person or target.composed_key:
            contact = sending_options(sync, project).get("contact_field")
            place = Place(sync.name, target, key_field, None if contact is None else str(contact))
            places.append(place)
    return places


def _drop_plan_copies(state: State) -> int:
    """Copies of plans that were stopped: they hold people's data, and nothing needs them now."""
    copies = list((Path(state.directory) / "plans").glob("*.plan"))
    for copy in copies:
        copy.unlink(missing_ok=True)
    return len(copies)


def _unreached(project: Project) -> list[str]:
    """Where the person's data lies that this command must not touch."""
    sources = []
    for sync in project.syncs:
        if sync.stock is None and sync.target != "products":
            sources.append(f"the source of {sync.name} ({sync.source.kind}): delete the rows there")
    exports = [
        f"what the export {e.name} wrote ({e.into.label}): export it again" for e in project.exports
    ]
    return sources + exports


def _revealed(person: Person, reveal: bool) -> dict[str, Any]:
    if not reveal:
        return {}
    return {"revealed": {k.value: sorted(v) for k, v in person.identities.items() if v}}


def _planned(person: Person, found: Found, places: list[Place], reveal: bool) -> dict[str, Any]:
    """What would be deleted, as JSON."""
    return {
        "contacts": len(found.contacts),
        "purchases": sum(
            len(found.records.get(p.sync, ())) for p in places if p.target.name == "purchases"
        ),
        "records": {n: len(keys) for n, keys in found.records.items() if keys},
        "failures": {n: len(keys) for n, keys in found.failures.items() if keys},
        "plan_files": found.plans,
        **_revealed(person, reveal),
    }


def _summary(person: Person, found: Found, reveal: bool) -> str:
    from compasso.planning import mask

    names = [v if reveal else str(mask(v)) for _, v in person.pairs()]
    held = ", ".join(f"{n} {len(keys)}" for n, keys in found.records.items() if keys) or "nothing"
    count = len(found.contacts)
    return (
        f"{', '.join(names)}: {count} contact{'' if count == 1 else 's'} in the account; "
        f"in the state: {held}"
    )


def _text(document: dict[str, Any], dry_run: bool) -> str:
    lines = []
    if "revealed" in document:
        lines.append(", ".join(v for kind in document["revealed"].values() for v in kind))
    if dry_run:
        lines.append(
            f"Would delete in Connectif: {document['contacts']} contact(s), "
            f"{document['purchases']} purchase(s)."
        )
        held = ", ".join(f"{n} {count}" for n, count in document["records"].items())
        lines.append(f"Would delete in the state: {held or 'nothing'}.")
        lines += [f"The plan file {plan} names the person." for plan in document["plan_files"]]
        lines.append("Nothing was deleted.")
        return "\n".join(lines)
    deleted = document["account"]
    contacts = sum(1 for d in deleted if d["what"] == "contact")
    lines.append(
        f"Deleted in Connectif: {contacts} contact(s), {len(deleted) - contacts} purchase(s)."
    )
    records = sum(d.get("records", 0) for d in document["state"])
    lines.append(f"Deleted in the state: {records} record(s), {document['plan_copies']} plan(s).")
    lines.append("On the list of forgotten people: coming plans leave this person's rows out.")
    lines.append("Not reached:")
    lines += [f"  - {what}" for what in document["not_reached"]]
    lines.append(f"Receipt: {document['receipt']}")
    return "\n".join(lines)
