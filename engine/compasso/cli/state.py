"""`compasso state`."""

from __future__ import annotations

import json

import click

from compasso.cli.options import Common, common, output_format
from compasso.model import CompassoError, ExitCode
from compasso.planning.masking import mask

HELP = "List, show or forget what was applied."


@click.group(short_help=HELP)
def command() -> None:
    """List, show or forget what was applied."""


@command.command("list")
@click.option("--keys", is_flag=True, help="List the records' keys too.")
@common
def list_(common: Common, keys: bool) -> int:
    """List the syncs of the state, with their records and failures."""
    project = common.load()
    state = common.state(project)
    names = [n for n in state.syncs() if not common.specs or n in common.specs]
    if not names:
        click.echo("The state is empty: nothing was applied yet.")
    for name in names:
        at = state.last_completed(name)
        since = f", last completed {at:%Y-%m-%d %H:%M} UTC" if at else ""
        failed = len(state.failures(name))
        click.echo(f"{name}: {state.count(name):,} records, {failed:,} failed{since}")
        if keys:
            for record in state.records(name):
                click.echo(f"  {record.key}")
    return ExitCode.DONE


@command.command("show")
@click.argument("key")
@common
def show(common: Common, key: str) -> int:
    """Show one record as the state knows it, with its failure if the API refused a change."""
    project = common.load()
    state = common.state(project)
    found = False
    for name in state.syncs():
        if common.specs and name not in common.specs:
            continue
        for record in state.records(name, key):
            found = True
            click.echo(f"{name}  {record.key}  applied {record.applied_at:%Y-%m-%d %H:%M:%S} UTC")
            for field, value in record.fields.items():
                click.echo(f"  {field}: {json.dumps(value, ensure_ascii=False)}")
        for failure in state.failures(name):
            if failure.key == state.name_of(name, key):
                found = True
                click.echo(f"{name}  {key}  failed to {failure.operation}: {failure.reason}")
    if not found:
        raise CompassoError.say(
            f"the state has no record {key!r}", "see: compasso state list --keys"
        )
    return ExitCode.DONE


@command.command("rm")
@click.argument("key", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All records of the specs named by --spec.")
@common
def rm(common: Common, key: tuple[str, ...], every: bool) -> int:
    """Forget records. The account keeps them; the next plan creates them again."""
    if every == bool(key) or (every and not common.specs):
        raise CompassoError.say(
            "say which records to forget", "KEY..., or --all with --spec NAME for all of a spec"
        )
    project = common.load()
    state = common.state(project)
    removed = 0
    for name in state.syncs():
        if common.specs and name not in common.specs:
            continue
        with state.lock([name], "compasso state rm"):
            removed += state.forget_all(name) if every else state.remove(name, key)
    if not removed:
        raise CompassoError.say(
            "the state has none of these records", "see: compasso state list --keys"
        )
    click.echo(f"Forgot {removed} record{'' if removed == 1 else 's'}.")
    return ExitCode.DONE


@command.command("failures")
@output_format("text", "json")
@click.option("--reveal", is_flag=True, help="Show personal data instead of masking it.")
@common
def failures(common: Common, form: str, reveal: bool) -> int:
    """List the records that the API refused, with its reasons and how often they were tried."""
    project = common.load()
    state = common.state(project)
    names = [n for n in state.syncs() if not common.specs or n in common.specs]
    found = [f for name in names for f in state.failures(name)]
    listed = [
        {
            "sync": f.sync,
            "key": f.key if reveal else str(mask(f.key)),
            "operation": f.operation,
            "reason": f.reason,
            "tries": f.tries,
            "quarantined": f.tries >= project.quarantine_after,
            "time": f.at.isoformat(timespec="seconds"),
        }
        for f in found
    ]
    if form == "json":
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return ExitCode.DONE
    if not listed:
        click.echo("No record has failed.")
    for one in listed:
        tries = "once" if one["tries"] == 1 else f"{one['tries']} times"
        out = ", left out of plans" if one["quarantined"] else ""
        click.echo(
            f"{one['sync']}  {one['operation']} {one['key']}: {one['reason']} "
            f"(tried {tries}, last {one['time']}{out})"
        )
    return ExitCode.DONE


@command.command("retry")
@click.argument("key", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All records that failed.")
@common
def retry(common: Common, key: tuple[str, ...], all_: bool) -> int:
    """Let plans try failed records again, also those that were refused too often."""
    if bool(key) == all_:
        raise CompassoError.say("say which records to try again", "give their keys, or --all")
    state = common.state(common.load())
    count = 0
    for name in state.syncs():
        if common.specs and name not in common.specs:
            continue
        with state.lock([name], "compasso state retry"):
            count += state.retry(name, None if all_ else key)
    if not count:
        raise CompassoError.say("no such record has failed", "see: compasso state failures")
    click.echo(f"{count:,} record{'' if count == 1 else 's'}: the next plan tries again.")
    return ExitCode.DONE
