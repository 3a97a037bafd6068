"""The ``wherry`` command: finds a subcommand, runs it, and turns what went wrong into words and an exit code."""

from __future__ import annotations

import errno
import importlib
import os
import sys

import click

from wherry.errors import StoreError, WherryError, nearest
from wherry.version import VERSION

_COMMANDS = {
    "build": "Build an image of the project in a folder.",
    "copy": "Bring an image from anywhere to anywhere else.",
    "dockerfile": "Print a project's build as a Dockerfile.",
    "images": "List the images in the store.",
    "init": "Write a project's first settings.",
    "lock": "Pin all that floats in a project's build.",
    "login": "Keep a login for a registry.",
    "logout": "Forget the login for a registry.",
    "prune": "Remove what no image needs from the store.",
    "pull": "Fetch an image from a registry into the store.",
    "push": "Send an image of the store to a registry.",
    "rm": "Remove images from the store.",
    "run": "Run an image of the store.",
}
_MODULES = {"dockerfile": "writing"}  # where a command has not the name of its module


class _Group(click.Group):
    """Imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"wherry.cli.{_MODULES.get(cmd_name, cmd_name)}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = nearest(args[0], _COMMANDS)
            hint = f"Did you mean {near!r}?" if near else f"Commands: {', '.join(sorted(_COMMANDS))}."
            raise click.UsageError(f"no such command: {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="wherry", message="%(prog)s %(version)s")
def command() -> None:
    """Build container images of Python applications: no daemon, no root."""


def run() -> int:
    """Run the command in ``sys.argv``; gives the exit code and lets no traceback reach the user."""
    try:
        result = command.main(standalone_mode=False, prog_name="wherry")
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output went away: let the interpreter's last flush go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except WherryError as error:
        _complain(error)
        return error.exit_code
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            _complain(StoreError("no space left on the disk", hint="Free some; `wherry prune` helps."))
        else:
            _complain(WherryError(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")))
        return 1
    except Exception as error:
        if os.environ.get("WHERRY_DEBUG"):
            import traceback

            traceback.print_exc()
        _complain(
            WherryError(
                f"internal error: {type(error).__name__}: {error}",
                hint="This is a bug in Wherry. Please report it; WHERRY_DEBUG=1 shows where it happened.",
            )
        )
        return 1
    return result if isinstance(result, int) else 0


def _complain(error: WherryError) -> None:
    from wherry.cli.escapes import without_escapes

    place = f"{error.place}: " if error.place else ""
    first, *rest = (without_escapes(line) for line in f"{place}{error.message}".split("\n"))
    _say("\n".join((f"error: {first}", *rest)))
    if error.hint:
        click.echo("\n".join(f"  {line}" for line in error.hint.split("\n")), err=True)


def _say(text: str) -> None:
    click.echo(f"wherry: {text}", err=True)
