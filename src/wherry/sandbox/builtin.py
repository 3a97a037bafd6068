"""The built-in sandbox as Wherry sees it: start the fresh interpreter, and understand what it says."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.sandbox.command import (
    Command,
    CommandError,
    File,
    Mount,
    Overlay,
    OverlayError,
    Root,
    SandboxError,
    Stream,
)

if TYPE_CHECKING:
    from wherry.sandbox.spec import FileSpec, MountSpec, RuntimeSpec, Spec

# Imported, so that its compiled form is used: compiling it takes longer than all the rest of a start.
_CHILD = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import child; child.begin()"


class BuiltinSandbox:
    """A :class:`~wherry.sandbox.command.Sandbox` of Linux namespaces; a plain chroot where root has none.

    ``note`` is told what the command must do without.
    """

    def __init__(self, note: Callable[[str], None] | None = None) -> None:
        self._note = note or (lambda text: None)

    def start(
        self, root: Root, command: Command, *, stdin: Stream = None, stdout: Stream = None, stderr: Stream = None
    ) -> subprocess.Popen[bytes]:
        """See :meth:`~wherry.sandbox.command.Sandbox.start`. The command ends when this process does."""
        return start_child(root, command, self._note, stdin=stdin, stdout=stdout, stderr=stderr)


def start_child(
    root: Root,
    command: Command,
    note: Callable[[str], None],
    *,
    runtime: RuntimeSpec | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
) -> subprocess.Popen[bytes]:
    """Start the fresh interpreter, which becomes the command's keeper; ``runtime`` starts the command."""
    if not sys.platform.startswith("linux"):
        raise SandboxError("running a command of an image needs Linux", hint="Run the image with docker or podman.")
    import marshal

    with ExitStack() as stack:
        spec = os.memfd_create("wherry")
        stack.callback(os.close, spec)
        os.write(spec, marshal.dumps(dict(_spec(root, command, runtime))))
        os.lseek(spec, 0, os.SEEK_SET)
        life, owner = os.pipe()
        stack.callback(os.close, life)
        status, reported = os.pipe()
        reports = stack.enter_context(os.fdopen(status, encoding="utf-8", errors="replace"))
        # A terminal's signals reach whom it belongs to; from anywhere else they come through us, once.
        terminal = stdin is None and is_terminal()
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _CHILD, str(spec), str(reported), str(life)],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(spec, reported, life),
                process_group=None if terminal else 0,
            )
        except BaseException:
            os.close(owner)
            raise
        finally:
            os.close(reported)
        # The child ends when this descriptor closes: with us, or with the last reference to the process.
        weakref.finalize(process, os.close, owner)
        lines = [line.rstrip("\n").split("\t", 2) for line in reports]
    ready = False
    for kind, number, text in lines:
        if kind == "note":
            note(text)
        elif kind == "exec":
            ready = True
        else:
            process.communicate()
            raise _error(kind, int(number), text)
    if not ready:
        process.communicate()
        raise SandboxError(f"the sandbox ended before its command began (exit code {process.returncode})")
    return process


def is_terminal() -> bool:
    """Whether our standard input is a terminal."""
    try:
        return os.isatty(0)
    except OSError:
        return False


def _spec(root: Root, command: Command, runtime: RuntimeSpec | None) -> Spec:
    return {
        "argv": list(command.argv),
        "env": dict(command.env),
        "cwd": command.cwd,
        "uid": command.uid,
        "gid": command.gid,
        "groups": list(command.all_groups),
        "mounts": [_mount(mount) for mount in sorted(command.mounts, key=lambda mount: mount.target)],
        "files": {path: _file(file) for path, file in sorted(command.files.items())},
        "network": command.network,
        "hostname": command.hostname,
        "read_only": command.read_only,
        "no_new_privileges": command.no_new_privileges,
        "randomized": command.randomized,
        "ulimits": [(limit.name, limit.soft, limit.hard) for limit in command.ulimits],
        "shm_size": command.shm_size,
        "insecure": command.security == "insecure",
        "cgroup_parent": command.cgroup_parent,
        "root": str((root.folder / "merged" if isinstance(root, Overlay) else root).absolute()),
        "overlay": ([str(path) for path in root.lowers], str(root.folder)) if isinstance(root, Overlay) else None,
        "runtime": runtime,
    }


def _mount(mount: Mount) -> MountSpec:
    sources = [str(path.absolute()) for path in mount.lowers or (mount.source,)]
    return (mount.kind, sources, mount.target, mount.read_only, mount.size, mount.mode)


def _file(file: bytes | File) -> FileSpec:
    """Plain bytes are what everybody may read, and root may change while the command runs."""
    if isinstance(file, bytes):
        return (file, 0o644, 0, 0, False)
    return (file.data, file.mode, file.uid, file.gid, file.read_only)


def _error(kind: str, number: int, text: str) -> SandboxError | CommandError:
    if kind == "command":
        return CommandError(text, exit_code=number)
    reason = f": {os.strerror(number).lower()}" if number else ""
    if kind == "overlay":
        return OverlayError(f"{text}{reason}")
    if kind == "user":
        return SandboxError(f"{text}{reason}", hint="Only the IDs that are mapped into this user namespace exist here.")
    if kind == "setup":
        return SandboxError(f"{text}{reason}")
    return refused(text, number)


def refused(text: str, number: int) -> SandboxError:
    """The error for what the system refused with error ``number``, with what may be done about it."""
    reason = f": {os.strerror(number).lower()}" if number else ""
    return SandboxError(f"{text}{reason}", hint=_hint(number))


def _hint(number: int) -> str | None:
    """What forbids namespaces here, as far as the system tells."""
    if number not in {errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS, errno.EINVAL, errno.ENOSYS}:
        return None
    for setting, forbidding in (
        ("kernel.apparmor_restrict_unprivileged_userns", "1"),
        ("kernel.unprivileged_userns_clone", "0"),
        ("user.max_user_namespaces", "0"),
    ):
        path = Path("/proc/sys") / setting.replace(".", "/")
        if path.is_file() and path.read_text().strip() == forbidding:
            better = {"1": "0", "0": "1"}[forbidding] if setting.startswith("kernel") else "15000"
            return f"This system forbids user namespaces: `sudo sysctl {setting}={better}` allows them, or run as root."
    return "This system (or a container around us) forbids namespaces: run as root, outside of it, or with docker."
