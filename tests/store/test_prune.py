"""Pruning: what is needed stays, what is not goes, and nothing goes from under a build."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wherry.errors import StoreError
from wherry.image import Digest, Image, ImageConfig, Index, Platform
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.writer import LayerWriter
from wherry.store import Store
from wherry.store.lock import try_lock
from wherry.store.prune import prune

DAY = 86400


def _image(store: Store, data: bytes, platform: str = "linux/amd64") -> Image:
    with LayerWriter(store.blobs, Compression()) as writer:
        writer.add(Entry("a", "file", size=len(data)), data)
        layer = writer.finish()
    return Image.of(ImageConfig(Platform.parse(platform)), (layer,), {})


def _keep(store: Store, data: bytes, name: str) -> Image:
    image = _image(store, data)
    store.tag((name,), store.add_image(image))
    return image


def _blobs(image: Image) -> set[Digest]:
    return {image.digest, image.id, *(layer.descriptor.digest for layer in image.layers)}


def _there(store: Store) -> set[str]:
    folder = store.blobs.root / "sha256"
    return {f"sha256:{path.name}" for path in folder.iterdir()} if folder.is_dir() else set()


def _all(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.name != "sessions.lock"}


def _file(path: Path, size: int = 10, age: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_named_images_stay_and_others_go(store: Store) -> None:
    kept = _keep(store, b"kept", "kept:latest")
    _keep(store, b"gone", "gone:latest")
    store.untag(("gone:latest",))
    report = prune(store)
    assert _there(store) == _blobs(kept)
    assert report.files == 3
    assert report.bytes > 0
    assert all(path.startswith("blobs/sha256/") for path in report.paths)


def test_an_index_keeps_its_images(store: Store) -> None:
    index = Index((_image(store, b"1"), _image(store, b"2", "linux/arm64")))
    store.tag(("both:latest",), store.add_image(index))
    assert prune(store).files == 0
    assert store.load(store.images()[0]).digest == index.digest


def test_blobs_that_a_result_needs_stay(store: Store) -> None:
    digest = store.blobs.add(b"layer")
    store.cache.put("key", {"a": 1}, [digest])
    assert prune(store).files == 0
    assert store.cache.get("key") == {"a": 1}


def test_everything_is_what_no_named_image_needs(store: Store) -> None:
    kept = _keep(store, b"kept", "kept:latest")
    store.cache.put("key", {}, [store.blobs.add(b"layer")])
    _file(store.files / "sha256" / "download")
    _file(store.path / "uv" / "deep" / "er" / "thing")
    report = prune(store, everything=True)
    assert _there(store) == _blobs(kept)
    assert not list(store.files.iterdir())
    assert not (store.path / "uv").exists()
    assert "uv" in report.paths
    assert store.cache.get("key") is None
    assert isinstance(store.load(store.images()[0]), Image)


def test_everything_heals_a_damaged_cache_index(store: Store) -> None:
    store.scratch()
    store.close()
    (store.path / "cache.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError):
        prune(store)
    prune(store, everything=True)
    store.cache.put("key", {})
    assert store.cache.get("key") == {}


def test_caches_stay_unless_they_are_asked_for(store: Store) -> None:
    _file(store.files / "sha256" / "download", age=100 * DAY)
    _file(store.path / "uv" / "thing")
    assert prune(store).files == 0


def test_an_age_takes_what_was_not_used_for_so_long(store: Store) -> None:
    store.cache.put("key", {}, [store.blobs.add(b"layer")])
    _file(store.files / "sha256" / "old", age=10 * DAY)
    _file(store.files / "sha256" / "new", age=1 * DAY)
    prune(store, older_than=5 * DAY)
    assert [path.name for path in (store.files / "sha256").iterdir()] == ["new"]
    assert store.cache.get("key") == {}
    prune(store, older_than=-1)
    assert store.cache.get("key") is None
    assert _there(store) == set()


def test_an_age_longer_than_time_itself_takes_nothing(store: Store) -> None:
    store.cache.put("key", {})
    prune(store, older_than=1e12)
    assert store.cache.get("key") == {}


def test_a_dry_run_tells_and_does_nothing(store: Store) -> None:
    store.cache.put("key", {}, [store.blobs.add(b"layer")])
    store.blobs.add(b"nobody's")
    _file(store.files / "partial" / "sha256-ab")
    _file(store.path / "rootfs" / "x" / "y")
    with store.once("work"):
        pass
    store.close()
    before = _all(store.path)
    dry = prune(store, everything=True, dry_run=True)
    assert _all(store.path) == before
    wet = prune(store, everything=True)
    assert set(dry.paths) == set(wet.paths)
    assert dry.bytes == wet.bytes


def test_pruning_twice_finds_nothing_the_second_time(store: Store) -> None:
    store.blobs.add(b"nobody's")
    store.cache.put("key", {})
    prune(store, everything=True)
    assert prune(store, everything=True).files == 0


def test_broken_off_downloads_go(store: Store) -> None:
    _file(store.files / "partial" / "sha256-ab")
    _file(store.files / "partial" / "sha256-ab.lock")
    _file(store.files / "sha256" / "whole")
    assert sorted(prune(store).paths) == ["files/partial/sha256-ab"]
    assert not list((store.files / "partial").iterdir())
    assert (store.files / "sha256" / "whole").exists()


def test_a_download_that_somebody_is_at_stays(store: Store) -> None:
    _file(store.files / "partial" / "sha256-ab")
    handle = try_lock(store.files / "partial" / "sha256-ab.lock")
    assert handle is not None
    try:
        prune(store, everything=True)
        assert (store.files / "partial" / "sha256-ab").exists()
        assert (store.files / "partial" / "sha256-ab.lock").exists()
    finally:
        os.close(handle)


def test_unpacked_root_filesystems_go_whatever_their_modes(store: Store) -> None:
    closed = store.path / "rootfs" / "x" / "closed"
    _file(closed / "file")
    closed.chmod(0o500)
    (store.path / "rootfs" / "x" / "link").symlink_to("/etc")
    assert prune(store).files == 2
    assert not list((store.path / "rootfs").iterdir())
    assert Path("/etc/passwd").exists()


def test_a_root_filesystem_of_other_users_stays_and_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _file(store.path / "rootfs" / "theirs" / "file")
    digest = store.blobs.add(b"nobody's")

    def refuse(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr("wherry.store.prune.remove_tree", refuse)
    report = prune(store)
    assert report.kept == ("rootfs/theirs",)
    assert report.files == 1
    assert not store.blobs.has(digest)


def test_locks_that_nobody_holds_go(store: Store) -> None:
    with store.once("free"):
        pass
    with store.once("held"):
        prune(store)
        assert len(list((store.path / "locks").iterdir())) == 1


def test_a_folder_whose_lock_is_gone_is_nobodys(store: Store) -> None:
    _file(store.path / "sessions" / "1-abcd" / "blob-1")
    prune(store)
    assert not (store.path / "sessions" / "1-abcd").exists()


def test_a_link_to_elsewhere_is_not_followed(store: Store, tmp_path: Path) -> None:
    _file(tmp_path / "elsewhere" / "file")
    (store.files).mkdir(parents=True)
    (store.files / "sha256").symlink_to(tmp_path / "elsewhere")
    prune(store, everything=True)
    assert (tmp_path / "elsewhere" / "file").exists()


def test_a_broken_image_stops_nothing(store: Store) -> None:
    kept = _keep(store, b"kept", "kept:latest")
    broken = _keep(store, b"broken", "broken:latest")
    store.blobs.path(broken.digest).write_text("{")
    prune(store)
    assert _blobs(kept) <= _there(store)


def test_nothing_goes_while_another_process_works(store: Store) -> None:
    digest = store.blobs.add(b"nobody's")
    store.close()
    script = (
        "import sys; from pathlib import Path; from wherry.store import Store\n"
        "s = Store(Path(sys.argv[1])); s.scratch(); print('ready', flush=True); sys.stdin.read(1)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(store.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(StoreError, match="another wherry is using this store"):
            prune(store)
        assert store.blobs.has(digest)
        child.kill()
    assert prune(store).files == 1


def test_a_store_that_is_not_there_has_nothing_to_prune(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        assert prune(store, everything=True).files == 0
