"""A Docker Engine of our own: this machine's, or one in another root filesystem (a chroot of a newer Debian)."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.differential import bases

Result = subprocess.CompletedProcess[bytes]
_PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Engine:
    """A running engine, its client, and a folder that client and engine see as well as we do."""

    root: Path
    host: str
    folder: Path

    def __call__(self, *words: str, env: dict[str, str] | None = None, timeout: float = 120) -> Result:
        """Run ``docker WORDS``."""
        return run_in(self.root, ["/usr/bin/docker", "-H", self.host, *words], env=env or {}, timeout=timeout)

    def ok(self, *words: str) -> bytes:
        """Run ``docker WORDS``, which must succeed; gives what it printed."""
        result = self(*words)
        assert result.returncode == 0, f"{words}\n{result.stderr.decode(errors='replace')}"
        return result.stdout

    def inside(self, path: Path) -> str:
        """What the client calls ``path``."""
        return f"/{path.relative_to(self.root)}"

    def version(self) -> str:
        """Such as ``28.5.2``."""
        return self.ok("version", "--format", "{{.Server.Version}}").decode().strip().partition("+")[0]

    def load_bases(self) -> None:
        """Load the cases' base images."""
        for name in bases.CONFIGS:
            path = self.folder / "base.tar"
            path.write_bytes(bases.archive(name))
            self.ok("load", "--input", self.inside(path))
            path.unlink()


def run_in(root: Path, words: list[str], env: dict[str, str], timeout: float = 120) -> Result:
    """Run a program of ``root`` to its end with a small environment."""
    prefix = [] if root == Path("/") else ["chroot", str(root)]
    settings = {"PATH": _PATH, "HOME": "/nonexistent", "DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    return subprocess.run(
        [*prefix, *words],
        env={**settings, "DOCKER_CONFIG": "/tmp/wherry-no-docker-config", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


@contextmanager
def docker_engine(root: Path = Path("/")) -> Iterator[Engine]:
    """Start ``root``'s engine with its own data and socket, and no bridge and no iptables rules; needs to be root."""
    with ExitStack() as stack:
        if root != Path("/"):
            _enter(root, stack)
        folder = Path(tempfile.mkdtemp(prefix="wherry-docker-", dir=root / "tmp"))
        stack.callback(subprocess.run, ["rm", "-rf", "--one-file-system", str(folder)], check=False)
        data = folder / "data"
        data.mkdir()
        kind = subprocess.run(["stat", "-f", "-c", "%T", str(data)], capture_output=True, text=True, check=True)
        if kind.stdout.strip() == "overlayfs":
            _mount(stack, data, "-t", "tmpfs", "tmpfs")
        (folder / "none.json").write_text("{}")
        engine = Engine(root, f"unix://{_inside(folder / 'docker.sock', root)}", folder)
        words = ["/usr/sbin/dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", f"--host={engine.host}"]
        names = {"data-root": "data", "exec-root": "exec", "pidfile": "docker.pid", "config-file": "none.json"}
        words += [f"--{option}={_inside(folder / name, root)}" for option, name in names.items()]
        log = stack.enter_context((folder / "log").open("w+"))
        prefix = [] if root == Path("/") else ["chroot", str(root)]
        daemon = subprocess.Popen(
            [*prefix, *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PATH": _PATH},
        )
        stack.callback(_unmount_below, folder)
        stack.callback(_stop, daemon)
        end = time.monotonic() + 60
        while engine("version").returncode:
            if daemon.poll() is not None or time.monotonic() > end:
                log.seek(0)
                raise RuntimeError(f"the Docker Engine does not start:\n{log.read()[-4000:]}")
            time.sleep(0.1)
        yield engine


def _inside(path: Path, root: Path) -> str:
    return f"/{path.relative_to(root)}"


def _enter(root: Path, stack: ExitStack) -> None:
    """Mount what an engine in a chroot needs, once at a time."""
    lock = stack.enter_context((root / "etc" / "hostname").open("a"))
    fcntl.flock(lock, fcntl.LOCK_EX)
    _mount(stack, root, "--bind", str(root))
    subprocess.run(["mount", "--make-private", str(root)], check=True)
    for name in ("proc", "sys", "dev"):
        _mount(stack, root / name, "--rbind", f"/{name}")
        subprocess.run(["mount", "--make-rslave", str(root / name)], check=True)
    for name in ("run", "tmp"):
        _mount(stack, root / name, "-t", "tmpfs", "tmpfs")


def _mount(stack: ExitStack, target: Path, *words: str) -> None:
    subprocess.run(["mount", *words, str(target)], check=True)
    stack.callback(subprocess.run, ["umount", "--recursive", "--lazy", str(target)], check=False, capture_output=True)


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait(10)


def _unmount_below(folder: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((path for path in mounts if path.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
