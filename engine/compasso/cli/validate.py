"""`compasso validate`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from compasso import __version__
from compasso.cli import stopping
from compasso.cli.options import Common, common, output_format
from compasso.model import CompassoError, Diagnostic, ExitCode, Position, Severity

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from compasso.spec import Project, Sync
    from compasso.state.account_fields import AccountFields
    from compasso.targets import Target

HELP = "Check the project's specs, and their columns where the source is at hand."


@click.command(
    short_help=HELP,
    epilog="Examples:\n\n  compasso validate --format json\n\n  compasso validate --online",
)
@click.option("--online", is_flag=True, help="Ask the account for its contact fields, too.")
@output_format("text", "json", "github", "sarif")
@common
def command(common: Common, online: bool, form: str) -> int:
    """Check the project's specs: every mistake, with its file, line and column.

    No network is needed. Where the source is at hand, the columns that mappings name are
    checked too. With --online the custom fields that no spec declares are looked for in the
    account; the list is kept, so that later checks know it without a key.
    """
    try:
        project = common.load()
        account = _account_fields(project, common, online)
        problems = [*project.warnings, *check_project(project, account)]
        if not any(p.severity is Severity.ERROR for p in problems):
            problems += check_stocks(project, common)
        count = len(project.named) + bool(project.contact_fields)
    except CompassoError as error:
        problems, count = list(error.diagnostics), 0
    errors = [p for p in problems if p.severity is Severity.ERROR]
    if form == "json":
        click.echo(json.dumps(_document(problems, not errors), indent=2, ensure_ascii=False))
        return ExitCode.ERROR if errors else ExitCode.DONE
    if form == "sarif":
        click.echo(json.dumps(_sarif(problems, common), indent=2, ensure_ascii=False))
        return ExitCode.ERROR if errors else ExitCode.DONE
    for problem in problems:
        if form == "github":
            click.echo(_annotation(problem, common))
        else:
            click.echo(problem.render(common.project.resolve()), err=True)
    if errors:
        click.echo(f"{len(errors)} error{'' if len(errors) == 1 else 's'}", err=True)
        return ExitCode.ERROR
    click.echo(f"OK: {count} spec{'' if count == 1 else 's'} checked")
    return ExitCode.DONE


def _account_fields(project: Project, common: Common, online: bool) -> AccountFields | None:
    """The account's contact fields: asked for now, or as they were read last."""
    from compasso.state.account_fields import kept_account_fields

    state = common.state(project)
    if not online:
        return kept_account_fields(state.directory)
    from compasso.applying.account_fields import read_account_fields
    from compasso.cli.running import client_of

    async def ask() -> AccountFields:
        async with client_of(project, state) as client:
            return await read_account_fields(client, state.directory)

    return stopping.run(ask())


def check_project(project: Project, account: AccountFields | None = None) -> list[Diagnostic]:
    """What the loader cannot know: targets, keys, fields, columns, templates."""
    problems: list[Diagnostic] = []
    for sync in project.syncs:
        try:
            problems += check_sync(sync, project, account)
        except CompassoError as error:
            problems += error.diagnostics
    return problems


def check_stocks(project: Project, common: Common) -> list[Diagnostic]:
    """Whether the sources of coupon stocks have codes left that were never uploaded."""
    from compasso.planning import PlanOptions, make_plan
    from compasso.planning.stocks import dry_warnings

    problems: list[Diagnostic] = []
    for sync in project.syncs:
        if sync.stock is None:
            continue
        try:
            state = common.state(project)
            with make_plan(project, state, options=PlanOptions(only=(sync.name,))) as plan:
                fresh = int(plan.options(sync.name)["fresh"])
        except CompassoError as error:
            known = [d for d in error.diagnostics if "does not exist" not in d.message]
            problems += known  # a source that is not at hand is named already
            continue
        problems += [
            Diagnostic(
                message=f"{sync.name}: {text}",
                severity=Severity.WARNING,
                code="source-runs-dry",
                position=sync.position("source"),
                hint="add codes to the source",
            )
            for text in dry_warnings(sync.stock, fresh, 0)
        ]
    return problems


def check_sync(
    sync: Sync, project: Project, account: AccountFields | None = None
) -> list[Diagnostic]:
    """One sync against its target and its source. Raises CompassoError too."""
    from compasso.engine import cursor
    from compasso.planning import resolve_target
    from compasso.planning.account_check import check_account, with_account
    from compasso.planning.resolve import check_fields

    problems = check_fields(sync, project)
    if any(p.severity is Severity.ERROR for p in problems):
        return problems
    target, _ = resolve_target(sync, project)
    fields = account.custom if account else None
    problems += check_account(sync, project, fields, account.read_at if account else "")
    if any(p.severity is Severity.ERROR for p in problems):
        return problems
    target = with_account(target, sync, project, fields)
    if sync.source.connection is not None:  # it may be far away, or its address not set
        return problems
    with cursor() as connection:
        problems += _check_columns(connection, sync, project, target)
    return problems


def _check_columns(
    connection: DuckDBPyConnection, sync: Sync, project: Project, target: Target
) -> list[Diagnostic]:
    """The mapping against the columns that the source has, if it is at hand."""
    from compasso.planning import compile_sync
    from compasso.planning.line_source import check_columns
    from compasso.sources import open_source

    try:
        source = open_source(connection, sync.source, project.root)
    except CompassoError as error:
        missing = ("does not exist", "no file matches")
        return [
            Diagnostic(
                message=found.message,
                severity=Severity.WARNING
                if any(text in found.message for text in missing)
                else Severity.ERROR,
                position=sync.position("source"),
                hint="its columns are not checked"
                if any(text in found.message for text in missing)
                else found.hint,
            )
            for found in error.diagnostics
        ]
    if sync.lines is not None:
        check_columns(connection, sync, project, target, source)
    else:
        compile_sync(sync, project, target, dict(source.columns))
    return []


def _document(problems: list[Diagnostic], ok: bool) -> dict[str, object]:
    return {
        "format_version": "1.0",
        "valid": ok,
        "diagnostics": [
            {
                "severity": p.severity.value,
                "code": p.code,
                "message": p.message,
                "file": str(p.position.file) if p.position else None,
                "line": p.position.line if p.position else None,
                "column": p.position.column if p.position else None,
                "text": p.text,
                "hint": p.hint,
            }
            for p in problems
        ],
    }


def _annotation(problem: Diagnostic, common: Common) -> str:
    """A line that GitHub shows at its place in the pull request."""
    place = problem.position
    where = ""
    if place is not None:
        where = f" file={_relative(place, common)},line={place.line},col={place.column}"
    text = problem.message + (f" -> {problem.hint}" if problem.hint else "")
    escaped = text.replace("%", "%25").replace("\n", "%0A").replace("\r", "%0D")
    return f"::{problem.severity}{where}::{escaped}"


def _relative(place: Position, common: Common) -> str:
    root = common.project.resolve()
    file = place.file.relative_to(root) if place.file.is_relative_to(root) else place.file
    return file.as_posix()


def _sarif(problems: list[Diagnostic], common: Common) -> dict[str, object]:
    """SARIF 2.1.0, which code hosts show beside the lines of a pull request."""
    results = []
    for problem in problems:
        text = problem.message + (f" -> {problem.hint}" if problem.hint else "")
        result: dict[str, object] = {
            "ruleId": problem.code,
            "level": problem.severity.value,
            "message": {"text": text},
        }
        if problem.position is not None:
            result["locations"] = [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(_relative(problem.position, common))},
                        "region": {
                            "startLine": problem.position.line,
                            "startColumn": problem.position.column,
                        },
                    }
                }
            ]
        results.append(result)
    rules = [{"id": code} for code in sorted({p.code for p in problems})]
    driver = {"name": "compasso", "version": __version__, "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
