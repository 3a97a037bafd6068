"""Files that ADD fetches: named, dated, verified, and asked for again only as caches do."""

from __future__ import annotations

import hashlib

import pytest
from tests.sources.conftest import MODIFIED, Server, last_modified

from wherry.errors import NetworkError, UsageError, WherryError
from wherry.events import Task
from wherry.fetch import Fetcher, HashMismatch, NotFound
from wherry.sources.remote import RemoteFile, fetch_remote, name_of_url
from wherry.store import Store

DATA = b"content\n" * 100
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def served(server: Server) -> Server:
    """A server with one file."""
    server.files["/folder/tool.tar"] = DATA
    return server


def get(server: Server, store: Store, fetcher: Fetcher, task: Task, checksum: str = "") -> RemoteFile:
    return fetch_remote(f"{server.url}/folder/tool.tar", checksum, store=store, fetcher=fetcher, task=task)


def test_a_file_has_its_name_from_the_url_and_its_time_from_the_server(
    served: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    served.headers |= {"Last-Modified": last_modified(), "Content-Disposition": 'attachment; filename="other"'}
    found = get(served, store, fetcher, task)
    assert (found.name, found.mtime, found.mode, found.size) == ("tool.tar", MODIFIED, 0o600, len(DATA))
    assert found.digest == DIGEST
    assert found.path.read_bytes() == DATA


def test_a_file_of_unknown_age_is_of_1970(served: Server, store: Store, fetcher: Fetcher, task: Task) -> None:
    assert get(served, store, fetcher, task).mtime == 0


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/b.tgz", "b.tgz"),
        ("https://h/a/b?x=/c#d", "b"),
        ("https://h/a/", "a"),
        ("https://h/a%20b", "a b"),
        ("https://h/x%2f..%2f..%2fetc%2fpasswd", "passwd"),
        ("https://h/..", "__unnamed__"),
        ("https://h/", "__unnamed__"),
        ("https://h", "__unnamed__"),
    ],
)
def test_a_name_is_one_part_of_a_path(url: str, name: str) -> None:
    assert name_of_url(url) == name


@pytest.mark.parametrize("headers", [{"ETag": '"one"'}, {"Last-Modified": last_modified()}])
def test_what_was_not_modified_is_not_sent_again(
    served: Server, store: Store, fetcher: Fetcher, task: Task, headers: dict[str, str]
) -> None:
    served.headers |= headers
    first = get(served, store, fetcher, task)
    assert get(served, store, fetcher, task) == first
    assert served.sent == [200, 304]
    assert task.outcome == "cached"


def test_what_was_modified_is_fetched(served: Server, store: Store, fetcher: Fetcher, task: Task) -> None:
    served.headers["ETag"] = '"one"'
    get(served, store, fetcher, task)
    served.headers["ETag"], served.files["/folder/tool.tar"] = '"two"', b"new"
    assert get(served, store, fetcher, task).path.read_bytes() == b"new"


def test_a_server_that_tells_nothing_is_asked_for_all_each_time(
    served: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    for _ in range(2):
        get(served, store, fetcher, task)
    assert served.sent == [200, 200]


def test_a_file_that_was_pruned_is_fetched_anew(served: Server, store: Store, fetcher: Fetcher, task: Task) -> None:
    served.headers["ETag"] = '"one"'
    get(served, store, fetcher, task).path.unlink()
    assert get(served, store, fetcher, task).path.read_bytes() == DATA
    assert served.sent == [200, 200]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_file_with_a_checksum_is_fetched_once_and_for_all(
    served: Server, store: Store, fetcher: Fetcher, task: Task, algorithm: str
) -> None:
    served.headers["Last-Modified"] = last_modified()
    checksum = f"{algorithm}:{hashlib.new(algorithm, DATA).hexdigest()}"
    first = get(served, store, fetcher, task, checksum)
    served.files.clear()
    assert get(served, store, fetcher, task, checksum) == first
    assert served.sent == [200]
    assert (first.digest, first.mtime) == (DIGEST, MODIFIED)


def test_a_file_with_another_checksum_is_refused(served: Server, store: Store, fetcher: Fetcher, task: Task) -> None:
    with pytest.raises(HashMismatch, match=f"{DIGEST} .expected: sha256:{'0' * 64}"):
        get(served, store, fetcher, task, f"sha256:{'0' * 64}")
    served.headers["ETag"] = '"one"'
    get(served, store, fetcher, task)
    with pytest.raises(HashMismatch):
        get(served, store, fetcher, task, f"sha256:{'0' * 64}")


@pytest.mark.parametrize("checksum", ["md5:00", "nonsense", "sha256:short"])
def test_what_is_no_checksum_is_an_error(
    served: Server, store: Store, fetcher: Fetcher, task: Task, checksum: str
) -> None:
    with pytest.raises(WherryError):
        get(served, store, fetcher, task, checksum)
    assert served.seen == []


def test_without_the_network_what_is_here_serves(served: Server, store: Store, fetcher: Fetcher, task: Task) -> None:
    first = get(served, store, fetcher, task)
    with Fetcher(store.files, offline=True) as offline:
        assert get(served, store, offline, task) == first
        with pytest.raises(NetworkError, match="--offline"):
            fetch_remote(f"{served.url}/other", store=store, fetcher=offline, task=task)


def test_a_file_that_is_not_there_is_an_error(served: Server, store: Store, fetcher: Fetcher, task: Task) -> None:
    with pytest.raises(NotFound, match="HTTP 404"):
        fetch_remote(f"{served.url}/none", store=store, fetcher=fetcher, task=task)


def test_only_http_is_fetched(store: Store, fetcher: Fetcher, task: Task) -> None:
    with pytest.raises(UsageError, match="not an http or https URL"):
        fetch_remote("file:///etc/passwd", store=store, fetcher=fetcher, task=task)


def test_a_file_of_this_machine_is_not_led_to(server: Server, store: Store, fetcher: Fetcher, task: Task) -> None:
    server.elsewhere["/x"] = "file:///etc/passwd"
    with pytest.raises(NetworkError, match="not an address to fetch from"):
        fetch_remote(f"{server.url}/x", store=store, fetcher=fetcher, task=task)


def test_a_password_goes_to_the_server_and_stays_nowhere(
    served: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    served.headers["ETag"] = '"one"'
    url = f"{served.url}/folder/tool.tar".replace("http://", "http://user:secretword@")
    fetch_remote(url, store=store, fetcher=fetcher, task=task)
    assert served.seen[0][1]["Authorization"].startswith("Basic ")
    store.close()
    assert not [path for path in store.path.rglob("*") if path.is_file() and b"secretword" in path.read_bytes()]
