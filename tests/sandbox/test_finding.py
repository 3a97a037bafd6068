"""Which sandbox is taken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.sandbox import BuiltinSandbox, Command, OciSandbox, SandboxError, find_sandbox, finding

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Make = Callable[..., Command]


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be known from other tests."""
    monkeypatch.setattr(finding, "_probed", {})


def a_runtime(folder: Path, script: str) -> None:
    folder.mkdir()
    (folder / "runc").write_text(f"#!/bin/sh\necho >> {folder}/calls\n{script}\n")
    (folder / "runc").chmod(0o755)


def only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the runtimes in ``folder`` be the only ones."""
    monkeypatch.setattr(finding, "_runtime", lambda name: shutil.which(name, path=str(folder)))


def test_chroot_is_the_built_in_one() -> None:
    assert isinstance(find_sandbox("chroot"), BuiltinSandbox)


def test_without_a_runtime_the_built_in_one_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    only(monkeypatch, tmp_path)
    assert isinstance(find_sandbox(), BuiltinSandbox)
    with pytest.raises(SandboxError, match="no OCI runtime here") as caught:
        find_sandbox("oci")
    assert "Install crun or runc" in str(caught.value.hint)


def test_a_runtime_that_does_not_start_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    a_runtime(tmp_path / "bin", "echo no control groups; exit 1")
    only(monkeypatch, tmp_path / "bin")
    assert isinstance(find_sandbox(), BuiltinSandbox)
    with pytest.raises(SandboxError, match=r"runc: (no control groups|one user ID|new namespaces)"):
        find_sandbox("oci")


def test_what_was_found_out_is_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root")
    a_runtime(tmp_path / "bin", "exit 1")
    only(monkeypatch, tmp_path / "bin")
    for _ in range(3):
        monkeypatch.setattr(finding, "_probed", {})
        find_sandbox(memory=tmp_path / "memory")
    assert len((tmp_path / "bin/calls").read_text().splitlines()) == 1
    assert list(json.loads((tmp_path / "memory").read_text()).values()) == ["exit code 1"]


def test_a_broken_memory_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "memory").write_text("[")
    find_sandbox(memory=tmp_path / "memory")
    find_sandbox(memory=tmp_path / "no/such/folder/memory")


# -- what a runtime adds ---------------------------------------------------------------------------


@pytest.fixture
def oci(root: Path, command: Make) -> Run:
    """Runs a script by an OCI runtime."""
    try:
        sandbox = find_sandbox("oci")
    except SandboxError as error:
        pytest.skip(str(error))
    assert isinstance(sandbox, OciSandbox)

    def run(script: str, **fields: object) -> subprocess.CompletedProcess[str]:
        pipe = subprocess.PIPE
        made = command("sh", "-c", script, **fields)
        process = sandbox.start(root, made, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess([script], process.returncode, out.decode(), err.decode())

    return run


def test_a_runtime_filters_system_calls(oci: Run) -> None:
    assert "Seccomp:\t2" in oci("cat /proc/self/status").stdout
    assert "not permitted" in oci("unshare --user true").stderr
    assert oci("grep Seccomp: /proc/self/status", security="insecure").stdout == "Seccomp:\t0\n"


def test_a_runtime_leaves_nothing(oci: Run) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    groups = set(Path("/sys/fs/cgroup").glob("**/wherry-*"))
    assert oci("exit 5").returncode == 5
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert set(Path("/sys/fs/cgroup").glob("**/wherry-*")) <= groups
    assert list(Path("/run").glob("*/wherry")) == []


def test_arguments_that_json_cannot_hold_arrive(oci: Run) -> None:
    result = oci('printf %s "$CARGO" | od -An -tx1', env={"PATH": "/usr/bin:/bin", "CARGO": "\udcff"})
    assert result.stdout.split() == ["ff"]
