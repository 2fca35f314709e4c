"""`compasso rehearse`."""

from __future__ import annotations

from pathlib import Path

import click

from compasso.cli.options import Common, common, output_format
from compasso.model import ExitCode

HELP = "Play a saved plan against a simulated account: nothing is sent."


@click.command(
    short_help=HELP,
    epilog="Examples:\n\n  compasso rehearse week.plan\n\n"
    "  compasso rehearse week.plan --requests-per-minute 60 --faults storm --seed 7",
)
@click.argument("planfile", type=click.Path(path_type=Path))
@click.option(
    "--requests-per-minute",
    type=click.IntRange(1),
    help="The account's limit; the project's by default.",
)
@click.option(
    "--faults",
    type=click.Choice(["none", "bad-day", "storm"]),
    default="none",
    help="What the network and the service do meanwhile.",
)
@click.option("--seed", type=int, default=0, help="Other faults, at other moments.")
@output_format("text", "json", "markdown")
@common
def command(
    common: Common,
    planfile: Path,
    requests_per_minute: int | None,
    faults: str,
    seed: int,
    form: str,
) -> int:
    """Play a saved plan against a simulated account, in virtual time.

    The plan runs as `apply` would run it, on a copy of the state, against an account that holds
    what the state knows. Hours pass in seconds. Nothing is sent, and nothing is changed.
    Exit 0: all of it would be applied. 1: some records would fail.
    """
    from compasso.cli.apply import masked_key
    from compasso.cli.running import LiveView
    from compasso.planning import open_plan
    from compasso.rehearsing import rehearse
    from compasso.rendering import render_rehearsal

    project = common.load()
    state = common.state(project)
    with open_plan(planfile) as plan, LiveView() as view:
        rehearsal = rehearse(
            plan,
            state,
            requests_per_minute=requests_per_minute or project.budget.requests_per_minute,
            reserve=project.budget.reserve,
            faults=faults,
            seed=seed,
            progress=view,
        )
        document = rehearsal.document(lambda sync, key: masked_key(plan, sync, key))
    click.echo(render_rehearsal(document, form, color=common.color))
    return ExitCode.ERROR if document["summary"]["failed"] else ExitCode.DONE
