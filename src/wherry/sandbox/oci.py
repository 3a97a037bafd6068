"""A sandbox whose commands an OCI runtime starts (crun or runc): control groups and system call filters on top.

The runtime runs in mount and process namespaces of ours, where the overlay and the command's mounts are made: nothing
is mounted in the host's, nothing of the runtime outlives its process, and that one does not outlive us.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from wherry.image.json import Json
from wherry.sandbox.builtin import BuiltinSandbox, is_terminal, start_child
from wherry.sandbox.child import CAPABILITIES, GROUP, MASKED, READ_ONLY, mapped_ids, needs_user_namespace, permitted
from wherry.sandbox.command import Command, Root, SandboxError, Stream
from wherry.sandbox.seccomp import profile

if TYPE_CHECKING:
    from wherry.sandbox.spec import RuntimeSpec

_CAPABILITY_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT
    SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP
    MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
_STAGES = ("/run", "/tmp", "/mnt")  # covered in a mount namespace of ours, nothing is written there
_LATE = ("dev", "proc", "sys")
_ALL_IDS = 2**32 - 1


class OciSandbox:
    """A :class:`~wherry.sandbox.command.Sandbox` by the OCI runtime at ``program``.

    What a runtime cannot do is left to the built-in sandbox: a terminal of one's own (job control), fixed addresses,
    and a user namespace with a single ID.
    """

    def __init__(self, program: str, note: Callable[[str], None] | None = None) -> None:
        self.program = program
        self._note = note or (lambda text: None)

    def start(
        self, root: Root, command: Command, *, stdin: Stream = None, stdout: Stream = None, stderr: Stream = None
    ) -> subprocess.Popen[bytes]:
        """See :meth:`~wherry.sandbox.command.Sandbox.start`. The command ends when this process does."""
        if not command.randomized or (stdin is None and is_terminal()) or needs_user_namespace():
            return BuiltinSandbox(self._note).start(root, command, stdin=stdin, stdout=stdout, stderr=stderr)
        stage = next((path for path in _STAGES if Path(path).is_dir()), None)
        if stage is None or not _is_text(command):
            return BuiltinSandbox(self._note).start(root, command, stdin=stdin, stdout=stdout, stderr=stderr)
        group = _group(command)
        # An ordinary user has no control group to give, which crun must be told; nobody there can make device nodes.
        without = ["--cgroup-manager=disabled"] if not group and Path(self.program).name == "crun" else []
        late = {target: f"late/{number}" for number, target in enumerate(_late(command))}
        runtime: RuntimeSpec = {
            "argv": [
                *(self.program, *without, "--root", f"{stage}/state", "--log", f"{stage}/log"),
                *("run", "--bundle", f"{stage}/bundle", "wherry"),
            ],
            "stage": stage,
            "config": json.dumps(_config(command, stage, group, late, self._note)),
            "late": late,
            "group": group,
        }
        return start_child(root, command, self._note, runtime=runtime, stdin=stdin, stdout=stdout, stderr=stderr)


def _is_text(command: Command) -> bool:
    """Whether a runtime's configuration, which is JSON, can say all of it."""
    try:
        for text in (*command.argv, *command.env, *command.env.values(), command.cwd):
            text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _group(command: Command) -> str:
    """The control group of the command, relative to ours unless a parent is given; none for an ordinary user."""
    if mapped_ids() != _ALL_IDS:
        return ""
    name = f"{GROUP}{os.urandom(4).hex()}"
    return f"{command.cgroup_parent.rstrip('/')}/{name}" if command.cgroup_parent else name


def _late(command: Command) -> list[str]:
    """Where mounts are to be shown that only the runtime can: in the file systems that it mounts itself."""
    targets = [*sorted(mount.target for mount in command.mounts), *command.files]
    return [target for target in targets if PurePosixPath("/", target).parts[1:2] in {(name,) for name in _LATE}]


def _config(
    command: Command, stage: str, group: str, late: Mapping[str, str], note: Callable[[str], None]
) -> dict[str, Json]:
    """The runtime's configuration (OCI runtime-spec, config.md)."""
    insecure = command.security == "insecure"
    namespaces = ["pid", "ipc", "uts", "mount", *(["network"] if command.network == "none" else [])]
    mine = permitted()
    capabilities: Json = [
        f"CAP_{name}"
        for number, name in enumerate(_CAPABILITY_NAMES.split())
        if (insecure or number in CAPABILITIES) and mine >> number & 1
    ]
    linux: dict[str, Json] = {
        "namespaces": [{"type": name} for name in namespaces],
        "maskedPaths": [] if insecure else list(MASKED),
        "readonlyPaths": [] if insecure else list(READ_ONLY),
        "resources": {"devices": _devices(insecure)},
    }
    if group:
        linux["cgroupsPath"] = group
    if not insecure:
        linux["seccomp"] = profile()
    config: dict[str, Json] = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {
                "uid": command.uid,
                "gid": command.gid,
                "additionalGids": list(command.all_groups),
                "umask": 0o22,
            },
            "args": list(command.argv),
            "env": [f"{name}={value}" for name, value in command.env.items()],
            "cwd": str(PurePosixPath("/", command.cwd)),
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
            "rlimits": _limits(command, note),
            "noNewPrivileges": command.no_new_privileges,
        },
        "root": {"path": f"{stage}/root", "readonly": command.read_only},
        "mounts": _mounts(command, stage, late),
        "linux": linux,
    }
    if command.hostname:
        config["hostname"] = command.hostname
    return config


def _devices(insecure: bool) -> list[Json]:
    """What the device control group lets through: nodes can be made, only the usual ones opened."""
    if insecure:
        return [{"allow": True, "access": "rwm"}]
    numbers = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, -1))
    usual: list[Json] = [
        {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"} for major, minor in numbers
    ]
    making: list[Json] = [{"allow": True, "type": kind, "access": "m"} for kind in "cb"]
    return [{"allow": False, "access": "rwm"}, *making, *usual]


def _limits(command: Command, note: Callable[[str], None]) -> list[Json]:
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = {"NOFILE": most}  # which a runtime written in Go would otherwise raise
    may_raise = bool(permitted() >> 24 & 1) and mapped_ids() == _ALL_IDS
    for limit in command.ulimits:
        number: int | None = getattr(resource, f"RLIMIT_{limit.name.upper()}", None)
        if number is None:
            raise SandboxError(f"there is no ulimit {limit.name!r}")
        soft, hard = limit.soft, limit.hard
        most = resource.getrlimit(number)
        if not may_raise and most[1] >= 0 and not 0 <= hard <= most[1]:
            note(f"ulimit {limit.name}: its hard limit cannot be raised here; it stays {most[1]}")
            hard = most[1]
            soft = soft if 0 <= soft <= hard else hard
        limits[limit.name.upper()] = (soft, hard)
    return [
        {"type": f"RLIMIT_{name}", "soft": soft % 2**64, "hard": hard % 2**64} for name, (soft, hard) in limits.items()
    ]


def _mounts(command: Command, stage: str, late: Mapping[str, str]) -> list[Json]:
    def mount(target: str, kind: str, *options: str, source: str = "") -> Json:
        return {"destination": target, "type": kind, "source": source or kind, "options": list(options)}

    closed = ("nosuid", "noexec", "nodev")
    rights = () if command.security == "insecure" else ("ro",)
    if command.network == "none" or mapped_ids() == _ALL_IDS:
        sys = mount("/sys", "sysfs", *closed, *rights)
    else:  # the host's network is not ours: sysfs belongs to it
        sys = mount("/sys", "bind", "rbind", *closed, *rights, source="/sys")
    group = () if mapped_ids() != _ALL_IDS and mapped_ids() < 6 else ("gid=5",)
    return [
        mount("/proc", "proc", *closed),
        mount("/dev", "tmpfs", "nosuid", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *group),
        mount("/dev/shm", "tmpfs", *closed, "mode=1777", f"size={command.shm_size}"),
        mount("/dev/mqueue", "mqueue", *closed),
        sys,
        *(mount(target, "bind", "rbind", source=f"{stage}/{name}") for target, name in late.items()),
    ]
