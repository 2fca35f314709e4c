"""`compasso schedule`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from compasso.cli.options import Common, common
from compasso.model import ExitCode

HELP = "List the specs' schedules, what is next and what is due."


@click.group(short_help=HELP)
def command() -> None:
    """List the specs' schedules, what is next and what is due."""


@command.command("list")
@common
def list_(common: Common) -> int:
    """List the schedules."""
    for sync in common.load().named:
        if sync.schedule is None:
            click.echo(f"{sync.name}: no schedule")
        else:
            click.echo(f"{sync.name}: {sync.schedule.cron} ({sync.schedule.timezone})")
    return ExitCode.DONE


@command.command("next")
@click.option("--count", type=click.IntRange(1, 100), default=3, help="How many moments.")
@common
def next_(common: Common, count: int) -> int:
    """Show the next moments of each schedule."""
    from compasso.scheduling import next_runs

    for sync in common.load().named:
        if sync.schedule is not None:
            for moment in next_runs(sync.schedule, datetime.now(UTC), count):
                click.echo(f"{moment:%Y-%m-%d %H:%M %Z}  {sync.name}")
    return ExitCode.DONE


@command.command("due")
@common
def due(common: Common) -> int:
    """List the specs that are due now, one a line: since the last run that was completed."""
    from compasso.cli.plan import due_specs
    from compasso.scheduling import overdue_by

    project = common.load()
    state = common.state(project)
    names = due_specs(project, state)
    for sync in project.named:
        if sync.name in names and sync.schedule is not None:
            click.echo(sync.name)
            late = overdue_by(sync.schedule, state.last_completed(sync.name), datetime.now(UTC))
            if late:
                click.echo(f"{sync.name} is past its deadline by {late}", err=True)
    return ExitCode.DONE
