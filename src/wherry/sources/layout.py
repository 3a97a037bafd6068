"""Base images that lie on this machine: names in the store, OCI layouts, OCI and Docker archives.

What lies elsewhere is copied into the store, each blob checked against its digest on the way.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, Protocol, cast

from wherry.errors import UsageError, WherryError
from wherry.events import Task
from wherry.image import Descriptor, Digest, Image, ImageConfig, Index, Layer, Platform, Reference, parse_digest
from wherry.image.digest import digest_of
from wherry.image.json import as_list, as_object, as_str, as_strings, load_object
from wherry.image.mediatype import INDEXES, MANIFESTS
from wherry.image.reference import nearest_name
from wherry.layers.compression import Compression, compressor
from wherry.layers.reader import decompressed
from wherry.store import Store
from wherry.store.names import name_of

_PIECE = 1 << 20
_DOCUMENT = 16 << 20  # bytes of a manifest, an index or a config
_CONTAINERD_NAME = "io.containerd.image.name"
_DEPTH = 4  # indexes within indexes
_ID = re.compile(r"[0-9a-f]{12,64}")


class StoreImage:
    """An image that the local store has a name (or a digest) for."""

    def __init__(self, name: str, store: Store) -> None:
        self._name = name
        self._store = store

    def image(self, platform: Platform, task: Task) -> Image:
        """The image for ``platform``. Raises :class:`UsageError` if there is none of that name or platform."""
        descriptor = find_name(self._name, self._store)
        if descriptor is None:
            raise unknown_name(self._name, self._store)
        task.cached()
        return choose(self._store.load(descriptor), platform, self._name)


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


def unfit(name: str, platform: Platform, have: Iterable[Platform]) -> UsageError:
    """The error for an image called ``name`` that there is for other platforms alone."""
    there = ", ".join(sorted({str(one) for one in have})) or "none"
    return UsageError(f"{name} has no image for {platform}", hint=f"It has: {there}. Choose with --platform.")


def of_images(platforms: Iterable[Platform]) -> list[Platform]:
    """``platforms`` without those of what is no image: attestations beside one."""
    return [one for one in platforms if one.os != "unknown"]


def fits(have: Platform, wanted: Platform) -> bool:
    """Whether an image for ``have`` is one for ``wanted``; a variant counts only if both name one."""
    same = (have.os, have.architecture) == (wanted.os, wanted.architecture)
    return same and (not have.variant or not wanted.variant or _variant(have) == _variant(wanted))


def _variant(platform: Platform) -> str:
    return "" if (platform.architecture, platform.variant) in {("arm64", "v8"), ("amd64", "v1")} else platform.variant


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
        if not self._is_archive and not (self._path / "index.json").is_file():
            raise UsageError(f"{self._path} is not an OCI image layout", hint="It has no index.json.")
        with _archive(self._path, self._store) if self._is_archive else _as_context(_Folder(self._path)) as files:
            return _Import(files, str(self._path), self._store, task).oci(self._tag, platform)


class DockerArchive:
    """``docker-archive:FILE[:NAME]``: what ``docker save`` writes."""

    def __init__(self, location: str, store: Store, compression: Compression) -> None:
        self._path, self._name = _split(location)
        self._store = store
        self._compression = compression

    def image(self, platform: Platform, task: Task) -> Image:
        """The image, copied into the store, its layers compressed.

        Raises :class:`UsageError` if it is for another platform, :class:`WherryError` if it is damaged.
        """
        with _archive(self._path, self._store) as files:
            work = _Import(files, str(self._path), self._store, task)
            return work.docker(self._name, platform, self._compression)


@contextmanager
def _as_context(files: Files) -> Iterator[Files]:
    yield files


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
    """Copies an image from ``files`` into the store."""

    def __init__(self, files: Files, what: str, store: Store, task: Task) -> None:
        self._files = files
        self._what = what
        self._store = store
        self._task = task

    # -- OCI -------------------------------------------------------------------------------------

    def oci(self, tag: str, platform: Platform) -> Image:
        index = load_object(self._document("index.json"), f"{self._what}: index.json")
        named = [
            Descriptor.from_json(as_object(item, self._what)) for item in as_list(index.get("manifests"), self._what)
        ]
        chosen = [one for one in named if not tag or tag in _called(one)]
        if not chosen and tag.startswith("sha256:"):
            chosen = [one for top in named for one in self._below(top, _DEPTH) if one.digest == tag]
        if not chosen:
            names = sorted(filter(None, map(name_of, named)))
            raise UsageError(
                f"{self._what} has no image {tag!r}", hint=f"It has: {', '.join(names) or 'images without names'}."
            )
        if not tag and len({name_of(one) for one in chosen}) > 1 and len({one.digest for one in chosen}) > 1:
            names = sorted(filter(None, map(name_of, named)))
            raise UsageError(
                f"{self._what} holds several images", hint=f"Choose one of {', '.join(names)}: write oci:DIR:NAME."
            )
        manifests = [manifest for one in chosen for manifest in self._manifests(one, _DEPTH)]
        platforms = [(manifest, self._platform(manifest)) for manifest in manifests]
        fitting = [manifest for manifest, have in platforms if fits(have, platform)]
        if not fitting:
            raise unfit(self._what, platform, of_images(one for _, one in platforms))
        return self._take(fitting[0])

    def _manifests(self, descriptor: Descriptor, depth: int) -> Iterator[Descriptor]:
        if descriptor.media_type in MANIFESTS:
            yield descriptor
        elif descriptor.media_type in INDEXES and depth:
            value = load_object(self._blob(descriptor), f"index {descriptor.digest}")
            for item in as_list(value.get("manifests"), self._what):
                yield from self._manifests(Descriptor.from_json(as_object(item, self._what)), depth - 1)

    def _below(self, descriptor: Descriptor, depth: int) -> Iterator[Descriptor]:
        """What an index names, and the indexes in it."""
        if descriptor.media_type in INDEXES and depth:
            value = load_object(self._blob(descriptor), f"index {descriptor.digest}")
            for item in as_list(value.get("manifests"), self._what):
                one = Descriptor.from_json(as_object(item, self._what))
                yield one
                yield from self._below(one, depth - 1)

    def _platform(self, manifest: Descriptor) -> Platform:
        if manifest.platform:
            return manifest.platform
        value = load_object(self._blob(manifest), f"manifest {manifest.digest}")
        config = Descriptor.from_json(as_object(value.get("config"), self._what))
        return ImageConfig.from_bytes(self._blob(config)).platform

    def _take(self, manifest: Descriptor) -> Image:
        data = self._blob(manifest)
        value = load_object(data, f"manifest {manifest.digest}")
        config = Descriptor.from_json(as_object(value.get("config"), self._what))
        layers = [
            Descriptor.from_json(as_object(item, self._what)) for item in as_list(value.get("layers"), self._what)
        ]
        missing = [layer for layer in layers if not self._store.blobs.has(layer.digest)]
        if not missing:
            self._task.cached()
        self._task.expect(sum(layer.size for layer in missing))
        for layer in missing:
            self._copy(layer)
        self._store.blobs.add(self._blob(config))
        self._store.blobs.add(data)
        found = self._store.load(manifest)
        assert isinstance(found, Image)
        return found

    def _copy(self, layer: Descriptor) -> None:
        with self._open(_blob_path(layer.digest)) as source, self._store.blobs.writer() as target:
            hashed = hashlib.sha256()
            while piece := source.read(_PIECE):
                hashed.update(piece)
                target.write(piece)
                self._task.advance(len(piece))
            self._check("sha256:" + hashed.hexdigest(), layer.digest)
            target.commit()

    def _blob(self, descriptor: Descriptor) -> bytes:
        data = self._document(_blob_path(descriptor.digest))
        self._check("sha256:" + hashlib.sha256(data).hexdigest(), descriptor.digest)
        return data

    # -- Docker ----------------------------------------------------------------------------------

    def docker(self, name: str, platform: Platform, compression: Compression) -> Image:
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
        if not fits(config.platform, platform):
            raise unfit(self._what, platform, [config.platform])
        paths = as_strings(chosen[0].get("Layers"), self._what)
        if len(paths) != len(config.diff_ids):
            raise WherryError(f"{self._what} is damaged: {len(paths)} layers where {len(config.diff_ids)} should be")
        pairs = zip(paths, config.diff_ids, strict=True)
        return Image(config, tuple(self._layer(path, diff_id, compression) for path, diff_id in pairs))

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

    # -- both ------------------------------------------------------------------------------------

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


def _called(descriptor: Descriptor) -> set[str]:
    """What an entry of an index may be called: its name, that name's tag alone, its digest."""
    names = {name_of(descriptor), descriptor.annotations.get(_CONTAINERD_NAME, "")}
    return {*names, *(name.rpartition(":")[2] for name in names), descriptor.digest}


def _blob_path(digest: Digest) -> str:
    return "blobs/" + parse_digest(digest).replace(":", "/")


def _names(name: str) -> set[str]:
    reference = Reference.parse(name)
    return {name, reference.familiar, str(reference)}
