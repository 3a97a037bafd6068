"""The store as a whole: one folder that is an OCI image layout, and what we keep beside it.

===============  =============================================================================
``oci-layout``,  an OCI image layout: any tool that reads ``oci:`` reads what we built
``index.json``,
``blobs/``
``cache.sqlite`` results by key, and where blobs are that are not here
``files/``       downloads by hash (wheels, Debian packages, indexes)
``uv/``          uv's own cache
``records/``     what layers hold, by the digests of their blobs
``rootfs/``      images and steps as directories, each with its lock
``containers/``  one folder for each ``wherry run``, beside its lock
``mounts/``      cache mounts, beside their locks
``git/``         bare repositories, by URL
``contexts/``    the hashes of build contexts' files
``sandbox``      which OCI runtimes start here
``locks/``       one file for each piece of work that must happen once
``sessions/``    one folder for each running process, locked by it: its temporary files
===============  =============================================================================
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from wherry.errors import StoreError
from wherry.image.config import ImageConfig
from wherry.image.descriptor import Descriptor
from wherry.image.digest import Digest
from wherry.image.image import Image, Layer
from wherry.image.index import Index
from wherry.image.json import as_list, as_object, as_string_map, load_object
from wherry.image.mediatype import CONFIGS, INDEXES, MANIFESTS
from wherry.store.blobs import Blobs
from wherry.store.cache import Cache
from wherry.store.database import Database
from wherry.store.files import remove_tree, storing, write_atomic
from wherry.store.lock import give_up, locked, try_lock
from wherry.store.names import REF_NAME, name_of, read_index, write_index
from wherry.store.origins import Origins

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class Store:
    """A store at ``path``, made if it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.files = self.path / "files"
        self.blobs = Blobs(self.path / "blobs", self.scratch)
        self._database = Database(self.path / "cache.sqlite")
        self.origins = Origins(self._database)
        self.cache = Cache(self._database, self.obtainable)
        self._session: Path | None = None
        self._session_lock: int | None = None
        self._guard = threading.Lock()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- sessions --------------------------------------------------------------------------------

    def scratch(self) -> Path:
        """This process's directory for temporary files, on the store's file system, removed at the end.

        What a killed process left behind is removed when the next one begins.
        """
        with self._guard:
            if self._session is None:
                with storing(self.path):
                    self._begin()
            assert self._session is not None
            return self._session

    def _begin(self) -> None:
        sessions = self.path / "sessions"
        sessions.mkdir(parents=True, exist_ok=True)
        layout, index = self.path / "oci-layout", self.path / "index.json"
        with locked(self.path / "sessions.lock"):
            self._sweep(sessions)
            session = sessions / f"{os.getpid()}-{os.urandom(4).hex()}"
            lock = try_lock(session.with_suffix(".lock"))
            assert lock is not None
            try:
                session.mkdir()
            except BaseException:
                give_up(lock, session.with_suffix(".lock"))
                raise
            self._session, self._session_lock = session, lock
        if not index.is_file():
            with locked(self.path / "index.lock"):
                write_index(index, read_index(index), session)
        if not layout.is_file():
            write_atomic(layout, _LAYOUT, session)

    def _sweep(self, sessions: Path) -> None:
        """Remove the folders of dead processes."""
        for lock in sessions.glob("*.lock"):
            handle = try_lock(lock)
            if handle is None:
                continue
            _remove(lock.with_suffix(""))
            give_up(handle, lock)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store while no build runs. Raises :class:`StoreError` if one does."""
        self.close()
        sessions = self.path / "sessions"
        with ExitStack() as stack:
            with storing(self.path):
                sessions.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.path / "sessions.lock"))
                busy = any(_is_held(lock) for lock in sessions.glob("*.lock"))
            if busy:
                raise StoreError("another wherry is using this store", hint="Try again when it has ended.")
            yield

    def close(self) -> None:
        """End the session; a later use begins a new one."""
        self._database.close()
        with self._guard:
            if self._session is not None:
                _remove(self._session)
                if self._session_lock is not None:
                    give_up(self._session_lock, self._session.with_suffix(".lock"))
                self._session = self._session_lock = None

    def abandon(self) -> None:
        """Remove the session's folder without waiting for anyone: for a process that is about to end itself."""
        session = self._session
        for _ in range(10):  # other threads may still be writing
            if session is None or not session.exists():
                break
            _remove(session)
        else:
            return  # the next process sweeps it
        if session is not None:
            session.with_suffix(".lock").unlink(missing_ok=True)

    @contextmanager
    def once(self, key: str) -> Iterator[None]:
        """Let one process (and one thread) at a time do the work called ``key``."""
        with ExitStack() as stack:
            with storing(self.path):  # not around the work itself, whose errors are its own
                stack.enter_context(locked(self.path / "locks" / sha256(key.encode()).hexdigest()))
            yield

    def obtainable(self, digest: Digest) -> bool:
        """Whether a blob is here, or known to be elsewhere."""
        return self.blobs.has(digest) or bool(self.origins.of(digest))

    # -- images ----------------------------------------------------------------------------------

    def images(self) -> tuple[Descriptor, ...]:
        """The named images, by the descriptors in index.json (:func:`~wherry.store.names.name_of` names them)."""
        return read_index(self.path / "index.json")

    def add_image(self, image: Image | Index) -> Descriptor:
        """Keep an image's (or an index's) manifests and configs; its layers are blobs already."""
        if isinstance(image, Index):
            for one in image.images:
                self.add_image(one)
        else:
            self.blobs.add(image.config_bytes)
            size = sum(layer.size for layer in image.layers)
            if all(layer.size for layer in image.layers) and not self.blobs.has(image.digest):
                self.cache.put(unpacked_key(image.digest), {"bytes": size})
        self.blobs.add(image.manifest_bytes)
        return image.descriptor

    def tag(self, names: tuple[str, ...], descriptor: Descriptor) -> None:
        """Let each of ``names`` (familiar references such as ``hello:latest``) mean ``descriptor``."""
        scratch = self.scratch()
        index = self.path / "index.json"
        with storing(self.path), locked(self.path / "index.lock"):
            kept = [item for item in read_index(index) if name_of(item) not in names]
            added = [descriptor.annotated({REF_NAME: name}) for name in dict.fromkeys(names)]
            write_index(index, [*kept, *added], scratch)

    def untag(self, names: tuple[str, ...]) -> None:
        """Forget ``names``; their blobs stay until the next :func:`~wherry.store.prune.prune`."""
        scratch = self.scratch()
        index = self.path / "index.json"
        with storing(self.path), locked(self.path / "index.lock"):
            write_index(index, [item for item in read_index(index) if name_of(item) not in names], scratch)

    def load(self, descriptor: Descriptor) -> Image | Index:
        """The image or index that ``descriptor`` names. Raises :class:`StoreError` if a part is missing."""
        return load(self.blobs, descriptor)


def _is_held(lock: Path) -> bool:
    handle = try_lock(lock)
    if handle is None:
        return True
    os.close(handle)
    return False


def _remove(session: Path) -> None:
    """Remove a session's folder; what cannot go now, `wherry prune` tells of."""
    shutil.rmtree(session, ignore_errors=True)
    if session.exists():
        with suppress(OSError):
            remove_tree(session)


def unpacked_key(digest: Digest) -> str:
    """The cache key of the sum of an image's unpacked layers."""
    return f"unpacked {digest}"


def load(blobs: Blobs, descriptor: Descriptor) -> Image | Index:
    """Read an image or index from ``blobs``, byte for byte as it is there."""
    data = blobs.read(descriptor.digest)
    what = f"manifest {descriptor.digest}"
    manifest = load_object(data, what)
    if descriptor.media_type in INDEXES:
        items = as_list(manifest.get("manifests"), f"{what}: manifests")
        members = [Descriptor.from_json(as_object(item, what)) for item in items]
        images = [
            replace(image, descriptor_annotations=member.annotations)
            for member in members
            if _is_image(blobs, member)
            for image in (_load_image(blobs, member),)
        ]
        annotations = as_string_map(manifest.get("annotations"), f"{what}: annotations")
        return Index(tuple(images), annotations, source=(descriptor.media_type, data))
    return _load_image(blobs, descriptor)


def _is_image(blobs: Blobs, member: Descriptor) -> bool:
    """Whether a member of an index is an image that is here; an attestation or another artifact beside it is none."""
    if member.media_type not in MANIFESTS or not blobs.has(member.digest):
        return False
    if member.platform is not None:
        return member.platform.os != "unknown"
    manifest = load_object(blobs.read(member.digest), f"manifest {member.digest}")
    config = as_object(manifest.get("config"), f"manifest {member.digest}: config")
    return "artifactType" not in manifest and config.get("mediaType") in CONFIGS


def _load_image(blobs: Blobs, descriptor: Descriptor) -> Image:
    data = blobs.read(descriptor.digest)
    what = f"manifest {descriptor.digest}"
    manifest = load_object(data, what)
    config_bytes = blobs.read(Descriptor.from_json(as_object(manifest.get("config"), what)).digest)
    config = ImageConfig.from_bytes(config_bytes)
    layers = [Descriptor.from_json(as_object(item, what)) for item in as_list(manifest.get("layers"), what)]
    if len(layers) != len(config.diff_ids):
        raise StoreError(f"{what} has {len(layers)} layers, its config {len(config.diff_ids)}")
    pairs = zip(layers, config.diff_ids, strict=True)
    return Image(
        config,
        tuple(Layer(layer, diff_id) for layer, diff_id in pairs),
        as_string_map(manifest.get("annotations"), f"{what}: annotations"),
        source=(descriptor.media_type, data, config_bytes),
    )
