"""The base images of the cases: small, made here, the same everywhere but for the busybox in them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.differential.case import Dir, Entry, File, Hardlink, Symlink, Tree, tar

from wherry.events import Reporter, Task
from wherry.image import Platform
from wherry.layers.compression import Compression
from wherry.sources.layout import DockerArchive
from wherry.store import Store

BASE = "wherry.test/base"
_APPLETS = """
    basename cat chgrp chmod chown cp cut dd dirname echo env expr false find grep head hostname id ln ls mkdir
    mkfifo mknod mv od printenv printf pwd readlink realpath rm rmdir sed setpriv sh sleep sort stat tail tar tee
    test touch tr true truncate umask uname wc whoami xargs
"""

_PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
app:x:1000:1000:An application:/home/app:/bin/sh
other:x:1001:50:Another:/home/other:/bin/sh
"""
_GROUP = """root:x:0:
daemon:x:1:
staff:x:50:app,other
app:x:1000:
extra:x:2000:app
"""


def busybox() -> Path | None:
    """Debian's static busybox, if it is installed."""
    found = shutil.which("busybox", path="/bin:/usr/bin")
    return Path(found) if found else None


@cache
def markers() -> Mapping[str, str]:
    """What :func:`~tests.differential.flatten.content` calls the files that differ from machine to machine."""
    path = busybox()
    return {hashlib.sha256(path.read_bytes()).hexdigest(): "BUSYBOX"} if path else {}


def base_tree() -> Tree:
    """The root filesystem of the base: peculiar modes, linked directories, a setuid file, hard links."""
    path = busybox()
    assert path is not None, "no busybox: run .ci/packages busybox-static"
    tree: dict[str, Entry | str | bytes] = {
        "bin": Dir(),
        "bin/busybox": File(path.read_bytes(), 0o755),
        **{f"bin/{name}": Symlink("busybox") for name in _APPLETS.split()},
        "dev": Dir(),
        "etc": Dir(),
        "etc/group": _GROUP,
        "etc/hostname": "base\n",
        "etc/passwd": _PASSWD,
        "home": Dir(),
        "home/app": Dir(0o700, 1000, 1000),
        "home/app/.profile": File("# app\n", 0o600, 1000, 1000),
        "lib": Dir(),
        "lib/a.so": File("a library\n", 0o755),
        "lib64": Symlink("lib"),
        "opt": Dir(0o775, 0, 50),
        "opt/first": "linked\n",
        "opt/second": Hardlink("opt/first"),
        "proc": Dir(0o555),
        "root": Dir(0o700),
        "run": Dir(),
        "srv": Dir(),
        "srv/data": Dir(),
        "srv/data/one": "1\n",
        "srv/data/sub": Dir(0o750, 1000, 50),
        "srv/data/sub/two": File("2\n", 0o640, 1000, 50),
        "srv/link": Symlink("data"),
        "srv/absolute": Symlink("/srv/data"),
        "srv/dangling": Symlink("/srv/nowhere"),
        "srv/to-file": Symlink("data/one"),
        "sys": Dir(0o555),
        "tmp": Dir(0o1777),
        "usr": Dir(),
        "usr/bin": Dir(),
        "usr/bin/setuid": File("#!/bin/sh\n", 0o4755),
        "usr/bin/setgid": File("#!/bin/sh\n", 0o2755, 0, 50),
        "var": Dir(),
        "var/run": Symlink("/run"),
        "var/sgid": Dir(0o2775, 0, 50),
    }
    return tree


_PATH = "PATH=/usr/local/bin:/usr/bin:/bin"

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    # The plain one.
    BASE: {"Env": [_PATH], "Labels": {"base": "yes"}, "Cmd": ["/bin/sh"]},
    # One with all that a child inherits, or does not.
    "wherry.test/full": {
        "Env": [_PATH, "FROM_BASE=1", "GREETING=hello world"],
        "Labels": {"base": "full", "kept": "as it is"},
        "Entrypoint": ["/bin/echo", "entry"],
        "Cmd": ["command"],
        "User": "app",
        "WorkingDir": "/srv/work",
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "StopSignal": "SIGINT",
        "Shell": ["/bin/sh", "-e", "-c"],
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000000000},
    },
    # Those with instructions for their children.
    "wherry.test/onbuild": {
        "Env": [_PATH],
        "OnBuild": [
            "ARG COLOR=red",
            "ENV COLOR_WAS=$COLOR",
            "COPY . /src",
            "RUN echo $COLOR > /color",
            "WORKDIR /src",
        ],
    },
    "wherry.test/onbuild-from": {"Env": [_PATH], "OnBuild": ["COPY --from=wherry.test/base /etc/hostname /copied"]},
    "wherry.test/onbuild-stage": {"Env": [_PATH], "OnBuild": ["COPY --from=assets /asset /asset"]},
    "wherry.test/onbuild-bad": {"Env": [_PATH], "OnBuild": ["NONSENSE here"]},
    "wherry.test/nopath": {},
}


def archive(name: str) -> bytes:
    """The image called ``name`` as ``docker load`` and wherry read it."""
    layer = tar(base_tree())
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2001-09-09T01:46:40Z",
            "author": "The Wherry authors",
            "config": CONFIGS[name],
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created": "2001-09-09T01:46:40Z", "created_by": "the base"}],
        }
    ).encode()
    file = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": file, "RepoTags": [f"{name}:latest"], "Layers": ["layer.tar"]}]
    return tar({"manifest.json": json.dumps(manifest), file: config, "layer.tar": layer})


def stock(path: Path) -> None:
    """Put all base images into a store at ``path``, by their names."""
    with Store(path) as store:
        for name in CONFIGS:
            file = store.scratch() / "base.tar"
            file.write_bytes(archive(name))
            source = DockerArchive(str(file), store, Compression())
            found = source.image(Platform("linux", "amd64"), Task(Reporter(), 0))
            store.tag((f"{name}:latest",), store.add_image(found))
