"""``wherry rm``: remove images from the store."""

from __future__ import annotations

from pathlib import Path

import click

import wherry
from wherry.cli.options import store_option


@click.command("rm")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE…")
@store_option
def command(images: tuple[str, ...], store: Path | None) -> None:
    """Remove images, by name or digest. Their layers stay for other images until `wherry prune`."""
    with wherry.open_store(store) as opened:
        for name in wherry.remove(images, store=opened):
            click.echo(name)
