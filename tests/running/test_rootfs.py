"""Root filesystems in the store, and interpreters in them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.errors import WherryError
from wherry.image import Descriptor, Digest, Image, ImageConfig, Layer, Platform, RuntimeConfig
from wherry.image.mediatype import OCI_LAYER_ZSTD
from wherry.layers.records import load_records, scan
from wherry.solve import folders
from wherry.solve.rootfs import interpreter_launcher, open_rootfs
from wherry.store import Store
from wherry.target import Interpreter

AddImage = Callable[..., Image]


def test_threads_that_want_it_at_once_get_the_same(store: Store, add_image: AddImage) -> None:
    image = add_image(store)
    found: list[tuple[Path, int]] = []

    def want() -> None:
        with open_rootfs(image, store) as root:
            found.append((root.path, root.path.stat().st_ino))

    threads = [threading.Thread(target=want) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_it_holds_no_mount_points_but_those_of_the_layers(store: Store, add_image: AddImage) -> None:
    with open_rootfs(add_image(store), store) as root:
        assert not {"proc", "sys", "dev"} & {path.name for path in root.path.iterdir()}


def test_what_a_killed_process_left_half_unpacked_is_done_again(store: Store, add_image: AddImage) -> None:
    image = add_image(store)
    with open_rootfs(image, store) as root:
        path = root.path
    path.rename(path.with_name("new"))
    (path.with_name("new") / "etc/passwd").unlink()
    with open_rootfs(image, store) as root:
        assert (root.path / "etc/passwd").exists()
    assert not path.with_name("new").exists()


def test_what_was_unpacked_is_not_read_again_to_know_what_it_holds(store: Store, add_image: AddImage) -> None:
    image = add_image(store)
    digest = image.layers[0].descriptor.digest
    expected = scan(store.blobs.path(digest), "layer")
    open_rootfs(image, store).close()
    store.blobs.path(digest).unlink()
    found = load_records(store, digest)
    assert [row[:-1] for row in found.rows] == [row[:-1] for row in expected.rows]


def test_what_is_known_of_a_layer_stays_when_it_is_unpacked(store: Store, add_image: AddImage) -> None:
    image = add_image(store)
    known = load_records(store, image.layers[0].descriptor.digest)
    open_rootfs(image, store).close()
    assert load_records(store, image.layers[0].descriptor.digest) == known
    assert any(record.content for record in known)


def test_few_are_kept_and_those_in_use_always(
    store: Store, add_image: AddImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(folders.KEPT, "", 2)
    images = [add_image(store, marker=f"file-{number}") for number in range(5)]
    used = open_rootfs(images[0], store)
    os.utime(used.path.with_name("lock"), (0, 0))
    later = []
    for number, image in enumerate(images[1:], 1):
        with open_rootfs(image, store) as root:
            later.append(root.path)
            os.utime(root.path.with_name("lock"), (number, number))
    assert used.path.is_dir()
    assert later[-1].is_dir()
    assert len(list((store.path / "rootfs").iterdir())) <= 3
    used.close()
    monkeypatch.setitem(folders.KEPT, "", 0)
    with open_rootfs(add_image(store, marker="one-more"), store) as root:
        assert list((store.path / "rootfs").iterdir()) == [root.path.parent]


def test_an_image_that_claims_anothers_layers_does_not_become_it(store: Store, add_image: AddImage) -> None:
    good, bad = add_image(store, marker="good"), add_image(store, marker="bad")
    claims = dataclasses.replace(bad, config=good.config, source=None)
    with open_rootfs(claims, store), open_rootfs(good, store) as root:
        assert (root.path / "good").exists()
        assert not (root.path / "bad").exists()


def test_a_missing_layer_is_an_error(store: Store, add_image: AddImage) -> None:
    image = add_image(store)
    store.blobs.path(image.layers[0].descriptor.digest).unlink()
    with pytest.raises(WherryError, match="missing"):
        open_rootfs(image, store)


def test_a_bad_layer_leaves_nothing_behind(store: Store, add_image: AddImage) -> None:
    image = add_image(store)
    store.blobs.path(image.layers[0].descriptor.digest).write_bytes(b"\x1f\x8bnonsense" * 100)
    with pytest.raises(WherryError, match="layer 1 of 1"):
        open_rootfs(image, store)
    assert not list((store.path / "rootfs").glob("*/*"))


def test_a_foreign_interpreter_cannot_run_and_the_reason_is_given(store: Store, add_image: AddImage) -> None:
    image = add_image(store)
    other = Platform("linux", "arm64" if Platform.native().architecture == "amd64" else "amd64")
    foreign = dataclasses.replace(image, config=dataclasses.replace(image.config, platform=other))
    launch, reason = interpreter_launcher(foreign, Interpreter("3.13.1", "/usr/bin/python3"), store)
    assert launch is None
    assert str(other) in reason


def test_an_interpreter_that_is_not_there_cannot_run(store: Store, add_image: AddImage, can_run: None) -> None:
    launch, reason = interpreter_launcher(add_image(store), Interpreter("3.13.1", "/none/python3"), store)
    assert launch is None
    assert "/none/python3" in reason


@pytest.mark.e2e
def test_an_interpreter_of_a_base_runs_the_same_in_every_run(store: Store, can_run: None, musl_base: Path) -> None:
    import zstandard

    digest = store.blobs.add(musl_base.read_bytes())
    with musl_base.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        diff_id = Digest("sha256:" + hashlib.file_digest(stream, "sha256").hexdigest())
    layer = Layer(Descriptor(OCI_LAYER_ZSTD, digest, musl_base.stat().st_size), diff_id)
    config = ImageConfig(Platform.native(), RuntimeConfig(env=("PATH=/usr/local/bin:/bin", "PYTHONPATH=/bad")))
    image = Image.of(config, (layer,), {})
    launch, reason = interpreter_launcher(image, Interpreter("3.13.5", "/usr/local/bin/python3"), store)
    assert launch is not None, reason
    script = (
        "import os, sys; print(sys.version_info[:2], id(object()), hash('x'), os.listdir('/sys/class/net'), sys.path)"
    )
    said = set()
    for _ in range(2):
        with launch(["-s", "-S", "-B", "-c", script]) as process:
            said.add(process.communicate()[0])
    assert len(said) == 1
    assert b"(3, 13)" in said.pop()
    with launch(["-S", "-c", "open('/file', 'w')"]) as process:
        assert b"Read-only" in process.communicate()[1]
