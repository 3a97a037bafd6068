"""``wherry dockerfile``: the build of a project, printed as a Dockerfile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import wherry
from wherry.cli.build import command as build
from wherry.cli.escapes import without_escapes
from wherry.cli.project import Project, project_options
from wherry.errors import UsageError

if TYPE_CHECKING:
    from wherry.sources.base import Pull

# What else `wherry build` asks of a project, asked here in the same words.
_SHARED = ("platforms", "labels", "pull", "offline", "insecure", "store")


@click.command("dockerfile")
@click.argument("path", default=".", metavar="[FOLDER]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write FILE and FILE.dockerignore, in place of printing.",
)
@click.option("--force", is_flag=True, help="Replace what is at --output.")
@click.option("--ignore", is_flag=True, help="Print the .dockerignore that belongs to the Dockerfile.")
@project_options
def command(
    path: str,
    *,
    output: Path | None,
    force: bool,
    ignore: bool,
    platforms: tuple[str, ...],
    project: Project,
    labels: tuple[str, ...],
    pull: Pull,
    offline: bool,
    insecure: tuple[str, ...],
    store: Path | None,
) -> None:
    """Print a Dockerfile that does what `wherry build` does with the Python project in FOLDER (default: here).

    Builds nothing. A Dockerfile that is there already is not looked at.
    """
    if ignore and output:
        raise UsageError("--ignore prints, --output writes both files")
    if output == Path("-"):
        output = None
    written = (output, _ignore_file(output)) if output else ()
    _refuse_to_replace(written, force=force)
    names = (Path(path) / "Dockerfile", Path(path) / "Dockerfile.dockerignore", *written)
    leave_out = _inside(Path(path), names)
    request = project.request(Path(path), platforms=platforms, labels=labels, leave_out=leave_out)
    options = wherry.Options(pull=pull, offline=offline, insecure=insecure)
    with wherry.open_store(store, insecure=insecure) as opened:
        result = wherry.dockerfile(path, request, options=options, store=opened)
    for note in result.notes:
        click.echo(f"wherry: {without_escapes(note)}", err=True)
    if not output:
        if not ignore:
            click.echo(
                "wherry: Dockerfile.dockerignore belongs beside it; -o writes both, --ignore prints it", err=True
            )
        click.echo(result.ignore if ignore else result.dockerfile, nl=False)
        return
    from wherry.sinks.destination import write_file

    write_file(_ignore_file(output), result.ignore.encode())
    write_file(output, result.dockerfile.encode())
    click.echo(f"Wrote {output} and {_ignore_file(output).name} beside it", err=True)


command.params += [option for option in build.params if option.name in _SHARED]


def _ignore_file(output: Path) -> Path:
    """Where docker looks for the .dockerignore of one Dockerfile."""
    return output.with_name(f"{output.name}.dockerignore")


def _refuse_to_replace(written: tuple[Path, ...], *, force: bool) -> None:
    there = [str(path) for path in written if path.exists() or path.is_symlink()]
    if there and not force:
        raise UsageError(f"{' and '.join(there)} would be replaced", hint="--force replaces what is there.")


def _inside(context: Path, files: tuple[Path, ...]) -> tuple[str, ...]:
    """Those of ``files`` that lie in the project: they are no part of the application."""
    root = context.resolve()
    found = dict.fromkeys(path.parent.resolve() / path.name for path in files)
    return tuple(path.relative_to(root).as_posix() for path in found if root in path.parents)
