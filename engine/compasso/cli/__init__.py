"""The command line. Each command is one file of this folder with `HELP` and `command`.

No command is imported before it is called, so `compasso --help` is quick.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
from pathlib import Path

import click

from compasso import __version__
from compasso.cli import stopping
from compasso.model import CompassoError, ExitCode

_FOLDER = Path(__file__).parent
_STOPPED = "Stopped. Nothing is lost: run it again to go on."
_NOT_COMMANDS = {"__init__", "__main__", "options", "running", "stopping"}


class _Commands(click.Group):
    """Finds commands by their files, and reads their one-line help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(p.stem for p in _FOLDER.glob("*.py") if p.stem not in _NOT_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        found: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.list_commands(ctx):
            from compasso.spec.problems import did_you_mean

            ctx.fail(f"there is no command {name!r}; {did_you_mean(name, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, _help_of(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _help_of(name: str) -> str:
    for node in ast.parse((_FOLDER / f"{name}.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "HELP":
            return str(ast.literal_eval(node.value))
    return ""


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="compasso")
def group() -> None:
    """Keep a Connectif account in step with your data: declare, plan, review, apply.

    \b
    Begin with:
      compasso demo        a shop's first day, on a simulated account
      compasso init shop   a small project of your own
      compasso plan        what would change, and what it costs
      compasso apply       do it, under the account's request budget
    """


def main() -> None:
    """Run the command line. A user never sees a traceback, unless asked for with -v."""
    with stopping.signals_heeded():
        sys.exit(_run())


def _run() -> int:
    verbose = "-v" in sys.argv or "--verbose" in sys.argv
    try:
        code = group(standalone_mode=False)
        return code if isinstance(code, int) else ExitCode.DONE
    except stopping.Stopped as stopped:
        click.echo(str(stopped), err=True)
        return stopping.exit_code()
    except (click.Abort, KeyboardInterrupt):
        click.echo(_STOPPED, err=True)
        return stopping.exit_code()
    except CompassoError as error:
        if stopping.was_asked():
            click.echo(_STOPPED, err=True)
            return stopping.exit_code()
        for diagnostic in error.diagnostics:
            click.echo(diagnostic.render(Path.cwd()), err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.ERROR
    except BrokenPipeError:
        # The reader of our output is gone (`| head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except Exception as error:
        if stopping.was_asked():
            click.echo(_STOPPED, err=True)
            return stopping.exit_code()
        if verbose:
            raise
        click.echo(
            f"error: something in compasso itself failed ({type(error).__name__})\n"
            "    -> run it again with -v and report what it prints",
            err=True,
        )
        return ExitCode.ERROR
