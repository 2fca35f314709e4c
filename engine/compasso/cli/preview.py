"""`compasso preview`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from compasso.cli.options import Common, common, output_format
from compasso.model import CompassoError, ExitCode, FieldType

if TYPE_CHECKING:
    from compasso.mapping import CompiledMapping
    from compasso.spec import Project, Sync

HELP = "Show the first rows of a spec's source as the records they become."


@click.command(short_help=HELP, epilog="Example:\n\n  compasso preview crm-contacts --explain")
@click.argument("name", metavar="SPEC")
@click.option("--rows", type=click.IntRange(1, 1000), default=5, help="How many rows.")
@click.option("--explain", is_flag=True, help="Tell for each field how it is evaluated, and why.")
@click.option("--sql", is_flag=True, help="With the SQL that is run; implies --explain.")
@output_format("text", "json")
@common
def command(common: Common, name: str, rows: int, explain: bool, sql: bool, form: str) -> int:
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
        shown = {name: road.as_json(sql) for name, road in roads.items() if name}
        document: dict[str, Any] = {"records": records, "fields": shown}
        if "" in roads:
            document["when"] = roads[""].as_json(sql)
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return ExitCode.DONE
    for record in records:
        click.echo(f"row {record['row']}")
        for field, value in record["fields"].items():
            click.echo(f"  {field}: {json.dumps(value, ensure_ascii=False)}")
        for problem in record["problems"]:
            click.echo(f"  ! {problem}")
    if not records:
        click.echo("The source has no row that the spec takes.")
    if explain or sql:
        from compasso.mapping.quoting import quote_text
        from compasso.mapping.text import BLANKS

        blanks = quote_text(BLANKS)
        click.echo("")
        for field, road in roads.items():
            click.echo(f"{field or 'when'}: {road.words()}")
            if sql and road.sql:
                click.echo(f"  {road.sql.replace(blanks, ':blanks')}")
        if sql and any(blanks in (road.sql or "") for road in roads.values()):
            click.echo("\n(:blanks is a text of Python's white space characters)")
    return ExitCode.DONE


@dataclass(frozen=True, slots=True)
class Explained:
    """How a field (or `when`) is evaluated. `reason` says why, or which rows Jinja takes."""

    road: str
    reason: str
    columns: tuple[str, ...]
    sql: str | None

    def words(self) -> str:
        """In one line."""
        if self.road == "mixed":
            return f"SQL, and {self.reason}"
        if self.road == "jinja":
            read = ", ".join(self.columns)
            each = f"once for each distinct value of {read}" if read else "once"
            return f"Jinja, {each}: {self.reason}"
        return {"sql": "SQL", "constant": "a constant"}[self.road]

    def as_json(self, sql: bool) -> dict[str, Any]:
        """As in `--format json`."""
        found: dict[str, Any] = {"road": self.road, "reason": self.reason}
        found["columns"] = list(self.columns)
        return {**found, "sql": self.sql} if sql else found


def preview(
    project: Project, sync: Sync, rows: int
) -> tuple[list[dict[str, Any]], dict[str, Explained]]:
    """The first records of a sync with their problems, and each field's road ('': of `when`)."""
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
    return records, explained(mapping)


def explained(mapping: CompiledMapping) -> dict[str, Explained]:
    """How each field of a mapping is evaluated; under '' its `when`."""
    roads = {
        m.name: Explained(m.road, m.reason, m.columns, None if m.road == "jinja" else m.value_sql)
        for m in mapping.fields
    }
    if mapping.when is not None:
        when = mapping.when
        sql = None if when.road == "jinja" else when.sql
        roads[""] = Explained(when.road, when.reason, when.columns, sql)
    return roads
