"""What may stand between us and a registry: a proxy of the network, or a server that registries are hidden behind."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

from tests.registry.servers import Registry, Tls, listening


@dataclass
class Proxy:
    """A forward proxy to which every host name is this machine. ``login`` (``USER:PASSWORD``) is what it wants.

    It notes (method, host, login) of all requests, also of those that it refuses.
    """

    host: str
    login: str = ""
    seen: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def proxy(tls: Tls | None = None) -> Iterator[Proxy]:
    """Start a proxy: GET and the like with a whole URL for http, CONNECT for https. ``tls`` is its own."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            line, headers = self.head()
            if not line:
                return
            method, target, _ = line.split(" ")
            host = target if method == "CONNECT" else urlsplit(target).netloc
            login = base64.b64decode(headers.pop("proxy-authorization", "").removeprefix("Basic ")).decode()
            made.seen.append((method, host, login))
            if made.login and login != made.login:
                self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2]))) as far:
                if method == "CONNECT":
                    self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    path = target.partition(host)[2] or "/"
                    kept = {**headers, "connection": "close"}
                    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in kept.items()), "", ""]
                    far.sendall("\r\n".join(lines).encode())
                down = threading.Thread(target=self.down, args=(far,))
                down.start()
                with suppress(OSError):
                    while piece := self.rfile.read1(1 << 16):
                        far.sendall(piece)
                    far.shutdown(socket.SHUT_WR)
                down.join()

        def head(self) -> tuple[str, dict[str, str]]:
            line = self.rfile.readline().decode().strip()
            headers: dict[str, str] = {}
            while header := self.rfile.readline().decode().strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            return line, headers

        def down(self, far: socket.socket) -> None:
            with suppress(OSError):
                while piece := far.recv(1 << 16):
                    self.connection.sendall(piece)
                self.connection.shutdown(socket.SHUT_RDWR)

    class Server(ThreadingTCPServer):
        daemon_threads = True  # a client that fails may leave its connection open

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls.certificate, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with listening(server) as port:
        made = Proxy(f"127.0.0.1:{port}")
        yield made


@dataclass
class Front:
    """A server before a registry. It notes (method, path, Authorization) of all requests.

    ``blobs`` is a host to which whoever reads a blob is sent, ``uploads`` one at which uploads are said to go on.
    ``login`` is what it says to the registry in the place of what is said to it. Each of ``refused`` is a method and a
    part of a path: the first request of that kind is refused, as if a token had just ended.
    """

    host: str
    blobs: str = ""
    uploads: str = ""
    login: str = ""
    refused: list[str] = field(default_factory=list)
    seen: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def front(server: Registry) -> Iterator[Front]:
    """Start a server before ``server``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            made.seen.append((self.command, self.path, self.headers.get("Authorization", "")))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.command == "GET" and made.blobs and "/blobs/sha256:" in self.path:
                self.answer(307, {"Location": f"http://{made.blobs}{self.path}"}, b"")
                return
            headers = dict(self.headers.items())
            if made.login:
                headers["Authorization"] = f"Basic {base64.b64encode(made.login.encode()).decode()}"
            kinds = [kind for kind in made.refused if self.command == kind.split()[0] and kind.split()[1] in self.path]
            if kinds and "Authorization" in headers:
                made.refused.remove(kinds[0])
                del headers["Authorization"]
            upstream = http.client.HTTPConnection(server.host)
            try:
                upstream.request(self.command, self.path, body, headers)
                response = upstream.getresponse()
                said = dict(response.getheaders())
                if made.uploads and "/blobs/uploads/" in said.get("Location", ""):
                    said["Location"] = said["Location"].replace(made.host, made.uploads)
                self.answer(response.status, said, response.read())
            finally:
                upstream.close()

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self.forward
            raise AttributeError(name)

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in {"connection", "transfer-encoding", "content-length", "date", "server"}:
                    self.send_header(name, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else len(body)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        made = Front(f"127.0.0.1:{port}")
        yield made
