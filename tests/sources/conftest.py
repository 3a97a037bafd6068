"""What the tests of sources share: a task, a fetcher, archives, git repositories, and a server on loopback."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import pytest

from wherry.events import Reporter, Task
from wherry.fetch import Fetcher
from wherry.store import Store

MODIFIED = 1_500_000_000


@pytest.fixture
def task() -> Task:
    """Work that nobody watches."""
    return Task(Reporter(), 0)


@pytest.fixture
def fetcher(store: Store) -> Iterator[Fetcher]:
    """A fetcher that keeps what it fetches in the store."""
    with Fetcher(store.files) as fetcher:
        yield fetcher


def member(
    name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", mode: int = 0o644, uid: int = 0
) -> tarfile.TarInfo:
    """A header of a tar archive."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.uid, info.gid, info.mtime = kind, link, mode, uid, uid, MODIFIED
    return info


def packed(*members: tarfile.TarInfo | tuple[str, bytes], mode: str = "w") -> bytes:
    """A tar archive; a pair is a file of that name and content."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:  # type: ignore[call-overload]
        for one in members:
            info, content = (member(one[0]), one[1]) if isinstance(one, tuple) else (one, b"")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


# -- a server --------------------------------------------------------------------------------------


@dataclass
class Server:
    """Serves ``files`` by path, and what lies in ``folder``; ``seen`` are the requests, ``sent`` the statuses.

    ``elsewhere`` says of paths which URL to go to instead.
    """

    url: str
    folder: Path
    elsewhere: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, Message]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)

    def content(self, path: str) -> bytes | None:
        if path in self.files:
            return self.files[path]
        found = self.folder / path.lstrip("/")
        return found.read_bytes() if found.is_file() else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    served: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.served.seen.append((self.path, self.headers))
        content = self.served.content(path)
        if path in self.served.elsewhere:
            return self._answer(302, b"", {"Location": self.served.elsewhere[path]})
        if content is None:
            return self._answer(404, b"not found\n")
        etag, modified = self.served.headers.get("ETag", ""), self.served.headers.get("Last-Modified", "")
        fresh = etag and self.headers.get("If-None-Match") == etag
        if since := self.headers.get("If-Modified-Since"):
            fresh = fresh or (modified and parsedate_to_datetime(since) >= parsedate_to_datetime(modified))
        if fresh:
            return self._answer(304, b"")
        return self._answer(200, content)

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.served.sent.append(status)
        self.send_response(status)
        for name, value in (self.served.headers | dict(headers)).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A running server."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "served"
    folder.mkdir()
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        handler.served = served = Server(f"http://127.0.0.1:{http.server_port}", folder)  # type: ignore[attr-defined]
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield served
        http.shutdown()
        thread.join()


def last_modified(seconds: int = MODIFIED) -> str:
    """A time as HTTP writes it."""
    return formatdate(seconds, usegmt=True)


# -- git -------------------------------------------------------------------------------------------


def git(*words: str | Path, cwd: Path | None = None) -> str:
    """Run git as a user without any configuration; gives what it prints."""
    who = {"NAME": "a", "EMAIL": "a@example.org", "DATE": "1500000000 +0000"}
    env = {"PATH": os.environ["PATH"], "HOME": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    env |= {f"GIT_{role}_{name}": value for role in ("AUTHOR", "COMMITTER") for name, value in who.items()}
    command = ["git", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Repository:
    """A repository with a working tree at ``path``; ``publish`` serves it as plain files."""

    path: Path

    @property
    def url(self) -> str:
        """Where it is on this machine."""
        return f"file://{self.path}/.git"

    def commit(self, **files: str) -> str:
        """Write ``files`` (``__`` is a slash, ``_`` a point) and commit; gives the commit."""
        for name, text in files.items():
            file = self.path / name.replace("__", "/").replace("_", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        git("add", "-A", cwd=self.path)
        git("commit", "--quiet", "--allow-empty", "-m", "x", cwd=self.path)
        return git("rev-parse", "HEAD", cwd=self.path)

    def publish(self, server: Server, name: str) -> str:
        """A copy behind the dumb HTTP protocol; gives its URL."""
        bare = server.folder / name
        git("clone", "--quiet", "--bare", self.path, bare)
        git("update-server-info", cwd=bare)
        return f"{server.url}/{name}"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one commit."""
    path = tmp_path / "repository"
    git("init", "--quiet", path)
    made = Repository(path)
    made.commit(Dockerfile="FROM scratch\n", app__main_py="print()\n")
    return made
