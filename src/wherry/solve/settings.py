"""How RUN is run: what the user says of the sandbox and lends to it, none of which changes a cache key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from wherry.errors import UsageError
from wherry.plan import Run

LARGEST_SECRET = 500 << 10
"""Bytes; as BuildKit has it."""

Isolation = Literal["default", "oci", "chroot"]
Entitlement = Literal["network.host", "security.insecure"]


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret: the content of a file, or of an environment variable. Never part of a Plan, a key, a log or a layer."""

    path: Path | None = None
    env: str = ""

    def read(self, name: str) -> bytes:
        """Its value, never kept. Raises :class:`UsageError`, which calls it ``name``, if it cannot be had."""
        if self.path is None:
            try:
                return os.environb[os.fsencode(self.env)]
            except KeyError:
                raise UsageError(f"secret {name!r}: the variable {self.env} is not set") from None
        try:
            value = self.path.read_bytes()
        except OSError as error:
            raise UsageError(f"secret {name!r}: cannot read {self.path}: {error.strerror}") from error
        if len(value) > LARGEST_SECRET:
            raise UsageError(f"secret {name!r} has {len(value)} bytes, more than {LARGEST_SECRET}")
        return value


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A limit of a process's resources (setrlimit(2)); -1 is no limit."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What the command line says of RUN; names as docker build has them.

    ``secrets`` and ``ssh`` (sockets) are by id; ``hosts`` are added to /etc/hosts; ``shm_size`` is in bytes;
    ``host_certs`` shows this machine's certificate bundles; ``shell_on_failure`` opens a shell where RUN failed.
    ``allow`` is what a Dockerfile may ask for beyond the usual.
    """

    isolation: Isolation = "default"
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    ssh: Mapping[str, Path] = field(default_factory=dict)
    hosts: tuple[tuple[str, str], ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = 64 << 20
    cgroup_parent: str = ""
    host_certs: bool = False
    shell_on_failure: bool = False
    allow: frozenset[Entitlement] = frozenset({"network.host"})

    def check(self, run: Run) -> None:
        """Raise :class:`UsageError` if ``run`` asks for something that is not allowed."""
        asked: dict[Entitlement, bool] = {
            "security.insecure": run.security == "insecure",
            "network.host": run.network == "host",
        }
        for name, wanted in asked.items():
            if wanted and name not in self.allow:
                raise UsageError(f"{name} is not allowed", hint=f"If you trust the Dockerfile: --allow {name}")
