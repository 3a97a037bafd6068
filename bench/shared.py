"""Rows of the shared cache: what a machine that has never seen a project sends and fetches to build it once more."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from bench import images, shared_docker
from bench.builders import Bench
from bench.engine import has_image_store
from bench.measure import Run, run
from bench.servers import index, registry, wire, write_index
from bench.table import Row, verdict
from bench.traffic import Traffic

WHEELS = 20
MEGABYTES = 50  # of each
_AIM = 1_000_000  # bytes, each way
_KEPT = ("LANG", "PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "WHERRY_DEBIAN_MIRROR", "WHERRY_DEBIAN_CHECK_VALID_UNTIL")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_NOWHERE = dict.fromkeys(_PROXIES, "http://127.0.0.1:9")
"""What leads all requests astray but those to this machine."""


class Machine:
    """A machine that has nothing of the others: an own home, an own store, an own copy of the project."""

    def __init__(self, bench: Bench, requirements: str, source: str, *, alone: bool = False) -> None:
        """``source`` is main.py; one that is ``alone`` reaches nothing but what is on this machine."""
        self.folder = bench.folder / f"machine-{bench.number()}"
        self._bench = bench
        self._project = self.folder / "app"
        self._project.mkdir(parents=True)
        (self._project / "requirements.txt").write_text(requirements)
        self.write(source)
        outside = _NOWHERE if alone else {name: os.environ[name] for name in _PROXIES if name in os.environ}
        self._env = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            **outside,
            "NO_PROXY": "127.0.0.1",
            "HOME": str(self.folder),
            "WHERRY_STORE": str(self.folder / "store"),
            "PIP_CONFIG_FILE": os.devnull,
        }

    def write(self, source: str) -> None:
        """Let main.py be ``source``."""
        (self._project / "main.py").write_text(source)

    def build(self, *args: str) -> Run:
        """``wherry build`` of the project."""
        words = [str(self._bench.command), "build", "--progress", "plain", *args, str(self._project)]
        return run(words, env=self._env)

    def digest(self, *args: str) -> str:
        """That of the image which :meth:`build` makes."""
        path = self.folder / "metadata.json"
        self.build("--metadata-file", str(path), *args)
        return str(json.loads(path.read_text())["containerimage.digest"])


def rows(bench: Bench) -> Iterator[Row]:
    """One machine builds, pushes, and writes the cache; then fresh ones do, each with another source line."""
    folder = bench.folder / "index"
    names = [f"heavy{number:02}" for number in range(WHEELS)]
    requirements = "".join(f"{name}==1.0\n" for name in names)
    write_index(folder, names, MEGABYTES)
    ours = _ours(bench, folder, requirements)
    # Debian 12's engine cannot: see has_image_store.
    able = has_image_store(bench.docker.version())
    plain, linked = shared_docker.measure(bench, folder, requirements) if able else (Traffic(), Traffic())
    bench.remove(folder)
    what = "a fresh machine, shared cache, one source line"
    yield Row(what, ours.seconds, plain.seconds)
    what = f"a fresh machine, one source line of a project with {WHEELS * MEGABYTES / 1000:.0f} GB of wheels"
    bench.remarks.append(f"{what}: {ours.text()}; aim: under 1 MB each way: {verdict(ours.most < _AIM)}")
    if able:
        yield Row("  the same (COPY --link, the image is not kept)", ours.seconds, linked.seconds)
        bench.remarks.append(f"the same with docker build: {plain.text()}")
        bench.remarks.append(f"the same with COPY --link and --output …,store=false,unpack=false: {linked.text()}")


def _ours(bench: Bench, folder: Path, requirements: str) -> Traffic:
    """The fresh machines reach neither the wheels nor Debian. They must make the image that the first one would."""
    traffic = Traffic()
    with registry(bench.folder / "shared") as server, wire(server) as way:
        cache = f"type=registry,ref={way.host}/cache:app"
        options = ["-t", f"{way.host}/app", "--push", "--cache-to", cache]
        first = Machine(bench, requirements, bench.source())
        with index(folder) as url:
            first.build("--index-url", url, *options)
        before = images.find(f"{server}/app")
        for _ in range(bench.runs):
            source = bench.source()
            fresh = Machine(bench, requirements, source, alone=True)
            way.reset()
            traffic.add(fresh.build("--index-url", url, "--cache-from", cache, *options), way)
            bench.remove(fresh.folder)
            after = images.find(f"{server}/app")
            first.write(source)
            if after.digest != first.digest("--index-url", url):
                raise SystemExit("a fresh machine with a shared cache builds another image than the first one")
            if len(new := after.blobs.keys() - before.blobs.keys()) != 2:
                raise SystemExit(f"a source line should change the config and a layer; new are {', '.join(new)}")
    bench.remove(first.folder)
    return traffic
