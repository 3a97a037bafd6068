"""Images as root filesystems: unpacked once, kept in the store, never written to.

Their names (see :mod:`~wherry.solve.folders`) tell the layers, and whose the files are: those of the image's users if
they exist here, else all ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import WherryError
from wherry.image import Digest, Image, Platform
from wherry.solve.folders import Rootfs, open_folder
from wherry.solve.keys import cache_key
from wherry.store import Store
from wherry.store.files import storing
from wherry.target import Interpreter

if TYPE_CHECKING:
    import subprocess

    from wherry.layers.records import Row
    from wherry.sandbox import Network

Launch = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]
"""Starts an interpreter with the given arguments, its standard streams pipes (as in :mod:`wherry.wheels.bytecode`)."""

Note = Callable[[str], None]

_NETWORKS: tuple[Network, ...] = ("none", "host")  # the better one first; a plain chroot only has the other
_ONE_USER = (
    "this user has no subordinate IDs (Debian's package uidmap, a line in /etc/subuid and in /etc/subgid): "
    "all files of the image belong to one user in the container"
)


def open_rootfs(image: Image, store: Store, note: Note | None = None) -> Rootfs:
    """The root filesystem of ``image``, unpacked if it is not yet. Not to be written to.

    ``note`` is told what cannot be had here. Raises :class:`WherryError` if a layer is missing or bad.
    """
    tell = note or (lambda text: None)
    return open_folder(store, rootfs_name(image), lambda new: unpack_into(image, store, new, tell))


def unpack_into(image: Image, store: Store, root: Path, note: Note) -> None:
    """Make the directory ``root`` a root filesystem of ``image``, for the caller to do with what they like."""
    from wherry.layers.records import has_records, keep_records
    from wherry.layers.unpack import unpack

    def told(layer: Path, rows: Sequence[Row]) -> None:
        """A COPY that wants to know what is in it need not read it again."""
        digest = Digest(f"sha256:{layer.name}")
        if not has_records(store, digest):
            keep_records(store, digest, rows)

    store.blobs.bring(layer.descriptor.digest for layer in image.layers)
    layers = [store.blobs.file(layer.descriptor.digest) for layer in image.layers]
    owners, _ = users_here()
    with storing(root):
        root.mkdir()
        os.chown(root, -1, os.getegid())  # a store may hand on its own group, which need not exist in a container
        root.chmod(0o755)
    unpacked = unpack(layers, root, owners=owners, told=told)
    if not owners:
        note(_ONE_USER)
    if unpacked.skipped:
        note(f"device nodes of the image cannot be made here and are left out: {', '.join(unpacked.skipped[:5])}")


def interpreter_launcher(image: Image, interpreter: Interpreter, store: Store) -> tuple[Launch | None, str]:
    """What starts ``interpreter`` of ``image`` in the sandbox, or None and why it cannot run here.

    The launcher may be called from any thread. The process has no network, may write nothing, and has the
    same addresses and hashes in every run.
    """
    if not sys.platform.startswith("linux"):
        return None, "running it needs Linux"
    platform, native = image.config.platform, Platform.native()
    if platform != native:
        return None, f"it is for {platform}, and this machine is {native}"
    root = open_rootfs(image, store)
    reason = ""
    for network in _NETWORKS:
        launch = _launcher(root, image, interpreter, network)
        here = _here()
        key = cache_key("runs", root=root.path.parent.name, python=interpreter.executable, network=network, here=here)
        if here and store.cache.get(key) is not None:
            return launch, ""
        try:
            with launch(["-S", "-c", "pass"]) as process:
                process.communicate()
        except WherryError as error:
            reason = reason or error.message
            continue
        if process.returncode:
            return None, f"{interpreter.executable} ends with exit code {process.returncode}"
        if here:
            store.cache.put(key, {})
        return launch, ""
    return None, reason


def _here() -> str:
    """This run of this machine and this user's namespaces in it: what started in them once starts again. Or nothing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        spaces = [str(Path("/proc/self/ns", name).readlink()) for name in ("user", "mnt", "pid")]
    except OSError:
        return ""
    return " ".join((boot, str(os.geteuid()), *spaces))


def _launcher(root: Rootfs, image: Image, interpreter: Interpreter, network: Network) -> Launch:
    import subprocess

    from wherry.sandbox import BuiltinSandbox, Command

    env = {name: value for name, value in image.config.runtime.environment().items() if not name.startswith("PYTHON")}
    env |= {"HOME": "/", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}

    def launch(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        argv = (interpreter.executable, *arguments)
        command = Command(argv, env, network=network, read_only=True, randomized=False)
        pipe = subprocess.PIPE
        return BuiltinSandbox().start(root.path, command, stdin=pipe, stdout=pipe, stderr=pipe)

    return launch


def rootfs_name(image: Image) -> str:
    """The name of the directory that ``image`` is unpacked in."""
    # By the blobs, whose digests were checked: what a foreign config says of its layers' diff IDs, nobody has checked.
    layers = (layer.descriptor.digest for layer in image.layers)
    return sha256(" ".join((*layers, *map(str, users_here()))).encode()).hexdigest()[:32]


def users_here() -> tuple[bool, str]:
    """Whether the users of an image exist here, so that files can be theirs; and who all of them are outside."""
    ours = f"{os.geteuid()} {os.getegid()}"
    if os.geteuid() != 0:
        return False, ours
    try:
        uids, gids = (Path(f"/proc/self/{name}").read_text().split() for name in ("uid_map", "gid_map"))
    except OSError:
        return True, ours  # no /proc: root, in some chroot
    if uids[2:] == ["1"]:  # inside, outside, count
        return False, f"{uids[1]} {gids[1]}"
    return True, " ".join([*uids, "/", *gids])
