"""What :mod:`wherry.sandbox.builtin` tells :mod:`wherry.sandbox.child`; plain values, sent with :mod:`marshal`."""

from __future__ import annotations

from typing import TypedDict


class Spec(TypedDict):
    """The fields of a :class:`~wherry.sandbox.command.Command` and its root, reduced to what marshal knows."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    uid: int
    gid: int
    groups: list[int]
    mounts: list[tuple[str, str, bool]]
    files: dict[str, bytes]
    network: str
    hostname: str
    read_only: bool
    no_new_privileges: bool
    randomized: bool
    root: str
    overlay: tuple[str, str] | None
    """(lower directory, folder of upper, work and merged); then ``root`` is the folder's ``merged``."""
