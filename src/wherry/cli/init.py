"""``wherry init``: first settings for a project."""

from __future__ import annotations

import click

import wherry
from wherry.cli.escapes import without_escapes
from wherry.planning import is_dockerfile_build


@click.command("init")
@click.argument("path", default=".", metavar="[FOLDER]")
@click.option("--print", "--dry-run", "print_", is_flag=True, help="Print the settings; write nothing.")
def command(path: str, *, print_: bool) -> None:
    """Write what `wherry build` would guess of the project in FOLDER (default: here) into its settings, to be changed.

    They go to [tool.wherry] at the end of pyproject.toml, or where there is none into wherry.toml. What is there
    already is not touched.
    """
    result = wherry.init(path, dry_run=print_)
    if print_:
        click.echo(result.text, nl=False)
    width = max(len(fact.name) for fact in result.found)
    for fact in result.found:
        _say(f"  {fact.name:<{width}}  {fact.value}  ({fact.why})")
    if result.undecided:
        _say("A build cannot tell, so you must:")
        for question in result.undecided:
            _say(f"  {question}")
    if not print_:
        _say(f"Wrote {'[tool.wherry] to ' if result.file == 'pyproject.toml' else ''}{result.file}")
    if is_dockerfile_build(path, "auto"):
        _say("There is a Dockerfile, too, which a build takes: --frontend project builds the project without it.")
    first = f"Decide in {result.file}, then" if result.undecided else "Next:"
    _say(f"{first} `wherry build --print plan` shows what will be built, `wherry build -t NAME` builds it.")


def _say(text: str) -> None:
    click.echo(without_escapes(text), err=True)
