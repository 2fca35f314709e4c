"""`compasso doctor`."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import click

from compasso.cli.options import Common, common, output_format
from compasso.model import CompassoError, ExitCode

if TYPE_CHECKING:
    from compasso.spec import Project

HELP = "Check this machine, the project, its state and the account, and say what to mend."

_LEAST_FREE_BYTES = 1_000_000_000
_MOST_SKEW_SECONDS = 30
_SYMBOLS = {"ok": "ok  ", "warning": "warn", "error": "FAIL"}


@dataclass(frozen=True, slots=True)
class _Finding:
    check: str
    result: str  # ok, warning or error
    message: str
    hint: str | None = None


@click.command(
    short_help=HELP, epilog="Examples:\n\n  compasso doctor\n\n  compasso doctor --offline"
)
@click.option("--offline", is_flag=True, help="Do not call the account.")
@output_format("text", "json")
@common
def command(common: Common, offline: bool, form: str) -> int:
    """Check this machine, the project, its state and the account, and say what to mend.

    One request is made, GET /store/, unless --offline. Nothing is changed. Exit 1 when a check
    failed.
    """
    findings = [_python(), _packages(), *_project(common, offline)]
    failed = any(f.result == "error" for f in findings)
    if form == "json":
        document = {
            "format_version": "1.0",
            "ok": not failed,
            "checks": [asdict(f) for f in findings],
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        for f in findings:
            click.echo(f"{_SYMBOLS[f.result]}  {f.check}: {f.message}")
            if f.hint:
                click.echo(f"      -> {f.hint}")
    return ExitCode.ERROR if failed else ExitCode.DONE


def _python() -> _Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return _Finding("Python", "ok", version)


def _packages() -> _Finding:
    import duckdb

    from compasso import __version__

    return _Finding("compasso", "ok", f"{__version__}, with DuckDB {duckdb.__version__}")


def _project(common: Common, offline: bool) -> Iterator[_Finding]:
    with _guarded("project") as problem:
        project = common.load()
        count = len(project.named) + bool(project.contact_fields)
        yield _Finding("project", "ok", f"{project.name}: {count} specs at {project.root}")
    if problem:
        yield from problem
        return
    for check in (_disk, _state, _key):
        with _guarded(check.__name__.strip("_")) as problem:
            yield check(common, project)
        yield from problem
    if offline:
        yield _Finding("account", "ok", "not called (--offline)")
        return
    with _guarded("account") as problem:
        yield from _account(project)
    yield from problem


@contextmanager
def _guarded(check: str) -> Iterator[list[_Finding]]:
    """What goes wrong inside becomes a finding in the list."""
    found: list[_Finding] = []
    try:
        yield found
    except CompassoError as error:
        found += [_Finding(check, "error", d.message, d.hint) for d in error.diagnostics]


def _disk(_common: Common, project: Project) -> _Finding:
    free = shutil.disk_usage(project.root).free
    said = f"{free / 1e9:.1f} GB free"
    if free < _LEAST_FREE_BYTES:
        return _Finding("disk", "warning", said, "a large plan spills to the disk: make room")
    return _Finding("disk", "ok", said)


def _state(common: Common, project: Project) -> _Finding:
    from compasso.applying import has_left_over

    state = common.state(project)
    records = sum(state.count(sync) for sync in state.syncs())
    failures = sum(len(state.failures(sync)) for sync in state.syncs())
    said = f"{records:,} records of {len(state.syncs())} specs, lineage {state.lineage[:8]}"
    if has_left_over(state):
        return _Finding(
            "state", "warning", f"{said}; an apply was interrupted", "the next apply settles it"
        )
    if failures:
        return _Finding(
            "state",
            "warning",
            f"{said}; {failures:,} records failed",
            "see `compasso state failures`",
        )
    return _Finding("state", "ok", said)


def _key(_common: Common, project: Project) -> _Finding:
    secret = project.connectif.api_key
    if secret is None:
        return _Finding("key", "error", "compasso.yml names no api_key", "add connectif.api_key")
    identity, colon, rest = secret.reveal().partition(":")
    if not (identity and colon and rest):
        return _Finding(
            "key",
            "error",
            f"{secret.reference} is not a key",
            "a key is id:secret, as Store settings > API keys shows it",
        )
    return _Finding("key", "ok", f"{secret.reference} is set")


def _account(project: Project) -> Iterator[_Finding]:
    import httpx

    secret = project.connectif.api_key
    url = project.connectif.base_url
    if secret is None:
        return
    try:
        began = datetime.now(UTC)
        response = httpx.get(
            f"{url}/store/", headers={"Authorization": f"apiKey {secret.reveal()}"}, timeout=15
        )
    except (httpx.TransportError, httpx.InvalidURL) as error:
        yield _Finding(
            "account",
            "error",
            f"no answer from {url} ({type(error).__name__})",
            "check base_url, the network, and the variables HTTPS_PROXY and CONNECTIF_BASE_URL",
        )
        return
    said = {
        401: ("error", "the key is not accepted (401)", "make a new one in the store's settings"),
        403: (
            "warning",
            "the key may not read the store (403)",
            "only this check needs Store: read",
        ),
        429: ("warning", "the account's budget is used up just now (429)", "wait a minute"),
    }.get(response.status_code)
    if said is None and not response.is_success:
        said = ("warning", f"{url} answered {response.status_code}", "try again later")
    yield _Finding("account", *(said or ("ok", f"{url} answers, and accepts the key")))
    yield from _clock(response.headers.get("date"), began)


def _clock(date: str | None, now: datetime) -> Iterator[_Finding]:
    if date is None:
        return
    try:
        skew = abs((parsedate_to_datetime(date) - now).total_seconds())
    except (TypeError, ValueError):
        return
    if skew > _MOST_SKEW_SECONDS:
        yield _Finding(
            "clock",
            "warning",
            f"this machine's clock differs from the account's by {skew:.0f} s",
            "set it by NTP: schedules and the budget go by it",
        )
    else:
        yield _Finding("clock", "ok", "agrees with the account's")
