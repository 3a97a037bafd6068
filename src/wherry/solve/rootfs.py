"""Images as root filesystems: unpacked once, kept in the store, never written to.

``rootfs/KEY/root`` is one (``new`` while it is being unpacked). The key tells its layers, and whose its files are:
those of the image's users if they exist here, else all ours. ``rootfs/KEY/lock`` is held (shared) by who uses it; its
time is that of the last use. Few are kept, those used last.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import WherryError
from wherry.image import Image, Platform
from wherry.solve.keys import cache_key
from wherry.store import Store
from wherry.store.files import remove_tree, storing
from wherry.target import Interpreter

if TYPE_CHECKING:
    import subprocess

    from wherry.sandbox import Network

Launch = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]
"""Starts an interpreter with the given arguments, its standard streams pipes (as in :mod:`wherry.wheels.bytecode`)."""

Note = Callable[[str], None]

_KEPT = 6
_NETWORKS: tuple[Network, ...] = ("none", "host")  # the better one first; a plain chroot only has the other
_ONE_USER = (
    "this user has no subordinate IDs (Debian's package uidmap, a line in /etc/subuid and in /etc/subgid): "
    "all files of the image belong to one user in the container"
)
_MOUNT_POINTS = ("proc", "sys", "dev")


class Rootfs:
    """A root filesystem in use: ``path`` stays there until :meth:`close`, or until nobody knows this object."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._close = weakref.finalize(self, os.close, lock)

    def __enter__(self) -> Rootfs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let it go."""
        self._close()


def open_rootfs(image: Image, store: Store, note: Note | None = None) -> Rootfs:
    """The root filesystem of ``image``, unpacked if it is not yet. Not to be written to.

    ``note`` is told what cannot be had here. Raises :class:`WherryError` if a layer is missing or bad.
    """
    store.scratch()  # says to other processes that the store is in use
    folder = _folder(image, store)
    root = folder / "root"
    with storing(folder), store.once(f"rootfs {folder.name}"):
        folder.mkdir(parents=True, exist_ok=True)
        made = not root.is_dir()
        if made:
            new = folder / "new"
            if new.exists():  # left by a process that was killed
                remove_tree(new)
            try:
                unpack_into(image, store, new, note or (lambda text: None))
            except BaseException:
                if new.exists():
                    remove_tree(new)
                raise
            new.replace(root)
        used = Rootfs(root, _use(folder / "lock"))
    if made:
        _trim(store, _KEPT)
    return used


def unpack_into(image: Image, store: Store, root: Path, note: Note) -> None:
    """Make the directory ``root`` a root filesystem of ``image``, for the caller to do with what they like."""
    from wherry.layers.unpack import unpack

    layers = [store.blobs.path(layer.descriptor.digest) for layer in image.layers]
    for path in layers:
        if not path.is_file():
            raise WherryError(f"layer sha256:{path.name} is missing from the store", hint="Build the image again.")
    owners, _ = _users()
    with storing(root):
        root.mkdir()
        os.chown(root, -1, os.getegid())  # a store may hand on its own group, which need not exist in a container
        root.chmod(0o755)
    unpacked = unpack(layers, root, owners=owners)
    if not owners:
        note(_ONE_USER)
    if unpacked.skipped:
        note(f"device nodes of the image cannot be made here and are left out: {', '.join(unpacked.skipped[:5])}")
    for name in _MOUNT_POINTS:
        with suppress(FileExistsError):
            (root / name).mkdir(0o755)


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
        key = cache_key("runs", root=root.path.name, python=interpreter.executable, network=network, here=here)
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


def _folder(image: Image, store: Store) -> Path:
    # By the blobs, whose digests were checked: what a foreign config says of its layers' diff IDs, nobody has checked.
    layers = (layer.descriptor.digest for layer in image.layers)
    key = sha256(" ".join((*layers, *map(str, _users()))).encode()).hexdigest()
    return store.path / "rootfs" / key[:32]


def _users() -> tuple[bool, str]:
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


def _use(lock: Path) -> int:
    """Lock the file at ``lock`` as one of its users; gives the handle that holds the lock."""
    import fcntl

    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.flock(handle, fcntl.LOCK_SH)
    os.utime(handle)
    return handle


def _trim(store: Store, most: int) -> None:
    """Remove root filesystems that nobody uses until ``most`` are left, those first that were used long ago."""
    folders = list((store.path / "rootfs").glob("*"))
    for folder in sorted(folders, key=_last_use, reverse=True)[most:]:
        with storing(folder), store.once(f"rootfs {folder.name}"), _unused(folder / "lock") as unused:
            if unused:
                remove_tree(folder)


def _last_use(folder: Path) -> float:
    try:
        return (folder / "lock").stat().st_mtime
    except FileNotFoundError:
        return 0


@contextmanager
def _unused(lock: Path) -> Iterator[bool]:
    """Whether nobody holds the lock at ``lock``."""
    import fcntl

    try:
        handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)
