"""``wherry images``: what is in the store."""

from __future__ import annotations

import json
from pathlib import Path

import click

import wherry
from wherry.cli.measures import human_size
from wherry.cli.options import store_option
from wherry.image.json import Json


@click.command("images")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="Print the digests only.")
@store_option
def command(style: str, quiet: bool, store: Path | None) -> None:
    """List the images in the store."""
    with wherry.open_store(store) as opened:
        rows = wherry.images(opened)
    if quiet:
        for digest in dict.fromkeys(row.digest for row in rows):
            click.echo(digest)
    elif style == "json":
        values: list[Json] = [
            {
                "name": row.name,
                "digest": row.digest,
                "platforms": [str(platform) for platform in row.platforms],
                "created": row.created,
                "size": row.size,
            }
            for row in rows
        ]
        click.echo(json.dumps(values, indent=2))
    else:
        table = [("NAME", "DIGEST", "PLATFORM", "SIZE")]
        for row in rows:
            platforms = ",".join(str(platform) for platform in row.platforms)
            table.append((row.name, row.digest[:19], platforms, human_size(row.size)))
        widths = [max(len(row[column]) for row in table) for column in range(4)]
        for line in table:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
