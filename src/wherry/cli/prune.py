"""``wherry prune``: give disk space back."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

import click

import wherry
from wherry.cli.measures import human_size
from wherry.cli.options import store_option
from wherry.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@click.command("prune")
@click.option("-a", "--all", "everything", is_flag=True, help="Also the caches: keep only what named images need.")
@click.option("--older-than", metavar="AGE", help="Also caches not used for AGE, such as 12h, 7d, 4w.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@store_option
def command(everything: bool, older_than: str | None, dry_run: bool, store: Path | None) -> None:
    """Remove what no image needs: orphaned layers, unpacked files, broken-off work; with -a the caches too."""
    age = _seconds(older_than) if older_than else None
    if sys.platform == "linux":
        from wherry.sandbox import SandboxError, enter_user_namespace

        with suppress(SandboxError):
            enter_user_namespace()  # some unpacked files may belong to users that exist only in there
    with wherry.open_store(store) as opened:
        report = wherry.prune(opened, everything=everything, older_than=age, dry_run=dry_run)
    verb = "Would remove" if dry_run else "Removed"
    click.echo(f"{verb} {report.files} files, {human_size(report.bytes)}")
    if report.kept:
        what = "1 path stayed" if len(report.kept) == 1 else f"{len(report.kept)} paths stayed"
        click.echo(f"{what}, with files of other users that only these, or root, can remove:", err=True)
        for path in report.kept:
            click.echo(f"  {opened.path / path}", err=True)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)([smhdw])", text)
    if not match:
        raise UsageError(f"--older-than {text!r} is not an age", hint="Write it as 12h, 7d or 4w.")
    return int(match[1]) * _UNITS[match[2]]
