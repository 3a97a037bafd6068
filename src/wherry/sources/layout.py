"""Base images that lie on this machine: names in the store, OCI layouts, OCI and Docker archives.

What lies elsewhere is copied into the store, each blob checked against its digest on the way.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, BinaryIO, Protocol, cast

from wherry.errors import UsageError, WherryError
from wherry.events import Task
from wherry.image import Descriptor, Digest, Image, ImageConfig, Index, Layer, Platform, Reference, parse_digest
from wherry.image.digest import digest_of
from wherry.image.json import as_list, as_object, as_str, as_strings, load_object
from wherry.image.mediatype import INDEXES, MANIFESTS, OCI_MANIFEST
from wherry.image.reference import nearest_name
from wherry.layers.compression import Compression, compressor
from wherry.layers.reader import decompressed
from wherry.sources.content import Content, content_of, fits, fitting, of_images, unfit
from wherry.sources.supply import LAYOUT
from wherry.store import Store
from wherry.store.names import name_of
from wherry.store.origins import Origin

_PIECE = 1 << 20
_DOCUMENT = 16 << 20  # bytes of a manifest, an index or a config
_CONTAINERD_NAME = "io.containerd.image.name"
_ID = re.compile(r"[0-9a-f]{12,64}")


def find_name(name: str, store: Store) -> Descriptor | None:
    """The descriptor that ``name`` means in the store, if any does.

    A name is written as Docker has it: ``hello``, ``hello:1``, ``docker.io/library/hello:1``, ``hello@sha256:…``,
    ``hello:1@sha256:…`` (where only the digest counts), or an ID: the digest of a config, or 12 or more digits of it.
    """
    reference = Reference.parse(name)
    if reference.digest:
        return _by_digest(reference.digest, store)
    wanted = {name, reference.familiar, str(reference)}
    named = store.images()
    for descriptor in named:
        if name_of(descriptor) in wanted:
            return descriptor
    return _by_id(name, named, store)


def _by_digest(digest: Digest, store: Store) -> Descriptor | None:
    """A manifest or an index that the store holds, whatever its name; images are made of both."""
    for descriptor in store.images():
        if descriptor.digest == digest:
            return descriptor
    path = store.blobs.path(digest)
    if not path.is_file() or path.stat().st_size > _DOCUMENT:
        return None
    data = store.blobs.read(digest)
    with suppress(WherryError):
        media_type = load_object(data, f"blob {digest}").get("mediaType")
        if isinstance(media_type, str) and (media_type in MANIFESTS or media_type in INDEXES):
            return Descriptor(media_type, digest, len(data))
    return None


def _by_id(name: str, named: Sequence[Descriptor], store: Store) -> Descriptor | None:
    digits = name.removeprefix("sha256:")
    if not _ID.fullmatch(digits):
        return None
    found = {}
    for descriptor in named:
        with suppress(WherryError):
            image = store.load(descriptor)
            for one in image.images if isinstance(image, Index) else (image,):
                identity = digest_of(one.config_bytes)
                if identity.removeprefix("sha256:").startswith(digits):
                    found[identity] = descriptor
    if len(found) > 1:
        raise UsageError(f"{name} is the beginning of several IDs", hint="Give more of its digits.")
    return next(iter(found.values()), None)


def unknown_name(name: str, store: Store, failure: WherryError | None = None) -> UsageError:
    """The error for a base that is neither in the store nor to be had; ``failure`` is what its registry says."""
    known = sorted({name_of(descriptor) for descriptor in store.images() if name_of(descriptor)})
    reference = Reference.parse(name)
    alike = [one for one in known if _repository(one) == (reference.host, reference.path)]
    near = nearest_name(name, known)
    hint = ""
    if reference.digest and alike:
        hint = f"The store has {', '.join(alike[:5])}, with other digests. "
    elif near:
        hint = f"Did you mean {near!r}, which the store has? "
    elif alike:
        hint = f"The store has {', '.join(alike[:5])}. "
    if name.startswith("debian:"):
        hint = f"Did you mean debian://{name.partition(':')[2] or 'trixie'}, a base made from Debian's packages? "
    if failure is None:
        hint += f"`wherry pull {name}` fetches it from its registry. "
    elif failure.hint:
        hint += f"{failure.hint} "
    return UsageError(
        f"no image {name!r} in the local store" + (f", and none to be had: {failure.message}" if failure else ""),
        hint=f"{hint}Other bases that can be had: debian://trixie, oci:DIR, oci-archive:FILE, docker-archive:FILE, "
        f"scratch; in place of one that a Dockerfile names: --build-context {name}={_stand_in(reference)}",
    )


def _stand_in(reference: Reference) -> str:
    """A base made from Debian's packages that may do in place of an image."""
    packages = "include=python3-venv,python3-pip&" if "python" in reference.path else ""
    return f"'debian://trixie?{packages}shell=1'"


def _repository(name: str) -> tuple[str, str]:
    try:
        reference = Reference.parse(name)
    except WherryError:
        return "", name
    return reference.host, reference.path


def choose(found: Image | Index, platform: Platform, name: str) -> Image:
    """The image for ``platform``. Raises :class:`UsageError` that names the platforms that there are."""
    images = found.images if isinstance(found, Index) else (found,)
    for image in images:
        if fits(image.config.platform, platform):
            return image
    raise unfit(name, platform, [image.config.platform for image in images])


# -- layouts and archives --------------------------------------------------------------------------------


class Files(Protocol):
    """A folder of files by relative path."""

    def open(self, path: str) -> IO[bytes]:
        """Open the file. Raises :class:`FileNotFoundError`."""


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, path: str) -> IO[bytes]:
        return (self._root / path).open("rb")


class _Tar:
    def __init__(self, file: IO[bytes]) -> None:
        import tarfile

        self._archive = tarfile.TarFile(fileobj=file)
        self._names = {name.removeprefix("./"): name for name in self._archive.getnames()}

    def open(self, path: str) -> IO[bytes]:
        try:
            member = self._archive.extractfile(self._names[path])
        except KeyError:
            member = None
        if member is None:
            raise FileNotFoundError(path)
        return member


@contextmanager
def _archive(path: Path, store: Store) -> Iterator[Files]:
    """The tar file at ``path``; a compressed one is decompressed first, for tar needs to be read here and there."""
    import tarfile

    unpacked = store.scratch() / f"archive-{os.urandom(8).hex()}"
    try:
        with path.open("rb") as file, decompressed(path) as plain:
            head = file.read(262)
            file.seek(0)
            if head[257:262] != b"ustar":
                with unpacked.open("wb") as target:
                    while piece := plain.read(_PIECE):
                        target.write(piece)
            with unpacked.open("rb") if unpacked.exists() else path.open("rb") as source:
                yield _Tar(source)
    except tarfile.TarError as error:
        raise WherryError(f"{path} is not a tar archive: {error}") from error
    except OSError as error:
        raise WherryError(f"cannot read {path}: {error.strerror or error}") from error
    finally:
        unpacked.unlink(missing_ok=True)


class OciSource:
    """``oci:DIR[:TAG]`` or ``oci-archive:FILE[:TAG]``: an OCI image layout (image-layout.md)."""

    def __init__(self, location: str, store: Store, *, archive: bool) -> None:
        self._path, self._tag = _split(location)
        self._store = store
        self._is_archive = archive

    def image(self, platform: Platform, task: Task) -> Image:
        """The image for ``platform``, copied into the store.

        Raises :class:`UsageError` if there is none, :class:`WherryError` if a blob is missing or altered.
        """
        with self._opened(task) as layout:
            content = layout.find(self._tag, platform)
            layout.take(content)
        image = self._store.load(content.top)
        assert isinstance(image, Image)
        return image

    def content(self, platform: Platform | None, task: Task) -> tuple[Content, int]:
        """All that the name means, or of it the image for ``platform``; and the bytes that were copied into the store.

        Manifests are; the blobs of a directory stay there until somebody wants them.
        """
        with self._opened(task) as layout:
            content = layout.find(self._tag, platform)
            if self._is_archive:
                return content, layout.take(content)
            layout.lend(content, self._path.absolute())
            return content, 0

    @contextmanager
    def _opened(self, task: Task) -> Iterator[_Layout]:
        if not self._is_archive and not (self._path / "index.json").is_file():
            raise UsageError(f"{self._path} is not an OCI image layout", hint="It has no index.json.")
        opened = _archive(self._path, self._store) if self._is_archive else nullcontext(_Folder(self._path))
        with opened as files:
            yield _Layout(files, str(self._path), self._store, task)


class DockerArchive:
    """``docker-archive:FILE[:NAME]``: what ``docker save`` writes. Errors call it ``what``."""

    def __init__(self, location: str, store: Store, compression: Compression, what: str = "") -> None:
        self._path, self._name = _split(location)
        self._what = what or str(self._path)
        self._store = store
        self._compression = compression

    def image(self, platform: Platform | None, task: Task) -> Image:
        """The image, copied into the store, its layers compressed.

        Raises :class:`UsageError` if it is for another platform, :class:`WherryError` if it is damaged.
        """
        with _archive(self._path, self._store) as files:
            saved = _Saved(files, self._what, self._store, task)
            return saved.image(self._name, platform, self._compression)


def _split(location: str) -> tuple[Path, str]:
    """``PATH[:NAME]`` or ``PATH@DIGEST``: the longest path that there is, and what follows it.

    Names may hold colons, as paths may.
    """
    above, at, digest = location.rpartition("@")
    if at and not Path(location).exists() and Path(above).exists():
        return Path(above), parse_digest(digest)
    path, name = location, ""
    while path:
        if Path(path).exists():
            return Path(path), name
        path, colon, last = path.rpartition(":")
        name = f"{last}:{name}" if name else last
        if not colon:
            break
    raise UsageError(f"there is no {location}")


class _Import:
    """Copies what is in ``files``, which errors call ``what``, into the store."""

    def __init__(self, files: Files, what: str, store: Store, task: Task) -> None:
        self._files = files
        self._what = what
        self._store = store
        self._task = task

    def _document(self, path: str) -> bytes:
        with self._open(path) as file:
            data = file.read(_DOCUMENT + 1)
        if len(data) > _DOCUMENT:
            raise WherryError(f"{self._what}: {path} is larger than {_DOCUMENT} bytes")
        return data

    def _open(self, path: str) -> IO[bytes]:
        try:
            return self._files.open(path)
        except (FileNotFoundError, IsADirectoryError):
            raise WherryError(f"{self._what} is not complete: it has no {path}") from None
        except OSError as error:
            raise WherryError(f"cannot read {path} of {self._what}: {error.strerror}") from error

    def _check(self, found: str, wanted: str) -> None:
        if found != wanted:
            raise WherryError(
                f"{self._what} is damaged: what should be {wanted} is {found}", hint="Nothing of it was kept."
            )


class _Layout(_Import):
    """An OCI image layout."""

    def find(self, name: str, platform: Platform | None) -> Content:
        """What ``name`` means: all of it, or the image for ``platform``."""
        chosen = self._chosen(name)
        if platform is not None:
            chosen = [fitting(chosen, platform, self._read, self._what)]
        if len({one.digest for one in chosen}) > 1:
            listed = ", ".join(f"{one.platform} ({one.digest})" if one.platform else one.digest for one in chosen)
            raise UsageError(
                f"{self._what} holds several images{f' called {name!r}' if name else ''}: {listed}",
                hint="Choose one with --platform, or by its digest: write oci:DIR@DIGEST.",
            )
        return content_of(chosen[0], self._read)

    def take(self, content: Content) -> int:
        """Copy ``content`` into the store; gives the bytes of what it did not have."""
        missing = [part for part in content.blobs if not self._store.blobs.has(part.digest)]
        if not missing:
            self._task.cached()
        self._task.expect(sum(part.size for part in missing))
        for part in missing:
            self._copy(part)
        self._keep(content)
        return sum(part.size for part in missing)

    def lend(self, content: Content, root: Path) -> None:
        """Let the store know that the layout, at ``root``, has the blobs of ``content``, and copy the manifests."""
        for part in content.blobs:
            if not self._store.blobs.has(part.digest):
                self._open(_blob_path(part.digest)).close()
        self._store.origins.add(Origin(part.digest, f"{LAYOUT}{root}", part.size) for part in content.blobs)
        self._keep(content)

    def _keep(self, content: Content) -> None:
        for manifest in content.manifests:
            self._store.blobs.add(self._read(manifest))

    def _chosen(self, name: str) -> list[Descriptor]:
        """The entries that ``name`` means: of one image, as a rule a single one."""
        index = load_object(self._document("index.json"), f"{self._what}: index.json")
        named = [
            Descriptor.from_json(as_object(item, self._what)) for item in as_list(index.get("manifests"), self._what)
        ]
        chosen = [one for one in named if not name or name in _called(one)]
        if not chosen and name.startswith("sha256:"):
            indexes = [one for one in named if one.media_type in INDEXES]
            below = [part for one in indexes for part in content_of(one, self._read).manifests]
            chosen = [part for part in below if part.digest == name][:1]
        names = sorted(filter(None, map(name_of, named)))
        if not chosen:
            raise UsageError(
                f"{self._what} has no image {name!r}", hint=f"It has: {', '.join(names) or 'images without names'}."
            )
        if not name and len({name_of(one) for one in chosen}) > 1 and len({one.digest for one in chosen}) > 1:
            raise UsageError(
                f"{self._what} holds several images", hint=f"Choose one of {', '.join(names)}: write oci:DIR:NAME."
            )
        return chosen

    def _copy(self, blob: Descriptor) -> None:
        with self._open(_blob_path(blob.digest)) as source, self._store.blobs.writer() as target:
            while piece := source.read(_PIECE):
                target.write(piece)
                self._task.advance(len(piece))
            self._check(target.digest, blob.digest)
            target.commit()

    def _read(self, descriptor: Descriptor) -> bytes:
        data = self._document(_blob_path(descriptor.digest))
        self._check(digest_of(data), descriptor.digest)
        return data


class _Saved(_Import):
    """What ``docker save`` writes (Docker image specification v1.2)."""

    def image(self, name: str, platform: Platform | None, compression: Compression) -> Image:
        """The image called ``name``, or the only one, with the config byte for byte; if it is for ``platform``."""
        text = self._document("manifest.json")
        listed = load_object(b'{"images":' + text + b"}", f"{self._what}: manifest.json")
        images = [as_object(item, self._what) for item in as_list(listed.get("images"), self._what)]
        tags = {id(item): as_strings(item.get("RepoTags"), self._what) for item in images}
        chosen = [item for item in images if not name or _names(name) & set(tags[id(item)])]
        if len(chosen) != 1:
            known = sorted(tag for names in tags.values() for tag in names)
            raise UsageError(
                f"{self._what} has no image {name!r}" if name else f"{self._what} holds {len(chosen)} images",
                hint=f"Choose one of: {', '.join(known) or 'none has a name'}; write docker-archive:FILE:NAME.",
            )
        path = as_str(chosen[0].get("Config"), self._what)
        data = self._document(path)
        self._check(hashlib.sha256(data).hexdigest(), path.rpartition("/")[2].removesuffix(".json"))
        config = ImageConfig.from_bytes(data)
        if platform is not None and not fits(config.platform, platform):
            raise unfit(self._what, platform, of_images([config.platform]))
        paths = as_strings(chosen[0].get("Layers"), self._what)
        if len(paths) != len(config.diff_ids):
            raise WherryError(f"{self._what} is damaged: {len(paths)} layers where {len(config.diff_ids)} should be")
        pairs = zip(paths, config.diff_ids, strict=True)
        layers = tuple(self._layer(path, diff_id, compression) for path, diff_id in pairs)
        return Image(config, layers, source=(OCI_MANIFEST, b"", data)).rewritten()

    def _layer(self, path: str, diff_id: Digest, compression: Compression) -> Layer:
        """The layer in the file at ``path``, compressed anew; remembered by what it holds."""
        key = f"docker-layer:{diff_id}:{compression}"
        if value := self._store.cache.get(key):
            return Layer.from_json(value)
        with self._open(path) as file, self._store.blobs.writer() as target:
            packer = compressor(compression)
            hashed = hashlib.sha256()
            size = 0
            with decompressed(cast("BinaryIO", file)) as plain:
                while piece := plain.read(_PIECE):
                    hashed.update(piece)
                    size += len(piece)
                    for part in packer.write(piece):
                        target.write(part)
                    self._task.advance(len(piece))
            self._check("sha256:" + hashed.hexdigest(), diff_id)
            for part in packer.finish():
                target.write(part)
            digest, length = target.commit()
        layer = Layer(Descriptor(compression.media_type, digest, length), diff_id, size)
        self._store.cache.put(key, layer.to_json(), [digest])
        return layer


def _called(descriptor: Descriptor) -> set[str]:
    """What an entry of an index may be called: its name, that name's tag alone, its digest."""
    names = {name_of(descriptor), descriptor.annotations.get(_CONTAINERD_NAME, "")}
    return {*names, *(name.rpartition(":")[2] for name in names), descriptor.digest}


def _blob_path(digest: Digest) -> str:
    return "blobs/" + parse_digest(digest).replace(":", "/")


def _names(name: str) -> set[str]:
    reference = Reference.parse(name)
    return {name, reference.familiar, str(reference)}
