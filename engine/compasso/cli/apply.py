"""`compasso apply`."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compasso.cli import stopping
from compasso.cli.options import Common, common, output_format
from compasso.model import CompassoError, ExitCode
from compasso.temporary import working_folder

if TYPE_CHECKING:
    from compasso.applying import ApplyResult, Limits
    from compasso.planning import Plan
    from compasso.spec import Project
    from compasso.state import State

HELP = "Make the account match the specs, under its request budget."
_NOT_BEGUN = "Stopped before anything was sent. Run it again to begin."
_CUT_OFF = (
    "Stopped at once. Nothing is lost: the next apply first settles what was under way, so run it "
    "again to go on."
)


class _Declined(CompassoError):  # noqa: N818 - an answer
    """Whoever was asked said no."""


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
    from compasso.rendering import render_result

    began = time.monotonic()
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

    names = [*(s.name for s in project.named), *DECLARED]
    if options.only is not None:
        names = list(options.only)
    job = _Job(project, state, planfile, options, names, asks, form, common.color)
    try:
        document = _carry_out(job, limits, began)
    except stopping.Stopped as stopped:
        document = {**_nothing(), "stopped": True, "reason": str(stopped)}
        document["summary"]["requests"] = stopped.requests
        if form != "text":
            click.echo(render_result(document, form))
        _tell(project, report, document)
        raise
    except _Declined:
        raise
    except CompassoError as error:
        _tell(project, report, {**_nothing(), "error": error.diagnostics[0].message})
        raise
    if document["run_id"] or form != "text":
        click.echo(render_result(document, form, color=common.color))
    _tell(project, report, document)
    if document["stopped"]:
        return ExitCode.STOPPED
    return ExitCode.ERROR if document["summary"]["failed"] else ExitCode.DONE


@dataclass(frozen=True)
class _Job:
    """What is to be applied, to what, and how to speak of it."""

    project: Project
    state: State
    planfile: Path | None
    options: Any  # PlanOptions
    names: list[str]  # the syncs of a new plan
    asks: bool
    form: str
    color: bool


def _carry_out(job: _Job, limits: Limits, began: float) -> dict[str, Any]:
    """Settle, plan, ask, apply; answers the result as JSON. Raises Stopped: before the apply."""
    from compasso.planning import open_plan

    with ExitStack() as stack:
        names, saved = job.names, None
        with stopping.stop_means(_NOT_BEGUN):
            if job.planfile is not None:
                saved = stack.enter_context(open_plan(job.planfile))
                names = list(saved.syncs)
            # Only what is planned is locked: another apply may be at work on other specs.
            stack.enter_context(job.state.lock(names, "compasso apply"))
        requests = _settle_left_over(job, names, limits)
        with stopping.stop_means(_NOT_BEGUN):
            if saved is not None:
                saved.check_state(job.state)
            plan = saved or stack.enter_context(_new_plan(job))
            limits = limits.after(requests, time.monotonic() - began)
            wanted = _approve(job, plan)
        if wanted:
            return _run(job, plan, limits)
        _complete(job.state, plan)
        return _nothing(plan)


def _settle_left_over(job: _Job, names: list[str], limits: Limits) -> int:
    """Settle what an interrupted apply left; answers how many requests that took."""
    from compasso.applying import has_left_over, left_over_text

    if not has_left_over(job.state, names):
        return 0
    click.echo("Settling what an interrupted apply left.", err=True)
    try:
        learned, requests, reached = stopping.run(_recover(job, names, limits))
    except KeyboardInterrupt:
        learned, requests, reached = 0, 0, "Stopped"
    if reached:
        raise stopping.Stopped(
            f"{reached} while settling what an interrupted apply left: "
            f"{left_over_text(job.state, names)}. Nothing is lost: run it again to go on.",
            requests,
        )
    click.echo(f"{learned:,} records were applied then and are known now.", err=True)
    return requests


async def _recover(job: _Job, names: list[str], limits: Limits) -> tuple[int, int, str]:
    """How many records the state learned of, by how many requests, and which limit ended it."""
    import asyncio

    from compasso.applying import recover
    from compasso.cli.running import PlanningView, client_of
    from compasso.connectif import LimitReached

    view = PlanningView()
    learned, reached = 0, ""

    def show(sync: str, waiting_for: str) -> None:
        if waiting_for:
            view(f"{sync}: {waiting_for}")

    async with client_of(job.project, job.state) as client:
        client.most = limits.max_requests
        try:
            async with asyncio.timeout(limits.deadline_seconds):
                learned = await recover(job.state, client, tuple(names), show=show)
        except TimeoutError:
            reached = "Reached --deadline"
        except LimitReached:
            reached = f"Reached --max-requests {limits.max_requests}"
        finally:
            view("")
        return learned, client.sent, reached


@contextmanager
def _new_plan(job: _Job) -> Iterator[Plan]:
    from compasso.cli.running import account_of
    from compasso.planning import make_plan

    account = account_of(job.project, job.state, job.options.only, must=True)
    options = dataclasses.replace(job.options, account=account)
    with (
        tempfile.TemporaryDirectory(prefix="work-", dir=working_folder()) as folder,
        make_plan(job.project, job.state, Path(folder) / "new.plan", options) as plan,
    ):
        yield plan


def _approve(job: _Job, plan: Plan) -> bool:
    """Show the plan, and ask; answers whether there is anything to do. Raises _Declined."""
    from compasso.rendering import render_plan
    from compasso.rendering.words import has_changes

    click.echo(
        render_plan(plan.document, "text", color=job.color and job.form == "text"),
        err=job.form != "text",
    )
    changes = has_changes(plan.document)
    if changes and job.asks and not click.confirm("Apply these changes?", err=True):
        raise _Declined.say("not applied", "nothing was sent")
    return changes


def _run(job: _Job, plan: Plan, limits: Limits) -> dict[str, Any]:
    """Carry out a plan; answers the result as JSON."""
    from compasso.cli.running import LiveView, apply_with_client, run_with_stop

    with stopping.stop_means(_CUT_OFF), LiveView() as view:
        result = run_with_stop(
            lambda stop: apply_with_client(
                job.project, job.state, plan, limits, stop, view, "compasso apply"
            )
        )
    return result_document(plan, result)


def _complete(state: State, plan: Plan) -> None:
    """A plan without changes was carried out too: schedules count from now."""
    from compasso.applying.executor import complete

    for sync in plan.syncs:
        complete(state, plan, sync)


def _tell(project: Project, report: Path | None, document: dict[str, Any]) -> None:
    """Write the report and the news, if anybody wants them."""
    from compasso.applying.notify import news_of, notify
    from compasso.applying.report import write_report

    news = news_of(project.notifications, project.name, project.environment, document)
    if news is not None and (warning := notify(project.notifications, news)):
        click.echo(f"warning: {warning}", err=True)
    if report is not None:
        write_report(report, document)


def result_document(plan: Plan | None, result: ApplyResult) -> dict[str, Any]:
    """An apply as JSON, in the form of the contract."""
    return {
        "format_version": "1.0",
        "run_id": result.run_id,
        "plan_id": plan.plan_id if plan else None,
        "summary": {
            "applied": result.applied,
            "failed": result.failed,
            "skipped": result.skipped,
            "requests": result.requests,
            "seconds": round(result.seconds, 2),
        },
        "rejected": plan.document["summary"]["rejected"] if plan else 0,
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
            if plan
        ],
    }


def masked_key(plan: Plan, sync: str, key: str) -> str:
    """A record's key, hidden where it is personal."""
    from compasso.planning import mask
    from compasso.targets import load_target

    fields = load_target(plan.manifest["syncs"][sync]["target"]).fields
    field = fields.get(plan.key_field(sync))
    return str(mask(key)) if field is not None and field.sensitive else key


def _nothing(plan: Plan | None = None) -> dict[str, Any]:
    """The document of an apply that did nothing, or came to no plan at all."""
    from compasso.applying import ApplyResult

    return result_document(plan, ApplyResult("", 0, 0, 0, 0, 0.0, False, None, (), ()))


def _seconds(text: str | None) -> float | None:
    from compasso.spec.durations import seconds_of

    if text is None:
        return None
    seconds = seconds_of(text, "smh")
    if seconds is None:
        raise CompassoError.say(f"--deadline {text!r} is not a time", "such as 90s, 20m or 1h")
    return float(seconds)
