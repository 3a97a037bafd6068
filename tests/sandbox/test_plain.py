"""Where there are no namespaces: as root in somebody else's unprivileged container."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root")


def without(words: list[str], script: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a Python script with less power than we have."""
    command = [*words, sys.executable, "-c", script, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


_TRY = """
import subprocess, sys
from pathlib import Path
from wherry.errors import WherryError
from wherry.sandbox import BuiltinSandbox, Command
root, network = sys.argv[1:]
try:
    sandbox = BuiltinSandbox(lambda text: print(text, file=sys.stderr))
    command = Command(("/sh", "-c", "echo inside; exit 4"), network=network, files={"/etc/hosts": b"x"})
    sys.exit(sandbox.start(Path(root), command).wait())
except WherryError as error:
    print(error)
    sys.exit(99)
"""


def static_shell(root: Path) -> None:
    """Put a shell into ``root`` that needs nothing else."""
    libraries = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout
    files = [word for word in libraries.split() if word.startswith("/")]
    for file in files:
        (root / file.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (root / file.lstrip("/")).write_bytes(Path(file).read_bytes())
        (root / file.lstrip("/")).chmod(0o755)
    (root / "sh").write_bytes(Path("/bin/sh").read_bytes())
    (root / "sh").chmod(0o755)


_WEAK = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]


@as_root
def test_root_without_namespaces_gets_a_chroot_and_a_note(root: Path) -> None:
    static_shell(root)
    result = without(_WEAK, _TRY, str(root), "host")
    assert result.returncode == 4, result
    assert "plain chroot" in result.stderr
    assert result.stdout == "inside\n"
    assert not (root / "etc/hosts").exists()


@as_root
def test_a_chroot_does_not_pretend_to_cut_off_the_network(root: Path) -> None:
    static_shell(root)
    result = without(_WEAK, _TRY, str(root), "none")
    assert result.returncode == 4
    assert "not cut off from the network" in result.stderr


_MOUNTS = """
import sys
from pathlib import Path
from wherry.sandbox import BuiltinSandbox, Command, File, Mount
root, cargo, script = sys.argv[1:]
mounts = (
    Mount(Path(cargo), "/cache"),
    Mount(Path(cargo), "/bound", read_only=True),
    Mount.overlay((Path(cargo),), "/view"),
    Mount.tmpfs("/deep/tmp"),
)
files = {"/etc/hosts": b"ours", "/run/secrets/key": File(b"secret"), "/dev/pipes/EOF": File(b"here", 0o555)}
command = Command(("/sh", "-c", script), network="host", mounts=mounts, files=files)
sys.exit(BuiltinSandbox().start(Path(root), command).wait())
"""


def listing(folder: Path) -> dict[str, tuple[object, ...]]:
    """All in a folder, with what a layer would hold of it."""
    found: dict[str, tuple[object, ...]] = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_uid, status.st_mtime_ns, data)
    return found


@pytest.fixture
def cargo(tmp_path: Path) -> Path:
    folder = tmp_path / "cargo"
    (folder / "hold").mkdir(parents=True)
    (folder / "hold/tea").write_text("tea")
    (folder / "gone").write_text("gone")
    return folder


def mounted(root: Path, cargo: Path, script: str) -> subprocess.CompletedProcess[str]:
    for name in ("proc", "sys", "dev", "etc", "cache"):
        (root / name).mkdir(exist_ok=True)
    (root / "etc/hosts").write_text("old")
    (root / "cache/own").write_text("the image's")
    return without(_WEAK, _MOUNTS, str(root), str(cargo), script)


@as_root
def test_copies_stand_in_for_mounts_and_leave_no_trace(root: Path, cargo: Path) -> None:
    static_shell(root)
    mounted(root, cargo, "")
    before = listing(root)
    show = "read x < {0} || :; echo $x; "
    script = "".join(map(show.format, ("/etc/hosts", "/run/secrets/key", "/dev/pipes/EOF", "/bound/hold/tea")))
    script += "for file in /cache/* /view/* /deep/tmp/*; do echo $file; done; echo x > /dev/null; echo x > /view/new"
    result = mounted(root, cargo, script)
    expected = [
        "ours",
        "secret",
        "here",
        "tea",
        "/cache/gone",
        "/cache/hold",
        "/view/gone",
        "/view/hold",
        "/deep/tmp/*",
    ]
    assert result.stdout.split() == expected, result
    ignored = {"etc", "etc/hosts", "cache", "cache/own"}  # which this test has just written
    after = listing(root)
    assert {name: value for name, value in after.items() if name not in ignored} == {
        name: value for name, value in before.items() if name not in ignored
    }
    assert after["etc/hosts"][3] == b"old"
    assert after["cache/own"][3] == b"the image's"
    assert list(root.parent.glob("*aside*")) == []


@as_root
def test_what_is_written_to_a_cache_comes_home(root: Path, cargo: Path) -> None:
    static_shell(root)
    script = "echo coffee > /cache/hold/tea; echo x > /cache/new; echo x > /bound/new"
    assert mounted(root, cargo, script).returncode == 0
    assert (cargo / "hold/tea").read_text() == "coffee\n"
    assert sorted(path.name for path in cargo.iterdir()) == ["gone", "hold", "new"]
    assert not (root / "cache/new").exists()


@as_root
def test_what_the_command_left_running_ends_before_all_is_put_back(root: Path, cargo: Path) -> None:
    static_shell(root)
    script = "(while :; do echo x > /run/secrets/more; done) & echo done"
    assert mounted(root, cargo, script).stdout == "done\n"
    # What it wrote beside the secret is its own; the secret is gone.
    assert not (root / "run/secrets/key").exists()


def test_a_system_that_forbids_user_namespaces_is_named(root: Path) -> None:
    inner = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    probe = ["unshare", "--user", "--map-root-user", "sh", "-c", inner, "sh"]
    if subprocess.run([*probe, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here to forbid any in")
    result = without(probe, _TRY, str(root), "host")
    assert result.returncode == 99, result
    assert "user.max_user_namespaces" in result.stdout
