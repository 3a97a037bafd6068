"""Pruning: what is needed stays, what is not goes, and nothing goes from under a build."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import TEST_USER, User, Wherry

from wherry.errors import StoreError
from wherry.image import Digest, Image, ImageConfig, Index, Platform
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.records import load_records
from wherry.layers.writer import LayerWriter
from wherry.sandbox.userns import read_ranges
from wherry.solve.folders import open_folder
from wherry.store import Store
from wherry.store.files import remove_tree
from wherry.store.lock import try_lock
from wherry.store.prune import prune

DAY = 86400

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")


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


@pytest.mark.parametrize("name", ["0123", "state-0123", "full-0123"])
def test_a_root_filesystem_in_use_stays(store: Store, name: str) -> None:
    def make(new: Path) -> None:
        _file(new / "file")

    with open_folder(store, name, make) as used:
        store.close()
        assert prune(store, everything=True).files == 0
        assert (used.path / "file").exists()
    assert prune(store).paths == (f"rootfs/{name}",)


def test_a_root_filesystem_that_was_broken_off_goes(store: Store) -> None:
    _file(store.path / "rootfs" / "state-0123" / "new" / "upper" / "file")
    assert prune(store).files == 1
    assert list((store.path / "rootfs").iterdir()) == []


def test_what_killed_processes_have_left_goes_and_is_counted(store: Store) -> None:
    store.scratch()
    store.close()
    _file(store.path / "sessions" / "1-abcd" / "context-1" / "file")
    _file(store.path / "sessions" / "1-abcd.lock", 0)
    _file(store.path / "containers" / "2-abcd" / "file")
    _file(store.path / "containers" / "2-abcd.lock", 0)
    _file(store.path / "mounts" / "0123.new" / "file")
    _file(store.path / "mounts" / "0123.lock", 0)
    _file(store.path / "git" / "0123" / "objects" / "pack" / "tmp_pack_abc")
    _file(store.path / "sandbox.77")
    left = (
        "mounts/0123.new",
        "git/0123/objects/pack/tmp_pack_abc",
        "sandbox.77",
        "containers/2-abcd",
        "sessions/1-abcd",
    )
    dry = prune(store, dry_run=True)
    assert dry.paths == left
    assert prune(store) == dry
    assert [path for path in store.path.rglob("*.lock") if path.parent != store.path] == []


# -- what Dockerfile builds keep -------------------------------------------------------------------------


def _kept_by_dockerfile_builds(store: Store, age: float = 0) -> set[str]:
    """One of each kind of cache, not used for ``age`` seconds."""
    _file(store.path / "mounts" / "0123" / "file")
    _file(store.path / "mounts" / "0123.lock", 0, age)
    _file(store.path / "contexts" / "0123", 10, age)
    _file(store.path / "sandbox", 10, age)
    repository = _file(store.path / "git" / "0123" / "HEAD").parent
    then = time.time() - age
    os.utime(repository, (then, then))
    return {"mounts/0123", "contexts/0123", "sandbox", "git/0123"}


def test_caches_of_dockerfile_builds_stay_unless_they_are_asked_for(store: Store) -> None:
    caches = _kept_by_dockerfile_builds(store, age=100 * DAY)
    assert prune(store).files == 0
    assert set(prune(store, everything=True).paths) == {*caches, "cache.sqlite"}
    assert list((store.path / "mounts").iterdir()) == []


def test_an_age_takes_the_caches_of_dockerfile_builds_by_their_last_use(store: Store) -> None:
    caches = _kept_by_dockerfile_builds(store, age=10 * DAY)
    assert prune(store, older_than=20 * DAY).files == 0
    assert set(prune(store, older_than=5 * DAY).paths) == caches


def test_a_cache_mount_in_use_stays(store: Store) -> None:
    _kept_by_dockerfile_builds(store)
    handle = try_lock(store.path / "mounts" / "0123.lock")
    assert handle is not None
    try:
        prune(store, everything=True)
        assert (store.path / "mounts" / "0123" / "file").exists()
        assert (store.path / "mounts" / "0123.lock").exists()
    finally:
        os.close(handle)


def test_what_is_remembered_of_a_layer_goes_with_its_blob(store: Store) -> None:
    kept, gone = _keep(store, b"kept", "kept:latest"), _image(store, b"gone")
    for image in (kept, gone):
        load_records(store, image.layers[0].descriptor.digest)
    prune(store)
    (record,) = (store.path / "records").iterdir()
    assert f"sha256:{record.name}" == kept.layers[0].descriptor.digest
    prune(store, everything=True)
    assert not record.exists()


# -- what is counted -------------------------------------------------------------------------------------


def _used(path: Path) -> int:
    """What ``path`` takes on the disk."""
    return int(subprocess.run(["du", "-s", "-B1", path], check=True, capture_output=True).stdout.split()[0])


def test_the_bytes_that_are_told_are_those_that_the_disk_gets_back(store: Store) -> None:
    root = store.path / "rootfs" / "x" / "root"
    _file(root / "usr" / "file", 100_000)
    (root / "usr" / "same").hardlink_to(root / "usr" / "file")
    with (root / "hole").open("wb") as file:
        file.truncate(1 << 40)
    (root / "link").symlink_to("usr")
    expected = _used(store.path / "rootfs" / "x")
    assert prune(store, dry_run=True).bytes == expected
    assert prune(store).bytes == expected


def test_a_file_with_another_name_elsewhere_gives_nothing_back(store: Store, tmp_path: Path) -> None:
    file = _file(store.path / "files" / "sha256" / "download", 100_000)
    (tmp_path / "elsewhere").hardlink_to(file)
    report = prune(store, everything=True)
    assert (report.files, report.bytes < 100_000) == (1, True)


def test_names_of_one_file_in_several_places_are_one_file(store: Store) -> None:
    first = _file(store.path / "containers" / "1" / "file", 100_000)
    (store.path / "rootfs" / "x").mkdir(parents=True)
    (store.path / "rootfs" / "x" / "file").hardlink_to(first)
    dry = prune(store, dry_run=True)
    assert dry.bytes > 100_000
    assert prune(store).bytes == dry.bytes


# -- whose files they are --------------------------------------------------------------------------------


@pytest.fixture
def users_store(user: User) -> Iterator[tuple[Wherry, Path]]:
    """The store of an ordinary user: the command, and a folder in ``rootfs`` with a closed one in it, all theirs."""
    wherry = user.wherry("store-to-prune")
    wherry.ok("images")
    folder = wherry.store / "rootfs" / "x"
    _file(folder / "closed" / "file")
    (folder / "closed").chmod(0)
    user.own(wherry.store)
    yield wherry, folder
    if folder.exists():
        remove_tree(folder)


def test_an_ordinary_user_removes_what_is_closed(users_store: tuple[Wherry, Path]) -> None:
    wherry, folder = users_store
    assert "Removed 1 files" in wherry.ok("prune").stdout
    assert not folder.exists()


@needs_root
def test_an_ordinary_user_removes_what_belongs_to_subordinate_ids(users_store: tuple[Wherry, Path]) -> None:
    wherry, folder = users_store
    first = next(first for first, _ in read_ranges(Path("/etc/subuid"), {TEST_USER}))
    os.chown(_file(folder / "theirs" / "file"), first, first)
    os.chown(folder / "theirs", first, first)
    (folder / "theirs").chmod(0)
    result = wherry.ok("prune")
    assert (result.stderr, folder.exists()) == ("", False)


@needs_root
def test_what_belongs_to_strangers_stays_and_is_named_and_all_else_goes(users_store: tuple[Wherry, Path]) -> None:
    wherry, folder = users_store
    _file(folder / "strangers" / "file")  # root's
    mine = _file(folder / "mine")
    result = wherry.ok("prune")
    assert "1 path stayed, with files of other users" in result.stderr
    assert str(folder) in result.stderr
    assert "Removed 2 files" in result.stdout
    assert (folder / "strangers" / "file").exists()
    assert not mine.exists()


# -- locks -----------------------------------------------------------------------------------------------


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
