"""``wherry logout``: forget the login for a registry."""

from __future__ import annotations

import click

import wherry


@click.command("logout")
@click.argument("registry", default="docker.io")
def command(registry: str) -> None:
    """Forget the login for REGISTRY (HOST[:PORT]), also for Docker or Podman."""
    found = wherry.logout(registry)
    click.echo(f"Logged out of {registry}." if found else f"There was no login for {registry}.", err=True)
