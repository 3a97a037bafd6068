"""What is to be run, and the small interface behind which it is run."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, Protocol

from wherry.errors import WherryError

Network = Literal["none", "host"]
MountKind = Literal["bind", "overlay", "tmpfs"]
Security = Literal["sandbox", "insecure"]
Stream = int | IO[bytes] | None
"""What :class:`subprocess.Popen` takes: None inherits ours."""


class SandboxError(WherryError):
    """No sandbox could be made here."""


class OverlayError(SandboxError):
    """An overlay cannot be mounted here; a plain directory may still do."""


class CommandError(WherryError):
    """The sandbox stands, but its command cannot be started.

    ``exit_code`` is 127 for a command that is not there and 126 for one that cannot be executed, as in a shell.
    """

    def __init__(self, message: str, *, exit_code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Mount:
    """A file, directory or socket of the host (``source``) that shows at ``target`` (absolute) in the container.

    ``source`` is opened by the host's rules: for a path in something hostile it must be a real one, without links.
    The other kinds are made by :meth:`overlay` and :meth:`tmpfs`. Nobody can use device nodes in directories shown.
    """

    source: Path
    target: str
    read_only: bool = False
    kind: MountKind = "bind"
    lowers: tuple[Path, ...] = ()
    size: int = 0
    mode: int = 0

    @classmethod
    def overlay(cls, lowers: tuple[Path, ...], target: str) -> Mount:
        """A view of the directories ``lowers``, topmost first (or of one file), that takes writes and forgets them."""
        return cls(lowers[0], target, kind="overlay", lowers=lowers)

    @classmethod
    def tmpfs(cls, target: str, *, size: int = 0, mode: int = 0) -> Mount:
        """An empty directory in memory; ``size`` in bytes, 0 for what the system allows.

        Without ``mode`` it has that of the directory which it covers, 1777 if there is none.
        """
        return cls(Path("tmpfs"), target, kind="tmpfs", size=size, mode=mode)


@dataclass(frozen=True, slots=True)
class File:
    """A small file that only the command sees. Its content stays in memory, where the sandbox can mount anything."""

    data: bytes = field(repr=False)
    mode: int = 0o400
    uid: int = 0
    gid: int = 0
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A limit of the command's processes (setrlimit(2)), named as in ``nofile``; -1 is no limit."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Command:
    """A command and the world it sees. ``env`` is complete: nothing of ours is added.

    ``argv[0]`` is looked up in ``env``'s PATH, inside the root. ``cwd`` is made if it is missing, and belongs to
    the user then. ``files`` are small
    files shown over the root's own at absolute paths, such as ``/etc/resolv.conf``; plain bytes make one that
    everybody can read and root can write. ``hostname`` empty keeps the host's. Without ``randomized`` addresses are
    the same in every run (where the system allows it). ``security`` "insecure" leaves root all capabilities, /proc and
    /sys unmasked and device nodes usable. ``cgroup_parent`` is for a sandbox with control groups.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    mounts: tuple[Mount, ...] = ()
    files: Mapping[str, bytes | File] = field(default_factory=dict)
    network: Network = "none"
    hostname: str = ""
    read_only: bool = False
    no_new_privileges: bool = True
    randomized: bool = True
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = 64 << 20
    security: Security = "sandbox"
    cgroup_parent: str = ""

    @property
    def all_groups(self) -> tuple[int, ...]:
        """The supplementary groups: the command's own is one of them, as with Docker."""
        return tuple(dict.fromkeys((self.gid, *self.groups)))


@dataclass(frozen=True, slots=True, init=False)
class Overlay:
    """A writable view of ``lowers``, topmost first: what is written goes to ``upper``.

    That one is in ``folder``, with the empty ``work`` and ``merged``; :meth:`prepare` makes the three. After the
    command ``upper`` holds plain files, whiteouts (character devices 0:0) and opaque directories
    (``trusted.overlay.opaque``, in a user namespace ``user.overlay.opaque``), and nothing else of overlayfs.
    """

    lowers: tuple[Path, ...]
    folder: Path

    def __init__(self, lowers: Path | tuple[Path, ...], folder: Path) -> None:
        object.__setattr__(self, "lowers", (lowers,) if isinstance(lowers, Path) else tuple(lowers))
        object.__setattr__(self, "folder", folder)

    @property
    def lower(self) -> Path:
        """The topmost of the lower directories."""
        return self.lowers[0]

    @property
    def upper(self) -> Path:
        """The directory that takes what the command writes."""
        return self.folder / "upper"

    def prepare(self) -> Overlay:
        """Make the directories; gives itself. The root directory keeps its owner, mode and time."""
        for name in ("upper", "work", "merged"):
            (self.folder / name).mkdir(parents=True)
        status = self.lower.stat()
        os.chown(self.upper, status.st_uid, status.st_gid)
        self.upper.chmod(stat.S_IMODE(status.st_mode))
        os.utime(self.upper, ns=(status.st_atime_ns, status.st_mtime_ns))
        return self


Root = Path | Overlay


class Sandbox(Protocol):
    """Something that can run a command in a root filesystem."""

    def start(
        self, root: Root, command: Command, *, stdin: Stream = None, stdout: Stream = None, stderr: Stream = None
    ) -> subprocess.Popen[bytes]:
        """Start ``command`` in ``root``.

        Signals sent to the process given reach the command; its exit code is the command's, or 128 + the signal
        that ended it. When it has ended, so has all that the command left running, and what had to be made in the
        root to mount files and mounts on is gone again, unless something was written there. Directories for /proc,
        /sys, /dev and ``cwd`` stay, as with Docker.

        Raises :class:`SandboxError` if there can be no sandbox here (:class:`OverlayError`: not with an overlay),
        :class:`CommandError` if the command cannot be started.
        """
