"""The files of both builders' images: where they differ, times of the same Dockerfile mean nothing."""

from __future__ import annotations

import tarfile
from pathlib import Path

from bench.builders import Bench

Entry = tuple[bytes, int, int, int, int, str]
"""Type, mode, owner, group, size and link target."""


def compare(bench: Bench, store: Path, context: Path) -> None:
    """Build ``context`` once more with both, all cached, and end the program if the results are not alike.

    What must be the same: names, and all of an :data:`Entry` but the size of bytecode, which Python does not always
    write alike.
    """
    archives = [bench.folder / f"{name}.tar" for name in ("ours", "theirs")]
    bench.ours(store, context, "-o", f"type=tar,dest={archives[0]}")
    bench.theirs(context, "--output", f"type=tar,dest={archives[1]}")
    ours, theirs = map(_read, archives)
    for archive in archives:
        bench.remove(archive)
    if found := sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)):
        lines = [f"{name}: {ours.get(name)} in wherry's, {theirs.get(name)} in Docker's" for name in found[:20]]
        raise SystemExit("\n".join([f"{context.name}: {len(found)} files differ", *lines]))


def _read(archive: Path) -> dict[str, Entry]:
    with tarfile.open(archive) as file:
        members = {member.name.strip("/"): member for member in file}
    found = {}
    for name, member in members.items():
        seen = members[member.linkname.strip("/")] if member.islnk() else member
        size = 0 if name.endswith(".pyc") else seen.size
        found[name] = (seen.type, seen.mode, seen.uid, seen.gid, size, seen.linkname)
    return found
