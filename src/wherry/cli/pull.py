"""``wherry pull``: an image from a registry into the store."""

from __future__ import annotations

from pathlib import Path

import click

import wherry
from wherry.cli.interrupt import stopping
from wherry.cli.measures import human_size
from wherry.cli.options import insecure_option, progress_option, store_option
from wherry.cli.progress import STYLES, progress


@click.command("pull")
@click.argument("image")
@click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="Of an image for several platforms; this machine's.")
@insecure_option
@progress_option(STYLES)
@store_option
def command(image: str, *, platform: str | None, insecure: tuple[str, ...], style: str, store: Path | None) -> None:
    """Fetch IMAGE from its registry, or from a mirror of that, as far as the store does not have it.

    Prints NAME@DIGEST, where DIGEST is what the registry says that IMAGE is.
    """
    wanted = wherry.Platform.parse(platform) if platform else None
    with (
        wherry.open_store(store) as opened,
        progress(style) as listener,
        stopping(listener.close, opened.abandon),
    ):
        done = wherry.pull(image, platform=wanted, insecure=insecure, store=opened, listener=listener)
    for name in done.names:
        click.echo(name if "@" in name else f"{name}@{done.digest}")
    if style != "quiet":
        click.echo(f"{human_size(done.bytes)} fetched", err=True)
