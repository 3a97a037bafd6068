"""The Docker Engine to compare with: our own, with its own data; or one that BENCH_DOCKER_HOST names.

BENCH_DOCKER and BENCH_DOCKERD name another client and engine than Debian's.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Run, run


@dataclass(frozen=True)
class Engine:
    """A running engine and the client that speaks to it."""

    client: str
    host: str
    sudo: tuple[str, ...] = ()

    def __call__(self, *args: str | Path) -> Run:
        """Run ``docker ARGS``."""
        words = [*self.sudo, "env", "DOCKER_BUILDKIT=1", f"DOCKER_HOST={self.host}", self.client, *map(str, args)]
        return run(words)

    def version(self) -> str:
        """The engine's version."""
        return self("version", "--format", "{{.Server.Version}}").output.strip()


@contextmanager
def engine() -> Iterator[Engine]:
    """An engine, ended at the end if we started it."""
    client = os.environ.get("BENCH_DOCKER", "/usr/bin/docker")
    sudo = () if os.geteuid() == 0 else ("sudo", "-n")
    if host := os.environ.get("BENCH_DOCKER_HOST"):
        yield Engine(client, host, sudo)
        return
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="wherry-bench-"))
        stack.callback(subprocess.run, [*sudo, "rm", "-rf", "--one-file-system", str(folder)], check=False)
        found = Engine(client, f"unix://{folder}/docker.sock", sudo)
        (folder / "config.json").write_text("{}")
        words = [
            *sudo,
            os.environ.get("BENCH_DOCKERD", "/usr/sbin/dockerd"),
            "--iptables=false",
            "--ip6tables=false",
            "--bridge=none",
            f"--data-root={folder}/data",
            f"--exec-root={folder}/exec",
            f"--pidfile={folder}/pid",
            f"--host={found.host}",
            f"--config-file={folder}/config.json",
        ]
        log = stack.enter_context((folder / "log").open("w+"))
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        stack.callback(_unmount, folder, sudo)
        stack.callback(_stop, process, folder / "pid", sudo)
        end = time.monotonic() + 60
        while subprocess.run([*sudo, client, "-H", found.host, "version"], capture_output=True, check=False).returncode:
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the Docker Engine does not start:\n{(folder / 'log').read_text()[-4000:]}")
            time.sleep(0.1)
        yield found


def _stop(process: subprocess.Popen[bytes], pidfile: Path, sudo: tuple[str, ...]) -> None:
    pid = pidfile.read_text().strip() if pidfile.exists() else str(process.pid)
    subprocess.run([*sudo, "kill", pid], check=False)
    process.wait(60)


def _unmount(folder: Path, sudo: tuple[str, ...]) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((path for path in mounts if path.startswith(f"{folder}/")), reverse=True):
        subprocess.run([*sudo, "umount", "-l", mount], check=False)
