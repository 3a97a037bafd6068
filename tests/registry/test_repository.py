"""One repository of a real registry: manifests, blobs, tags, referrers; who may do what."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from tests.registry.servers import PASSWORD, PROGRAM, USER, Registry, Tls, registry

from wherry.errors import NetworkError
from wherry.image import Descriptor, Digest, digest_of
from wherry.image.mediatype import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from wherry.registry.client import Client
from wherry.registry.credentials import Keychain, Login, store_login
from wherry.registry.download import download
from wherry.registry.errors import Absent, Denied
from wherry.registry.hosts import Endpoint, Hosts
from wherry.registry.repository import Manifest, Repository, fallback_tag
from wherry.registry.settings import Settings
from wherry.registry.upload import upload
from wherry.store import Store

pytestmark = pytest.mark.skipif(not Path(PROGRAM).exists(), reason="Debian's docker-registry is not installed")

CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}'


def ignored(size: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(Hosts(), Keychain()) as made:
        yield made


def repository(client: Client, server: Registry, path: str, *, write: bool = True) -> Repository:
    return Repository(client, Endpoint(server.host, path), write=write)


def blob(store: Store, data: bytes) -> Descriptor:
    """A blob in the store."""
    return Descriptor(OCI_LAYER_GZIP, store.blobs.add(data), len(data))


def send(to: Repository, store: Store, descriptor: Descriptor, *, neighbour: str = "") -> int:
    return upload(to, descriptor, store.blobs.path(descriptor.digest), ignored, neighbour=neighbour)


def pushed(to: Repository, store: Store, tag: str = "latest", **fields: object) -> Manifest:
    """A small image in ``to``."""
    config = blob(store, CONFIG)
    send(to, store, config)
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config.digest, "size": config.size},
        "layers": [],
        **fields,
    }
    manifest = Manifest(OCI_MANIFEST, json.dumps(value).encode())
    to.put_manifest(tag, manifest)
    return manifest


# -- manifests and tags ------------------------------------------------------------------------------


def test_a_manifest_comes_back_as_it_went(client: Client, open_registry: Registry, store: Store) -> None:
    there = repository(client, open_registry, "round/trip")
    manifest = pushed(there, store, "v1")
    assert there.manifest("v1") == manifest
    assert there.manifest(manifest.descriptor.digest) == manifest
    assert there.find("v1") == manifest.descriptor.digest


def test_what_is_not_there_is_absent(client: Client, open_registry: Registry, store: Store) -> None:
    there = repository(client, open_registry, "absent")
    assert there.find("none") is None
    assert not there.has(digest_of(b"none"))
    with pytest.raises(Absent, match=r"absent: manifest unknown \(HTTP 404\)"):
        there.manifest("none")


def test_a_manifest_whose_blobs_are_missing_is_refused(client: Client, open_registry: Registry, store: Store) -> None:
    there = repository(client, open_registry, "incomplete")
    layer = {"mediaType": OCI_LAYER_GZIP, "digest": digest_of(b"never sent"), "size": 10}
    with pytest.raises(NetworkError, match="blob unknown"):
        pushed(there, store, "v1", layers=[layer])
    assert there.find("v1") is None


def test_tags_are_listed(client: Client, open_registry: Registry, store: Store) -> None:
    there = repository(client, open_registry, "tags")
    for tag in ("b", "a", "c"):
        pushed(there, store, tag)
    assert sorted(there.tags()) == ["a", "b", "c"]


def test_an_index_says_what_it_is(client: Client, open_registry: Registry, store: Store) -> None:
    there = repository(client, open_registry, "index")
    one = pushed(there, store, "one")
    index = Manifest(
        OCI_INDEX,
        json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [one.descriptor.to_json()]}).encode(),
    )
    there.put_manifest("all", index)
    assert there.manifest("all") == index


def test_referrers_come_from_the_fallback_tag_where_a_registry_has_no_list(
    client: Client, open_registry: Registry, store: Store
) -> None:
    there = repository(client, open_registry, "referrers")
    subject = pushed(there, store).descriptor
    assert there.referrers(subject.digest) == ()
    bill = {**pushed(there, store, "bill", artifactType="a/bill").descriptor.to_json(), "artifactType": "a/bill"}
    proof = {**pushed(there, store, "proof", artifactType="a/proof").descriptor.to_json(), "artifactType": "a/proof"}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [bill, proof]}
    there.put_manifest(fallback_tag(subject.digest), Manifest(OCI_INDEX, json.dumps(index).encode()))
    assert [one.digest for one in there.referrers(subject.digest)] == [bill["digest"], proof["digest"]]
    assert [one.digest for one in there.referrers(subject.digest, "a/proof")] == [proof["digest"]]


# -- blobs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_blob_comes_back_as_it_went(
    client: Client, open_registry: Registry, store: Store, tmp_path: Path, size: int
) -> None:
    there = repository(client, open_registry, "blobs")
    descriptor = blob(store, os.urandom(size))
    send(there, store, descriptor)
    with Store(tmp_path / "other") as other:
        assert download([there], descriptor, other, ignored)
        assert other.blobs.read(descriptor.digest) == store.blobs.read(descriptor.digest)
        assert not download([there], descriptor, other, ignored)
        assert list((other.files / "partial").iterdir()) == []


def test_a_blob_that_is_there_is_not_sent(client: Client, open_registry: Registry, store: Store) -> None:
    there = repository(client, open_registry, "once")
    descriptor = blob(store, os.urandom(1000))
    assert send(there, store, descriptor) == 1000
    told: list[int] = []
    assert upload(there, descriptor, store.blobs.path(descriptor.digest), told.append) == 0
    assert sum(told) == 1000


def test_a_blob_of_the_repository_next_door_is_mounted(client: Client, open_registry: Registry, store: Store) -> None:
    first, second = (repository(client, open_registry, name) for name in ("next/one", "next/two"))
    descriptor = blob(store, os.urandom(1000))
    send(first, store, descriptor)
    assert send(second, store, descriptor, neighbour="next/one") == 0
    assert second.has(descriptor.digest)


def test_where_a_neighbour_does_not_have_it_it_is_sent(client: Client, open_registry: Registry, store: Store) -> None:
    there = repository(client, open_registry, "next/three")
    assert send(there, store, blob(store, b"not next door"), neighbour="next/nobody") == 13


def test_a_mirror_that_does_not_have_it_is_passed_over(client: Client, open_registry: Registry, store: Store) -> None:
    there = repository(client, open_registry, "mirrored")
    descriptor = blob(store, os.urandom(100))
    send(there, store, descriptor)
    store.blobs.path(descriptor.digest).unlink()
    assert download([repository(client, open_registry, "mirror"), there], descriptor, store, ignored)


def test_a_size_that_is_not_the_blobs_is_an_error(client: Client, open_registry: Registry, store: Store) -> None:
    there = repository(client, open_registry, "sizes")
    descriptor = blob(store, b"x" * 1000)
    send(there, store, descriptor)
    store.blobs.path(descriptor.digest).unlink()
    with pytest.raises(NetworkError, match="has 1000 bytes where 500 were announced"):
        download([there], Descriptor(OCI_LAYER_GZIP, descriptor.digest, 500), store, ignored)
    assert not store.blobs.has(descriptor.digest)


# -- who we are --------------------------------------------------------------------------------------


def test_a_password_opens_a_registry(store: Store, tmp_path: Path) -> None:
    with registry(tmp_path / "registry", password=True) as server:
        with Client(Hosts(), Keychain()) as stranger, pytest.raises(Denied) as refused:
            pushed(repository(stranger, server, "closed"), store)
        assert refused.value.hint is not None
        assert f"wherry login {server.host}" in refused.value.hint
        store_login(server.host, Login(USER, "wrong"))
        with Client(Hosts(), Keychain()) as wrong, pytest.raises(Denied) as refused:
            pushed(repository(wrong, server, "closed"), store)
        assert "wrong" not in str(refused.value)
        store_login(server.host, Login(USER, PASSWORD))
        with Client(Hosts(), Keychain()) as known:
            pushed(repository(known, server, "closed"), store)
        assert server.tags("closed") == {"latest"}


def test_tokens_are_asked_for_as_far_as_they_are_needed(store: Store, tmp_path: Path) -> None:
    with registry(tmp_path / "registry", tokens=True) as server:
        assert server.tokens is not None
        store_login(server.host, Login(USER, PASSWORD))
        with Client(Hosts(), Keychain()) as known:
            pushed(repository(known, server, "closed"), store)
            assert server.tokens.asked == [(USER, ("repository:closed:pull,push",))]
            repository(known, server, "closed", write=False).manifest("latest")
            assert server.tokens.asked[1:] == [(USER, ("repository:closed:pull",))]


def test_whoever_has_no_login_may_read_what_all_may_read(store: Store, tmp_path: Path) -> None:
    with registry(tmp_path / "registry", tokens=True) as server:
        store_login(server.host, Login(USER, PASSWORD))
        with Client(Hosts(), Keychain()) as known:
            manifest = pushed(repository(known, server, "public"), store)
        store_login(server.host, Login("", ""))
        with Client(Hosts(), Keychain()) as stranger:
            assert repository(stranger, server, "public", write=False).manifest("latest") == manifest
            with pytest.raises(Denied):
                pushed(repository(stranger, server, "public"), store, "mine")
        assert server.tags("public") == {"latest"}


def test_a_refresh_token_is_as_good_as_a_password(store: Store, tmp_path: Path) -> None:
    with registry(tmp_path / "registry", tokens=True) as server:
        store_login(server.host, Login("", "", PASSWORD))
        with Client(Hosts(), Keychain()) as known:
            pushed(repository(known, server, "closed"), store)
        assert server.tags("closed") == {"latest"}


def test_a_token_server_that_does_not_know_us_is_named(store: Store, tmp_path: Path) -> None:
    with registry(tmp_path / "registry", tokens=True) as server:
        store_login(server.host, Login(USER, "secret of nobody"))
        with Client(Hosts(), Keychain()) as wrong, pytest.raises(NetworkError) as refused:
            repository(wrong, server, "closed").find("latest")
        assert f"the token server of {server.host} does not accept the login (HTTP 401)" in refused.value.message
        assert "nobody" not in refused.value.message


# -- TLS ---------------------------------------------------------------------------------------------


def test_an_authority_that_is_named_is_trusted(store: Store, tmp_path: Path, tls: Tls) -> None:
    with registry(tmp_path / "registry", tls=tls) as server:
        with Client(Hosts(), Keychain()) as plain, pytest.raises(NetworkError, match="certificate is not trusted"):
            pushed(repository(plain, server, "a"), store)
        hosts = Hosts({server.host: Settings("config.toml", ca=tls.authority)})
        with Client(hosts, Keychain()) as trusting:
            pushed(repository(trusting, server, "a"), store)
        assert server.tags("a") == {"latest"}


def test_an_insecure_repository_makes_no_other_of_its_host_so(store: Store, tmp_path: Path, tls: Tls) -> None:
    with registry(tmp_path / "registry", tls=tls) as server, Client(Hosts(), Keychain()) as client:
        pushed(Repository(client, Endpoint(server.host, "lax", insecure=True), write=True), store)
        with pytest.raises(NetworkError, match="certificate is not trusted"):
            repository(client, server, "strict").find("latest")


def test_offline_nothing_is_asked(store: Store, open_registry: Registry) -> None:
    with Client(Hosts(), Keychain(), offline=True) as client, pytest.raises(NetworkError, match="--offline"):
        repository(client, open_registry, "a").find("latest")


def test_digests_are_those_of_the_data() -> None:
    manifest = Manifest(OCI_MANIFEST, b"{}")
    assert manifest.descriptor.digest == Digest(f"sha256:{sha256(b'{}').hexdigest()}")
