"""`compasso plan`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compasso.cli.options import Common, common, output_format
from compasso.model import CompassoError, ExitCode

if TYPE_CHECKING:
    from compasso.planning import Plan
    from compasso.spec import Project
    from compasso.state import State

HELP = "Show what would change in the account, what it costs and how long it takes."


@click.command(
    short_help=HELP,
    epilog="Examples:\n\n  compasso plan\n\n  compasso plan --out week.plan --detailed-exitcode",
)
@click.option("--out", type=click.Path(path_type=Path), help="Save the plan, to review and apply.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes.")
@click.option("--refresh", is_flag=True, help="First read the account's records, one request each.")
@click.option("--due", is_flag=True, help="Only the specs whose schedule is due.")
@click.option("--show", type=click.IntRange(0), default=3, help="How many examples of each kind.")
@click.option("--reveal", is_flag=True, help="Show personal data instead of masking it.")
@click.option("--rejects", type=click.Path(path_type=Path), help="Write all rejected rows (CSV).")
@click.option(
    "--override-guards", multiple=True, metavar="SPEC", help="Let this spec through once."
)
@click.option("--memory", metavar="SIZE", help="How much memory planning may use, such as 2GB.")
@click.option("--threads", type=click.IntRange(1), help="How many threads planning may use.")
@output_format("text", "json", "markdown", "html")
@common
def command(
    common: Common,
    out: Path | None,
    detailed_exitcode: bool,
    refresh: bool,
    due: bool,
    show: int,
    reveal: bool,
    rejects: Path | None,
    override_guards: tuple[str, ...],
    memory: str | None,
    threads: int | None,
    form: str,
) -> int:
    """Show what would change in the account, what it costs and how long it takes.

    Nothing is changed in the account, and no key is needed, unless --refresh asks to read the
    account first. With a key, and if there are coupon stocks to plan, the counters of the coupon
    sets are read.
    """
    from compasso.cli.running import PlanningView, account_of
    from compasso.planning import PlanOptions
    from compasso.rendering import render_plan
    from compasso.rendering.words import has_changes

    project = common.load()
    state = common.state(project)
    if refresh:
        from compasso.cli.refresh import refresh_state

        refresh_state(project, state, None, ())
    only = due_specs(project, state) if due else common.specs or None
    options = PlanOptions(
        reveal=reveal,
        samples=show,
        memory=memory,
        threads=threads,
        override_guards=override_guards,
        progress=PlanningView(),
        only=only,
        account=account_of(project, state, only, must=False),
    )
    with plan_project(project, state, out, options) as plan:
        if rejects is not None:
            write_rejects(plan, rejects)
        click.echo(render_plan(plan.document, form, color=common.color, show=show))
        if out is not None:
            click.echo(f"Saved the plan to {out}. Apply it with: compasso apply {out}", err=True)
        changed = has_changes(plan.document)
    return ExitCode.CHANGES if detailed_exitcode and changed else ExitCode.DONE


def plan_project(project: Project, state: State, out: Path | None, options: object) -> Plan:
    """Make a plan; says so on stderr when an interrupted apply is to be settled first."""
    from compasso.applying import has_left_over
    from compasso.planning import PlanOptions, make_plan

    if has_left_over(state):
        click.echo(
            "Note: an apply was interrupted; the next apply first settles what it left, so it may "
            "have less to do than this plan says.",
            err=True,
        )
    return make_plan(project, state, out, options if isinstance(options, PlanOptions) else None)


def due_specs(project: Project, state: State) -> list[str]:
    """The specs whose schedule is due now. Specs without a schedule are not."""
    from compasso.scheduling import is_due

    now = datetime.now(UTC)
    return [
        s.name
        for s in project.named
        if s.schedule is not None and is_due(s.schedule, state.last_completed(s.name), now)
    ]


def write_rejects(plan: Plan, file: Path) -> None:
    """All rejects of a plan as CSV."""
    import duckdb

    try:
        duckdb.connect().execute(
            "COPY (SELECT * FROM read_parquet($source)) TO $target (FORMAT csv, HEADER)",
            {"source": str(plan.rejects_file), "target": str(file)},
        )
    except duckdb.Error as error:
        raise CompassoError.say(f"cannot write {file}", "choose another file") from error
