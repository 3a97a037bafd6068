"""Entering a user namespace: an ordinary user's process that may believe it is root (user_namespaces(7)).

With subordinate IDs (subuid(5)) the whole range of an image's users exists; without, only one.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.sandbox import child
from wherry.sandbox.builtin import refused

if TYPE_CHECKING:
    import subprocess

_DUMPABLE = 4  # PR_SET_DUMPABLE


@dataclass(frozen=True, slots=True)
class Namespace:
    """Where this process is now. ``ids`` is how many user IDs exist; ``why`` says why there is only one."""

    ids: int
    why: str = ""


def enter_user_namespace() -> Namespace | None:
    """Let this process be root in a user namespace of its own; None for root, who needs none.

    To be called once, before there are threads. The process keeps its number, its files and its terminal, and owns a
    mount namespace. Raises :class:`~wherry.sandbox.command.SandboxError` if the system forbids it.
    """
    if not sys.platform.startswith("linux") or os.geteuid() == 0:
        return None
    uid, gid = os.geteuid(), os.getegid()
    ranges, why = _ranges(uid)
    helper = _mapper(uid, gid, *ranges) if ranges else None
    libc = child.Libc()
    try:
        libc.call("unshare", child.NEWUSER | child.NEWNS)
    except OSError as error:
        if helper is not None:
            helper.communicate()
        raise refused("a user namespace is refused", error.errno or 0) from error
    if helper is not None:
        message = helper.communicate(b"go\n")[1].decode(errors="replace").strip()
        if helper.returncode:
            why = f"newuidmap failed ({message})"
    try:
        _map_one("uid_map", uid)
        _map_one("gid_map", gid)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        libc.call("prctl", _DUMPABLE, 1, 0, 0, 0)
    except OSError as error:
        raise refused("the user namespace's IDs cannot be mapped", error.errno or 0) from error
    if not why:
        os.setgroups([])
    return Namespace(child.mapped_ids(), why)


def _map_one(name: str, number: int) -> None:
    """Map ``number`` to 0, unless the helper has written a map."""
    if Path(f"/proc/self/{name}").read_text():
        return
    if name == "gid_map":
        child.write_map("setgroups", "deny")
    child.write_map(name, f"0 {number} 1")


def _ranges(uid: int) -> tuple[tuple[list[tuple[int, int]], list[tuple[int, int]]] | None, str]:
    """This user's subordinate user and group IDs as (first, count), or why there are none."""
    import pwd
    import shutil

    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    for program in ("newuidmap", "newgidmap"):
        if shutil.which(program) is None:
            return None, f"{program} is not installed (Debian's package uidmap)"
    found = []
    for path in ("/etc/subuid", "/etc/subgid"):
        ranges = read_ranges(Path(path), {name, str(uid)})
        if not ranges:
            return None, f"{path} has no line for {name}"
        found.append(ranges)
    return (found[0], found[1]), ""


def read_ranges(path: Path, names: set[str]) -> list[tuple[int, int]]:
    """The ranges that the file at ``path`` gives to one of ``names`` (subuid(5)); none if it cannot be read."""
    try:
        lines = [line.strip().split(":") for line in path.read_text().splitlines()]
    except OSError:
        return []
    return [
        (int(parts[1]), int(parts[2]))
        for parts in lines
        if len(parts) == 3 and parts[0] in names and parts[1].isdigit() and parts[2].isdigit() and int(parts[2])
    ]


def _mapper(uid: int, gid: int, uids: list[tuple[int, int]], gids: list[tuple[int, int]]) -> subprocess.Popen[bytes]:
    """A process outside of the namespace to come, which maps our IDs when told so: only such a one may."""
    import subprocess

    def words(own: int, ranges: list[tuple[int, int]]) -> str:
        triples = [f"0 {own} 1"]
        inside = 1
        for first, count in ranges:
            triples.append(f"{inside} {first} {count}")
            inside += count
        return " ".join(triples)

    pid = os.getpid()
    script = f"read -r go && newuidmap {pid} {words(uid, uids)} && newgidmap {pid} {words(gid, gids)}"
    return subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
