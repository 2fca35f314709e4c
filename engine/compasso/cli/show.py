"""`compasso show`."""

from __future__ import annotations

from pathlib import Path

import click

from compasso.cli.options import Common, common, output_format
from compasso.model import ExitCode

HELP = "Show a saved plan."


@click.command(short_help=HELP, epilog="Example:\n\n  compasso show week.plan --format markdown")
@click.argument("planfile", type=click.Path(path_type=Path))
@click.option("--show", type=click.IntRange(0), default=3, help="How many examples of each kind.")
@output_format("text", "json", "markdown", "html")
@common
def command(common: Common, planfile: Path, show: int, form: str) -> int:
    """Show a saved plan."""
    from compasso.planning import open_plan
    from compasso.rendering import render_plan

    with open_plan(planfile) as plan:
        click.echo(render_plan(plan.document, form, color=common.color, show=show))
    return ExitCode.DONE
