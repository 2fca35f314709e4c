"""`compasso history`."""

from __future__ import annotations

import click

from compasso.cli.options import Common, common
from compasso.model import ExitCode

HELP = "List the applies of this project."


@click.command(short_help=HELP)
@common
def command(common: Common) -> int:
    """List the applies of this project, newest first."""
    from compasso.applying import Journal

    state = common.state(common.load())
    journal = Journal(state.directory)
    try:
        runs = journal.runs()
    finally:
        journal.close()
    if not runs:
        click.echo("Nothing was applied yet.")
    for run in runs:
        s = run.summary
        done = f"{s.get('applied', 0):,} applied, {s.get('failed', 0):,} failed, {s.get('requests', 0):,} requests"
        click.echo(f"{run.started}  {run.run_id}  {run.outcome or 'interrupted'}: {done}")
    return ExitCode.DONE
