"""`compasso drift`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from compasso.cli import stopping
from compasso.cli.options import Common, common, output_format
from compasso.model import ExitCode, Json

if TYPE_CHECKING:
    from compasso.applying.drift import Drifted, SyncDrift
    from compasso.spec import Project
    from compasso.state import State
    from compasso.targets import Target

HELP = "Find where the account differs from what was applied."

_SAMPLE = 100
_SHOWN = 20


@click.command(
    short_help=HELP,
    epilog="Examples:\n\n  compasso drift\n\n  compasso drift --all --spec catalogue\n\n"
    "  compasso drift --key ana@example.org --reveal",
)
@click.option("--all", "whole", is_flag=True, help="Read every record, a request each.")
@click.option(
    "--sample",
    type=click.IntRange(1),
    default=_SAMPLE,
    show_default=True,
    help="How many records of each spec to read.",
)
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only this record (repeatable).")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when something differs.")
@click.option("--reveal", is_flag=True, help="Show personal data instead of masking it.")
@output_format("text", "json")
@common
def command(
    common: Common,
    whole: bool,
    sample: int,
    keys: tuple[str, ...],
    detailed_exitcode: bool,
    reveal: bool,
    form: str,
) -> int:
    """Find where the account differs from what was applied.

    Records are read one by one, for the API lists none; a sample of each spec unless --all.
    Nothing is changed, here or in the account: `compasso refresh` takes the account's values
    over, so that the next plan puts them right.
    """
    project = common.load()
    state = common.state(project)
    found = look(project, state, None if whole else sample, keys)
    different = sum(len(f.drifted) for f in found)
    if form == "json":
        click.echo(json.dumps(document(project, found, reveal), indent=2, ensure_ascii=False))
    else:
        click.echo(text(project, found, reveal))
    return ExitCode.CHANGES if detailed_exitcode and different else ExitCode.DONE


def look(
    project: Project, state: State, sample: int | None, keys: Sequence[str]
) -> list[SyncDrift]:
    """Read records of all the project's specs from the account and compare them."""
    from compasso.applying.drift import choose_records, find_drift
    from compasso.cli.running import client_of

    async def run() -> list[SyncDrift]:
        result = []
        async with client_of(project, state) as client:
            for name, target, key_field in _syncs(project):
                records = choose_records(state, name, sample, keys)
                view = _View(name)
                result.append(
                    await find_drift(
                        client, name, target, key_field, records, state.count(name), view
                    )
                )
        return result

    try:
        return stopping.run(run())
    except BaseExceptionGroup as group:  # from reading several records at once
        first = _first(group)
        raise first from group


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _syncs(project: Project) -> list[tuple[str, Target, str]]:
    from compasso.planning import resolve_target

    # Coupon codes cannot be read back: there is no call for one (section 6).
    readable = [sync for sync in project.syncs if sync.stock is None]
    return [(sync.name, *resolve_target(sync, project)) for sync in readable]


class _View:
    """A line now and then, once it takes longer than two seconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.told >= (2 if sys.stderr.isatty() else 10):
            self.told = now
            click.echo(f"{self.name}: {done:,} of {total:,} records read", err=True)


def _shown(project: Project, found: SyncDrift, drifted: Drifted, reveal: bool) -> dict[str, Any]:
    from compasso.planning import mask

    name, target, key_field = next(s for s in _syncs(project) if s[0] == found.sync)
    known = target.fields

    def hidden(field: str, value: Json) -> Json:
        secret = field in known and known[field].sensitive
        return mask(value) if secret and not reveal else value

    return {
        "sync": name,
        "key": hidden(key_field, drifted.key),
        "missing": drifted.missing,
        "differences": [
            {
                "field": d.field,
                "applied": hidden(d.field, d.applied),
                "account": hidden(d.field, d.account),
            }
            for d in drifted.differences
        ],
    }


def document(project: Project, found: Sequence[SyncDrift], reveal: bool) -> dict[str, Any]:
    """What was found, as JSON."""
    return {
        "format_version": "1.0",
        "summary": {
            "looked_at": sum(f.looked_at for f in found),
            "drifted": sum(len(f.drifted) for f in found),
            "missing": sum(d.missing for f in found for d in f.drifted),
            "unreadable": sum(f.unreadable for f in found),
        },
        "syncs": [
            {"name": f.sync, "target": f.target, "total": f.total, "looked_at": f.looked_at}
            for f in found
        ],
        "drifted": [_shown(project, f, d, reveal) for f in found for d in f.drifted],
    }


def text(project: Project, found: Sequence[SyncDrift], reveal: bool) -> str:
    """What was found, for reading."""
    from compasso.rendering.text import clean
    from compasso.rendering.words import value

    lines = []
    for one in found:
        lines.append(
            f"{one.sync}: {len(one.drifted):,} of {one.looked_at:,} records differ"
            + (
                f" (looked at {one.looked_at:,} of {one.total:,})"
                if one.looked_at < one.total
                else ""
            )
        )
        if one.unreadable:
            lines.append(f"  {one.unreadable:,} records could not be read")
        for drifted in one.drifted[:_SHOWN]:
            shown = _shown(project, one, drifted, reveal)
            if drifted.missing:
                lines.append(clean(f"  - {shown['key']}  is not in the account"))
                continue
            lines.append(clean(f"  ~ {shown['key']}"))
            lines += [
                clean(f"      {d['field']}: {value(d['applied'])} -> {value(d['account'])}")
                for d in shown["differences"]
            ]
        if len(one.drifted) > _SHOWN:
            lines.append(f"  ... and {len(one.drifted) - _SHOWN:,} more (--format json has all)")
    total = sum(len(f.drifted) for f in found)
    lines.append(
        f"Drift: {total:,} records. `compasso refresh` takes the account's values over."
        if total
        else "No drift: the account holds what was applied."
    )
    return "\n".join(lines)
