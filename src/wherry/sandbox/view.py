"""Files as a command will see them, before there is a mount: directories that an overlay would lay over each other."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from wherry.sandbox.child import open_inside

_MOST_LINKS = 40


def read_file(lowers: Sequence[Path], path: str, most: int) -> bytes | None:
    """The first ``most`` bytes of the file at ``path`` in ``lowers``, topmost first; None if no regular file is there.

    Links are followed inside alone.
    """
    try:
        top, place = (lowers[0], path) if len(lowers) == 1 else _visible(lowers, path)
        descriptor = os.open(top, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        inside = open_inside(descriptor, place)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    try:
        if not stat.S_ISREG(os.fstat(inside).st_mode):
            return None
        with Path(f"/proc/self/fd/{inside}").open("rb") as file:
            return file.read(most)
    except OSError:
        return None
    finally:
        os.close(inside)


def _visible(lowers: Sequence[Path], path: str) -> tuple[Path, str]:
    """Where ``path`` leads in the view that an overlay of ``lowers`` gives: a directory of them, and the path in it.

    Raises OSError if it leads nowhere.
    """
    todo = path.split("/")[::-1]
    names: list[str] = []
    links = 0
    while todo:
        name = todo.pop()
        if name == "..":
            del names[-1:]
        elif name not in {"", "."}:
            names.append(name)
            layers = _layers(lowers, names)
            if not layers:
                raise FileNotFoundError(path)
            item = layers[0].joinpath(*names)
            if item.is_symlink():
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                names.pop()
                target = str(item.readlink())
                if target.startswith("/"):
                    names.clear()
                todo += target.split("/")[::-1]
    layers = _layers(lowers, names)
    if not layers:
        raise FileNotFoundError(path)
    return layers[0], "/".join(names)


def _layers(lowers: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """Those of ``lowers`` in which the real path of ``names`` can be seen: several for a directory."""
    layers = list(lowers)
    for number in range(1, len(names) + 1):
        seen: list[Path] = []
        for layer in layers:
            item = layer.joinpath(*names[:number])
            try:
                status = item.lstat()
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                seen.append(layer)
                if _is_opaque(item):
                    break
                continue
            if not seen and not (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0):  # a whiteout
                seen.append(layer)
            break
        layers = seen
    return layers


def _is_opaque(folder: Path) -> bool:
    for name in ("trusted.overlay.opaque", "user.overlay.opaque"):
        try:
            if os.getxattr(folder, name) == b"y":
                return True
        except OSError:
            continue
    return False
