"""`compasso apply`."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compasso.cli.options import Common, common, output_format
from compasso.model import CompassoError, ExitCode

if TYPE_CHECKING:
    from compasso.applying import ApplyResult, Limits
    from compasso.planning import Plan
    from compasso.spec import Project
    from compasso.state import State

HELP = "Make the account match the specs, under its request budget."


@click.command(
    short_help=HELP,
    epilog="Examples:\n\n  compasso apply\n\n  compasso apply week.plan\n\n"
    "  compasso apply --auto-approve --deadline 20m",
)
@click.argument("planfile", required=False, type=click.Path(path_type=Path))
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option("--max-requests", type=click.IntRange(1), help="Stop after so many requests.")
@click.option("--deadline", metavar="TIME", help="Stop after this time: 90s, 20m, 1h.")
@click.option("--due", is_flag=True, help="Only the specs whose schedule is due.")
@click.option("--reveal", is_flag=True, help="Show personal data instead of masking it.")
@click.option(
    "--override-guards", multiple=True, metavar="SPEC", help="Let this spec through once."
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write what was done: JSON as .json, JUnit as .xml.",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Write logs to stderr.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="From which level; info by default.",
)
@output_format("text", "json", "markdown", "html")
@common
def command(
    common: Common,
    planfile: Path | None,
    auto_approve: bool,
    max_requests: int | None,
    deadline: str | None,
    due: bool,
    reveal: bool,
    override_guards: tuple[str, ...],
    report: Path | None,
    log_format: str | None,
    log_level: str | None,
    form: str,
) -> int:
    """Make the account match the specs, under its request budget.

    With PLANFILE, apply that saved plan and nothing else. Stopped at any moment, it goes on
    when it is run again. Exit 0: done. 1: some records failed. 3: stopped, with work left.
    """
    from compasso.applying import Limits
    from compasso.planning import PlanOptions

    asks = planfile is None and not auto_approve
    if asks and not sys.stdin.isatty():
        raise CompassoError.say(
            "there is no terminal to ask at", "give a plan file, or --auto-approve"
        )
    limits = Limits(max_requests, _seconds(deadline))
    if report is not None:
        from compasso.applying.report import check_report

        check_report(report)
    if log_format is not None or log_level is not None:
        from compasso.applying.telemetry import start_logging

        start_logging(log_format or "text", log_level or "info")
    project = common.load()
    state = common.state(project)
    from compasso.cli.plan import due_specs

    only = due_specs(project, state) if due else None
    from compasso.cli.running import PlanningView

    options = PlanOptions(
        progress=PlanningView(),
        reveal=reveal,
        override_guards=override_guards,
        only=only or common.specs or None,
    )
    if due and not only:
        click.echo("Nothing is due.", err=True)
        options = PlanOptions(only=())
    from compasso.spec.load import DECLARED

    # Only what is planned is locked: another apply may be at work on other specs of this state.
    names = [*(s.name for s in project.named), *DECLARED]
    if planfile is None and options.only:
        names = list(options.only)
    with (
        state.lock(names, "compasso apply"),
        _plan(project, state, planfile, options, names) as plan,
    ):
        return _approve_and_run(project, state, plan, limits, asks, form, common.color, report)


@contextmanager
def _plan(
    project: Project, state: State, planfile: Path | None, options: Any, names: list[str]
) -> Iterator[Plan]:
    """The saved plan, or a new one; in both cases after an interrupted apply was settled."""
    from compasso.applying import has_left_over
    from compasso.cli.running import account_of
    from compasso.planning import make_plan, open_plan

    if has_left_over(state, names):
        click.echo("Settling what an interrupted apply left.", err=True)
        learned = asyncio.run(_recover(project, state, names))
        click.echo(f"{learned:,} records were applied then and are known now.", err=True)
    if planfile is not None:
        with open_plan(planfile) as plan:
            plan.check_state(state)
            yield plan
        return
    options = dataclasses.replace(
        options, account=account_of(project, state, options.only, must=True)
    )
    with (
        tempfile.TemporaryDirectory(prefix="compasso-") as folder,
        make_plan(project, state, Path(folder) / "new.plan", options) as plan,
    ):
        yield plan


async def _recover(project: Project, state: State, names: list[str]) -> int:
    from compasso.applying import recover
    from compasso.cli.running import client_of

    async with client_of(project, state) as client:
        return await recover(state, client, tuple(names))


def _approve_and_run(
    project: Project,
    state: State,
    plan: Plan,
    limits: Limits,
    asks: bool,
    form: str,
    color: bool,
    report: Path | None,
) -> int:
    from compasso.cli.running import LiveView, apply_with_client, run_with_stop
    from compasso.rendering import render_plan, render_result
    from compasso.rendering.words import has_changes

    click.echo(
        render_plan(plan.document, "text", color=color and form == "text"), err=form != "text"
    )
    changes = has_changes(plan.document)
    if changes and asks and not click.confirm("Apply these changes?", err=True):
        raise CompassoError.say("not applied", "nothing was sent")
    if not changes:
        _complete(state, plan)
        if form != "text":
            click.echo(render_result(_nothing(plan), form))
        _tell(project, report, _nothing(plan))
        return ExitCode.DONE
    try:
        with LiveView() as view:
            result = run_with_stop(
                lambda stop: apply_with_client(
                    project, state, plan, limits, stop, view, "compasso apply"
                )
            )
    except CompassoError as error:
        _tell(project, None, {**_nothing(plan), "error": error.diagnostics[0].message})
        raise
    document = result_document(plan, result)
    click.echo(render_result(document, form, color=color))
    _tell(project, report, document)
    if result.stopped:
        return ExitCode.STOPPED
    return ExitCode.ERROR if result.failed else ExitCode.DONE


def _complete(state: State, plan: Plan) -> None:
    """A plan without changes was carried out too: schedules count from now."""
    from datetime import UTC, datetime

    for sync in plan.syncs:
        state.complete(sync, datetime.now(UTC), plan.digests_file, plan.seen(sync))


def _tell(project: Project, report: Path | None, document: dict[str, Any]) -> None:
    """Write the report and the news, if anybody wants them."""
    from compasso.applying.notify import news_of, notify
    from compasso.applying.report import write_report

    news = news_of(project.notifications, project.name, project.environment, document)
    if news is not None and (warning := notify(project.notifications, news)):
        click.echo(f"warning: {warning}", err=True)
    if report is not None:
        write_report(report, document)


def result_document(plan: Plan, result: ApplyResult) -> dict[str, Any]:
    """An apply as JSON, in the form of the contract."""
    return {
        "format_version": "1.0",
        "run_id": result.run_id,
        "plan_id": plan.plan_id,
        "summary": {
            "applied": result.applied,
            "failed": result.failed,
            "skipped": result.skipped,
            "requests": result.requests,
            "seconds": round(result.seconds, 2),
        },
        "rejected": plan.document["summary"]["rejected"],
        "uncertain": result.uncertain,
        "stopped": result.stopped,
        "reason": result.reason,
        "notes": list(result.notes),
        "syncs": [
            {"name": s.name, "applied": s.applied, "failed": s.failed, "skipped": s.skipped}
            for s in result.syncs
        ],
        "failures": [
            {
                "sync": f.sync,
                "key": masked_key(plan, f.sync, f.key),
                "operation": f.operation.value,
                "reason": f.reason,
            }
            for f in result.failures
        ],
    }


def masked_key(plan: Plan, sync: str, key: str) -> str:
    """A record's key, hidden where it is personal."""
    from compasso.planning import mask
    from compasso.targets import load_target

    fields = load_target(plan.manifest["syncs"][sync]["target"]).fields
    field = fields.get(plan.key_field(sync))
    return str(mask(key)) if field is not None and field.sensitive else key


def _nothing(plan: Plan) -> dict[str, Any]:
    from compasso.applying import ApplyResult

    empty = ApplyResult("", 0, 0, 0, 0, 0.0, False, None, (), ())
    return result_document(plan, empty)


def _seconds(text: str | None) -> float | None:
    import re

    if text is None:
        return None
    found = re.fullmatch(r"([0-9]+)(s|m|h)", text)
    if found is None:
        raise CompassoError.say(f"--deadline {text!r} is not a time", "such as 90s, 20m or 1h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]
