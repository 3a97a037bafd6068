"""A root filesystem that borrows this machine's programs, and a sandbox to run them in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wherry.sandbox import Command, Mount, Overlay, Root, Sandbox, SandboxError, find_sandbox

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PATH = {"PATH": "/usr/bin:/bin"}


def borrowed(root: Path) -> tuple[Mount, ...]:
    """Let ``root`` have this machine's programs; gives the mounts that a command in it needs."""
    mounts = [Mount(Path("/usr"), "/usr", read_only=True)]
    for name in ("bin", "lib", "lib64", "sbin"):
        top = Path("/", name)
        if top.is_symlink():
            (root / name).symlink_to(top.readlink())
        elif top.is_dir():
            mounts.append(Mount(top, f"/{name}", read_only=True))
    return tuple(mounts)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with no more than users in it."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    root.chmod(0o755)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nsailor:x:1000:100::/home/sailor:/bin/sh\n")
    return root


@pytest.fixture
def command(root: Path) -> Callable[..., Command]:
    """Makes a command whose programs are this machine's."""
    mounts = borrowed(root)

    def make(*argv: str, **fields: object) -> Command:
        made = Command(argv, dict(PATH), mounts=mounts)
        return replace(made, **fields)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session", params=["chroot", "oci"])
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """The built-in sandbox and that of an OCI runtime, where they can be had."""
    root = tmp_path_factory.mktemp("probe")
    try:
        sandbox = find_sandbox(request.param)
        sandbox.start(root, Command(("true",), dict(PATH), mounts=borrowed(root))).wait()
    except SandboxError as error:
        pytest.skip(f"no such sandbox here: {error}")
    return sandbox


@pytest.fixture
def run(sandbox: Sandbox, root: Path, command: Callable[..., Command]) -> Run:
    """Runs a shell script in the root filesystem to its end."""

    def run(script: str, *, inside: Root | None = None, **fields: object) -> subprocess.CompletedProcess[str]:
        pipe = subprocess.PIPE
        made = command("sh", "-c", script, **fields)
        with sandbox.start(inside or root, made, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess([script], process.returncode, out.decode(), err.decode())

    return run


@pytest.fixture
def overlay(root: Path, tmp_path: Path) -> Overlay:
    """A writable view of the root filesystem."""
    if os.geteuid() != 0 and tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) < (5, 11):
        pytest.skip("overlays of ordinary users need Linux 5.11")
    return Overlay(root, tmp_path / "overlay").prepare()
