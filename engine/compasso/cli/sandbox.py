"""`compasso sandbox`."""

from __future__ import annotations

from pathlib import Path

import click

from compasso.model import CompassoError, ExitCode

HELP = "Serve a simulated Connectif account on this machine."


@click.command(
    short_help=HELP,
    epilog="Examples:\n\n  compasso sandbox --port 8400\n\n"
    "  compasso sandbox --data account.sqlite --seed specs/everything/sandbox-seed.json\n\n"
    "  CONNECTIF_BASE_URL=http://127.0.0.1:8400 CONNECTIF_API_KEY=a:b compasso apply",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8400, help="0: any free one.")
@click.option("--requests-per-minute", type=click.IntRange(1), default=100, help="The rate limit.")
@click.option("--api-key", metavar="ID:SECRET", help="The one key to accept; any by default.")
@click.option(
    "--data", type=click.Path(path_type=Path, dir_okay=False), help="Keep the account here."
)
@click.option(
    "--seed",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Begin with what this JSON file holds, if the account is empty.",
)
@click.option(
    "--behaviour",
    "switches",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another guess where nobody knows; docs/sandbox.md lists them.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show details of internal errors.")
def command(
    port: int,
    requests_per_minute: int,
    api_key: str | None,
    data: Path | None,
    seed: Path | None,
    switches: tuple[str, ...],
    verbose: bool,
) -> int:
    """Serve a simulated Connectif account on this machine, until Ctrl-C.

    It behaves as the public facts about the API say; docs/sandbox.md tells what is a guess.
    """
    from compasso.sandbox import Behaviour, SandboxSettings, serve

    words = dict(switch.partition("=")[::2] for switch in switches)
    try:
        behaviour = Behaviour.from_words(words)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--behaviour") from None
    settings = SandboxSettings(
        requests_per_minute=requests_per_minute, api_key=api_key, data=data, behaviour=behaviour
    )
    serve(settings, "127.0.0.1", port, click.echo, None if seed is None else _read(seed))
    return ExitCode.DONE


def _read(file: Path) -> object:
    import json

    try:
        found: object = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise CompassoError.say(f"{file} is not JSON: {error}", "mend the file") from None
    return found
