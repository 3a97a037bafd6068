"""Servers on loopback: Debian's docker-registry, a wire that counts what passes, a package index."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer, ThreadingTCPServer
from typing import TypeVar

from bench.wheels import metadata, write_wheel

_HERE = "127.0.0.1"
_PIECE = 1 << 18
Server = TypeVar("Server", bound=TCPServer)


# -- a registry ------------------------------------------------------------------------------------------


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """An empty registry that keeps its files in ``folder``, which is removed with it; gives ``HOST:PORT``."""
    folder.mkdir()
    with socket.create_server((_HERE, 0)) as probe:
        host = f"{_HERE}:{probe.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": host, "secret": "of the bench"},
    }
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    env = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}  # would count
    with (folder / "log").open("wb") as log:
        words = ["docker-registry", "serve", str(folder / "config.yml")]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
    try:
        _wait_for(host, process, folder / "log")
        yield host
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def _wait_for(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while True:
        with suppress(OSError), _connect(host):
            return
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"the registry does not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.02)


def _connect(host: str) -> socket.socket:
    name, _, port = host.partition(":")
    return socket.create_connection((name, int(port)))


# -- a wire ----------------------------------------------------------------------------------------------


class Wire(ThreadingTCPServer):
    """A way to ``server`` (``HOST:PORT``) that counts the bytes in both directions; ``host`` is this end."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, server: str) -> None:
        super().__init__((_HERE, 0), _Crossing)
        self.server = server
        self.host = f"{_HERE}:{self.server_address[1]}"
        self.up = self.down = 0
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Count from here on."""
        with self._lock:
            self.up = self.down = 0

    def forward(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        """Pass on what comes until an end closes."""
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                with self._lock:
                    setattr(self, way, getattr(self, way) + len(piece))
                sink.sendall(piece)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class _Crossing(BaseRequestHandler):
    server: Wire

    def handle(self) -> None:
        """One connection, both ways."""
        near = self.request
        with _connect(self.server.server) as far:
            up = threading.Thread(target=self.server.forward, args=(near, far, "up"), daemon=True)
            up.start()
            self.server.forward(far, near, "down")
            up.join()


@contextmanager
def wire(server: str) -> Iterator[Wire]:
    """A wire to ``server``."""
    with _serving(Wire(server)) as made:
        yield made


# -- a package index -------------------------------------------------------------------------------------


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def write_index(folder: Path, names: list[str], megabytes: int) -> None:
    """Make a simple index (PEP 503) of wheels of ``megabytes`` each."""
    for name in names:
        wheel = write_wheel(folder / "wheels", name, megabytes)
        wheel.with_name(f"{wheel.name}.metadata").write_bytes(metadata(name))  # PEP 658
        with wheel.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        told = f"sha256={hashlib.sha256(metadata(name)).hexdigest()}"
        page = folder / "simple" / name / "index.html"
        page.parent.mkdir(parents=True)
        link = f'<a href="/wheels/{wheel.name}#sha256={digest}" data-core-metadata="{told}">{wheel.name}</a>'
        page.write_text(f"<!DOCTYPE html><html><body>{link}</body></html>\n")


@contextmanager
def index(folder: Path) -> Iterator[str]:
    """Serve what :func:`write_index` has made; gives its URL."""
    with _serving(ThreadingHTTPServer((_HERE, 0), partial(_Quiet, directory=str(folder)))) as server:
        yield f"http://{_HERE}:{server.server_address[1]}/simple/"


@contextmanager
def _serving(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
