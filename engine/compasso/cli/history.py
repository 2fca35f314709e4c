"""`compasso history`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from compasso.cli.options import Common, common, output_format
from compasso.model import CompassoError, ExitCode

if TYPE_CHECKING:
    from datetime import timedelta

    from compasso.applying import Run
    from compasso.applying.history import Event
    from compasso.state import State

HELP = "List the applies of this project, and what each did."


@click.group(
    short_help=HELP,
    invoke_without_command=True,
    epilog="Examples:\n\n  compasso history\n\n  compasso history show 20261124T2104-1a2b3c\n\n"
    "  compasso history of ana@x.es\n\n"
    "  compasso history prune --keep 90d",
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N")
@output_format("text", "json")
@common
def command(common: Common, limit: int, form: str) -> int:
    """List the applies of this project, newest first; or show one, or what came of a record."""
    if click.get_current_context().invoked_subcommand is not None:
        return ExitCode.DONE
    runs = _runs(common.state(common.load()))
    if form == "json":
        click.echo(_json([_run(r) for r in runs[:limit]]))
        return ExitCode.DONE
    if not runs:
        click.echo("Nothing was applied yet.")
    for run in runs[:limit]:
        click.echo(_line(run))
    if len(runs) > limit:
        click.echo(f"... and {len(runs) - limit:,} more (--limit {len(runs)})")
    return ExitCode.DONE


@command.command("show")
@click.argument("run")
@click.option("--reveal", is_flag=True, help="Show personal data instead of masking it.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N")
@output_format("text", "json")
@common
def show(common: Common, run: str, reveal: bool, limit: int, form: str) -> int:
    """Show what one apply did: by sync, operation, route and outcome, and what failed."""
    from compasso.applying.history import counts_of, failures_of, pieces_of

    state = common.state(common.load())
    found = [r for r in _runs(state) if r.run_id.startswith(run)]
    if len(found) != 1:
        raise CompassoError.say(
            f"there is no run {run!r}" if not found else f"{run!r} begins {len(found)} runs",
            "see: compasso history",
        )
    [one] = found
    counts = counts_of(state.directory, one.run_id)
    failures = failures_of(state.directory, one.run_id, limit)
    pieces = pieces_of(state.directory, one.run_id)
    if form == "json":
        events = [_event(e, reveal=reveal) for e in failures]
        exported = [_event(e, reveal=reveal) for e in pieces]
        click.echo(_json({**_run(one), "outcomes": counts, "failures": events, "pieces": exported}))
        return ExitCode.DONE
    click.echo(_line(one))
    for count in counts:
        imports = f"  ({', '.join(count['imports'])})" if count["imports"] else ""
        click.echo(
            f"  {count['sync']}: {count['records']:,} {count['operation']} by {count['route']}: "
            f"{count['outcome']}{imports}"
        )
    for event in [*pieces, *(f for f in failures if f.target != "exports")]:
        click.echo(f"  {_shown(event, reveal=reveal)}")
    return ExitCode.DONE


@command.command("of")
@click.argument("key")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N")
@output_format("text", "json")
@common
def of(common: Common, key: str, limit: int, form: str) -> int:
    """Show what came of one record, newest first: when, by which run, with which fields, why."""
    from compasso.applying.history import events_of

    state = common.state(common.load())
    events = [e for e in events_of(state, key, limit) if not common.specs or e.sync in common.specs]
    if form == "json":
        click.echo(_json([_event(e, reveal=True) for e in events]))
        return ExitCode.DONE
    if not events:
        raise CompassoError.say(
            f"no apply has sent a record {key!r}", "keys are as the account has them: ana@x.es"
        )
    for event in events:
        click.echo(_shown(event, reveal=True))
    return ExitCode.DONE


@command.command("prune", epilog="Example:\n\n  compasso history prune --keep 90d --dry-run")
@click.option(
    "--keep", metavar="TIME", help="Keep so much: 90d, 12w. Default: `state: {history}`, 400d."
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@common
def prune(common: Common, keep: str | None, dry_run: bool) -> int:
    """Remove the history of applies that is older than this.

    An apply does so by itself when it ends. What is needed to go on after a stop, the state,
    and the receipts of `compasso forget` are never removed.
    """
    from datetime import UTC, datetime

    from compasso.applying import retention

    project = common.load()
    kept = project.state.kept_history if keep is None else _time(keep)
    if kept is None:
        click.echo("Nothing is removed: `state: {history: forever}`. Say --keep TIME.")
        return ExitCode.DONE
    before = datetime.now(UTC) - kept
    state = common.state(project)
    gone = (retention.count_older if dry_run else retention.prune)(state, before)
    runs = f"{gone.runs:,} run{'' if gone.runs == 1 else 's'}"
    outcomes = f"{gone.outcomes:,} outcome{'' if gone.outcomes == 1 else 's'} of records"
    said = "Would remove" if dry_run else "Removed"
    click.echo(f"{said} {runs} and {outcomes} from before {before:%Y-%m-%d %H:%M} UTC.")
    return ExitCode.DONE


def _time(text: str) -> timedelta:
    from datetime import timedelta

    from compasso.spec.durations import seconds_of

    seconds = seconds_of(text, "hdw")
    if seconds is None or text.startswith("0") or len(text) > len("99999d"):
        raise CompassoError.say(f"--keep {text!r} is not a time", "such as 90d, 12w or 48h")
    return timedelta(seconds=seconds)


def _runs(state: State) -> list[Run]:
    from compasso.applying import Journal

    journal = Journal(state.directory)
    try:
        return journal.runs()
    finally:
        journal.close()


def _line(run: Run) -> str:
    s = run.summary
    counts = {name: s.get(name, 0) for name in ("applied", "failed", "requests")}
    done = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    return f"{run.started}  {run.run_id}  {run.outcome or 'interrupted'}: {done}"


def _run(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "plan_id": run.plan_id,
        "command": run.command,
        "started": run.started,
        "finished": run.finished,
        "outcome": run.outcome or "interrupted",
        "summary": dict(run.summary),
    }


def _event(event: Event, *, reveal: bool) -> Mapping[str, Any]:
    return {
        "time": event.at.isoformat(timespec="milliseconds"),
        "run_id": event.run_id,
        "sync": event.sync,
        "target": event.target,
        "key": _key(event, reveal=reveal),
        "operation": event.operation,
        "route": event.route,
        "fields": list(event.fields),
        "outcome": event.outcome,
        "status": event.status,
        "import_id": event.import_id,
        "reason": event.reason,
    }


def _shown(event: Event, *, reveal: bool) -> str:
    way = f"{event.route} {event.import_id}" if event.import_id else event.route
    status = f" ({event.status})" if event.status else ""
    reason = f": {event.reason}" if event.reason else ""
    fields = f" {', '.join(event.fields)}" if event.fields else ""
    return (
        f"{event.at:%Y-%m-%d %H:%M:%S} UTC  {event.sync}  {event.operation} "
        f"{_key(event, reveal=reveal)}{fields} by {way}: {event.outcome}{status}{reason}"
        f"  [{event.run_id}]"
    )


def _key(event: Event, *, reveal: bool) -> str:
    """The key, masked where the default key of its kind of record is personal."""
    from compasso.planning import mask
    from compasso.targets import load_target

    if reveal:
        return event.key
    try:
        target = load_target(event.target)
    except CompassoError:  # a kind that this version does not know: better safe
        return str(mask(event.key))
    personal = any(n in target.fields and target.fields[n].sensitive for n in target.keys)
    return str(mask(event.key)) if personal else event.key


def _json(body: object) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False)
