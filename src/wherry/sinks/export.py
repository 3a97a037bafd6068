"""An image out of the store, to wherever an :class:`Output` says.

What writes is imported when something is written: most builds have no output but the store.
"""

from __future__ import annotations

from collections.abc import Sequence

from wherry.errors import UsageError
from wherry.events import Listener, Reporter, Task
from wherry.image import Image, Index, Reference
from wherry.layers.compression import Compression
from wherry.sinks.output import STDOUT, Output, check_outputs
from wherry.store import Store


def export(
    image: Image | Index,
    output: Output,
    *,
    names: Sequence[str] = (),
    store: Store,
    listener: Listener | None = None,
) -> Image | Index:
    """Write ``image``, whose layers are in ``store``, to ``output``, under ``names`` and the output's own.

    Gives the image as it was written: annotations and another compression give it another digest.
    Raises :class:`~wherry.errors.WherryError`; then nothing shows under the output's name.
    """
    images = image.images if isinstance(image, Index) else (image,)
    check_outputs([output], [one.config.platform for one in images])
    if output.kind == "cacheonly":
        return image
    names = tuple(dict.fromkeys(Reference.parse(name).familiar for name in (*names, *output.names)))
    with Reporter(listener).step(_title(output)) as task:
        image = _prepared(image, output, store, task)
        if output.kind not in {"tar", "local"}:  # these are told in unpacked bytes, which nobody knows yet
            task.expect(_size(image))
        _write(image, output, names, store, task)
    return image


def _title(output: Output) -> str:
    place = "standard output" if output.dest == STDOUT else output.dest
    match output.kind:
        case "oci":
            return f"write an OCI {'archive' if output.tar else 'layout'} to {place}"
        case "docker":
            return f"write a Docker archive to {place}" if place else "load into the container engine"
        case "tar":
            return f"write the root filesystem as a tar to {place}"
        case "local":
            return f"unpack the root filesystem into {place}"
        case _:
            return "keep the image in the store"


def _prepared(image: Image | Index, output: Output, store: Store, task: Task) -> Image | Index:
    """``image`` as it will be written: for one engine if need be, compressed and annotated as was asked."""
    from wherry.sinks.annotations import annotate
    from wherry.sinks.convert import compression_of, with_compression

    if output.kind in {"tar", "local"}:
        return image
    if output.kind == "docker" and isinstance(image, Index):
        if len(image.images) != 1:
            raise UsageError("type=docker holds one platform", hint="Choose one with --platform.")
        image = image.images[0]
    if output.compression:
        image = with_compression(image, output.compression, store, force=output.force_compression)
    elif output.kind == "docker" and isinstance(image, Image):
        strange = [layer for layer in image.layers if compression_of(layer) not in {"gzip", "uncompressed"}]
        if strange:
            task.output(f"{len(strange)} layers converted to gzip: not every Docker reads another compression")
            image = with_compression(image, Compression(), store)
    return annotate(image, output.annotations)


def _size(image: Image | Index) -> int:
    images = image.images if isinstance(image, Index) else (image,)
    return sum({layer.descriptor.digest: layer.descriptor.size for one in images for layer in one.layers}.values())


def _write(image: Image | Index, output: Output, names: tuple[str, ...], store: Store, task: Task) -> None:
    from wherry.sinks.archive import write_docker_archive, write_oci_archive
    from wherry.sinks.destination import opened
    from wherry.sinks.layout import write_layout
    from wherry.sinks.rootfs import write_directory, write_tar

    blobs = store.blobs
    if output.kind == "image":
        descriptor = store.add_image(image)
        if names:
            store.tag(names, descriptor)
    elif output.kind == "local":
        write_directory(output.dest, image, blobs, split=output.split)
    elif output.kind == "oci" and not output.tar:
        write_layout(output.dest, image, names, blobs, task.advance)
    elif not output.dest:
        assert isinstance(image, Image)
        _load(image, names, store, task)
    else:
        with opened(output.dest) as file:
            if output.kind == "oci":
                write_oci_archive(file, image, names, blobs, task.advance)
            elif output.kind == "docker":
                assert isinstance(image, Image)
                write_docker_archive(file, image, names, blobs, task.advance)
            else:
                write_tar(file, image, blobs, split=output.split, advance=task.advance)


def _load(image: Image, names: tuple[str, ...], store: Store, task: Task) -> None:
    from wherry.sinks.archive import write_docker_archive
    from wherry.sinks.daemon import find_engine, loading

    engine = find_engine()
    with loading(engine) as (file, said):
        write_docker_archive(file, image, names, store.blobs, task.advance)
    for line in said:
        task.output(line)
    task.detail = engine.name
