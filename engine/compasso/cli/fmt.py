"""`compasso fmt`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import click

from compasso.cli.options import Common, common
from compasso.model import CompassoError, Diagnostic, ExitCode, Position

HELP = "Lay out spec files in one way: indentation, blanks, ends of lines."


@click.command(
    short_help=HELP, epilog="Examples:\n\n  compasso fmt\n\n  compasso fmt --check   # in CI"
)
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if a file would change.")
@common
def command(common: Common, check: bool) -> int:
    """Lay out compasso.yml and all specs in one way. Comments stay, and so does every value.

    A file that cannot be read as YAML is named and left as it is.
    """
    from compasso.spec.load import project_files

    root = common.project.resolve()
    changed = 0
    for file in project_files(root):
        text = file.read_text("utf-8")
        tidy = tidied(text, file)
        if tidy == text:
            continue
        changed += 1
        click.echo(str(file.relative_to(root)))
        if not check:
            draft = file.with_name(f".{file.name}.draft")
            draft.write_text(tidy, "utf-8")
            draft.replace(file)
    said = "would change" if check else "changed"
    click.echo(f"{changed} file{'' if changed == 1 else 's'} {said}", err=True)
    return ExitCode.ERROR if check and changed else ExitCode.DONE


def tidied(text: str, file: Path) -> str:
    """The YAML text of `file` in the one layout. Raises CompassoError when it is not YAML."""
    from ruamel.yaml import YAML

    from compasso.spec.document import parse_document

    before = parse_document(text, file)
    if before.problems:
        raise CompassoError(*before.problems)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000  # a long template stays in its line: a fold would hide it in a diff
    yaml.indent(mapping=2, sequence=4, offset=2)
    # A null is written out: an empty place looks forgotten.
    yaml.representer.add_representer(type(None), _null)
    out = io.StringIO()
    yaml.dump(yaml.load(text), out)
    result = out.getvalue()
    after = parse_document(result, file)
    if after.problems or after.value != before.value:
        raise CompassoError(
            Diagnostic(
                message="this file cannot be laid out without changing what it says",
                position=Position(file, 1, 1),
                hint="leave it as it is, and report it: this is a fault of compasso",
            )
        )
    return result


def _null(representer: Any, _value: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
