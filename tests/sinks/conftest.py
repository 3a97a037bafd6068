"""An image to export: two layers, the upper one hiding a file of the lower one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from wherry.image import History, Image, ImageConfig, Index, Layer, Platform, RuntimeConfig
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.writer import LayerWriter
from wherry.store import Store

Files = Sequence[tuple[Entry, bytes]]
MakeImage = Callable[..., Image]


def _layer(store: Store, files: Files, compression: Compression) -> Layer:
    with LayerWriter(store.blobs, compression) as writer:
        for entry, data in files:
            writer.add(entry, data)
        return writer.finish()


def _file(path: str, data: bytes, mode: int = 0o644) -> tuple[Entry, bytes]:
    return Entry(path, "file", mode, size=len(data), mtime=315532800), data


def _other(entry: Entry) -> tuple[Entry, bytes]:
    return entry, b""


LAYERS: tuple[Files, ...] = (
    (
        _other(Entry("etc", "dir", 0o755)),
        _file("etc/gone", b"lower\n"),
        _file("etc/kept", b"kept\n"),
        _other(Entry("etc/link", "symlink", 0o777, link="kept")),
        _other(Entry("etc/same", "hardlink", link="etc/kept")),
        _other(Entry("tmp", "dir", 0o1777)),
    ),
    (
        _other(Entry("etc", "dir", 0o755)),
        _file("etc/.wh.gone", b""),
        _other(Entry("usr", "dir", 0o755)),
        _file("usr/grüße", "übrig\n".encode(), 0o755),
    ),
)


@pytest.fixture
def make_image(store: Store) -> MakeImage:
    """Makes images whose layers are in the store."""

    def make(
        layers: Sequence[Files] = LAYERS,
        *,
        compression: str = "gzip",
        platform: str = "linux/amd64",
        annotations: Mapping[str, str] | None = None,
    ) -> Image:
        config = ImageConfig(
            Platform.parse(platform),
            RuntimeConfig(cmd=("/bin/true",), labels={"a": "b"}),
            history=tuple(History(f"step {number}", "1980-01-01T00:00:00Z") for number in range(len(layers))),
            created="1980-01-01T00:00:00Z",
        )
        made = tuple(_layer(store, layer, Compression.of(compression)) for layer in layers)
        return Image.of(config, made, annotations or {})

    return make


@pytest.fixture
def image(make_image: MakeImage) -> Image:
    """An image for linux/amd64."""
    return make_image()


@pytest.fixture
def index(make_image: MakeImage) -> Index:
    """An index of two platforms."""
    return Index((make_image(), make_image(platform="linux/arm64")))
