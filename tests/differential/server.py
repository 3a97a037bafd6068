"""An HTTP server on the loopback interface, with the files and the git repository that cases ADD."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.differential.case import OLD, Archive, Entry, File, Symlink, Tree, as_entry, write

PLACEHOLDER = "@SERVER@"

FILES: dict[str, Entry | str | bytes] = {
    "/plain.txt": "from the server\n",
    "/folder/named.bin": b"\0\1\2",
    "/tool.tar.gz": Archive({"tool/bin/tool": File("#!/bin/sh\n", 0o755, 1000, 1000)}, "gz"),
    "/query": "asked\n",
}

REPOSITORY: Tree = {
    "README": "a repository\n",
    "bin/run": File("#!/bin/sh\n", 0o755),
    "link": Symlink("README"),
    "sub/file": "below\n",
    "sub/deeper/other": "further below\n",
}


class _Handler(BaseHTTPRequestHandler):
    repositories: Path

    def do_GET(self) -> None:
        if self.path.startswith("/repo.git/"):
            self._git()
            return
        found = FILES.get(self.path.partition("?")[0])
        if found is None:
            self.send_error(404)
            return
        entry = as_entry(found)
        assert isinstance(entry, File | Archive)
        self.send_response(200)
        self.send_header("Content-Length", str(len(entry.content)))
        self.send_header("Last-Modified", formatdate(OLD, usegmt=True))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(entry.content)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._git()

    def _git(self) -> None:
        """Answer as git's own CGI program does."""
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        env = {
            "PATH": os.defpath,
            "GIT_PROJECT_ROOT": str(self.repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        answer = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False).stdout
        head, _, data = answer.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
        status = next((value for name, value in fields if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().strip() or b"0", 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve until the block ends; gives ``HOST:PORT``. The repository is made in ``folder``."""
    _make_repository(folder)
    handler = type("Handler", (_Handler,), {"repositories": folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _make_repository(folder: Path) -> None:
    """A bare repository with the same commits everywhere: two on ``main``, the first tagged ``v1``."""
    folder.mkdir(exist_ok=True)
    work = folder / "work"
    write(REPOSITORY, work)
    env = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_NAME": "Somebody" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "somebody@wherry.test" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_DATE": f"{OLD} +0000" for who in ("AUTHOR", "COMMITTER")},
    }

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=work, env=env, check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    git("tag", "v1")
    (work / "NEWS").write_text("second\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "two")
    git("clone", "--quiet", "--bare", ".", str(folder / "repo.git"))
