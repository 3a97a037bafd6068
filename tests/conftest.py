"""What the tests of all rooms share: stores, the command itself, and a Docker Engine of our own."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from wherry.image import Digest
from wherry.image.digest import encoded
from wherry.image.json import as_list, as_object, as_str, load_object
from wherry.image.mediatype import INDEXES
from wherry.store import Store

DOCKER = "/usr/bin/docker"
DOCKERD = "/usr/sbin/dockerd"
TEST_USER = "wherry-test"
ROOT = Path(__file__).parent.parent

Result = subprocess.CompletedProcess[str]


@pytest.fixture(autouse=True, scope="session")
def no_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Names that mean an image at Docker Hub are not looked for there: no test may hang on the network's mood."""
    config = tmp_path_factory.mktemp("config") / "config.toml"
    config.write_text('[registry."docker.io"]\nblocked = true\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERRY_CONFIG", str(config))
        yield


@pytest.fixture
def musl_base() -> Path:
    """A compressed tar file: a root filesystem with musl and CPython 3.13, which lies beside the checkout or not."""
    path = ROOT.parent / "shared" / "bases" / "musl-python-3.13.tar.zst"
    if not path.is_file():
        pytest.skip("the root filesystem with musl and Python is not beside this checkout")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with Store(tmp_path / "store") as store:
        yield store


# -- the command -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wherry:
    """The command as users run it, in a process of its own, with a store of its own."""

    store: Path
    prefix: tuple[str, ...] = ()
    """Words before the command, such as ``unshare -n``."""
    env: Mapping[str, str] = field(default_factory=dict)
    python: str = sys.executable

    def command(self, *args: str | Path) -> list[str]:
        """The words of a command line."""
        return [*self.prefix, self.python, "-m", "wherry", *map(str, args)]

    def environment(self) -> dict[str, str]:
        """This process's environment, with our store and without the terminal's settings."""
        ours = {name for name in os.environ if name.startswith("WHERRY_") and name != "WHERRY_CONFIG"}
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        return {**kept, "WHERRY_STORE": str(self.store), "NO_COLOR": "1", "COLUMNS": "100", **self.env}

    def __call__(self, *args: str | Path, cwd: Path | None = None, stdin: str = "", timeout: float = 240) -> Result:
        """Run ``wherry ARGS`` to its end, whatever that is."""
        return subprocess.run(
            self.command(*args),
            cwd=cwd,
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ok(self, *args: str | Path, cwd: Path | None = None, stdin: str = "", timeout: float = 240) -> Result:
        """Run ``wherry ARGS``, which must succeed."""
        result = self(*args, cwd=cwd, stdin=stdin, timeout=timeout)
        assert result.returncode == 0, f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    def start(self, *args: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start ``wherry ARGS`` in a session of its own, its output in pipes."""
        return subprocess.Popen(
            self.command(*args),
            cwd=cwd,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def build(self, project: Path, *args: str | Path, timeout: float = 240) -> str:
        """Build ``project``; gives the manifest's digest."""
        with tempfile.TemporaryDirectory(dir=self.env.get("TMPDIR")) as folder:
            Path(folder).chmod(0o777)  # the command may be another user's
            metadata = Path(folder) / "metadata.json"
            self.ok("build", project, "--progress", "plain", "--metadata-file", metadata, *args, timeout=timeout)
            return str(json.loads(metadata.read_text())["containerimage.digest"])

    def leftovers(self) -> list[str]:
        """What is in the store and belongs to nothing: temporary files, broken names, blobs that nobody needs."""
        return leftovers(self.store)


@pytest.fixture
def wherry(tmp_path: Path) -> Wherry:
    """The command with an empty store."""
    return Wherry(tmp_path / "wherry-store")


NewWherry = Callable[..., Wherry]


@pytest.fixture
def new_wherry() -> NewWherry:
    """Makes a command with a store at a path, and with words before it and environment variables."""
    return Wherry


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Wherry:
    """The command with a store that all tests share: Debian's base is assembled there once."""
    return Wherry(tmp_path_factory.mktemp("warm") / "store")


def leftovers(path: Path) -> list[str]:
    """What is in the store at ``path`` and belongs to nothing. No process may be using it."""
    found = [f"temporary {item.relative_to(path)}" for item in (path / "sessions").rglob("*") if item.is_file()]
    found += [f"partial {item.name}" for item in (path / "files" / "partial").glob("*") if item.suffix != ".lock"]
    found += [f"blob {item.name}" for item in path.glob("blobs/*") if item.name != "sha256"]
    with Store(path) as store:
        known = store.cache.needed()
        for descriptor in store.images():
            if not store.blobs.has(descriptor.digest):
                found.append(f"name without an image {descriptor}")
                continue
            known |= _reachable(store, descriptor.digest, descriptor.media_type)
        blobs = path / "blobs" / "sha256"
        names = {encoded(digest) for digest in known}
        found += [f"name without a blob {name}" for name in names if not (blobs / name).is_file()]
        found += [f"unneeded blob {item.name}" for item in blobs.glob("*") if item.name not in names]
    return found


def _reachable(store: Store, digest: Digest, media_type: str) -> set[Digest]:
    manifest = load_object(store.blobs.read(digest), digest)
    if media_type in INDEXES:
        members = [as_object(item, digest) for item in as_list(manifest.get("manifests"), digest)]
        below = [
            _reachable(store, Digest(as_str(one["digest"], digest)), as_str(one["mediaType"], digest))
            for one in members
        ]
        return {digest}.union(*below)
    parts = [as_object(manifest.get("config"), digest)]
    parts += [as_object(item, digest) for item in as_list(manifest.get("layers"), digest)]
    return {digest} | {Digest(as_str(part["digest"], digest)) for part in parts}


# -- an ordinary user --------------------------------------------------------------------------------


@dataclass(frozen=True)
class User:
    """An ordinary user: ``prefix`` are the words that make a command run as them, ``home`` a folder of theirs."""

    home: Path
    prefix: tuple[str, ...] = ()
    python: str = sys.executable
    env: Mapping[str, str] = field(default_factory=dict)

    def wherry(self, store: str = "store") -> Wherry:
        """The command as this user runs it, with a store in their home, which tests share if it has the same name."""
        return Wherry(self.home / store, self.prefix, self.env, self.python)

    def own(self, path: Path) -> None:
        """Give all of ``path`` to this user."""
        if self.prefix:
            shutil.chown(path, TEST_USER, TEST_USER)
            for item in path.rglob("*"):
                shutil.chown(item, TEST_USER, TEST_USER)


@pytest.fixture(scope="session")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """An ordinary user: whoever runs the tests, or, as root, the one that the set-up made."""
    if os.geteuid() != 0:
        yield User(tmp_path_factory.mktemp("home"))
        return
    try:
        found = pwd.getpwnam(TEST_USER)
    except KeyError:
        pytest.skip(f"no user {TEST_USER}: run .ci/test-user")
    # Not under pytest's folders: those are closed to others.
    home = Path(tempfile.mkdtemp(prefix="wherry-user-"))
    try:
        python, path = _readable_install(home / "install")
        for item in (home, home / "tmp"):
            item.mkdir(exist_ok=True)
            os.chown(item, found.pw_uid, found.pw_gid)
        words = ("setpriv", f"--reuid={found.pw_uid}", f"--regid={found.pw_gid}", "--clear-groups", "--")
        env = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "USER": TEST_USER, "PYTHONPATH": path}
        unset = ("env", "-u", "XDG_CACHE_HOME", "-u", "XDG_RUNTIME_DIR", "-u", "XDG_CONFIG_HOME")
        yield User(home, (*words, *unset), python, env)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _readable_install(folder: Path) -> tuple[str, str]:
    """An interpreter and a PYTHONPATH that give everybody what runs here, wherever that may be hidden."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    python = shutil.which(name, path="/usr/bin:/usr/local/bin:/bin")
    if python is None:
        pytest.skip(f"others cannot use {sys.executable}, and there is no {name} in /usr/bin")
    packages = folder / "lib" / name / "site-packages"
    shutil.copytree(sysconfig.get_path("purelib"), packages, ignore=shutil.ignore_patterns("*.pth"))
    shutil.copytree(ROOT / "src", packages, dirs_exist_ok=True)
    (folder / "bin").mkdir()
    shutil.copy2(Path(sysconfig.get_path("scripts")) / "uv", folder / "bin" / "uv")
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    return python, str(packages)


# -- a Docker Engine ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Docker:
    """A Docker Engine that nobody else uses, spoken to through Debian's own client."""

    host: str
    prefix: tuple[str, ...] = ()

    def __call__(self, *args: str | Path, check: bool = True, timeout: float = 120) -> Result:
        """Run ``docker ARGS``."""
        words = [*self.prefix, DOCKER, "-H", self.host, *map(str, args)]
        result = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or result.returncode == 0, f"{words}\n{result.stdout}\n{result.stderr}"
        return result

    def load(self, archive: Path) -> str:
        """Load an image archive; gives the name (or ID) of what was loaded."""
        return self("load", "--input", archive).stdout.strip().splitlines()[-1].partition(": ")[2]

    def run(self, image: str, *args: str, options: Sequence[str] = (), check: bool = True) -> Result:
        """Run ``image`` without a network until it ends, and remove it."""
        return self("run", "--rm", "--network", "none", *options, image, *args, check=check)

    def serve(self, image: str, stack: ExitStack) -> str:
        """Start ``image`` in the background, until ``stack`` ends; gives the container."""
        container = self("run", "--detach", "--network", "none", image).stdout.strip()
        stack.callback(self, "rm", "--force", container)
        return container

    def get(self, container: str, url: str, patience: float = 20) -> str:
        """What a request for ``url`` from inside ``container`` answers, asked by the image's own Python."""
        client = _CLIENT.format(url=url, patience=patience)
        result = self("exec", container, "python", "-c", client, check=False)
        if result.returncode:
            logs = self("logs", container, check=False)
            raise AssertionError(f"{result.stderr}\n--- logs ---\n{logs.stdout}{logs.stderr}")
        return result.stdout


_CLIENT = """
import time, urllib.request
end = time.monotonic() + {patience}
while True:
    try:
        print(urllib.request.urlopen({url!r}, timeout=5).read().decode(), end="")
        break
    except OSError:
        if time.monotonic() > end:
            raise
        time.sleep(0.05)
"""


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """A Docker Engine with its own data, socket and containerd, and no bridge and no iptables rules."""
    for program in (DOCKER, DOCKERD):
        if not Path(program).exists():
            pytest.skip(f"no {program}: run .ci/packages docker.io")
    prefix: tuple[str, ...] = ()
    if os.geteuid() != 0:
        prefix = ("sudo", "-n")
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
            pytest.skip("a Docker Engine needs root, and sudo asks for a password")
    with ExitStack() as stack:
        yield _engine(prefix, stack)


def _engine(prefix: tuple[str, ...], stack: ExitStack) -> Docker:
    folder = Path(tempfile.mkdtemp(prefix="wherry-docker-"))  # short: a socket's path has at most 107 bytes
    stack.callback(subprocess.run, [*prefix, "rm", "-rf", "--one-file-system", str(folder)], check=False)
    data = folder / "data"
    data.mkdir()
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(data)], capture_output=True, text=True, check=True)
    if kind.stdout.strip() == "overlayfs":  # overlays do not stack; without one each layer is a full copy
        subprocess.run([*prefix, "mount", "-t", "tmpfs", "tmpfs", str(data)], check=True)
        stack.callback(subprocess.run, [*prefix, "umount", "-l", str(data)], check=False)
    host = f"unix://{folder}/docker.sock"
    pidfile = folder / "docker.pid"
    words = [
        *prefix,
        DOCKERD,
        "--iptables=false",
        "--ip6tables=false",
        "--bridge=none",
        f"--data-root={data}",
        f"--exec-root={folder}/exec",
        f"--pidfile={pidfile}",
        f"--host={host}",
        f"--config-file={folder}/none.json",
    ]
    (folder / "none.json").write_text("{}")
    log = stack.enter_context((folder / "log").open("w+"))
    engine = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    stack.callback(_clear_mounts, folder, prefix)
    stack.callback(_stop, engine, pidfile, prefix)
    docker = Docker(host, prefix)
    end = time.monotonic() + 60
    while docker("version", check=False).returncode:
        if engine.poll() is not None or time.monotonic() > end:
            log.seek(0)
            pytest.fail(f"the Docker Engine does not start:\n{log.read()[-4000:]}")
        time.sleep(0.1)
    return docker


def _stop(engine: subprocess.Popen[bytes], pidfile: Path, prefix: tuple[str, ...]) -> None:
    with suppress(FileNotFoundError, ValueError):
        pid = int(pidfile.read_text())
        subprocess.run([*prefix, "kill", f"-{signal.SIGTERM:d}", str(pid)], check=False)
    try:
        engine.wait(30)
    except subprocess.TimeoutExpired:
        subprocess.run([*prefix, "kill", f"-{signal.SIGKILL:d}", str(engine.pid)], check=False)
        engine.wait(10)


def _clear_mounts(folder: Path, prefix: tuple[str, ...]) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((path for path in mounts if path.startswith(f"{folder}/")), reverse=True):
        subprocess.run([*prefix, "umount", "-l", mount], check=False)
