"""An image that borrows this machine's programs by way of volumes, and ways to run it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wherry.image import Image, ImageConfig, Platform, RuntimeConfig
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.writer import LayerWriter
from wherry.sandbox import BuiltinSandbox, Command, CommandError, SandboxError
from wherry.store import Store

if TYPE_CHECKING:
    from tests.conftest import User, Wherry

PASSWD = b"root:x:0:0::/root:/bin/sh\nsailor:x:1000:100::/home/sailor:/bin/sh\n"
CONFIG = RuntimeConfig(env=("PATH=/usr/bin:/bin", "CARGO=tea"), cmd=("sh", "-c", "echo $CARGO"))
Result = subprocess.CompletedProcess[str]
AddImage = Callable[..., Image]
TOPS = [Path("/", name) for name in ("bin", "lib", "lib64", "sbin")]


def _add_image(store: Store, config: RuntimeConfig = CONFIG, name: str = "boat:latest", marker: str = "") -> Image:
    entries = [Entry(top.name, "symlink", 0o777, link=str(top.readlink())) for top in TOPS if top.is_symlink()]
    entries += [Entry("etc", "dir", 0o755), Entry("tmp", "dir", 0o1777), Entry("etc/passwd", "file", size=len(PASSWD))]
    entries += [Entry("home", "dir", 0o755), Entry("home/sailor", "dir", 0o750, uid=1000, gid=100)]
    if marker:
        entries.append(Entry(marker, "file"))
    with LayerWriter(store.blobs, Compression()) as writer:
        for entry in entries:
            writer.add(entry, PASSWD if entry.size else b"")
        layer = writer.finish()
    image = Image.of(ImageConfig(Platform.native(), config), (layer,), {})
    store.tag((name,), store.add_image(image))
    return image


@pytest.fixture
def add_image() -> AddImage:
    """Keeps an image with a few files in a store, under a name: (store, config, name, a further file)."""
    return _add_image


@pytest.fixture(scope="session")
def can_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where there can be no sandbox."""
    try:
        BuiltinSandbox().start(tmp_path_factory.mktemp("probe"), Command(("/none",)))
    except CommandError:
        return
    except SandboxError as error:
        pytest.skip(f"no sandbox here: {error}")


@dataclass(frozen=True)
class Boat:
    """An image in a store, and ``wherry run`` of it with this machine's programs."""

    wherry: Wherry

    def words(self, *args: str, options: tuple[str, ...] = ()) -> list[str]:
        """The words after ``wherry``."""
        folders = [Path("/usr"), *(top for top in TOPS if top.is_dir() and not top.is_symlink())]
        lent = [word for folder in folders for word in ("-v", f"{folder}:{folder}:ro")]
        return ["run", *lent, *options, "boat", *args]

    def __call__(self, *args: str, options: tuple[str, ...] = (), stdin: str = "", cwd: Path | None = None) -> Result:
        """Run it to its end."""
        return self.wherry(*self.words(*args, options=options), stdin=stdin, cwd=cwd)

    def sh(self, script: str, *options: str, stdin: str = "") -> Result:
        """Run a shell script in it."""
        return self("sh", "-c", script, options=options, stdin=stdin)


@pytest.fixture
def boat(wherry: Wherry, can_run: None) -> Boat:
    """The image, as whoever runs the tests."""
    with Store(wherry.store) as store:
        _add_image(store)
    return Boat(wherry)


@pytest.fixture(params=["subordinate IDs", "one ID"])
def users_boat(request: pytest.FixtureRequest, can_run: None) -> Boat:
    """The image as an ordinary user, with and without subordinate IDs. Only root can be any user."""
    if os.geteuid() != 0:
        pytest.skip("only root can be every user")
    user: User = request.getfixturevalue("user")
    wherry = user.wherry()
    home = user.home / request.param.replace(" ", "-") / request.node.name.partition("[")[0]
    with Store(home / "store") as store:
        _add_image(store)
    number = "4711"
    if request.param == "one ID":
        words = ("setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", "--", *_after(wherry.prefix))
    else:
        words = wherry.prefix
    owner = number if request.param == "one ID" else "wherry-test"
    subprocess.run(["chown", "-R", f"{owner}:{owner}", str(home)], check=True)
    user.home.chmod(0o755)
    return Boat(type(wherry)(home / "store", words, wherry.env, wherry.python))


def _after(prefix: tuple[str, ...]) -> tuple[str, ...]:
    return prefix[prefix.index("--") + 1 :]
