"""Which sandbox there is here: an OCI runtime that really starts, or else the built-in one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from wherry.errors import WherryError
from wherry.sandbox.builtin import BuiltinSandbox
from wherry.sandbox.child import needs_user_namespace
from wherry.sandbox.command import Command, Mount, Sandbox, SandboxError
from wherry.sandbox.oci import OciSandbox

Isolation = Literal["default", "oci", "chroot"]

RUNTIMES = ("crun", "runc")
"""The OCI runtimes that are looked for, best first."""

_PATIENCE = 20
_MOST = 16  # answers that are kept

_probed: dict[str, str] = {}


def find_sandbox(
    isolation: Isolation = "default", *, note: Callable[[str], None] | None = None, memory: Path | None = None
) -> Sandbox:
    """The sandbox for ``isolation``: "oci", "chroot" (the built-in one), or "default": whichever works, OCI first.

    Whether a runtime works is tried once for each run of the machine and remembered in the file ``memory``, or else in
    this process. ``note`` is told what commands must do without. Raises :class:`SandboxError` if "oci" cannot be had.
    """
    if isolation == "chroot":
        return BuiltinSandbox(note)
    reasons = []
    for name in RUNTIMES:
        path = _runtime(name)
        if path is None:
            continue
        reason = _works(path, memory)
        if not reason:
            return OciSandbox(path, note)
        reasons.append(f"{name}: {reason}")
    if isolation == "oci":
        if reasons:
            raise SandboxError(
                f"no OCI runtime starts here ({'; '.join(reasons)})", hint="--isolation chroot needs none."
            )
        raise SandboxError(
            "there is no OCI runtime here", hint="Install crun or runc, or use --isolation chroot, which needs none."
        )
    return BuiltinSandbox(note)


def _runtime(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def _works(path: str, memory: Path | None) -> str:
    """Why the runtime at ``path`` cannot start a command here; empty if it can."""
    key = _key(path)
    known = _probed if memory is None else {**_recall(memory), **_probed}
    if key not in known:
        _probed[key] = _probe(path)
        if memory is not None:
            _remember(memory, key, _probed[key])
        return _probed[key]
    return known[key]


def _key(path: str) -> str:
    """This program in this run of this machine, with what this process may do."""
    status = Path(path).stat()
    words = [path, str(status.st_size), str(status.st_mtime_ns)]
    try:
        words.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        words.append(str(Path("/proc/self/ns/pid").readlink()))
        words += Path("/proc/self/uid_map").read_text().split()
        lines = Path("/proc/self/status").read_text().splitlines()
        words += (line.split()[1] for line in lines if line.startswith(("CapBnd:", "CapEff:", "Seccomp:")))
    except OSError:
        words.append(str(os.getpid()))
    return " ".join(words)


def _probe(path: str) -> str:
    """Start a command of this machine with the runtime at ``path``; why that fails, or nothing."""
    import subprocess
    import tempfile

    if needs_user_namespace():
        return "one user ID is not enough for it"
    mounts = [Mount(Path("/usr"), "/usr", read_only=True)]
    with tempfile.TemporaryDirectory(prefix="wherry-") as folder:
        root = Path(folder)
        for name in ("bin", "lib", "lib64", "sbin"):
            top = Path("/", name)
            if top.is_symlink():
                (root / name).symlink_to(top.readlink())
            elif top.is_dir():
                mounts.append(Mount(top, f"/{name}", read_only=True))
        command = Command(("true",), {"PATH": "/usr/bin:/bin"}, mounts=tuple(mounts), no_new_privileges=False)
        try:
            process = OciSandbox(path).start(
                root, command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            output = process.communicate(timeout=_PATIENCE)[0].decode("utf-8", "replace").strip()
        except WherryError as error:
            return error.message
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return f"it has not started anything after {_PATIENCE} seconds"
    if process.returncode:
        return output.splitlines()[-1] if output else f"exit code {process.returncode}"
    return ""


def _recall(memory: Path) -> dict[str, str]:
    try:
        found = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _remember(memory: Path, key: str, reason: str) -> None:
    known = {**_recall(memory), key: reason}
    text = json.dumps(dict(list(known.items())[-_MOST:]))
    new = memory.with_name(f"{memory.name}.{os.getpid()}")
    try:
        new.write_text(text)
        new.replace(memory)
    except OSError:
        new.unlink(missing_ok=True)
