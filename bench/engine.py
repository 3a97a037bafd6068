"""The Docker Engine to compare with: our own, with its own data; or one that BENCH_DOCKER_HOST names.

BENCH_DOCKER and BENCH_DOCKERD name another client and engine than Debian's. BENCH_DOCKER_ROOT names the root
filesystem of a newer Debian whose engine is taken: client and engine then run in a mount namespace in which its /usr
lies over this machine's, and see all else as everybody does. What is built must not lie below /usr.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Run, run

_SETTINGS = ("DOCKER_BUILDKIT=1", "BUILDX_NO_DEFAULT_ATTESTATIONS=1")


@dataclass(frozen=True)
class Engine:
    """A running engine: the words that every command of its client begins with, and those that make one root's."""

    client: tuple[str, ...]
    sudo: tuple[str, ...] = ()

    def __call__(self, *args: str | Path) -> Run:
        """Run ``docker ARGS``."""
        return run([*self.client, *map(str, args)])

    def version(self) -> str:
        """The engine's version."""
        return self("version", "--format", "{{.Server.Version}}").output.strip()


def has_image_store(version: str) -> bool:
    """Whether we can start an engine of this version that keeps its images in containerd's store.

    Only then can it write a cache to a registry. With the store that it has by default, buildx says: "Cache export is
    not supported for the docker driver".
    """
    return "BENCH_DOCKER_HOST" not in os.environ and int(version.partition(".")[0]) >= 25


@contextmanager
def engine(*, image_store: bool = False) -> Iterator[Engine]:
    """An engine, ended at the end if we started it; with ``image_store`` see :func:`has_image_store`."""
    client = os.environ.get("BENCH_DOCKER", "/usr/bin/docker")
    sudo = () if os.geteuid() == 0 else ("sudo", "-n")
    if host := os.environ.get("BENCH_DOCKER_HOST"):
        yield Engine((*sudo, "env", *_SETTINGS, f"DOCKER_HOST={host}", client), sudo)
        return
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="wherry-bench-"))
        stack.callback(subprocess.run, [*sudo, "rm", "-rf", "--one-file-system", str(folder)], check=False)
        (folder / "config.json").write_text("{}")  # of the client
        features = {"features": {"containerd-snapshotter": True}} if image_store else {}
        (folder / "daemon.json").write_text(json.dumps(features))
        log = stack.enter_context((folder / "log").open("w+"))
        process = subprocess.Popen(
            [*sudo, *_command(folder)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        stack.callback(_stop, process, folder / "pid", sudo)
        end = time.monotonic() + 60
        while not (folder / "docker.sock").exists():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the Docker Engine does not start:\n{(folder / 'log').read_text()[-4000:]}")
            time.sleep(0.1)
        enter = ("nsenter", f"--mount=/proc/{(folder / 'pid').read_text().strip()}/ns/mnt")
        settings = (*_SETTINGS, f"DOCKER_HOST=unix://{folder}/docker.sock", f"DOCKER_CONFIG={folder}")
        yield Engine((*sudo, *enter, "env", *settings, client), sudo)


def _command(folder: Path) -> list[str]:
    """An engine in a mount namespace of its own, so that no mount outlives it."""
    words = [
        os.environ.get("BENCH_DOCKERD", "/usr/sbin/dockerd"),
        "--iptables=false",
        "--ip6tables=false",
        "--bridge=none",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--host=unix://{folder}/docker.sock",
        f"--config-file={folder}/daemon.json",
    ]
    root = os.environ.get("BENCH_DOCKER_ROOT")
    mount = f"mount --bind {shlex.quote(root)}/usr /usr && " if root else ""
    return ["unshare", "--mount", "sh", "-c", f"{mount}exec {shlex.join(words)}"]


def _stop(process: subprocess.Popen[bytes], pidfile: Path, sudo: tuple[str, ...]) -> None:
    pid = pidfile.read_text().strip() if pidfile.exists() else str(process.pid)
    subprocess.run([*sudo, "kill", pid], check=False)
    process.wait(60)
