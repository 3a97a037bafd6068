"""The options of ``wherry build`` that concern Dockerfiles and RUN, named and written as docker build has them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from wherry.errors import UsageError, did_you_mean
from wherry.solve.settings import Entitlement, RunSettings, Secret, Ulimit

F = TypeVar("F", bound=Callable[..., object])

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_LIMITS = (
    *("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss"),
    *("rtprio", "rttime", "sigpending", "stack"),
)


def dockerfile_options(function: F) -> F:
    """Add the options that say which Dockerfile is built, and what of it."""
    for option in reversed(
        (
            click.option("-f", "--file", metavar="PATH", help="The Dockerfile; - reads it from standard input."),
            click.option(
                "--frontend",
                type=click.Choice(["auto", "dockerfile", "project"]),
                default="auto",
                show_default=True,
                help="What to build from; auto takes a Dockerfile where there is one.",
            ),
            click.option(
                "--build-arg", "build_args", multiple=True, metavar="NAME[=VALUE]", help="A build argument; many times."
            ),
            click.option("--target", metavar="STAGE", help="The stage to build."),
            click.option(
                "--build-context",
                "build_contexts",
                multiple=True,
                metavar="NAME=VALUE",
                help="A named context: a folder, docker-image://…, oci-layout://…, debian://…, a git or tar URL.",
            ),
            click.option(
                "--no-cache-filter",
                "no_cache_filters",
                multiple=True,
                metavar="STAGE",
                help="Do the steps of this stage again.",
            ),
        )
    ):
        function = option(function)
    return function


def run_options(function: F) -> F:
    """Add the options that say how RUN is run."""
    for option in reversed(
        (
            click.option(
                "--secret",
                "secrets",
                multiple=True,
                metavar="id=ID[,src=PATH|,env=NAME]",
                help="A secret for RUN --mount=type=secret.",
            ),
            click.option(
                "--ssh",
                "ssh",
                multiple=True,
                metavar="default|ID=SOCKET",
                help="An agent's socket for RUN --mount=type=ssh.",
            ),
            click.option(
                "--network",
                type=click.Choice(["default", "none", "host"]),
                default="default",
                show_default=True,
                help="The network of RUN.",
            ),
            click.option("--add-host", "hosts", multiple=True, metavar="NAME:IP", help="A line for RUN's /etc/hosts."),
            click.option("--ulimit", "ulimits", multiple=True, metavar="NAME=SOFT[:HARD]", help="A limit for RUN."),
            click.option("--shm-size", metavar="BYTES", help="The size of RUN's /dev/shm, such as 128m."),
            click.option("--cgroup-parent", metavar="PATH", help="Accepted as docker build has it."),
            click.option(
                "--isolation",
                type=click.Choice(["default", "oci", "chroot"]),
                default="default",
                show_default=True,
                help="What runs RUN: crun or runc (oci), or the built-in sandbox (chroot).",
            ),
            click.option(
                "--allow",
                "allowed",
                multiple=True,
                type=click.Choice(["network.host", "security.insecure"]),
                help="Let RUN have what it asks for: --security=insecure; --network=host beside --network none.",
            ),
            click.option("--host-certs", is_flag=True, help="Show this machine's certificates to RUN, in no layer."),
            click.option("--shell-on-failure", is_flag=True, help="Open a shell where a RUN failed."),
        )
    ):
        function = option(function)
    return function


def run_settings(
    *,
    secrets: tuple[str, ...],
    ssh: tuple[str, ...],
    hosts: tuple[str, ...],
    ulimits: tuple[str, ...],
    shm_size: str | None,
    cgroup_parent: str | None,
    isolation: str,
    allowed: tuple[Entitlement, ...],
    network: str,
    host_certs: bool,
    shell_on_failure: bool,
) -> RunSettings:
    """What the options say of RUN. Raises :class:`UsageError` for one that is written wrongly."""
    defaults = RunSettings()
    return RunSettings(
        isolation="oci" if isolation == "oci" else "chroot" if isolation == "chroot" else "default",
        secrets=dict(secret(text) for text in secrets),
        ssh=dict(agent(text) for text in ssh),
        hosts=tuple(host(text) for text in hosts),
        ulimits=tuple(ulimit(text) for text in ulimits),
        shm_size=size(shm_size, "--shm-size") if shm_size else defaults.shm_size,
        cgroup_parent=cgroup_parent or "",
        allow=frozenset(allowed) | (set() if network == "none" else defaults.allow),
        host_certs=host_certs,
        shell_on_failure=shell_on_failure,
    )


def build_arguments(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """``NAME=VALUE``, or ``NAME`` for this process's variable of that name, which is left out if it is not set."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"--build-arg {text!r} has no name", hint="Write it as NAME=VALUE.")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return tuple(found.items())


def secret(text: str) -> tuple[str, Secret]:
    """Read ``id=ID[,src=PATH|,env=NAME]``; without a source it is the variable ID, or else the file ID."""
    fields = _fields(text, "--secret", {"id", "src", "source", "env", "type"})
    kind = fields.get("type", "")
    if kind not in {"", "file", "env"}:
        raise UsageError(f"--secret {text!r}: unknown type {kind!r}", hint="Choose file or env.")
    path = fields.get("src") or fields.get("source") or ""
    variable = fields.get("env", "")
    name = fields.get("id") or Path(path).name or variable
    if not name:
        raise UsageError(f"--secret {text!r} has no id", hint="Write it as id=ID,src=PATH or id=ID,env=NAME.")
    if kind == "env" and path:
        path, variable = "", path
    if not path and not variable:
        if kind != "file" and name in os.environ:
            variable = name
        else:
            path = name
    if path and not Path(path).is_file():
        raise UsageError(f"--secret {name}: there is no file {path}")
    return name, Secret(Path(path).absolute() if path else None, variable)


def agent(text: str) -> tuple[str, Path]:
    """Read ``default`` or ``ID[=SOCKET]``; without a socket it is SSH_AUTH_SOCK's."""
    name, _, path = text.partition("=")
    path = path or os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise UsageError(f"--ssh {text}: no agent is running", hint="Start ssh-agent, or name a socket: ID=SOCKET.")
    if not Path(path).is_socket():
        raise UsageError(f"--ssh {text}: {path} is not a socket", hint="Load keys into ssh-agent, and name its socket.")
    return name or "default", Path(path).absolute()


def host(text: str) -> tuple[str, str]:
    """Read ``NAME:IP`` or ``NAME=IP``; IPv6 may stand in brackets."""
    import ipaddress

    name, _, address = text.partition("=" if "=" in text else ":")
    address = address.removeprefix("[").removesuffix("]")
    if address == "host-gateway":
        address = "127.0.0.1"  # RUN is in this machine's own network
    try:
        return _named(name), str(ipaddress.ip_address(address))
    except ValueError:
        raise UsageError(f"--add-host {text!r} is not a host", hint="Write it as NAME:IP.") from None


def _named(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ValueError(name)
    return name


def ulimit(text: str) -> Ulimit:
    """Read ``NAME=SOFT[:HARD]``; -1 or unlimited is no limit."""
    name, _, values = text.partition("=")
    if name not in _LIMITS:
        raise UsageError(f"--ulimit {text!r}: there is no limit {name!r}", hint=did_you_mean(name, _LIMITS))
    soft, _, hard = values.partition(":")
    try:
        low = _limit(soft)
        return Ulimit(name, low, _limit(hard) if hard else low)
    except ValueError:
        raise UsageError(f"--ulimit {text!r} is not a limit", hint="Write it as nofile=1024:2048.") from None


def _limit(text: str) -> int:
    return -1 if text in {"-1", "unlimited"} else int(text)


def size(text: str, option: str) -> int:
    """Read a number of bytes such as ``64m``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", text.strip().lower())
    if not found:
        raise UsageError(f"{option} {text!r} is not a size", hint="Write it as 64m or 1g.")
    return int(float(found[1]) * _UNITS[found[2]])


def _fields(text: str, option: str, known: set[str]) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not equals and name in known:
            raise UsageError(f"{option} {text!r}: {name} has no value", hint=f"Write it as {name}=….")
        if name not in known:
            raise UsageError(f"{option} {text!r}: unknown field {name!r}", hint=did_you_mean(name, known))
        fields[name] = value
    return fields
