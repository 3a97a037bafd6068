"""An image out of the store, to wherever an :class:`Output` says.

What writes is imported when something is written: most builds have no output but the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import UsageError
from wherry.events import Listener, Reporter, Task
from wherry.image import Image, Index, Reference
from wherry.layers.compression import Compression
from wherry.sinks.output import STDOUT, Output, check_outputs, pushed
from wherry.store import Store

if TYPE_CHECKING:
    from wherry.sources.content import Content


def export(
    image: Image | Index,
    output: Output,
    *,
    names: Sequence[str] = (),
    store: Store,
    insecure: Sequence[str] = (),
    listener: Listener | None = None,
) -> Image | Index:
    """Write ``image``, whose layers are in ``store``, to ``output``, under ``names`` and the output's own.

    Pushed is what has names of its own under these alone. ``insecure`` are registries (``host[:port]``) that may do
    without TLS. Gives the image as it was written: annotations and another compression give it another digest.
    Raises :class:`~wherry.errors.WherryError`; then nothing shows under the output's name.
    """
    images = image.images if isinstance(image, Index) else (image,)
    check_outputs([output], [one.config.platform for one in images], names)
    if output.kind == "cacheonly":
        return image
    own = () if output.by_digest else output.names
    all_names = tuple(dict.fromkeys(Reference.parse(name).familiar for name in (*names, *own)))
    reporter = Reporter(listener)
    with reporter.step(_title(output)) as task:
        image = _prepared(image, output, store, task)
        if output.kind in {"tar", "local"}:
            _write_files(image, output, store, task)
        else:
            _write_image(image, output, all_names, store, task)
        if output.push:
            _push(image, pushed(output, names), insecure, store, reporter, task)
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
        case "registry":
            return "push the image"
        case _:
            return f"keep the image in the store{' and push it' if output.push else ''}"


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


def _write_files(image: Image | Index, output: Output, store: Store, task: Task) -> None:
    from wherry.sinks.destination import opened
    from wherry.sinks.rootfs import write_directory, write_tar

    if output.kind == "local":
        write_directory(output.dest, image, store.blobs, split=output.split)
    else:
        with opened(output.dest) as file:
            write_tar(file, image, store.blobs, split=output.split, advance=task.advance)


def _write_image(image: Image | Index, output: Output, names: tuple[str, ...], store: Store, task: Task) -> None:
    from wherry.sinks.archive import entries, write_oci_archive
    from wherry.sinks.destination import opened
    from wherry.sinks.layout import write_layout
    from wherry.sources.content import content_of, reading

    descriptor = store.add_image(image)
    if output.kind == "image" and names:
        store.tag(names, descriptor)
    if output.kind in {"image", "registry"}:
        return
    content = content_of(descriptor, reading(store.blobs))
    task.expect(sum(part.size for part in content.parts))
    if output.kind == "docker":
        assert isinstance(image, Image)
        _write_docker(image, content, output.dest, names, store, task)
    elif output.tar:
        with opened(output.dest) as file:
            write_oci_archive(file, content, entries(image, names), store.blobs, task.advance)
    else:
        write_layout(Path(output.dest), content, entries(image, names), store.blobs, task.advance)


def _write_docker(image: Image, content: Content, dest: str, names: tuple[str, ...], store: Store, task: Task) -> None:
    from wherry.sinks.archive import write_docker_archive
    from wherry.sinks.daemon import find_engine, loading
    from wherry.sinks.destination import opened

    if dest:
        with opened(dest) as file:
            write_docker_archive(file, image, content, names, store.blobs, task.advance)
        return
    engine = find_engine()
    with loading(engine) as (stream, said):
        write_docker_archive(stream, image, content, names, store.blobs, task.advance)
    for line in said:
        task.output(line)
    task.detail = engine.name


def _push(
    image: Image | Index,
    references: Sequence[Reference],
    insecure: Sequence[str],
    store: Store,
    reporter: Reporter,
    task: Task,
) -> None:
    from wherry.registry.registries import Registries
    from wherry.sinks.registry import push
    from wherry.sources.content import content_of, reading
    from wherry.sources.supply import supplying

    content = content_of(image.descriptor, reading(store.blobs))
    with (
        Registries(insecure=insecure, note=reporter.note) as registries,
        supplying(store, registries, reporter) as supply,
    ):
        push(content, references, registries, store, supply, task)
