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
    """A file or directory of the host (``source``, absolute) that shows at ``target`` (absolute) in the container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command and the world it sees. ``env`` is complete: nothing of ours is added.

    ``argv[0]`` is looked up in ``env``'s PATH, inside the root. ``cwd`` is made if it is missing. ``files`` are small
    files shown over the root's own at absolute paths, such as ``/etc/resolv.conf``. ``hostname`` empty keeps the
    host's. Without ``randomized`` addresses are the same in every run (where the system allows it).
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    mounts: tuple[Mount, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    network: Network = "none"
    hostname: str = ""
    read_only: bool = False
    no_new_privileges: bool = True
    randomized: bool = True


@dataclass(frozen=True, slots=True)
class Overlay:
    """A writable view of ``lower``: what is written goes to ``upper``.

    That one is in ``folder``, with the empty ``work`` and ``merged``; :meth:`prepare` makes the three.
    """

    lower: Path
    folder: Path

    @property
    def upper(self) -> Path:
        """The directory that takes what the command writes."""
        return self.folder / "upper"

    def prepare(self) -> Overlay:
        """Make the directories; gives itself. The root directory keeps its owner and mode."""
        for name in ("upper", "work", "merged"):
            (self.folder / name).mkdir(parents=True)
        status = self.lower.stat()
        os.chown(self.upper, status.st_uid, status.st_gid)
        self.upper.chmod(stat.S_IMODE(status.st_mode))
        return self


Root = Path | Overlay


class Sandbox(Protocol):
    """Something that can run a command in a root filesystem."""

    def start(
        self, root: Root, command: Command, *, stdin: Stream = None, stdout: Stream = None, stderr: Stream = None
    ) -> subprocess.Popen[bytes]:
        """Start ``command`` in ``root``.

        Signals sent to the process given reach the command; its exit code is the command's, or 128 + the signal
        that ended it. Raises :class:`SandboxError` if there can be no sandbox here (:class:`OverlayError`: not
        with an overlay), :class:`CommandError` if the command cannot be started.
        """
