"""``wherry push``: an image of the store to a registry."""

from __future__ import annotations

from pathlib import Path

import click

import wherry
from wherry.cli.interrupt import stopping
from wherry.cli.measures import human_size
from wherry.cli.options import insecure_option, progress_option, store_option
from wherry.cli.progress import STYLES, progress


@click.command("push")
@click.argument("image")
@click.argument("destinations", nargs=-1, metavar="[DESTINATION…]")
@insecure_option
@progress_option(STYLES)
@store_option
def command(
    image: str, destinations: tuple[str, ...], *, insecure: tuple[str, ...], style: str, store: Path | None
) -> None:
    """Send IMAGE of the store to each DESTINATION, or to the registry that its own name says.

    A DESTINATION is [HOST[:PORT]/]NAME[:TAG]. What the registry has is not sent; several tags of a repository are one
    transfer. Prints NAME@DIGEST.
    """
    with (
        wherry.open_store(store) as opened,
        progress(style) as listener,
        stopping(listener.close, opened.abandon),
    ):
        done = wherry.push(image, destinations, insecure=insecure, store=opened, listener=listener)
    for name in done.names:
        click.echo(f"{name}@{done.digest}")
    if style != "quiet":
        click.echo(f"{human_size(done.bytes)} sent", err=True)
