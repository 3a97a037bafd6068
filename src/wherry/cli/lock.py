"""``wherry lock``: everything that floats in a project's build, pinned."""

from __future__ import annotations

import time
from pathlib import Path

import click

import wherry
from wherry.children import stop_children
from wherry.cli.interrupt import stopping
from wherry.cli.measures import human_time
from wherry.cli.options import insecure_option, progress_option, store_option
from wherry.cli.progress import STYLES, json_line, progress
from wherry.cli.project import Project, project_options
from wherry.errors import Place, UsageError, WherryError


@click.command("lock")
@click.argument("path", default=".", metavar="[FOLDER]")
@click.option("--check", is_flag=True, help="Only say, by the exit code, whether wherry.lock is up to date.")
@click.option("--upgrade", is_flag=True, help="Pin what there is now, in place of what is locked.")
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH",
    help="What the image runs on; many times or comma-separated.",
)
@project_options
@click.option("--offline", is_flag=True, help="Use no network: what is in the store serves.")
@insecure_option
@progress_option(STYLES)
@store_option
def command(
    path: str,
    *,
    check: bool,
    upgrade: bool,
    platforms: tuple[str, ...],
    project: Project,
    offline: bool,
    insecure: tuple[str, ...],
    style: str,
    store: Path | None,
) -> int:
    """Write wherry.lock beside the project in FOLDER (default: here): all that floats in its build, pinned.

    What is locked already and still fits stays. A build takes what the lock says.
    """
    request = project.request(Path(path), platforms=platforms, labels=(), leave_out=())
    if check:
        if upgrade:
            raise UsageError("--check changes nothing, and --upgrade would")
        return _check(path, request)
    options = wherry.Options(
        upgrade=upgrade, pull="always" if upgrade else "missing", offline=offline, insecure=insecure
    )
    start = time.monotonic()
    with (
        wherry.open_store(store, insecure=insecure) as opened,
        progress(style) as listener,
        stopping(listener.close, stop_children, opened.abandon),
    ):
        result = wherry.lock(path, request, options=options, store=opened, listener=listener)
    if style == "json":
        json_line("result", {"path": str(result.path), "changed": result.changed})
    else:
        what = (
            f"Locked in {human_time(time.monotonic() - start)}: {result.path}" if result.changed else "Nothing changed"
        )
        click.echo(f"\n{what}", err=True)
    return 0


def _check(path: str, request: wherry.ProjectOptions) -> int:
    """0 if the lock is that of the project, 1 if it is not; what makes no sense at all is an error as elsewhere."""
    if found := wherry.check_lock(path, request):
        raise WherryError("; ".join(found), place=Place("wherry.lock"), hint="`wherry lock` brings it up to date.")
    return 0
