"""``wherry run``: start an image of the store."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import wherry
from wherry.cli.options import store_option
from wherry.errors import WherryError


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.option(
    "-e", "--env", "env", multiple=True, metavar="NAME[=VALUE]", help="A variable; without a value, this shell's."
)
@click.option("-w", "--workdir", metavar="DIR", help="The directory to start in.")
@click.option("--entrypoint", metavar="PROGRAM", help="The program, in place of the image's.")
@click.option("-u", "--user", metavar="USER[:GROUP]", help="By name (in the image) or number.")
@click.option(
    "-v", "--volume", "volumes", multiple=True, metavar="HOST:DIR[:ro]", help="A folder or file of this machine."
)
@click.option("--network", type=click.Choice(["none", "host"]), default="host", show_default=True)
@store_option
@click.argument("image")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARG…]")
def command(
    image: str,
    arguments: tuple[str, ...],
    *,
    env: tuple[str, ...],
    workdir: str | None,
    entrypoint: str | None,
    user: str | None,
    volumes: tuple[str, ...],
    network: str,
    store: Path | None,
) -> int:
    """Run IMAGE with the built-in sandbox; ARGs replace its command. The exit code is the program's."""
    if sys.platform != "linux":
        raise WherryError("running an image needs Linux", hint="Run it with docker or podman: wherry build --load.")
    from wherry.sandbox import enter_user_namespace

    enter_user_namespace()  # before there are threads; root stays as it is
    options = wherry.RunOptions(
        env=env, workdir=workdir, entrypoint=entrypoint, user=user, volumes=volumes, network=network
    )
    with wherry.open_store(store) as opened:
        return wherry.run(image, arguments, options=options, store=opened)
