"""`compasso refresh`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from compasso.cli.drift import look
from compasso.cli.options import Common, common
from compasso.model import ExitCode

if TYPE_CHECKING:
    from compasso.spec import Project
    from compasso.state import State

HELP = "Take the account's values over into the state."


@click.command(
    short_help=HELP,
    epilog="Examples:\n\n  compasso refresh --spec catalogue\n\n  compasso refresh --sample 500",
)
@click.option(
    "--sample", type=click.IntRange(1), help="Read so many records of each spec, not all."
)
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only this record (repeatable).")
@common
def command(common: Common, sample: int | None, keys: tuple[str, ...]) -> int:
    """Take the account's values over into the state, so that the next plan puts them right.

    Every record costs a request. The account is only read.
    """
    project = common.load()
    if refresh_state(project, common.state(project), sample, keys):
        click.echo("`compasso plan` shows what would put them right.", err=True)
    return ExitCode.DONE


def refresh_state(project: Project, state: State, sample: int | None, keys: Sequence[str]) -> int:
    """Read records and keep what the account holds; answers how many changed in the state."""
    learned = 0
    with state.lock([s.name for s in project.syncs], "compasso refresh"):
        for found in look(project, state, sample, keys):
            learned += state.learn(found.sync, found.account)
            click.echo(
                f"{found.sync}: {found.looked_at:,} records read, {len(found.drifted):,} differed",
                err=True,
            )
    return learned
