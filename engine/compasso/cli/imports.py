"""`compasso imports`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from compasso.cli import stopping
from compasso.cli.options import Common, common, output_format
from compasso.model import ExitCode

if TYPE_CHECKING:
    from compasso.applying import RefusedRow
    from compasso.applying.jobs import Job
    from compasso.spec import Project
    from compasso.state import State

HELP = "List the account's imports, show why rows were refused, delete one."
_SHOWN = 50


@click.group(short_help=HELP)
def command() -> None:
    """List the account's imports, show why rows were refused, delete one."""


@command.command("list", epilog="Example:\n\n  compasso imports list --limit 100")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, help="How many, newest first.")
@output_format("text", "json")
@common
def list_(common: Common, limit: int, form: str) -> int:
    """List the account's imports, newest first, with those of this project marked."""
    project = common.load()
    jobs = find_jobs(project, common.state(project), "imports", limit)
    if form == "json":
        click.echo(json.dumps([document(j) for j in jobs], indent=2, ensure_ascii=False))
        return ExitCode.DONE
    if not jobs:
        click.echo("The account has no imports.")
    for job in jobs:
        body = job.body
        done = f"{body.get('success', 0):,} of {body.get('total', 0):,} rows, {body.get('errors', 0):,} errors"
        click.echo(
            f"{when(body.get('createdAt'))}  {job.identity}  {body.get('type'):8}  {job.status:10}  "
            f"{done}  {owner(job)}"
        )
    return ExitCode.DONE


@command.command("show", epilog="Example:\n\n  compasso imports show 6072374b4d3ceb76e44d4323")
@click.argument("identity", metavar="ID")
@click.option("--reveal", is_flag=True, help="Show keys instead of masking them.")
@output_format("text", "json")
@common
def show(common: Common, identity: str, reveal: bool, form: str) -> int:
    """Show one import, and the rows it refused: where they come from, and Connectif's reason."""
    from compasso.rendering.text import clean

    project = common.load()
    job, rows = look(project, common.state(project), identity)
    shown = [_row_document(row, reveal=reveal) for row in rows]
    if form == "json":
        click.echo(json.dumps({**document(job), "refused": shown}, indent=2, ensure_ascii=False))
        return ExitCode.DONE
    body = job.body
    click.echo(f"import {job.identity}: {body.get('type')}, {job.status}, {owner(job)}")
    for name in ("createdAt", "startedAt", "finishedAt", "cancelledAt"):
        if body.get(name):
            click.echo(f"  {name}: {when(body[name])}")
    click.echo(
        f"  {body.get('total', 0):,} rows: {body.get('success', 0):,} taken, "
        f"{body.get('errors', 0):,} refused"
    )
    for row in shown[:_SHOWN]:
        click.echo(f"  {row['location']}: {clean(str(row['key']))}: {clean(str(row['reason']))}")
    if len(shown) > _SHOWN:
        click.echo(f"  ... and {len(shown) - _SHOWN:,} more (--format json lists them all)")
    if job.sync and any(row["row"] is None for row in shown):
        click.echo("  A row without a place: the plan that sent it is not at hand any more.")
    return ExitCode.DONE


@command.command("cancel", epilog="Example:\n\n  compasso imports cancel 6072374b4d3ceb76e44d4323")
@click.argument("identity", metavar="ID")
@common
def cancel(common: Common, identity: str) -> int:
    """Delete an import that has ended from the account's list.

    Connectif's API has no call that cancels an import: one that is queued or in progress can be
    cancelled in the app alone. What an import has written stays.
    """
    from compasso.applying.jobs import delete_job, get_job, our_jobs
    from compasso.cli.running import client_of

    project = common.load()
    state = common.state(project)

    async def work() -> None:
        ours = with_journal(state, lambda journal: our_jobs(journal, "imports"))
        async with client_of(project, state) as client:
            await delete_job(client, "imports", await get_job(client, "imports", identity, ours))

    stopping.run(work())
    click.echo(f"Deleted the import {identity} from the list. What it wrote stays.")
    return ExitCode.DONE


def with_journal(state: State, use: Any) -> Any:
    """What `use` makes of the state's journal."""
    from compasso.applying import Journal

    journal = Journal(state.directory)
    try:
        return use(journal)
    finally:
        journal.close()


def find_jobs(project: Project, state: State, kind: str, limit: int) -> Sequence[Job]:
    """The newest imports or exports, with ours marked."""
    from compasso.applying.jobs import list_jobs, our_jobs
    from compasso.cli.running import client_of

    async def work() -> list[Job]:
        ours = with_journal(state, lambda journal: our_jobs(journal, kind))
        async with client_of(project, state) as client:
            return await list_jobs(client, kind, ours, limit)

    return stopping.run(work())


def look(project: Project, state: State, identity: str) -> tuple[Job, Sequence[RefusedRow]]:
    """One import with the rows that it refused."""
    from compasso.applying.jobs import get_job, our_jobs, refused_rows
    from compasso.cli.running import client_of

    async def work() -> tuple[Job, Sequence[RefusedRow]]:
        ours = with_journal(state, lambda journal: our_jobs(journal, "imports"))
        known = with_journal(state, lambda journal: journal.refused(identity))
        async with client_of(project, state) as client:
            job = await get_job(client, "imports", identity, ours)
            return job, await refused_rows(
                client, job, known, lambda key: state.name_of(job.sync, key) if job.sync else key
            )

    return stopping.run(work())


def _row_document(row: RefusedRow, *, reveal: bool) -> dict[str, Any]:
    from compasso.planning import mask

    place = f"{row.file} row {row.row}" if row.file and row.row else "a row"
    key = row.key if reveal else mask(row.key)
    return {"location": place, "file": row.file, "row": row.row, "key": key, "reason": row.reason}


def document(job: Job) -> dict[str, Any]:
    """An import or export as JSON: what Connectif says of it, and whose it is."""
    told = {k: v for k, v in job.body.items() if k not in {"fileUrl", "errorReportFileUrl"}}
    return {**told, "sync": job.sync, "run": job.run}


def owner(job: Job) -> str:
    """Whose it is, in words."""
    if job.sync:
        return f"ours: {job.sync} (run {job.run})"
    return "made in the app" if job.body.get("origin") == "app" else "not of this project"


def when(text: object) -> str:
    """A moment of the API, to the minute."""
    return str(text or "")[:16].replace("T", " ")
