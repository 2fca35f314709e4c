"""`compasso preview`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from compasso.cli.options import Common, common, output_format
from compasso.model import CompassoError, ExitCode, FieldType

if TYPE_CHECKING:
    from compasso.spec import Project, Sync

HELP = "Show the first rows of a spec's source as the records they become."


@click.command(short_help=HELP, epilog="Example:\n\n  compasso preview crm-contacts --explain")
@click.argument("name", metavar="SPEC")
@click.option("--rows", type=click.IntRange(1, 1000), default=5, help="How many rows.")
@click.option("--explain", is_flag=True, help="Tell for each field how it is evaluated, and why.")
@output_format("text", "json")
@common
def command(common: Common, name: str, rows: int, explain: bool, form: str) -> int:
    """Show the first rows of a spec's source as the records they become.

    It shows values as they are, personal data too: they stay on this screen.
    """
    from compasso.spec.problems import did_you_mean

    project = common.load()
    sync = next((s for s in project.syncs if s.name == name), None)
    if sync is None:
        raise CompassoError.say(
            f"there is no spec called {name!r}", did_you_mean(name, [s.name for s in project.syncs])
        )
    records, roads = preview(project, sync, rows)
    if form == "json":
        click.echo(json.dumps({"records": records, "fields": roads}, indent=2, ensure_ascii=False))
        return ExitCode.DONE
    for record in records:
        click.echo(f"row {record['row']}")
        for field, value in record["fields"].items():
            click.echo(f"  {field}: {json.dumps(value, ensure_ascii=False)}")
        for problem in record["problems"]:
            click.echo(f"  ! {problem}")
    if not records:
        click.echo("The source has no row that the spec takes.")
    if explain:
        click.echo("")
        for field, road in roads.items():
            click.echo(
                f"{field}: {road['road']}" + (f" ({road['reason']})" if road["reason"] else "")
            )
    return ExitCode.DONE


def preview(
    project: Project, sync: Sync, rows: int
) -> tuple[list[dict[str, Any]], dict[str, dict[str, str]]]:
    """The first records of a sync with their problems, and each field's road."""
    import duckdb

    from compasso.planning.document import message_of
    from compasso.planning.mapped import map_some

    connection = duckdb.connect()
    opened, desired = map_some(connection, "preview", sync, project, rows)
    key_field, mapping = opened.key_field, opened.mapping
    names = [key_field, *(c.field.name for c in desired.columns)]
    nested = {c.field.name for c in desired.columns if c.field.type is FieldType.JSON}
    columns = ", ".join(["key", *(c.sql for c in desired.columns)])
    found = connection.execute(
        f"SELECT row, problems, {columns} FROM preview ORDER BY file, row"
    ).fetchall()
    order = opened.fields()
    records = []
    for row, problems, *values in found:
        broken = [message_of(desired, order, p["field"], p["rule"]) for p in problems or ()]
        records.append(
            {
                "row": row,
                "fields": {
                    n: json.loads(v) if n in nested and isinstance(v, str) else v
                    for n, v in zip(names, values, strict=True)
                    if v is not None
                },
                "problems": [f"{field} {words}" for field, words in broken],
            }
        )
    roads = {m.name: {"road": m.road, "reason": m.reason} for m in mapping.fields}
    return records, roads
