"""``wherry login``: keep a login for a registry, where Docker and Podman find it, too."""

from __future__ import annotations

import sys

import click

import wherry
from wherry.cli.options import insecure_option
from wherry.errors import UsageError


@click.command("login")
@click.argument("registry", default="docker.io")
@click.option("-u", "--username", metavar="USER", help="Asked for if it is not given.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@insecure_option
def command(registry: str, *, username: str | None, password_stdin: bool, insecure: tuple[str, ...]) -> None:
    """Log in to REGISTRY (HOST[:PORT]) and keep the login, if the registry accepts it.

    There is no option for a password: other users of this machine would see it in the list of processes.
    """
    if password_stdin:
        if not username:
            raise UsageError("--password-stdin needs --username")
        password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    elif sys.stdin is not None and sys.stdin.isatty():
        username = username or click.prompt("Username", err=True)
        password = click.prompt("Password", hide_input=True, err=True)
    else:
        raise UsageError("a password is asked for on a terminal alone", hint="Elsewhere: --password-stdin.")
    if not password:
        raise UsageError("the password is empty")
    kept = wherry.login(registry, username or "", password, insecure=insecure)
    click.echo(f"Logged in to {registry}; the login is in {kept}.", err=True)
