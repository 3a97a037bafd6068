"""As an ordinary user, with and without subordinate IDs: one process that enters its namespace and runs a command."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest


class User(Protocol):
    """See ``tests/conftest.py``."""

    home: Path
    prefix: tuple[str, ...]
    python: str
    env: Mapping[str, str]

    def own(self, path: Path) -> None: ...


_RUN = """
import os, subprocess, sys
from pathlib import Path
from wherry.errors import WherryError
from wherry.sandbox import Command, File, Mount, Overlay, enter_user_namespace, find_sandbox
kind, root, folder, script = sys.argv[1:]
os.environ["PATH"] = os.environ.get("PROGRAMS") or os.environ["PATH"]
namespace = enter_user_namespace()
assert namespace is not None
print("ids", namespace.ids > 1, namespace.why, file=sys.stderr)
mounts = [Mount(Path("/usr"), "/usr", read_only=True)]
for name in ("bin", "lib", "lib64", "sbin"):
    top = Path("/", name)
    if top.is_symlink() and not (Path(root) / name).is_symlink():
        (Path(root) / name).symlink_to(top.readlink())
    elif top.is_dir() and not top.is_symlink():
        mounts.append(Mount(top, f"/{name}", read_only=True))
mounts += [Mount.tmpfs("/tmp"), Mount.overlay((Path(root),), "/view")]
files = {"/run/secrets/key": File(b"secret"), "/etc/resolv.conf": File(b"nameserver ::1", 0o644)}
command = Command(
    ("sh", "-c", script),
    {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    mounts=tuple(mounts),
    files=files,
    network=os.environ.get("NETWORK", "host"),
    no_new_privileges=False,
)
try:
    sandbox = find_sandbox(kind, note=lambda text: print("note", text, file=sys.stderr))
    overlay = Overlay((Path(root),), Path(folder)).prepare()
    code = sandbox.start(overlay, command, stdin=subprocess.DEVNULL).wait()
except WherryError as error:
    print("error", error.message, file=sys.stderr)
    sys.exit(99)
for path in sorted(overlay.upper.rglob("*")):
    status = path.lstat()
    print("upper", path.relative_to(overlay.upper), oct(status.st_mode), status.st_uid, status.st_gid)
sys.exit(code)
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def rootless(user: User, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a script in a new overlay, as an ordinary user that has entered a namespace."""
    if os.geteuid() == 0 and not user.prefix:
        pytest.skip("no ordinary user here")
    base = user.home / "sandbox"
    base.mkdir()
    root = base / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nsailor:x:1000:100::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nusers:x:100:\n")
    (root / "big").write_bytes(b"x" * 2_000_000)
    base.chmod(0o755)
    user.own(base)
    number = 0

    def run(kind: str, script: str, **env: str) -> subprocess.CompletedProcess[str]:
        nonlocal number
        number += 1
        words = [*user.prefix, user.python, "-c", _RUN, kind, str(root), str(base / f"over-{number}"), script]
        whole = {**os.environ, **user.env, **env}
        return subprocess.run(words, env=whole, capture_output=True, text=True, check=False, timeout=60)

    yield run
    subprocess.run(["rm", "-rf", str(base)], check=False, capture_output=True)


def skip_without(result: subprocess.CompletedProcess[str]) -> None:
    """Skip the test where this machine lacks what it is about."""
    if "SandboxError" in result.stderr or "error " in result.stderr:
        pytest.skip(result.stderr.strip().splitlines()[-1])
    if "ids True" not in result.stderr:
        pytest.skip(f"no subordinate IDs here: {result.stderr.splitlines()[0]}")


@pytest.mark.parametrize("kind", ["chroot", "oci"])
@pytest.mark.parametrize("network", ["none", "host"])
def test_with_subordinate_ids_all_users_exist(rootless: Run, kind: str, network: str) -> None:
    script = """
        id -u; cat /run/secrets/key; echo
        echo x > /tmp/file; echo x > /view/etc/new; chmod 644 /big
        mkdir /made && chown sailor:users /made && stat -c '%u %g' /made
        setpriv --reuid=1000 --regid=100 --clear-groups sh -c 'id -u; cd /made && echo x > file'
        rm /etc/group
    """
    result = rootless(kind, script, NETWORK=network)
    skip_without(result)
    assert result.returncode == 0, result
    lines = result.stdout.splitlines()
    assert lines[:4] == ["0", "secret", "1000 100", "1000"]
    upper = {line.split()[1]: line.split()[2:] for line in lines[4:]}
    assert upper["made/file"][1:] == ["1000", "100"]
    assert upper["etc/group"][0] == "0o20000"
    assert upper["big"][0] == "0o100644"
    assert set(upper) - {"proc", "sys", "dev", "usr"} == {"made", "made/file", "etc", "etc/group", "big"}


def test_with_a_single_id_there_is_a_note_and_one_user(rootless: Run) -> None:
    # Without newuidmap in PATH no subordinate IDs can be had.
    result = rootless("default", "id -u; chown 5:5 /big; cat /run/secrets/key", PROGRAMS="/nowhere")
    if "SandboxError" in result.stderr:
        pytest.skip(result.stderr.strip().splitlines()[-1])
    assert "ids False newuidmap is not installed" in result.stderr
    assert result.stdout.startswith("0\nsecret"), result
    assert "chown" in result.stderr
    assert "Invalid argument" in result.stderr


def test_with_a_single_id_a_runtime_is_refused(rootless: Run) -> None:
    result = rootless("oci", "true", PROGRAMS="/nowhere")
    if "SandboxError" in result.stderr:
        pytest.skip(result.stderr.strip().splitlines()[-1])
    assert result.returncode == 99
    assert "OCI runtime" in result.stderr
