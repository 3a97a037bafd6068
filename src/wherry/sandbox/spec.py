"""What :mod:`wherry.sandbox.builtin` tells :mod:`wherry.sandbox.child`; plain values, sent with :mod:`marshal`."""

from __future__ import annotations

from typing import TypedDict

MountSpec = tuple[str, list[str], str, bool, int, int]
"""Kind, sources (for an overlay: several), target, read-only, size, mode."""

FileSpec = tuple[bytes, int, int, int, bool]
"""Data, mode, user, group, read-only."""


class RuntimeSpec(TypedDict):
    """An OCI runtime and what it is told."""

    argv: list[str]
    stage: str
    """A directory to cover: there are the runtime's state, its bundle, and in ``root`` the root filesystem."""
    config: str
    late: dict[str, str]
    """Targets of mounts and files that the runtime is to bind, and where in the stage it finds them."""
    group: str
    """The control group: a path, relative to ours unless it is absolute; empty for none."""


class Spec(TypedDict):
    """The fields of a :class:`~wherry.sandbox.command.Command` and its root, reduced to what marshal knows."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    uid: int
    gid: int
    groups: list[int]
    mounts: list[MountSpec]
    files: dict[str, FileSpec]
    network: str
    hostname: str
    read_only: bool
    no_new_privileges: bool
    randomized: bool
    ulimits: list[tuple[str, int, int]]
    shm_size: int
    insecure: bool
    cgroup_parent: str
    root: str
    """For an overlay: where it is to be mounted."""
    overlay: tuple[list[str], str] | None
    """(lower directories, folder of upper, work and merged)."""
    runtime: RuntimeSpec | None
    """The OCI runtime that starts the command; none for the built-in sandbox."""
