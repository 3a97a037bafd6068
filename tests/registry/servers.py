"""Real registries for the tests: Debian's docker-registry on loopback; open, with passwords, with tokens, with TLS.

Each has a directory of its own and lives as long as its ``with`` block.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import parse_qs, urlsplit

PROGRAM = "/usr/bin/docker-registry"
USER, PASSWORD = "somebody", "secret:with colons"
_HASH = "$2b$04$Hn9Z0R1hBPlL/w0u8DwjfehN0MIElcGUrGm9qgW19pOQ7a.P1Q9kS"  # bcrypt, of PASSWORD
_SERVICE, _ISSUER = "registry.test", "issuer.test"


@dataclass(frozen=True)
class Tls:
    """An authority, and what it has signed: a certificate for this machine, and ``client``, one for a user."""

    authority: Path
    certificate: Path
    key: Path
    client: Path
    client_key: Path


@dataclass
class Registry:
    """A registry at ``host`` (``127.0.0.1:PORT``) that keeps its files in ``folder``."""

    host: str
    folder: Path
    tokens: TokenServer | None = None

    def blobs(self) -> set[str]:
        """The hexadecimal parts of the digests of all blobs, whole ones alone."""
        return {path.parent.name for path in self.folder.glob("data/docker/registry/v2/blobs/sha256/*/*/data")}

    def tags(self, repository: str) -> set[str]:
        """The tags of a repository."""
        found = self.folder.glob(f"data/docker/registry/v2/repositories/{repository}/_manifests/tags/*")
        return {path.name for path in found}


@dataclass
class TokenServer:
    """Gives tokens for what is asked for, and notes what that was: (user or nobody, scopes)."""

    url: str
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    lasts: int = 300
    """Seconds that tokens are good for, as they say themselves."""
    stale: int = 0
    """How many of the next tokens the registry does not take, whatever they say themselves."""
    strict: bool = False
    """Whether nobody gets a token without a login."""
    given: list[str] = field(default_factory=list)


@contextmanager
def registry(
    folder: Path, *, password: bool = False, tokens: bool = False, tls: Tls | None = None, clients: bool = False
) -> Iterator[Registry]:
    """Start a registry; ``password``, ``tokens`` and ``clients`` (certificates) say how it asks who one is."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
    }
    serving: dict[str, object] = {"addr": host, "secret": "of the tests"}
    if tls:
        authorities = {"clientcas": [str(tls.authority)]} if clients else {}
        serving["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key), **authorities}
    config["http"] = serving
    if password:
        (folder / "htpasswd").write_text(f"{USER}:{_HASH}\n")
        config["auth"] = {"htpasswd": {"realm": "of the tests", "path": str(folder / "htpasswd")}}
    with _token_server(folder) if tokens else _nothing() as server:
        if server:
            config["auth"] = {
                "token": {
                    "realm": f"{server.url}/token",
                    "service": _SERVICE,
                    "issuer": _ISSUER,
                    "rootcertbundle": str(folder / "tokens.crt"),
                }
            }
        (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
        env = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}  # would count
        with (folder / "log").open("wb") as log:
            words = [PROGRAM, "serve", str(folder / "config.yml")]
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        try:
            _wait_for(host, process, folder / "log")
            yield Registry(host, folder, server)
        finally:
            process.terminate()
            process.wait(timeout=30)


def certificates(folder: Path) -> Tls:
    """A new authority, and certificates of it: for 127.0.0.1, localhost and registry.test, and for a user.

    They are what a few commands of openssl give, with no more extensions than must be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt",
             "-days", "2", "-subj", "/CN=authority of the tests")  # fmt: skip
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:registry.test"
    for name, subject, extensions in (("server", "127.0.0.1", names), ("client", USER, "extendedKeyUsage=clientAuth")):
        _openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                 "-subj", f"/CN={subject}")  # fmt: skip
        (folder / f"{name}.ext").write_text(f"{extensions}\n")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                 "-out", f"{name}.crt", "-days", "2", "-extfile", f"{name}.ext")  # fmt: skip
    return Tls(folder / "ca.crt", *(folder / name for name in ("server.crt", "server.key", "client.crt", "client.key")))


def _openssl(folder: Path, *words: str, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *words], cwd=folder, input=data, capture_output=True, check=True).stdout


def _wait_for(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    name, _, port = host.partition(":")
    end = time.monotonic() + 30
    while True:
        with suppress(OSError), socket.create_connection((name, int(port)), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the registry does not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)


@contextmanager
def listening(server: TCPServer) -> Iterator[int]:
    """Let ``server`` serve for as long as the block lasts; gives its port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


@contextmanager
def _token_server(folder: Path) -> Iterator[TokenServer]:
    """A token server as distribution's "Token Authentication Specification" has it; its key is made here."""
    _openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "tokens.key", "-out", "tokens.crt",
             "-days", "2", "-subj", "/CN=tokens of the tests")  # fmt: skip
    certificate = base64.b64encode(_openssl(folder, "x509", "-in", "tokens.crt", "-outform", "DER")).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            self.answer(query.get("scope", []))

        def do_POST(self) -> None:
            fields = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            good = fields.get("refresh_token") == [PASSWORD]
            self.answer(fields.get("scope", [""])[0].split(), user=USER if good else None)

        def answer(self, scopes: list[str], user: str | None = "") -> None:
            if user == "":
                user = self.user()
            server.asked.append((user or "nobody", tuple(scopes)))
            body = b'{"details":"who are you?"}'
            if user is not None:
                stale, server.stale = server.stale > 0, max(server.stale - 1, 0)
                # A registry takes them for a minute more.
                token = _token(folder, certificate, user, scopes, -600 if stale else server.lasts)
                server.given.append(token)
                body = json.dumps({"token": token, "expires_in": server.lasts}).encode()
            self.send_response(200 if user is not None else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def user(self) -> str | None:
            header = self.headers.get("Authorization", "")
            if not header:
                return None if server.strict else ""
            expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            return USER if header == f"Basic {expected}" else None

        def log_message(self, format: str, *args: object) -> None:
            pass

    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        server = TokenServer(f"http://127.0.0.1:{port}")
        yield server


def _token(folder: Path, certificate: str, user: str, scopes: list[str], lasts: int) -> str:
    """A JSON web token, RS256: everybody may pull, whoever has logged in may push."""
    access = []
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        allowed = [one for one in actions.split(",") if one == "pull" or user]
        access.append({"type": kind, "name": name, "actions": allowed})
    now = int(time.time())
    header = {"typ": "JWT", "alg": "RS256", "x5c": [certificate]}
    claims = {
        "iss": _ISSUER,
        "aud": _SERVICE,
        "sub": user,
        "nbf": now - 10,
        "iat": now,
        "exp": now + lasts,
        "jti": str(time.monotonic_ns()),
        "access": access,
    }
    signed = b".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
    signature = _openssl(folder, "dgst", "-sha256", "-sign", "tokens.key", data=signed)
    return (signed + b"." + _encoded(signature)).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
