"""`compasso exports`."""

from __future__ import annotations

import json

import click

from compasso.cli import stopping
from compasso.cli.imports import document, find_jobs, owner, when, with_journal
from compasso.cli.options import Common, common, output_format
from compasso.model import ExitCode

HELP = "List the account's exports, or show one."


@click.group(short_help=HELP)
def command() -> None:
    """List the account's exports, or show one."""


@command.command("list", epilog="Example:\n\n  compasso exports list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, help="How many, newest first.")
@output_format("text", "json")
@common
def list_(common: Common, limit: int, form: str) -> int:
    """List the account's exports, newest first, with those of this project marked."""
    project = common.load()
    jobs = find_jobs(project, common.state(project), "exports", limit)
    if form == "json":
        click.echo(json.dumps([document(j) for j in jobs], indent=2, ensure_ascii=False))
        return ExitCode.DONE
    if not jobs:
        click.echo("The account has no exports.")
    for job in jobs:
        body = job.body
        click.echo(
            f"{when(body.get('createdAt'))}  {job.identity}  {body.get('exportType'):13}  "
            f"{job.status:10}  {body.get('total', 0):,} rows  {owner(job)}"
        )
    return ExitCode.DONE


@command.command("show", epilog="Example:\n\n  compasso exports show 6072374b4d3ceb76e44d4323")
@click.argument("identity", metavar="ID")
@output_format("text", "json")
@common
def show(common: Common, identity: str, form: str) -> int:
    """Show one export: what was asked for, how far it is, and whose it is.

    The address of its file is not shown: whoever has it can fetch the file without a key.
    """
    from compasso.applying.jobs import Job, get_job, our_jobs
    from compasso.cli.running import client_of

    project = common.load()
    state = common.state(project)

    async def work() -> Job:
        ours = with_journal(state, lambda journal: our_jobs(journal, "exports"))
        async with client_of(project, state) as client:
            return await get_job(client, "exports", identity, ours)

    job = stopping.run(work())
    if form == "json":
        click.echo(json.dumps(document(job), indent=2, ensure_ascii=False))
        return ExitCode.DONE
    body = job.body
    click.echo(f"export {identity}: {body.get('exportType')}, {job.status}, {owner(job)}")
    for name in ("createdAt", "finishedAt"):
        if body.get(name):
            click.echo(f"  {name}: {when(body[name])}")
    click.echo(f"  {body.get('progress', 0):,} of {body.get('total', 0):,} rows")
    for name, value in (body.get("filters") or {}).items():
        click.echo(f"  {name}: {json.dumps(value, ensure_ascii=False)}")
    return ExitCode.DONE
