"""The store: blobs, names, sessions, and what a kill, a full disk or a second process do to it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from wherry.errors import StoreError
from wherry.image import Descriptor, Image, ImageConfig, Index, Platform, RuntimeConfig, digest_of
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.writer import LayerWriter
from wherry.store import Store
from wherry.store.files import storing
from wherry.store.lock import locked, try_lock
from wherry.store.names import name_of


def _image(store: Store, data: bytes = b"data", platform: str = "linux/amd64") -> Image:
    with LayerWriter(store.blobs, Compression()) as writer:
        writer.add(Entry("a", "file", size=len(data)), data)
        layer = writer.finish()
    return Image.of(ImageConfig(Platform.parse(platform), RuntimeConfig(cmd=("a",))), (layer,), {"x": "y"})


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# -- blobs -------------------------------------------------------------------------------------------


def test_a_blob_is_kept_under_its_digest(store: Store) -> None:
    digest = store.blobs.add(b"data")
    assert digest == digest_of(b"data")
    assert store.blobs.path(digest) == store.path / "blobs" / "sha256" / hashlib.sha256(b"data").hexdigest()
    assert store.blobs.read(digest) == b"data"


def test_a_blob_written_in_pieces_shows_when_it_is_committed(store: Store) -> None:
    with store.blobs.writer() as writer:
        writer.write(b"da")
        writer.write(b"ta")
        assert not store.blobs.has(digest_of(b"data"))
        assert writer.commit() == (digest_of(b"data"), 4)
    assert store.blobs.has(digest_of(b"data"))


def test_a_blob_that_is_not_committed_leaves_nothing(store: Store) -> None:
    with store.blobs.writer() as writer:
        writer.write(b"data")
    assert _names(store.scratch()) == set()
    assert not store.blobs.has(digest_of(b"data"))


def test_a_missing_blob_is_a_store_error(store: Store) -> None:
    with pytest.raises(StoreError, match="is missing from the store"):
        store.blobs.read(digest_of(b"data"))


# -- images ------------------------------------------------------------------------------------------


def test_the_store_is_an_image_layout(store: Store) -> None:
    store.tag(("hello:latest",), store.add_image(_image(store)))
    assert json.loads((store.path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((store.path / "index.json").read_text())
    assert index["schemaVersion"] == 2
    (descriptor,) = index["manifests"]
    assert descriptor["annotations"] == {"org.opencontainers.image.ref.name": "hello:latest"}
    assert (store.path / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")).is_file()


def test_a_layout_is_there_as_soon_as_the_store_is_used(store: Store) -> None:
    store.scratch()
    assert {"oci-layout", "index.json"} <= _names(store.path)


def test_an_image_is_read_as_it_was_written(store: Store) -> None:
    image = _image(store)
    loaded = store.load(store.add_image(image))
    assert isinstance(loaded, Image)
    assert (loaded.digest, loaded.id, loaded.annotations) == (image.digest, image.id, {"x": "y"})
    assert loaded.config == image.config
    assert [layer.descriptor for layer in loaded.layers] == [layer.descriptor for layer in image.layers]


def test_an_index_is_read_byte_for_byte(store: Store) -> None:
    arm = replace(_image(store, platform="linux/arm64"), descriptor_annotations={"note": "arm"})
    index = Index((_image(store), arm), {"a": "b"})
    loaded = store.load(store.add_image(index))
    assert isinstance(loaded, Index)
    assert loaded.digest == index.digest
    assert loaded.annotations == {"a": "b"}
    assert [one.digest for one in loaded.images] == [one.digest for one in index.images]
    assert loaded.images[1].descriptor_annotations == {"note": "arm"}


def test_a_name_moves_to_the_image_that_gets_it_last(store: Store) -> None:
    one, two = store.add_image(_image(store, b"1")), store.add_image(_image(store, b"2"))
    store.tag(("a:1", "b:1", "a:1"), one)
    store.tag(("a:1",), two)
    assert {name_of(item): item.digest for item in store.images()} == {"a:1": two.digest, "b:1": one.digest}
    assert len(store.images()) == 2


def test_a_forgotten_name_leaves_the_others(store: Store) -> None:
    store.tag(("a:1", "b:1"), store.add_image(_image(store)))
    store.untag(("a:1",))
    assert [name_of(item) for item in store.images()] == ["b:1"]


def test_an_image_with_a_missing_part_is_a_store_error(store: Store) -> None:
    image = _image(store)
    descriptor = store.add_image(image)
    store.blobs.path(image.id).unlink()
    with pytest.raises(StoreError, match="missing"):
        store.load(descriptor)


def test_a_manifest_that_does_not_match_its_config_is_a_store_error(store: Store) -> None:
    image = _image(store)
    odd = replace(image, config=replace(image.config, diff_ids=()))
    with pytest.raises(StoreError, match="1 layers, its config 0"):
        store.load(store.add_image(odd))


def test_a_broken_index_is_an_error_that_names_it(store: Store) -> None:
    store.scratch()
    (store.path / "index.json").write_text("{")
    with pytest.raises(Exception, match=r"index\.json is not valid JSON"):
        store.images()


# -- sessions ----------------------------------------------------------------------------------------


def test_a_closed_store_leaves_no_temporary_files(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        (store.scratch() / "something").write_text("")
    assert _names(tmp_path / "store" / "sessions") == set()


def test_a_closed_store_can_be_used_again(store: Store) -> None:
    store.blobs.add(b"one")
    store.close()
    store.blobs.add(b"two")
    assert store.blobs.has(digest_of(b"two"))


def test_two_stores_at_one_path_have_sessions_of_their_own(store: Store) -> None:
    with Store(store.path) as other:
        assert other.scratch() != store.scratch()
        assert store.scratch().is_dir()


def test_nobody_is_alone_while_another_works(store: Store) -> None:
    store.scratch()
    with Store(store.path) as other:
        with pytest.raises(StoreError, match="another wherry"), other.alone():
            pass
        store.close()
        with other.alone():
            pass


def test_work_called_the_same_happens_once_at_a_time(store: Store) -> None:
    with store.once("key"):
        assert try_lock(next((store.path / "locks").iterdir())) is None
        with store.once("another"):
            pass


def test_an_error_in_the_work_is_the_works_own(store: Store) -> None:
    with pytest.raises(PermissionError), store.once("key"):
        raise PermissionError(errno.EACCES, "no", "/the/users/file")


def test_a_lock_file_that_was_removed_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path):
        path.unlink()
        handle = try_lock(path)
        assert handle is not None
        os.close(handle)


# -- trouble -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO, errno.ENOTDIR])
def test_what_the_system_refuses_is_a_store_error(error: int) -> None:
    with pytest.raises(StoreError, match="store"), storing(Path("/the/store")):
        raise OSError(error, os.strerror(error))


def test_a_store_below_a_file_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Store(tmp_path / "file" / "store") as store, pytest.raises(StoreError, match="cannot use"):
        store.blobs.add(b"data")


def test_a_store_that_is_a_file_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with Store(tmp_path / "store") as store:
        with pytest.raises(StoreError):
            store.blobs.add(b"data")
        with pytest.raises(StoreError):
            store.images()
        with pytest.raises(StoreError):
            store.cache.get("key")


_WRITER = """
import os, sys
from pathlib import Path
from wherry.image import Image, ImageConfig, Platform
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.writer import LayerWriter
from wherry.store import Store

store = Store(Path(sys.argv[1]))
print("begin", flush=True)
for number in range(int(sys.argv[2])):
    data = f"{sys.argv[3]}{number}".encode() * 20000
    with LayerWriter(store.blobs, Compression("gzip", 1)) as writer:
        writer.add(Entry("a", "file", size=len(data)), data)
        layer = writer.finish()
    store.cache.put(f"{sys.argv[3]}{number}", {"n": number}, [layer.descriptor.digest])
    image = Image.of(ImageConfig(Platform("linux", "amd64")), (layer,), {})
    store.tag((f"{sys.argv[3]}:{number}", f"{sys.argv[3]}:latest"), store.add_image(image))
    print(number, flush=True)
store.close()
"""


def _writer(path: Path, count: int, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path), str(count), name], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def _intact(store: Store) -> list[str]:
    """The names in the store, every image of which is whole."""
    for descriptor in store.images():
        image = store.load(descriptor)
        assert isinstance(image, Image)
        for layer in image.layers:
            blob = store.blobs.path(layer.descriptor.digest).read_bytes()
            assert digest_of(blob) == layer.descriptor.digest
    for path in (store.path / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    return [name_of(descriptor) for descriptor in store.images()]


# How many bytes of the child's output are awaited before it is killed: different moments of its work.
@pytest.mark.parametrize("awaited", [3, 6, 7, 8, 9, 11, 13, 16, 20])
def test_a_killed_process_leaves_a_store_that_the_next_one_uses(awaited: int, tmp_path: Path) -> None:
    child = _writer(tmp_path / "store", 100, "killed")
    assert child.stdout is not None
    with child, child.stdout:
        for _ in range(awaited):
            child.stdout.read(1)
        child.send_signal(signal.SIGKILL)
    with Store(tmp_path / "store") as store:
        store.tag(("new:latest",), store.add_image(_image(store)))
        names = _intact(store)
        assert "new:latest" in names
        assert _names(store.path / "sessions") == {store.scratch().name, f"{store.scratch().name}.lock"}
        if "killed:0" in names:
            assert store.cache.get("killed0") == {"n": 0}
    assert _names(tmp_path / "store" / "sessions") == set()


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    children = [_writer(tmp_path / "store", 8, f"p{number}") for number in range(4)]
    for child in children:
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors.decode()
    with Store(tmp_path / "store") as store:
        names = _intact(store)
        assert set(names) == {f"p{one}:{tag}" for one in range(4) for tag in [*map(str, range(8)), "latest"]}
        for one in range(4):
            for number in range(8):
                assert store.cache.get(f"p{one}{number}") == {"n": number}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_a_store_error_and_leaves_nothing(small_disk: Path) -> None:
    with Store(small_disk / "store") as store:
        kept = store.blobs.add(b"before")
        with pytest.raises(StoreError, match="no space left"), LayerWriter(store.blobs, Compression()) as writer:
            writer.add(Entry("a", "file", size=8 << 20), iter(os.urandom(1 << 20) for _ in range(8)))
        assert _names(store.scratch()) == set()
        assert store.blobs.read(kept) == b"before"
        store.blobs.add(b"after")


def test_a_disk_that_fills_up_in_the_cache_index_says_so(small_disk: Path) -> None:
    with Store(small_disk / "store") as store:
        with pytest.raises(StoreError, match="no space left"):
            for number in range(40):
                store.cache.put(str(number), {"x": os.urandom(50_000).hex()})
        assert store.cache.get("0") is not None


def test_a_disk_that_is_full_from_the_start_says_so(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"), (small_disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with Store(small_disk / "store") as store, pytest.raises(StoreError, match="no space left"):
        store.tag(("a:1",), Descriptor("a", digest_of(b""), 0))
