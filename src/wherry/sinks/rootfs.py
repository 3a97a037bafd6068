"""The root filesystem that an image's layers add up to: as one tar, or in a directory."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from wherry.errors import UsageError
from wherry.image import Image, Index, Platform
from wherry.layers import tar
from wherry.layers.entry import Entry
from wherry.layers.merge import merged
from wherry.sinks.archive import blob_file
from wherry.sinks.destination import writing
from wherry.store.blobs import Blobs
from wherry.store.files import remove_tree

_PIECE = 1 << 20

Advance = Callable[[int], None]


def _roots(image: Image | Index, split: bool | None) -> Iterator[tuple[str, Image]]:
    """The images to write, each with its folder: ``linux_amd64`` and so on if there are several."""
    images = image.images if isinstance(image, Index) else (image,)
    if split is None:
        split = isinstance(image, Index)
    if not split and len(images) > 1:
        raise UsageError("platform-split=false: several platforms do not fit in one root filesystem")
    for one in images:
        yield (_folder(one.config.platform) if split else ""), one


def _folder(platform: Platform) -> str:
    return str(platform).replace("/", "_")


def _layers(image: Image, blobs: Blobs) -> list[Path]:
    return [blob_file(layer.descriptor, blobs) for layer in image.layers]


def write_tar(file: IO[bytes], image: Image | Index, blobs: Blobs, *, split: bool | None, advance: Advance) -> None:
    """Write the root filesystem of ``image`` to ``file`` as a tar: whiteouts applied, links and owners kept."""
    for folder, one in _roots(image, split):
        if folder:
            file.write(tar.header(Entry(folder, "dir", 0o755)))
        prefix = f"{folder}/" if folder else ""
        for entry, data in merged(_layers(one, blobs)):
            link = prefix + entry.link if entry.kind == "hardlink" else entry.link
            file.write(tar.header(replace(entry, path=prefix + entry.path, link=link)))
            if data is not None:
                while piece := data.read(_PIECE):
                    file.write(piece)
                    advance(len(piece))
                file.write(tar.padding(entry.size))
    file.write(tar.END)


def write_directory(dest: str, image: Image | Index, blobs: Blobs, *, split: bool | None) -> None:
    """Unpack the root filesystem of ``image`` into the directory ``dest``, made if it is not there.

    What is in it already stays, unless the image has something of that name. As root, files get the owners that
    they have in the image; otherwise they are ours.
    """
    from wherry.layers.unpack import unpack

    root = Path(dest)
    with writing(dest):
        if root.exists() and not root.is_dir():
            raise UsageError(f"{dest} is a file", hint="Name a directory.")
        for folder, one in _roots(image, split):
            target = root / folder
            target.mkdir(parents=True, exist_ok=True)
            # Beside it, so that a link in the directory leads no write astray and no whiteout removes a user's file.
            temporary = Path(tempfile.mkdtemp(prefix=f".{root.name or 'rootfs'}.", dir=target.resolve().parent))
            try:
                (temporary / "root").mkdir()
                unpack(_layers(one, blobs), temporary / "root", owners=_is_root())
                _move(temporary / "root", target)
            finally:
                remove_tree(temporary)


def _move(source: Path, target: Path) -> None:
    """Move what is in the directory ``source`` into the directory ``target``, which then has its attributes."""
    status = source.stat()
    for directory in (source, target):  # entries of a closed directory cannot be moved
        directory.chmod(0o700)
    for item in list(source.iterdir()):
        there = target / item.name
        if item.is_dir() and not item.is_symlink():
            if there.is_symlink() or not there.is_dir():
                there.unlink(missing_ok=True)
                there.mkdir()
            _move(item, there)
        else:
            if there.is_dir() and not there.is_symlink():
                remove_tree(there)
            item.replace(there)
    source.chmod(stat.S_IMODE(status.st_mode))
    if _is_root():
        os.chown(target, status.st_uid, status.st_gid)
    shutil.copystat(source, target)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _is_root() -> bool:
    return os.name == "posix" and os.geteuid() == 0
