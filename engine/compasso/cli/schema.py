"""`compasso schema`."""

from __future__ import annotations

import click

from compasso.model import ExitCode

HELP = "Print the JSON Schema of the spec language, for editors."


@click.command(
    short_help=HELP,
    epilog="Example:\n\n  compasso schema > spec.schema.json\n\n"
    "and in the first line of a spec: # yaml-language-server: $schema=spec.schema.json",
)
@click.argument(
    "name",
    type=click.Choice(
        [
            "spec",
            "project",
            "contacts",
            "products",
            "purchases",
            "contact-fields",
            "custom-event-types",
            "coupons",
            "exports",
        ]
    ),
    default="spec",
)
def command(name: str) -> int:
    """Print a JSON Schema: of specs (the default), of compasso.yml, or of a target's records."""
    from compasso.schemas import schema_path

    click.echo(schema_path(name).read_text("utf-8"), nl=False)
    return ExitCode.DONE
