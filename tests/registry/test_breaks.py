"""Connections that break in the middle of a blob.

What has come down is not fetched again. What has gone up is for the registry to say, which may be asked too early.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.registry.servers import Registry
from tests.registry.wires import Wire, wire

from wherry.errors import NetworkError
from wherry.fetch import attempts
from wherry.image import Descriptor
from wherry.image.mediatype import OCI_LAYER_GZIP
from wherry.registry.client import Client
from wherry.registry.credentials import Keychain
from wherry.registry.download import download
from wherry.registry.hosts import Endpoint, Hosts
from wherry.registry.repository import Repository
from wherry.registry.upload import upload
from wherry.store import Store

SIZE = 4_000_000


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No long waits between attempts."""
    monkeypatch.setattr(attempts, "_FIRST_DELAY", 0.01)


@pytest.fixture
def weak(open_registry: Registry) -> Iterator[Wire]:
    """A wire to the open registry."""
    with wire(open_registry.host) as made:
        yield made


@pytest.fixture
def blob(store: Store) -> Descriptor:
    """A blob in the store that no registry has."""
    return Descriptor(OCI_LAYER_GZIP, store.blobs.add(os.urandom(SIZE)), SIZE)


class Plain(Endpoint):
    """A repository that is known to be served without TLS: no connection is made to find that out."""

    @property
    def bases(self) -> tuple[str, ...]:
        return (f"http://{self.host}",)


@pytest.fixture
def there(weak: Wire) -> Iterator[Repository]:
    """A repository behind the wire; the first request makes the first connection."""
    with Client(Hosts(), Keychain()) as client:
        yield Repository(client, Plain(weak.host, "weak/wires"), write=True)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_an_upload_that_breaks_is_whole_in_the_end(
    there: Repository, weak: Wire, blob: Descriptor, store: Store, times: int
) -> None:
    told: list[int] = []
    weak.breaks = [("up", 1_000_000)] * times
    upload(there, blob, store.blobs.path(blob.digest), told.append)
    assert there.has(blob.digest)
    assert sum(told) == SIZE
    assert weak.breaks == []


@pytest.mark.parametrize("times", [1, 3])
def test_a_download_goes_on_where_it_broke_off(
    there: Repository,
    weak: Wire,
    blob: Descriptor,
    store: Store,
    open_registry: Registry,
    tmp_path: Path,
    times: int,
) -> None:
    with Client(Hosts(), Keychain()) as client:
        strong = Repository(client, Plain(open_registry.host, there.endpoint.path), write=True)
        upload(strong, blob, store.blobs.path(blob.digest), lambda size: None)
    told: list[int] = []
    weak.breaks = [("down", 1_000_000)] * times
    with Store(tmp_path / "other") as other:
        download([there], blob, other, told.append)
        assert other.blobs.read(blob.digest) == store.blobs.read(blob.digest)
    assert sum(told) == SIZE
    assert weak.down < SIZE + 1_000_000


def test_a_wire_that_always_breaks_is_an_error_and_leaves_no_blob(
    there: Repository, weak: Wire, blob: Descriptor, store: Store, open_registry: Registry
) -> None:
    weak.breaks = [("up", 3000)] * 200
    with pytest.raises(NetworkError, match="attempts"):
        upload(there, blob, store.blobs.path(blob.digest), lambda size: None)
    assert blob.digest.partition(":")[2] not in open_registry.blobs()
