"""The files of a stage on the disk: the base unpacked once, and over it one directory for each layer of a step.

A directory of a layer is an overlay's upper one, kept under the step's state; where it is gone, it is unpacked again.
Where there are no overlays, one directory holds all (see :func:`take_full`), and a command works in it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from wherry.image import Image, Layer
from wherry.solve.folders import Rootfs, begin_folder, find_folder, open_folder, take_folder
from wherry.solve.rootfs import open_rootfs, rootfs_name, unpack_into, users_here
from wherry.solve.snapshot import Added, Snapshot
from wherry.solve.work import Work
from wherry.store.files import remove_tree

Note = Callable[[str], None]

_MOST = 60
"""So many directories lie over one another at most; what is below them is one."""


def state_folder(state: str) -> str:
    """The name of the directory for what the step that came to ``state`` changed."""
    return "state-" + _named(state)


def full_folder(state: str) -> str:
    """The name of the directory that holds all files of ``state``."""
    return "full-" + _named(state)


@contextmanager
def open_stack(snapshot: Snapshot, work: Work, note: Note) -> Iterator[tuple[Path, ...]]:
    """The directories that an overlay shows as the files of ``snapshot``, topmost first; not to be written to."""
    with ExitStack() as stack:
        lowers: list[Rootfs] = []
        at = len(snapshot.added)
        while at and len(lowers) < _MOST and snapshot.added[at - 1].state:
            at -= 1
            lowers.append(stack.enter_context(_open_state(snapshot.added[at], work)))
        below = _image(snapshot, at)
        lowers.append(stack.enter_context(open_rootfs(below, work.store, note)))
        yield tuple(one.path for one in lowers)


@contextmanager
def open_layers(snapshot: Snapshot, work: Work) -> Iterator[Sequence[tuple[Layer, Path | None]]]:
    """The layers of ``snapshot``, lowest first, each with a directory that holds its files, where there is one."""
    with ExitStack() as stack:

        def find(name: str) -> Path | None:
            found = find_folder(work.store, name)
            return stack.enter_context(found).path if found else None

        full = find(full_folder(snapshot.state)) if snapshot.state else None
        base = full or (find(rootfs_name(snapshot.base)) if snapshot.base.layers else None)
        places: list[tuple[Layer, Path | None]] = [(layer, base) for layer in snapshot.base.layers]
        for added in snapshot.added:
            where = full or (find(state_folder(added.state)) if added.state else None)
            places.append((added.layer, where))
        yield places


def take_full(snapshot: Snapshot, work: Work, new_state: str, note: Note) -> Rootfs:
    """A directory with all files of ``snapshot``, for a command to change: it will be that of ``new_state``.

    That of an earlier step is used up for it, if there is one; what is missing in it is unpacked.
    """
    name = full_folder(new_state)
    states = [added.state for added in snapshot.added]
    for at in range(len(states), 0, -1):
        if not states[at - 1]:
            break
        taken = take_folder(work.store, full_folder(states[at - 1]), name)
        if taken is not None:
            rest = snapshot.added[at:]
            try:
                _unpack_onto(rest, work, taken.path)
            except BaseException:
                taken.close()
                remove_tree(taken.path)
                raise
            return taken
    taken = begin_folder(work.store, name)
    unpack_into(_image(snapshot, len(states)), work.store, taken.path, note)
    return taken


def _open_state(added: Added, work: Work) -> Rootfs:
    return open_folder(work.store, state_folder(added.state), lambda new: _unpack_upper(added.layer, work, new))


def _unpack_upper(layer: Layer, work: Work, new: Path) -> None:
    from wherry.layers.unpack import unpack

    new.mkdir()
    new.chmod(0o755)
    owners, _ = users_here()
    unpack([work.store.blobs.file(layer.descriptor.digest)], new, owners=owners, overlay=overlay_attributes())


def _unpack_onto(added: Sequence[Added], work: Work, root: Path) -> None:
    from wherry.layers.unpack import unpack

    if added:
        owners, _ = users_here()
        status = root.stat()
        work.store.blobs.bring(one.layer.descriptor.digest for one in added)
        blobs = [work.store.blobs.file(one.layer.descriptor.digest) for one in added]
        unpack(blobs, root, owners=owners)
        root.chmod(stat.S_IMODE(status.st_mode))


def overlay_attributes() -> str:
    """The beginning of the names of the extended attributes that overlays mounted by us believe."""
    from wherry.sandbox.child import mapped_ids

    return "trusted.overlay." if os.geteuid() == 0 and mapped_ids() == 0xFFFFFFFF else "user.overlay."


def _image(snapshot: Snapshot, count: int) -> Image:
    """The base with the first ``count`` layers that steps have added."""
    if not count:
        return snapshot.base
    layers = (*snapshot.base.layers, *(added.layer for added in snapshot.added[:count]))
    return Image.of(replace(snapshot.base.config, history=()), layers, {})


def _named(state: str) -> str:
    return sha256(" ".join((state, *map(str, users_here()))).encode()).hexdigest()[:32]
