"""``wherry copy``: an image from anywhere to anywhere else."""

from __future__ import annotations

from pathlib import Path

import click

import wherry
from wherry.children import stop_children
from wherry.cli.interrupt import stopping
from wherry.cli.measures import human_size
from wherry.cli.options import insecure_option, progress_option, store_option
from wherry.cli.progress import STYLES, progress


@click.command("copy")
@click.argument("source", metavar="SRC")
@click.argument("destinations", nargs=-1, required=True, metavar="DST…")
@click.option(
    "--platform", metavar="OS/ARCH[/VARIANT]", help="The image for it alone, of an index; all of it is copied else."
)
@insecure_option
@progress_option(STYLES)
@store_option
def command(
    source: str,
    destinations: tuple[str, ...],
    *,
    platform: str | None,
    insecure: tuple[str, ...],
    style: str,
    store: Path | None,
) -> None:
    """Bring what SRC is to each DST, byte for byte.

    SRC and DST are docker://NAME[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME],
    docker-daemon:NAME[:TAG], or a name in the store. Prints DST@DIGEST.
    """
    wanted = wherry.Platform.parse(platform) if platform else None
    with (
        wherry.open_store(store) as opened,
        progress(style) as listener,
        stopping(listener.close, stop_children, opened.abandon),
    ):
        done = wherry.copy(source, destinations, platform=wanted, insecure=insecure, store=opened, listener=listener)
    streamed = any(text.split(":")[1:2] == ["-"] for text in destinations)  # standard output has had an archive
    for each in done:
        for name in each.names:
            click.echo(f"{name}@{each.digest}", err=streamed)
    if style != "quiet":
        click.echo(f"{human_size(sum(each.bytes for each in done))} copied", err=True)
