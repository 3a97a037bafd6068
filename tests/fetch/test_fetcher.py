"""Downloads from a real server on loopback that misbehaves in the ways that servers and networks do."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wherry.errors import NetworkError, StoreError, UsageError, WherryError
from wherry.fetch import Download, Fetcher, HashMismatch, NotFound, Stopped, attempts

DATA = bytes(range(256)) * 4096  # 1 MiB
DIGEST = hashlib.sha256(DATA).hexdigest()

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request; the test says how it is answered."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    farm: Server

    def do_GET(self) -> None:
        self.farm.seen.append(self.headers)
        answers = self.farm.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def start(self) -> int:
        """The first byte that is asked for."""
        asked = self.headers.get("Range", "")
        return int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0

    def hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    """A server that does not mind clients that go away."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@dataclass
class Server:
    """A server at ``url`` that gives ``answers`` one after the other, the last one for ever."""

    url: str
    answers: list[Answer] = field(default_factory=list)
    seen: list[Message] = field(default_factory=list)

    def will(self, *answers: Answer) -> None:
        self.answers[:] = answers

    def ranges(self) -> list[str]:
        return [headers.get("Range", "") for headers in self.seen]


def serving() -> Iterator[Server]:
    class Handler(Request):
        farm = Server("", [whole])

    httpd = Quiet(("127.0.0.1", 0), Handler)
    Handler.farm.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    yield Handler.farm
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    yield from serving()


@pytest.fixture
def other() -> Iterator[Server]:
    """A second server, which is another origin."""
    yield from serving()


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of this machine, and no long waits between attempts."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == "NETRC":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(attempts, "_FIRST_DELAY", 0.001)


@pytest.fixture
def fetch(tmp_path: Path) -> Iterator[Fetcher]:
    with Fetcher(tmp_path / "files") as one:
        yield one


# -- what the server may answer ----------------------------------------------------------------------


def whole(request: Request) -> None:
    request.reply(200, DATA)


def ranged(request: Request) -> None:
    start = request.start()
    if not start:
        return whole(request)
    if start >= len(DATA):
        return request.reply(416, Content_Range=f"bytes */{len(DATA)}")
    return request.reply(206, DATA[start:], Content_Range=f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")


def broken_after(count: int) -> Answer:
    def answer(request: Request) -> None:
        start = request.start()
        headers = {"Content_Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"} if start else {}
        body = DATA[start : start + count]
        request.reply(206 if start else 200, body, Content_Length=str(len(DATA) - start), **headers)
        request.hang_up()

    return answer


def status(code: int, **headers: str) -> Answer:
    return lambda request: request.reply(code, b"no", **headers)


def download(server: Server, *, size: bool = False, digest: str = DIGEST, path: str = "/file.whl") -> Download:
    return Download(server.url + path, {"sha256": digest}, len(DATA) if size else None, "file.whl")


def partials(fetch: Fetcher) -> list[Path]:
    folder = fetch.root / "partial"
    return [path for path in folder.glob("*") if path.suffix != ".lock"] if folder.exists() else []


def leave_partial(fetch: Fetcher, data: bytes) -> None:
    path = fetch.root / "partial" / f"sha256-{DIGEST}"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)


# -- the tests ---------------------------------------------------------------------------------------


def test_a_file_is_kept_under_its_hash_and_fetched_once(server: Server, fetch: Fetcher) -> None:
    path = fetch.get(download(server))
    assert path == fetch.root / "sha256" / DIGEST
    assert path.read_bytes() == DATA
    assert fetch.get(download(server)) == path
    assert len(server.seen) == 1
    assert [item.name for item in fetch.root.rglob("*") if item.is_file()] == [DIGEST]


def test_every_byte_is_reported_once(server: Server, fetch: Fetcher) -> None:
    server.will(broken_after(300_000), broken_after(200_000), ranged)
    counts: list[int] = []
    fetch.get(download(server), counts.append)
    assert sum(counts) == len(DATA)


def test_a_broken_transfer_goes_on_where_it_stopped(server: Server, fetch: Fetcher) -> None:
    server.will(broken_after(300_000), ranged)
    assert fetch.get(download(server)).read_bytes() == DATA
    assert server.ranges() == ["", "bytes=300000-"]


def test_a_server_without_ranges_sends_the_whole_again(server: Server, fetch: Fetcher) -> None:
    server.will(broken_after(300_000), whole)
    counts: list[int] = []
    assert fetch.get(download(server), counts.append).read_bytes() == DATA
    assert sum(counts) == len(DATA)


def test_what_a_killed_process_left_is_gone_on_with(server: Server, fetch: Fetcher) -> None:
    leave_partial(fetch, DATA[:500_000])
    server.will(ranged)
    counts: list[int] = []
    assert fetch.get(download(server), counts.append).read_bytes() == DATA
    assert server.ranges() == ["bytes=500000-"]
    assert sum(counts) == len(DATA)


def test_a_partial_file_that_is_whole_needs_no_transfer(server: Server, fetch: Fetcher) -> None:
    leave_partial(fetch, DATA)
    assert fetch.get(download(server, size=True)).read_bytes() == DATA
    assert server.seen == []


def test_a_whole_partial_file_of_unknown_size_is_recognised(server: Server, fetch: Fetcher) -> None:
    leave_partial(fetch, DATA)
    server.will(ranged)
    assert fetch.get(download(server)).read_bytes() == DATA
    assert len(server.seen) == 1


def test_a_partial_file_that_is_too_long_is_begun_anew(server: Server, fetch: Fetcher) -> None:
    leave_partial(fetch, DATA + b"more")
    server.will(ranged)
    assert fetch.get(download(server)).read_bytes() == DATA
    assert server.ranges() == [f"bytes={len(DATA) + 4}-", ""]


def test_a_spoilt_partial_file_is_begun_anew(server: Server, fetch: Fetcher) -> None:
    leave_partial(fetch, b"x" * 500_000)
    server.will(ranged)
    assert fetch.get(download(server)).read_bytes() == DATA
    assert server.ranges() == ["bytes=500000-", ""]


def test_the_wrong_part_of_a_file_is_not_appended(server: Server, fetch: Fetcher) -> None:
    leave_partial(fetch, DATA[:500_000])

    def wrong(request: Request) -> None:
        request.reply(206, DATA[100:], Content_Range=f"bytes 100-{len(DATA) - 1}/{len(DATA)}")

    server.will(wrong, ranged)
    assert fetch.get(download(server)).read_bytes() == DATA


def test_a_file_cut_short_without_a_word_is_asked_for_again(server: Server, fetch: Fetcher) -> None:
    def cut(request: Request) -> None:
        request.reply(200, DATA[:1000], Connection="close")

    server.will(cut, ranged)
    assert fetch.get(download(server, size=True)).read_bytes() == DATA


def test_a_file_that_never_ends_is_cut_off(server: Server, fetch: Fetcher) -> None:
    sent = 0

    def endless(request: Request) -> None:
        nonlocal sent
        request.send_response(200)
        request.send_header("Connection", "close")
        request.end_headers()
        try:
            while sent < 200 << 20:
                sent += request.wfile.write(DATA)
        except OSError:
            pass
        request.close_connection = True

    server.will(endless)
    with pytest.raises(HashMismatch):
        fetch.get(download(server, size=True))
    assert sent < 100 << 20
    assert partials(fetch) == []


def test_a_hash_mismatch_leaves_nothing(server: Server, fetch: Fetcher) -> None:
    wrong = download(server, digest="0" * 64)
    with pytest.raises(HashMismatch, match=f"file.whl is not the file.*\n.*{'0' * 64}\n.*{DIGEST}"):
        fetch.get(wrong)
    assert partials(fetch) == []
    assert fetch.cached(wrong) is None


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(server: Server, fetch: Fetcher, code: int) -> None:
    server.will(status(code), status(code), whole)
    assert fetch.get(download(server)).read_bytes() == DATA
    assert len(server.seen) == 3


def test_a_dropped_connection_is_made_again(server: Server, fetch: Fetcher) -> None:
    server.will(Request.hang_up, Request.hang_up, whole)
    assert fetch.get(download(server)).read_bytes() == DATA


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(server: Server, fetch: Fetcher, code: int) -> None:
    server.will(status(code))
    with pytest.raises(NetworkError, match=f"HTTP {code}"):
        fetch.get(download(server))
    assert len(server.seen) == 1
    assert partials(fetch) == []


def test_a_missing_file_is_told_apart(server: Server, fetch: Fetcher) -> None:
    server.will(status(404))
    with pytest.raises(NotFound):
        fetch.read(server.url + "/none")


def test_attempts_come_to_an_end_and_what_came_is_kept(server: Server, fetch: Fetcher) -> None:
    server.will(broken_after(1000))
    with pytest.raises(NetworkError, match="5 attempts"):
        fetch.get(download(server))
    assert [path.stat().st_size for path in partials(fetch)] == [5000]


def test_retry_after_is_honoured(server: Server, fetch: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def wait(_: threading.Event, seconds: float = 0) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(threading.Event, "wait", wait)
    server.will(status(503, Retry_After="7"), status(429, Retry_After="Fri, 31 Dec 2999 23:59:59 GMT"), whole)
    fetch.read(server.url)
    assert 7 in waits
    assert 60 in waits


def test_a_server_that_is_not_there_is_a_clear_error(fetch: Fetcher) -> None:
    with pytest.raises(NetworkError, match=r"refused.*5 attempts") as caught:
        fetch.read("http://127.0.0.1:9/")
    assert caught.value.hint


@pytest.mark.parametrize("url", ["gopher://host/file", "http://[bad/", "http:///nowhere"])
def test_an_address_that_makes_no_sense_is_a_clear_error(fetch: Fetcher, url: str) -> None:
    with pytest.raises(WherryError):
        fetch.read(url)


def test_redirects_in_a_circle_are_a_clear_error(server: Server, fetch: Fetcher) -> None:
    server.will(status(302, Location="/again"))
    with pytest.raises(NetworkError, match="redirect"):
        fetch.read(server.url + "/file")


def test_the_time_of_a_file_is_that_of_its_last_use(server: Server, fetch: Fetcher) -> None:
    path = fetch.get(download(server))
    os.utime(path, (1000, 1000))
    fetch.get(download(server))
    assert time.time() - path.stat().st_mtime < 60
    just_now = int(time.time()) - 600
    os.utime(path, (just_now, just_now))
    assert fetch.cached(download(server)) == path
    assert path.stat().st_mtime == just_now


def test_offline_only_what_is_here_is_used(server: Server, fetch: Fetcher) -> None:
    fetch.get(download(server))
    offline = Fetcher(fetch.root, offline=True)
    assert offline.get(download(server)).read_bytes() == DATA
    with pytest.raises(NetworkError, match="--offline"):
        offline.get(download(server, digest="1" * 64))
    assert len(server.seen) == 1


def test_a_file_of_this_machine_is_copied_and_checked(fetch: Fetcher, tmp_path: Path) -> None:
    local = tmp_path / "a 100%25 odd näme.whl"
    local.write_bytes(DATA)
    assert fetch.get(Download(local.as_uri(), {"sha256": DIGEST})).read_bytes() == DATA
    with pytest.raises(HashMismatch):
        fetch.get(Download(local.as_uri(), {"sha256": "2" * 64}))
    with pytest.raises(NotFound):
        fetch.get(Download((tmp_path / "none").as_uri(), {"sha256": "3" * 64}))
    assert partials(fetch) == []


def test_a_document_may_be_only_so_large(server: Server, fetch: Fetcher) -> None:
    with pytest.raises(NetworkError, match="larger than 1000 bytes"):
        fetch.read(server.url, limit=1000)


def test_a_download_without_a_good_hash_is_refused(fetch: Fetcher) -> None:
    with pytest.raises(WherryError, match=r"x\.whl has no hash"):
        fetch.get(Download("http://127.0.0.1/x", {"md5": "0" * 32}, name="x.whl"))


def test_a_transfer_can_be_given_up(server: Server, fetch: Fetcher) -> None:
    stop = threading.Event()

    def advance(_: int) -> None:
        stop.set()

    with pytest.raises(Stopped):
        fetch.get(download(server), advance, stop=stop)
    assert partials(fetch) == []


def test_a_transfer_whose_fetcher_is_closed_leaves_nothing(server: Server, fetch: Fetcher) -> None:
    server.will(broken_after(1000))

    def advance(_: int) -> None:
        fetch.__exit__()

    with pytest.raises(Stopped):
        fetch.get(download(server, size=True), advance)
    assert list((fetch.root / "partial").iterdir()) == []


def test_giving_up_does_not_wait_for_the_next_attempt(
    server: Server, fetch: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_FIRST_DELAY", 60)
    stop = threading.Event()

    def trouble(request: Request) -> None:
        status(503)(request)
        threading.Timer(0.05, stop.set).start()

    server.will(trouble)
    begin = time.monotonic()
    with pytest.raises(Stopped):
        fetch.get(download(server), stop=stop)
    assert time.monotonic() - begin < 5


# -- credentials -------------------------------------------------------------------------------------


def basic(headers: Message) -> str:
    return str(headers.get("Authorization", ""))


ME = "Basic bWU6c2VjcmV0"  # me:secret


def test_credentials_in_a_url_are_sent_and_never_shown(server: Server, fetch: Fetcher) -> None:
    url = server.url.replace("://", "://me:secret@")
    server.will(status(403))
    with pytest.raises(NetworkError) as caught:
        fetch.read(url)
    assert basic(server.seen[0]) == ME
    assert "secret" not in str(caught.value)
    assert "netrc" in str(caught.value.hint)


def test_credentials_come_from_netrc(server: Server, fetch: Fetcher, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    fetch.read(server.url)
    assert basic(server.seen[0]) == ME


def test_credentials_in_a_url_win_over_netrc(server: Server, fetch: Fetcher, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    fetch.read(server.url.replace("://", "://me:secret@"))
    assert basic(server.seen[0]) == ME


def test_a_broken_netrc_is_no_obstacle(server: Server, fetch: Fetcher, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine\n\x00 nonsense")
    assert fetch.read(server.url) == DATA


def test_credentials_are_for_one_server_only(server: Server, other: Server, fetch: Fetcher) -> None:
    fetch.authorize(server.url, "me", "secret")
    server.will(lambda request: request.reply(302, Location=other.url + "/file"))
    assert fetch.read(server.url + "/start") == DATA
    assert basic(server.seen[0]) == ME
    assert basic(other.seen[0]) == ""
    fetch.read(other.url)
    assert basic(other.seen[1]) == ""


# -- settings of the machine -------------------------------------------------------------------------


def test_a_proxy_that_makes_no_sense_is_a_clear_error(
    server: Server, fetch: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://proxy")
    with pytest.raises(UsageError, match="proxy"):
        fetch.read(server.url)


def test_a_bundle_without_certificates_is_a_clear_error(fetch: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    fetch.trust(str(tmp_path / "empty.pem"))
    with pytest.raises(UsageError, match=r"empty\.pem, which holds no certificates"):
        fetch.read("https://127.0.0.1/")


# -- several at once ---------------------------------------------------------------------------------


def test_threads_that_want_one_file_fetch_it_once(server: Server, fetch: Fetcher) -> None:
    threads = [threading.Thread(target=fetch.get, args=(download(server),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.seen) == 1


_CHILD = """
import sys
from pathlib import Path
from wherry.fetch import Download, Fetcher
with Fetcher(Path(sys.argv[1])) as fetcher:
    fetcher.get(Download(sys.argv[2], {"sha256": sys.argv[3]}))
"""


def child(fetch: Fetcher, server: Server) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", _CHILD, str(fetch.root), server.url + "/file.whl", DIGEST]
    return subprocess.Popen(words, stderr=subprocess.DEVNULL)


def test_processes_that_want_one_file_fetch_it_once(server: Server, fetch: Fetcher) -> None:
    children = [child(fetch, server) for _ in range(3)]
    assert [one.wait(30) for one in children] == [0, 0, 0]
    assert len(server.seen) == 1


def test_a_killed_process_leaves_a_part_that_the_next_one_uses(server: Server, fetch: Fetcher) -> None:
    arrived = threading.Event()

    def half(request: Request) -> None:
        request.reply(200, DATA[:600_000], Content_Length=str(len(DATA)))
        request.wfile.flush()
        arrived.set()
        partial = fetch.root / "partial" / f"sha256-{DIGEST}"
        while one.poll() is None and (not partial.exists() or partial.stat().st_size < 200_000):
            time.sleep(0.005)
        one.send_signal(signal.SIGKILL)
        one.wait()
        request.close_connection = True

    server.will(half, ranged)
    one = child(fetch, server)
    assert arrived.wait(30)
    one.wait(30)
    assert fetch.get(download(server)).read_bytes() == DATA
    assert server.ranges()[-1].startswith("bytes=")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_clear_error(server: Server, fetch: Fetcher) -> None:
    partial = fetch.root / "partial" / f"sha256-{DIGEST}"
    partial.parent.mkdir(parents=True)
    partial.symlink_to("/dev/full")
    with pytest.raises(StoreError, match="no space left"):
        fetch.get(download(server))
    assert partials(fetch) == []


@pytest.mark.parametrize("value", ["../../../wanted", "", "0" * 63, "0" * 63 + "x", "0" * 65])
def test_what_is_no_hash_names_no_file(tmp_path: Path, value: str) -> None:
    outside = tmp_path / "wanted"
    outside.write_text("mine")
    with Fetcher(tmp_path / "store" / "files") as fetcher, pytest.raises(WherryError, match="hash"):
        fetcher.get(Download(outside.as_uri(), {"sha256": value}))
    assert [path.name for path in tmp_path.iterdir()] == ["wanted"]
    assert outside.read_text() == "mine"


# -- files whose hash nobody knows ------------------------------------------------------------------


def half(request: Request) -> None:
    request.reply(200, DATA[: len(DATA) // 2], Content_Length=str(len(DATA)))
    request.hang_up()


def test_the_latest_file_is_kept_by_its_hash(server: Server, tmp_path: Path) -> None:
    server.will(lambda request: request.reply(200, DATA, ETag='"one"'))
    told: list[int] = []
    with Fetcher(tmp_path / "files") as fetcher:
        path, headers = fetcher.latest(server.url, headers={"If-None-Match": '"zero"'}, advance=told.append)
    assert path == tmp_path / "files/sha256" / DIGEST
    assert (path.read_bytes(), headers["etag"], sum(told)) == (DATA, '"one"', len(DATA))
    assert server.seen[0]["If-None-Match"] == '"zero"'
    assert not list((tmp_path / "files/partial").iterdir())


def test_the_latest_file_may_be_the_one_before(server: Server, tmp_path: Path) -> None:
    server.will(lambda request: request.reply(304))
    with Fetcher(tmp_path / "files") as fetcher:
        assert fetcher.latest(server.url)[0] is None


def test_a_latest_file_that_breaks_off_is_fetched_from_its_beginning(server: Server, tmp_path: Path) -> None:
    server.will(half, lambda request: request.reply(503), lambda request: request.reply(200, DATA))
    told: list[int] = []
    with Fetcher(tmp_path / "files") as opened:
        path, _ = opened.latest(server.url, advance=told.append)
    assert path is not None
    assert (path.name, sum(told)) == (DIGEST, len(DATA))
    assert not list((tmp_path / "files/partial").iterdir())


def test_a_latest_file_that_is_not_there_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.will(lambda request: request.reply(404))
    with Fetcher(tmp_path / "files") as fetcher, pytest.raises(NotFound, match="HTTP 404"):
        fetcher.latest(server.url)
    with Fetcher(tmp_path / "files", offline=True) as fetcher, pytest.raises(NetworkError, match="--offline"):
        fetcher.latest(server.url)
    assert not (tmp_path / "files").exists()
