"""`compasso test`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compasso.cli.options import Common, common
from compasso.model import ExitCode
from compasso.temporary import working_folder

if TYPE_CHECKING:
    from compasso.spec import FieldSpec, Project, SpecTest, Sync

HELP = "Run the examples that specs give under `tests:`."


@click.command(short_help=HELP, epilog="Example:\n\n  compasso test --spec crm-contacts")
@common
def command(common: Common) -> int:
    """Run the examples that specs give under `tests:`: this row must become this record."""
    project = common.load()
    failed = total = 0
    for sync in project.syncs:
        for example in sync.tests:
            total += 1
            problem = run_example(project, sync, example)
            if problem:
                failed += 1
                place = sync.position("tests", example.number)
                file = place.file.relative_to(project.root)
                click.echo(f"{file}:{place.line}: {sync.name}: {problem}", err=True)
    click.echo(f"{total - failed} passed, {failed} failed")
    return ExitCode.ERROR if failed else ExitCode.DONE


def run_example(project: Project, sync: Sync, example: SpecTest) -> str | None:
    """What is wrong with an example, or None."""
    import dataclasses

    from compasso.cli.preview import preview
    from compasso.spec import SourceSpec

    with tempfile.TemporaryDirectory(prefix="work-", dir=working_folder()) as folder:
        # Columns that the example leaves out are empty, as in a file.
        columns = _columns(project, sync)
        empty = dict.fromkeys(columns, "")
        rows: list[dict[str, Any]] = [
            {**empty, **{name: _as_read(value, columns.get(name)) for name, value in row.items()}}
            for row in example.rows
        ]
        (Path(folder) / "row.json").write_text(json.dumps(rows), "utf-8")
        alone = dataclasses.replace(
            sync, source=SourceSpec("json", "row.json"), fields=_with_nested_lines(sync)
        )
        here = dataclasses.replace(project, root=Path(folder))
        records, _ = preview(here, alone, 1)
    if not records:
        return None if example.expect is None else "the row is left out by `when`"
    if example.expect is None:
        return "the row is not left out by `when`"
    got = records[0]["fields"]
    wrong = [
        f"{name} is {json.dumps(got.get(name), ensure_ascii=False)}, "
        f"not {json.dumps(value, ensure_ascii=False)}"
        for name, value in example.expect.items()
        if got.get(name) != value
    ]
    return "; ".join(wrong + records[0]["problems"]) or None


def _with_nested_lines(sync: Sync) -> dict[str, FieldSpec]:
    """The mapping, whose lines of a second source stand in the example itself, under `lines`."""
    import dataclasses

    fields = dict(sync.fields)
    if sync.lines is not None and sync.lines[1].origin == "source":
        name, lines = sync.lines
        nested = dataclasses.replace(lines, origin="column", column="lines", source=None, on=None)
        fields[name] = dataclasses.replace(fields[name], lines=nested)
    return fields


def _as_read(value: Any, kind: str | None) -> Any:
    """An example's value as the source delivers it: `stock: 5` is a text in a CSV file."""
    if kind != "VARCHAR" or isinstance(value, (str, list, dict)) or value is None:
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _columns(project: Project, sync: Sync) -> dict[str, str]:
    import duckdb

    from compasso.model import CompassoError
    from compasso.sources import open_source

    try:
        return dict(open_source(duckdb.connect(), sync.source, project.root).columns)
    except CompassoError:
        return {}
