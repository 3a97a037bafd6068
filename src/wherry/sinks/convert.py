"""The same layers compressed in another way: other blobs, another manifest, the same image ID."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from wherry.errors import WherryError
from wherry.image import Descriptor, Image, Index, Layer
from wherry.image.json import as_object
from wherry.image.mediatype import DOCKER_LAYER_GZIP, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from wherry.layers.compression import Compression, compressor
from wherry.layers.reader import decompressed
from wherry.store import Store

_PIECE = 1 << 20
_NAMES = {OCI_LAYER: "uncompressed", OCI_LAYER_GZIP: "gzip", DOCKER_LAYER_GZIP: "gzip", OCI_LAYER_ZSTD: "zstd"}


def compression_of(layer: Layer) -> str:
    """The name of a layer's compression, by its media type; the media type itself if we do not know it."""
    return _NAMES.get(layer.descriptor.media_type, layer.descriptor.media_type)


def with_compression(
    image: Image | Index, compression: Compression, store: Store, *, force: bool = False
) -> Image | Index:
    """``image`` with all layers that are compressed otherwise converted to ``compression``; all, if ``force``.

    Conversions are kept in the store. Raises :class:`WherryError` if a layer is damaged.
    """
    if isinstance(image, Index):
        return replace(image, images=tuple(_image(one, compression, store, force) for one in image.images), source=None)
    return _image(image, compression, store, force)


def _image(image: Image, compression: Compression, store: Store, force: bool) -> Image:
    layers = tuple(
        _layer(layer, compression, store) if force or compression_of(layer) != compression.name else layer
        for layer in image.layers
    )
    return image if layers == image.layers else image.rewritten(layers=layers)


def _layer(layer: Layer, compression: Compression, store: Store) -> Layer:
    key = f"convert {layer.descriptor.digest} {compression}"
    with store.once(key):
        entry = store.cache.get(key)
        if entry is not None:
            descriptor = Descriptor.from_json(as_object(entry.get("descriptor"), key))
        else:
            descriptor = _convert(layer, compression, store)
            store.cache.put(key, {"descriptor": descriptor.to_json()}, [descriptor.digest])
    return replace(layer, descriptor=descriptor)


def _convert(layer: Layer, compression: Compression, store: Store) -> Descriptor:
    source = store.blobs.file(layer.descriptor.digest)
    plain = sha256()
    work = compressor(compression)
    with store.blobs.writer() as blob, decompressed(source, f"layer {layer.descriptor.digest}") as stream:
        while piece := stream.read(_PIECE):
            plain.update(piece)
            for packed in work.write(piece):
                blob.write(packed)
        for packed in work.finish():
            blob.write(packed)
        if f"sha256:{plain.hexdigest()}" != layer.diff_id:
            raise WherryError(f"layer {layer.descriptor.digest} is not what its image says", hint="Build again.")
        digest, size = blob.commit()
    return Descriptor(compression.media_type, digest, size)
