"""`compasso demo`."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compasso.model import CompassoError, ExitCode
from compasso.temporary import working_folder

if TYPE_CHECKING:
    from compasso.sandbox import RunningSandbox

HELP = "Play a shop's first day on a simulated account."

_HERE = Path(__file__).parent.parent


@click.command(short_help=HELP)
@click.option("-v", "--verbose", is_flag=True, help="Show details of internal errors.")
def command(verbose: bool) -> int:
    """Play a shop's first day on a simulated account: nothing leaves this machine.

    It validates, plans and applies an example project, changes one price and applies again,
    in a temporary folder that is removed at the end.
    """
    from compasso.sandbox import RunningSandbox

    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="demo-", dir=working_folder()) as name,
        RunningSandbox() as sandbox,
    ):
        root = Path(name) / "shop"
        shutil.copytree(example(), root, ignore=shutil.ignore_patterns(".compasso"))
        os.environ["CONNECTIF_BASE_URL"] = sandbox.url
        os.environ["CONNECTIF_API_KEY"] = "demo:demo"
        _tell(f"A simulated Connectif account listens at {sandbox.url}, 100 requests a minute.")
        _run("validate", root)
        _run("test", root)
        _run("plan", root)
        _run("apply", root, "--auto-approve")
        _tell("The same again: the account matches, so nothing is sent.")
        _run("plan", root)
        _change_price(root / "data" / "products.csv")
        _run("plan", root)
        _run("apply", root, "--auto-approve")
        _check(root, sandbox)
    seconds = time.monotonic() - started
    _tell(
        f"The account equals the specs. That was {seconds:.0f} seconds. Next: compasso init my-shop"
    )
    return ExitCode.DONE


def example() -> Path:
    """The example shop: inside an installed wheel, or in a checkout."""
    for folder in (_HERE / "_examples" / "shop", _HERE.parent.parent / "specs" / "shop"):
        if (folder / "compasso.yml").is_file():
            return folder
    raise CompassoError.say("the example project is missing", "install compasso again")


def _tell(text: str) -> None:
    click.secho(f"\n# {text}", bold=True)


def _run(name: str, root: Path, *options: str) -> None:
    """A command as a user would give it."""
    from compasso.cli import group

    click.secho(f"\n$ compasso {' '.join([name, *options])}", fg="cyan")
    code: Any = group.main(
        [name, "--project", str(root), *options], standalone_mode=False, prog_name="compasso"
    )
    if code:
        raise CompassoError.say(f"the demo failed at {name} with exit code {code}")


def _change_price(file: Path) -> None:
    text = file.read_text("utf-8")
    old, new = "24.90", "19.90"
    if text.count(old) != 1:
        raise CompassoError.say("the example's data has changed", "install compasso again")
    file.write_text(text.replace(old, new), "utf-8")
    _tell(f"The shop lowers one price from {old} to {new}.")


def _check(root: Path, sandbox: RunningSandbox) -> None:
    """The account must equal the state, record by record, field by field."""
    import httpx

    from compasso.spec import load_project
    from compasso.state import open_state

    project = load_project(root)
    state = open_state(root, None)
    keys = {"contacts": "_email", "products": "productId"}
    for sync in project.syncs:
        dumped = httpx.get(f"{sandbox.url}/_sandbox/dump/{sync.target}").json()
        account = {record[keys[sync.target]]: record for record in dumped}
        for record in state.records(sync.name):
            kept = account.get(record.key, {})
            wrong = [n for n, v in record.fields.items() if kept.get(n) != v]
            if wrong:
                raise CompassoError.say(
                    f"the account differs from the specs: {sync.target}, {', '.join(wrong)}: "
                    f"{json.dumps([kept.get(n) for n in wrong])}"
                )
        if len(account) != state.count(sync.name):
            raise CompassoError.say(f"the account has {len(account)} {sync.target}")
