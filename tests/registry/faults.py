"""A proxy before a registry that does what networks, mirrors and registries do on bad days, as a schedule says.

A schedule gives a fault for a request, or none. Faults are few lines each, made of what an :class:`Exchange` can do.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import select
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import urlsplit

from tests.registry.servers import Registry, Tls

CONNECTION = "CONNECT"
"""The request that stands for a connection which has just been made."""

_HANDSHAKE = b"\x16"  # the first byte of a TLS connection
_LONGEST_STALL = 20.0
_KINDS = (
    ("token", r"/token\b"),
    ("base", r"/v2/$"),
    ("manifest", r"/v2/.+/manifests/"),
    ("session", r"/v2/.+/blobs/uploads/(?:\?|$)"),
    ("upload", r"/v2/.+/blobs/uploads/."),
    ("blob", r"/v2/.+/blobs/"),
)
_OUR_OWN = {"connection", "content-length", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Request:
    """A request as schedules see it."""

    method: str
    path: str

    @property
    def kind(self) -> str:
        """Its method and what it is about, such as ``GET blob`` or ``PATCH upload``."""
        what = next((name for name, pattern in _KINDS if re.match(pattern, self.path)), "")
        return f"{self.method} {what}".strip()


@dataclass(frozen=True)
class Answer:
    """A response, whole."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def saying(self, name: str, value: str) -> Answer:
        """The same with another value of a header."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=(*kept, (name, value)))


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and with which kinds of requests it may."""

    name: str
    strike: Callable[[Exchange], None]
    kinds: frozenset[str]

    def at(self, *kinds: str) -> Fault:
        """The same for these kinds of requests alone."""
        return replace(self, kinds=frozenset(kinds))


class Schedule(Protocol):
    """Says what goes wrong. Asked by one thread at a time."""

    def take(self, request: Request) -> Fault | None:
        """The fault for ``request``, if there is one."""


class Listed:
    """Each of the faults strikes once: the first request that it fits, in this order."""

    def __init__(self, *faults: Fault) -> None:
        self.left = list(faults)

    def take(self, request: Request) -> Fault | None:
        found = next((fault for fault in self.left if request.kind in fault.kinds), None)
        if found:
            self.left.remove(found)
        return found


class Endless:
    """The fault strikes all requests that it fits, for ever."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    def take(self, request: Request) -> Fault | None:
        return self._fault if request.kind in self._fault.kinds else None


class Chance:
    """For each request a fault is drawn, and strikes with a probability if it fits: ``most`` in all, or for ever.

    What meets what depends on the order of requests, too, which is not the same in two runs. Faults in ``rare`` strike
    that often at most.
    """

    def __init__(
        self, seed: int, faults: tuple[Fault, ...], *, most: int | None, probability: float, rare: Mapping[str, int]
    ) -> None:
        self._random = random.Random(seed)
        self._faults = faults
        self._left = most
        self._probability = probability
        self._rare = dict(rare)

    def take(self, request: Request) -> Fault | None:
        fault = self._random.choice(self._faults)
        strikes = self._random.random() < self._probability
        if not strikes or request.kind not in fault.kinds or self._left == 0 or not self._rare.get(fault.name, 1):
            return None
        if self._left is not None:
            self._left -= 1
        if fault.name in self._rare:
            self._rare[fault.name] -= 1
        return fault


class Nothing:
    """No faults."""

    def take(self, request: Request) -> Fault | None:
        return None


# -- the faults --------------------------------------------------------------------------------------

GET_BODY = ("GET manifest", "GET blob", "GET token")
UPLOADS = ("PATCH upload", "PUT upload")
SESSIONS = ("GET upload", "POST session", *UPLOADS)
WRITES = (*UPLOADS, "POST session", "PUT manifest")
ALL = (*GET_BODY, *SESSIONS, "GET base", "HEAD blob", "HEAD manifest", "PUT manifest")


def answering(status: int, **headers: str) -> Fault:
    """The request is answered with an error, and goes no further."""

    def strike(exchange: Exchange) -> None:
        _ = exchange.sent
        said = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        exchange.reply(Answer(status, said, b"not now"))

    name = " ".join([str(status), *(f"{key.replace('_', '-')} {value}" for key, value in headers.items())])
    return Fault(name, strike, frozenset(ALL))


def fault(*kinds: str) -> Callable[[Callable[[Exchange], None]], Fault]:
    """Make a :class:`Fault` of a function, for ``kinds`` of requests."""

    def make(strike: Callable[[Exchange], None]) -> Fault:
        return Fault(strike.__name__.replace("_", " "), strike, frozenset(kinds))

    return make


@fault(CONNECTION)
def reset_at_once(exchange: Exchange) -> None:
    """The connection is reset before anything is said, a TLS handshake among it."""
    exchange.reset()


@fault(*ALL)
def reset_before_the_answer(exchange: Exchange) -> None:
    """The registry never hears of it."""
    _ = exchange.sent
    exchange.reset()


@fault(*ALL)
def reset_instead_of_the_answer(exchange: Exchange) -> None:
    """The registry has done it, and nobody learns that."""
    exchange.forward()
    exchange.reset()


@fault("PATCH upload", "PUT manifest")
def reset_on_the_way_up(exchange: Exchange) -> None:
    """The registry gets half of a body."""
    exchange.forward_part(exchange.rfile.read(exchange.length // 2))
    exchange.reset()


@fault(*GET_BODY)
def reset_on_the_way_down(exchange: Exchange) -> None:
    """Half of a body arrives, then a reset."""
    answer = exchange.forward()
    exchange.reply(answer, most=len(answer.body) // 2)
    exchange.reset()


@fault(*GET_BODY)
def truncated(exchange: Exchange) -> None:
    """Half of a body arrives, then an orderly end."""
    answer = exchange.forward()
    exchange.reply(answer, most=len(answer.body) // 2)
    exchange.end()


@fault(*GET_BODY)
def flipped(exchange: Exchange) -> None:
    """One bit of a body is another."""
    answer = exchange.forward()
    exchange.reply(replace(answer, body=_flipped(answer.body)))


@fault("PATCH upload")
def flipped_on_the_way_up(exchange: Exchange) -> None:
    """One bit of what the registry gets is another."""
    exchange.reply(exchange.forward(_flipped(exchange.sent)))


@fault("GET manifest", "GET blob")
def something_else(exchange: Exchange) -> None:
    """As many bytes as there should be, of something else."""
    answer = exchange.forward()
    exchange.reply(replace(answer, body=os.urandom(len(answer.body))))


@fault("GET manifest", "HEAD manifest", "PUT manifest", "GET blob", "HEAD blob", "PUT upload")
def another_digest_in_the_header(exchange: Exchange) -> None:
    """Docker-Content-Digest names something else."""
    exchange.reply(exchange.forward().saying("Docker-Content-Digest", f"sha256:{'ab' * 32}"))


@fault("GET manifest", "GET blob")
def too_short(exchange: Exchange) -> None:
    """Fewer bytes than there should be, and the header says the same."""
    answer = exchange.forward()
    exchange.reply(replace(answer, body=answer.body[:-7]))


@fault("GET manifest", "GET blob")
def too_long(exchange: Exchange) -> None:
    """More bytes than there should be, and the header says the same."""
    answer = exchange.forward()
    exchange.reply(replace(answer, body=answer.body + b"surplus"))


@fault("GET blob")
def rest_refused(exchange: Exchange) -> None:
    """Who wants the rest of a body is told that there is none."""
    if exchange.headers.get("Range"):
        exchange.reply(Answer(416, (), b"no"))
    else:
        exchange.reply(exchange.forward())


@fault(*ALL)
def stall_before_the_answer(exchange: Exchange) -> None:
    """Nothing comes, until the client has had enough."""
    _ = exchange.sent
    exchange.stall()


@fault("PATCH upload")
def stall_on_the_way_up(exchange: Exchange) -> None:
    """Half of a body is read, then no more."""
    exchange.forward_part(exchange.rfile.read(exchange.length // 2))
    exchange.stall()


@fault(*GET_BODY)
def stall_on_the_way_down(exchange: Exchange) -> None:
    """Half of a body arrives, then no more."""
    answer = exchange.forward()
    exchange.reply(answer, most=len(answer.body) // 2)
    exchange.stall()


@fault("GET blob")
def redirected(exchange: Exchange) -> None:
    """The blob is to be had from another server."""
    answer = exchange.forward(whole=True)
    if answer.status == 200:
        answer = Answer(307, (("Location", exchange.server.elsewhere.offer(answer.body)),))
    exchange.reply(answer)


@fault("GET blob")
def redirected_in_a_circle(exchange: Exchange) -> None:
    """Another server says that it is to be had from another server, and so on."""
    exchange.reply(Answer(307, (("Location", f"{exchange.server.elsewhere.url}/circle"),)))


@fault("GET blob")
def redirected_to_somebody_who_asks(exchange: Exchange) -> None:
    """Another server wants to know who we are, and names one to say it to: itself."""
    exchange.reply(Answer(307, (("Location", f"{exchange.server.elsewhere.url}/ask"),)))


@fault("PATCH upload", "PUT upload", "PUT manifest")
def write_redirected(exchange: Exchange) -> None:
    """A write is sent to a page for people, as who has to log in to a network first knows it."""
    _ = exchange.sent
    exchange.reply(Answer(302, (("Location", f"{exchange.server.elsewhere.url}/welcome"),)))


@fault(*UPLOADS, "GET upload")
def session_lost(exchange: Exchange) -> None:
    """The registry does not know the upload any more."""
    _ = exchange.sent
    body = b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to registry"}]}'
    exchange.reply(Answer(404, (("Content-Type", "application/json"),), body))


@fault("GET upload", "PATCH upload")
def more_than_has_arrived(exchange: Exchange) -> None:
    """The registry says that it has more of an upload than it has."""
    exchange.reply(exchange.forward().saying("Range", "0-999999999"))


@fault("GET upload", "PATCH upload")
def less_than_has_arrived(exchange: Exchange) -> None:
    """The registry says that it has less of an upload than it has."""
    exchange.reply(exchange.forward().saying("Range", "0-99"))


@fault("GET upload", "POST session", "PATCH upload")
def nowhere_to_go_on(exchange: Exchange) -> None:
    """The address at which an upload goes on is none."""
    answer = Answer(204, (("Range", "0-99"),)) if exchange.command == "GET" else exchange.forward()
    exchange.reply(answer.saying("Location", "http://[nowhere/"))


def _flipped(body: bytes) -> bytes:
    if not body:
        return body
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


# -- the proxy ---------------------------------------------------------------------------------------


@dataclass
class Proxy:
    """A way to a registry. ``seen`` are the requests, ``struck`` the names of the faults that they met."""

    host: str
    schedule: Schedule
    elsewhere: Elsewhere
    seen: list[Request] = field(default_factory=list)
    struck: list[str] = field(default_factory=list)


@contextmanager
def proxy(registry: Registry, schedule: Schedule | None = None, *, tls: Tls | None = None) -> Iterator[Proxy]:
    """A proxy before ``registry``; with ``tls`` both are spoken to by https."""
    with _elsewhere() as elsewhere:
        server = _Server(registry, elsewhere, tls)
        server.proxy = Proxy(f"127.0.0.1:{server.server_port}", schedule or Nothing(), elsewhere)
        with _serving(server):
            yield server.proxy


class Exchange(BaseHTTPRequestHandler):
    """One request to the proxy, and what can be done with it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are sent one by one
    server: _Server
    connection: socket.socket
    _body: bytes | None = None

    # -- what faults are made of -----------------------------------------------------------------

    @property
    def length(self) -> int:
        """The bytes of the request's body."""
        return int(self.headers.get("Content-Length", "0"))

    @property
    def sent(self) -> bytes:
        """The request's body, which is read now if it has not been."""
        if self._body is None:
            self._body = self.rfile.read(self.length)
            if len(self._body) < self.length:
                raise ConnectionError("the client has gone")
        return self._body

    def forward(self, body: bytes | None = None, *, whole: bool = False) -> Answer:
        """What the registry answers. ``body`` is another than the client's; ``whole`` asks for no part of a blob."""
        data = self.sent if body is None else body
        upstream = self._kept.setdefault(self.path.startswith("/token"), self._upstream())
        self._head(upstream, passed_over={"range"} if whole else set())
        upstream.send(data)
        response = upstream.getresponse()
        kept = self.command == "HEAD"
        headers = tuple(
            (name, self.server.ours(value))
            for name, value in response.getheaders()
            if name.lower() not in _OUR_OWN or (kept and name.lower() == "content-length")
        )
        return Answer(response.status, headers, response.read())

    def forward_part(self, part: bytes) -> None:
        """Let the registry have ``part`` of the body, and then a connection that has ended."""
        upstream = self._upstream()
        self._head(upstream)
        upstream.send(part)
        upstream.close()

    def reply(self, answer: Answer, *, most: int | None = None) -> None:
        """Send ``answer``, or its head and the first ``most`` bytes of its body."""
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if self.command != "HEAD" and answer.status >= 200 and answer.status not in {204, 304}:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:most])

    def reset(self) -> None:
        """End the connection without a word."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def end(self) -> None:
        """End the connection."""
        self.close_connection = True

    def stall(self) -> None:
        """Do nothing until the client has gone, and then end."""
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        poll.poll(_LONGEST_STALL * 1000)
        self.close_connection = True

    # -- connections -----------------------------------------------------------------------------

    def setup(self) -> None:
        plain: socket.socket = self.request
        first = plain.recv(1, socket.MSG_PEEK)
        if first and (first == _HANDSHAKE) != bool(self.server.tls):
            if self.server.tls:  # as Go has it
                plain.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
            raise ConnectionError("TLS is spoken on one side only")
        self.connection = plain
        self._kept: dict[bool, http.client.HTTPConnection] = {}
        fault = self.server.fault(Request(CONNECTION, ""))
        if fault:
            fault.strike(self)
            raise ConnectionError("a fault")
        if self.server.tls:
            self.request = self.server.context.wrap_socket(plain, server_side=True)
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        for upstream in self._kept.values():
            upstream.close()
        super().finish()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
        self.connection.close()

    def exchange(self) -> None:
        """Answer one request."""
        self._body = None
        fault = self.server.fault(Request(self.command, self.path))
        if fault:
            fault.strike(self)
        else:
            self.reply(self.forward())

    def do_GET(self) -> None:
        self.exchange()

    def do_HEAD(self) -> None:
        self.exchange()

    def do_POST(self) -> None:
        self.exchange()

    def do_PUT(self) -> None:
        self.exchange()

    def do_PATCH(self) -> None:
        self.exchange()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _upstream(self) -> http.client.HTTPConnection:
        registry = self.server.registry
        if registry.tokens and self.path.startswith("/token"):
            return http.client.HTTPConnection(urlsplit(registry.tokens.url).netloc, timeout=30)
        if self.server.tls:
            return http.client.HTTPSConnection(registry.host, timeout=30, context=self.server.trusting)
        return http.client.HTTPConnection(registry.host, timeout=30)

    def _head(self, upstream: http.client.HTTPConnection, passed_over: set[str] | None = None) -> None:
        """Send the head of the client's request; the host that it names stays, so that addresses lead back here."""
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in {"connection", *(passed_over or ())}:
                upstream.putheader(name, value)
        upstream.endheaders()


class _Listening(ThreadingHTTPServer):
    """A server whose open connections end with it."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.open: set[socket.socket] = set()
        self.trouble: list[BaseException] = []

    def serve(self) -> None:
        """Accept connections until the socket is shut down: unlike in ``serve_forever``, nobody waits for a poll."""
        with suppress(OSError):
            while True:
                self.process_request(*self.get_request())

    def server_close(self) -> None:
        for connection in tuple(self.open):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not TLS's own, which another thread is using
        super().server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if error and not isinstance(error, OSError):  # a client may go whenever it likes
            self.trouble.append(error)


class _Server(_Listening):
    proxy: Proxy

    def __init__(self, registry: Registry, elsewhere: Elsewhere, tls: Tls | None) -> None:
        super().__init__(Exchange)
        self.registry = registry
        self.elsewhere = elsewhere
        self.tls = tls
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if tls:
            self.context.load_cert_chain(tls.certificate, tls.key)
            self.trusting = ssl.create_default_context(cafile=tls.authority)
        self._lock = threading.Lock()

    def fault(self, request: Request) -> Fault | None:
        """What goes wrong with ``request``."""
        with self._lock:
            if request.method != CONNECTION:
                self.proxy.seen.append(request)
            found = self.proxy.schedule.take(request)
            if found:
                self.proxy.struck.append(found.name)
            return found

    def ours(self, header: str) -> str:
        """A header's value; the token server is reached through us, too."""
        tokens = self.registry.tokens
        return header.replace(tokens.url, f"http://{self.proxy.host}") if tokens else header


@contextmanager
def _serving(server: _Listening) -> Iterator[None]:
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):
            server.socket.shutdown(socket.SHUT_RDWR)  # closing alone wakes nobody
        thread.join()
        server.server_close()
    if server.trouble:
        raise server.trouble[0]


# -- another server ----------------------------------------------------------------------------------


@dataclass
class Elsewhere:
    """Another server that blobs are to be had from. ``secrets`` are the Authorization headers that came there."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    served: int = 0

    def offer(self, data: bytes) -> str:
        """Serve ``data``; gives its address."""
        path = f"/file/{len(self.files)}"
        self.files[path] = data
        return f"{self.url}{path}"


@contextmanager
def _elsewhere() -> Iterator[Elsewhere]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            secret = self.headers.get("Authorization")
            if secret:
                made.secrets.append(secret)
            if self.path == "/circle":
                self.answer(307, b"", ("Location", f"{made.url}/circle"))
            elif self.path == "/ask":
                self.answer(401, b"", ("WWW-Authenticate", f'Bearer realm="{made.url}/token",service="elsewhere"'))
            elif self.path.startswith("/token"):
                self.answer(200, b'{"token":"elsewhere"}')
            elif self.path in made.files:
                made.served += 1
                self.answer(200, made.files[self.path])
            else:
                self.answer(404, b"")

        def answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (*headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Listening(Handler)
    made = Elsewhere(f"http://127.0.0.1:{server.server_port}")
    with _serving(server):
        yield made
