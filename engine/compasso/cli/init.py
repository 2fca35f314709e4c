"""`compasso init`."""

from __future__ import annotations

from pathlib import Path

import click

from compasso.model import CompassoError, ExitCode

HELP = "Make a small project to begin with."

_FILES = {
    "compasso.yml": """\
project: {name}
connectif:
  api_key: "${{env:CONNECTIF_API_KEY}}"   # a reference: the key itself never stands in a file
budget:
  requests_per_minute: 100              # the account's limit
  reserve: 10                           # left for the account's other clients
vars:
  prefix: "34"
""",
    "specs/customers.yml": """\
# Which rows of data/customers.csv become which contacts.
kind: sync
name: customers
source: {{csv: data/customers.csv}}
target: contacts
fields:
  _email: "{{{{ email | trim | lower }}}}"
  _name: first_name
  _points: {{from: points, type: integer}}
  _mobilePhone: "{{{{ '+' ~ vars.prefix ~ phone | replace(' ', '') if phone else none }}}}"
tests:
  - row: {{email: " ANA@X.EXAMPLE ", first_name: Ana, points: "10", phone: "600 111 222"}}
    expect: {{_email: ana@x.example, _name: Ana, _points: 10, _mobilePhone: "+34600111222"}}
""",
    "data/customers.csv": """\
email,first_name,points,phone
ana@shop.example,Ana,120,600 111 222
luis@shop.example,Luis,,
""",
    ".gitignore": ".compasso/\n",
}


@click.command(short_help=HELP, epilog="Example:\n\n  compasso init my-shop")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
def command(folder: Path) -> int:
    """Make a small project to begin with, in FOLDER (the current one by default)."""
    taken = [name for name in _FILES if (folder / name).exists()]
    if taken:
        raise CompassoError.say(
            f"{folder / taken[0]} exists already", "choose an empty folder; nothing was written"
        )
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in folder.resolve().name) or "shop"
    try:
        for path, text in _FILES.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            content = (
                text if path == ".gitignore" or path.endswith(".csv") else text.format(name=name)
            )
            file.write_text(content, "utf-8")
    except OSError as error:
        raise CompassoError.say(f"cannot write {error.filename}: {error.strerror}") from error
    click.echo(f"Made a project in {folder}. Next:")
    click.echo(f"  compasso validate --project {folder}")
    click.echo(f"  compasso plan --project {folder}")
    return ExitCode.DONE
