"""The public API behind :mod:`wherry`: what each command does, as a function."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from wherry.errors import UsageError
from wherry.events import Listener, Reporter
from wherry.fetch import Fetcher
from wherry.frontends.python import ProjectOptions
from wherry.image import Descriptor, Image, Index, Platform, Reference
from wherry.plan import Base, Plan
from wherry.planning import DockerfileRequest, Planned, is_dockerfile_build, planned
from wherry.registry.registries import Registries
from wherry.solve import Options, solve
from wherry.solve.work import Stop, Work
from wherry.sources.supply import Gone, supply_from_registries, supplying
from wherry.store import Store

if TYPE_CHECKING:
    from wherry.running import RunOptions
    from wherry.sharing import CachePlace
    from wherry.store.listing import Row
    from wherry.store.prune import Report

__all__ = [
    "BaseImage",
    "BuildResult",
    "DockerfileRequest",
    "Options",
    "Platform",
    "ProjectOptions",
    "Transferred",
    "build",
    "copy",
    "default_store",
    "images",
    "login",
    "logout",
    "open_store",
    "plans",
    "prune",
    "pull",
    "push",
    "remove",
    "run",
]

Made = TypeVar("Made")

_PATIENCE = 5  # times that a build is done again for blobs that have gone


def default_store() -> Path:
    """The store's folder: ``WHERRY_STORE``, or ``wherry/store`` in the user's cache directory (XDG on Linux).

    Raises :class:`UsageError` for a user without a home.
    """
    if path := os.environ.get("WHERRY_STORE"):
        return Path(path)
    if sys.platform == "linux":  # what platformdirs would say, without its import on the warm path
        cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
        if not cache.is_absolute():
            try:
                cache = Path.home() / ".cache"
            except RuntimeError:  # HOME is not set, and this user is not in /etc/passwd
                raise UsageError(
                    "there is no home folder to keep the store in", hint="Name a folder in WHERRY_STORE or --store."
                ) from None
        return cache / "wherry" / "store"
    from platformdirs import user_cache_path

    return user_cache_path("wherry", appauthor=False) / "store"


def open_store(path: Path | None = None, *, insecure: Sequence[str] = ()) -> Store:
    """The store at ``path``, or the default one; close it after use (it is a context manager).

    Layers that are still at the registry that an image came from are fetched when they are needed; ``insecure`` are
    registries (``host[:port]``) that may do without TLS.
    """
    store = Store(path or default_store())
    supply_from_registries(store, insecure)
    return store


def plans(
    context: Path | str = ".",
    request: ProjectOptions | DockerfileRequest | None = None,
    *,
    options: Options | None = None,
    store: Store | None = None,
) -> tuple[Plan, ...]:
    """What a build of ``context`` would do: one Plan for each platform. Builds nothing.

    For a Dockerfile its bases are looked up, as what it means depends on them.
    """
    request = request or _request(context)
    options = options or Options()
    reporter = Reporter(None)
    with (
        _using(store) as opened,
        Fetcher(opened.files, offline=options.offline) as fetcher,
        Registries(insecure=options.insecure, offline=options.offline) as registries,
        supplying(opened, registries, reporter),
        planned(context, request, options, opened, fetcher, registries, reporter) as found,
    ):
        return found.plans


def _request(context: Path | str) -> ProjectOptions | DockerfileRequest:
    return DockerfileRequest() if is_dockerfile_build(context, "auto") else ProjectOptions()


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image that a build began with: what it was called, and what that meant, for one platform or for all."""

    name: str
    platform: Platform
    digest: str


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build made. ``image`` is an index if several platforms were asked for.

    ``reused`` is how many bytes of its layers were made before; ``bases`` are the images that it began with.
    """

    image: Image | Index
    names: tuple[str, ...]
    plans: tuple[Plan, ...]
    reused: int
    bases: tuple[BaseImage, ...] = ()

    @property
    def images(self) -> tuple[Image, ...]:
        """The images, one for each platform."""
        return self.image.images if isinstance(self.image, Index) else (self.image,)

    @property
    def size(self) -> int:
        """The bytes of all layers as they are stored and sent."""
        return sum(layer.size for layer in _layers(self.images))


def build(
    context: Path | str = ".",
    request: ProjectOptions | DockerfileRequest | None = None,
    *,
    names: Sequence[str] = (),
    options: Options | None = None,
    annotations: Sequence[str] = (),
    cache_from: Sequence[str] = (),
    cache_to: Sequence[str] = (),
    store: Store | None = None,
    listener: Listener | None = None,
) -> BuildResult:
    """Build an image of ``context`` and keep it in the store.

    ``context`` is a folder, or for a Dockerfile build also ``-`` or a URL. ``request`` says what to make of it: that of
    a Dockerfile, or of a project without one; None finds out. ``names`` are references (``hello``,
    ``example.com/team/hello:1.2``) that will mean the image; ``options`` how to build it; ``annotations`` are written
    as docker buildx has them (``NAME=VALUE``, ``index:NAME=VALUE``), ``cache_from`` and ``cache_to`` too
    (``type=registry,ref=NAME``): where results of other machines are looked for, and written for them. ``listener`` is
    told of everything that goes on.
    Raises :class:`~wherry.errors.WherryError`; then nothing was named.
    """
    references = tuple(dict.fromkeys(_name(name) for name in names))
    request = request or _request(context)
    options = options or Options()
    lenders, keepers = _cache_places(cache_from, cache_to, options)
    reporter = Reporter(listener)
    start = time.time()
    with (
        _using(store) as opened,
        Fetcher(opened.files, offline=options.offline) as fetcher,
        Registries(insecure=options.insecure, offline=options.offline) as registries,
        supplying(opened, registries, reporter) as supply,
        ExitStack() as stack,
    ):
        opened.scratch()  # says to other processes that the store is in use
        keys: set[str] = set()
        if lenders:
            from wherry.sharing import borrowing

            stack.enter_context(borrowing(lenders, opened, registries, reporter))
        if keepers:
            keys = stack.enter_context(opened.cache.watched())

        def solved() -> tuple[Planned, tuple[Image, ...], dict[Base, Image]]:
            with planned(context, request, options, opened, fetcher, registries, reporter) as found:
                bases: dict[Base, Image] = {}
                settings = Work(found.plans[0], found.context, opened, fetcher, registries, options, reporter)
                settings = replace(settings, images=found.images, bases=bases)
                return found, tuple(solve(replace(settings, plan=one, stop=Stop())) for one in found.plans), bases

        found, made, bases = _unless_gone(solved, reporter)
        image: Image | Index = made[0] if len(made) == 1 else Index(made)
        if annotations:
            from wherry.sinks.annotations import annotate, parse_annotation

            image = annotate(image, [one for text in annotations for one in parse_annotation(text)])
        if any(place.kind == "inline" for place in keepers):
            from wherry.sharing import annotated

            image = annotated(image, keys, opened)
        descriptor = opened.add_image(image)
        if references:
            opened.tag(references, descriptor)
        if keepers:
            from wherry.sharing import export_cache

            export_cache(keys, made, keepers, store=opened, registries=registries, supply=supply, reporter=reporter)
        reused = sum(layer.size for layer in _layers(made) if _was_there(opened, layer, start))
        used = tuple(dict.fromkeys(_base_image(base, one, opened) for base, one in bases.items()))
    return BuildResult(image, references, found.plans, reused, used)


def _cache_places(
    cache_from: Sequence[str], cache_to: Sequence[str], options: Options
) -> tuple[tuple[CachePlace, ...], tuple[CachePlace, ...]]:
    """Where results come from and go to; nothing is read where nothing that is known counts."""
    if not cache_from and not cache_to:
        return (), ()
    from wherry.sharing import parse_cache_from, parse_cache_to

    lenders, keepers = tuple(map(parse_cache_from, cache_from)), tuple(map(parse_cache_to, cache_to))
    if options.offline and any(place.kind == "registry" for place in keepers):
        raise UsageError("--cache-to needs the network, and --offline allows none")
    if options.offline:
        lenders = tuple(place for place in lenders if place.kind != "registry")
    return () if options.no_cache else lenders, keepers


def _unless_gone(work: Callable[[], Made], reporter: Reporter) -> Made:
    """The result of ``work``, which is done again where it relied on a blob that a registry has lost meanwhile."""
    for _ in range(_PATIENCE):
        try:
            return work()
        except Gone as error:
            reporter.note(f"{error.message}; it is made again")
    return work()


def _base_image(base: Base, image: Image, store: Store) -> BaseImage:
    from wherry.sources.registry import pinned

    platform = base.platform or image.config.platform
    return BaseImage(base.source, platform, pinned(base.source, platform, image, store))


def _layers(images: Sequence[Image]) -> tuple[Descriptor, ...]:
    """The blobs of all layers, each once."""
    return tuple({layer.descriptor.digest: layer.descriptor for image in images for layer in image.layers}.values())


def _was_there(store: Store, layer: Descriptor, start: float) -> bool:
    """Whether a blob is older than ``start``, or elsewhere; the margin is a file system's idea of now."""
    try:
        return store.blobs.path(layer.digest).stat().st_mtime < start - 0.02
    except FileNotFoundError:
        return True


def find(name: str, store: Store) -> Image | Index:
    """The image that ``name`` (a reference, a digest or the beginning of one, an image ID) means in ``store``.

    Raises :class:`~wherry.errors.UsageError` that names the nearest name if there is none.
    """
    from wherry.store.listing import find_descriptor

    return store.load(find_descriptor(store, name))


def images(store: Store | None = None) -> tuple[Row, ...]:
    """The named images in the store."""
    from wherry.store.listing import rows

    with _using(store) as opened:
        return rows(opened)


def remove(names: Sequence[str], store: Store | None = None) -> tuple[str, ...]:
    """Forget images by name or digest; gives the names that were removed. All of them or, with an error, none."""
    from wherry.store.listing import find_names

    with _using(store) as opened:
        found = tuple(dict.fromkeys(name for given in names for name in find_names(opened, given)))
        opened.untag(found)
        return found


def prune(
    store: Store | None = None, *, everything: bool = False, older_than: float | None = None, dry_run: bool = False
) -> Report:
    """Remove what no image needs; see :func:`wherry.store.prune.prune`."""
    from wherry.store.prune import prune as prune_store

    with _using(store) as opened:
        return prune_store(opened, everything=everything, older_than=older_than, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class Transferred:
    """What went to a place or came from one: the names that mean it, its digest there, the bytes that moved."""

    names: tuple[str, ...]
    digest: str
    bytes: int


def push(
    name: str,
    destinations: Sequence[str] = (),
    *,
    insecure: Sequence[str] = (),
    store: Store | None = None,
    listener: Listener | None = None,
) -> Transferred:
    """Send the image that ``name`` means in the store to ``destinations`` (references), or to ``name`` itself.

    What a registry has is not sent again. ``insecure`` are registries (``host[:port]``) that may do without TLS.
    Raises :class:`~wherry.errors.WherryError`; then no tag of the repository at fault was changed.
    """
    from wherry.sinks.registry import push as send
    from wherry.sources.content import content_of, reading
    from wherry.store.listing import find_descriptor

    references = [_destination(text) for text in dict.fromkeys(destinations or (name,))]
    reporter = Reporter(listener)
    with (
        _using(store) as opened,
        Registries(insecure=insecure) as registries,
        supplying(opened, registries, reporter) as supply,
    ):
        opened.scratch()  # says to other processes that the store is in use
        content = content_of(find_descriptor(opened, name), reading(opened.blobs))
        sent = send(content, references, registries, opened, supply, reporter)
    return Transferred(tuple(reference.familiar for reference in references), content.top.digest, sent)


def copy(
    source: str,
    destinations: Sequence[str],
    *,
    platform: Platform | None = None,
    insecure: Sequence[str] = (),
    store: Store | None = None,
    listener: Listener | None = None,
) -> tuple[Transferred, ...]:
    """Bring what ``source`` is to ``destinations``, byte for byte: an index with all that it lists.

    Both are addresses in skopeo's words (``docker://NAME``, ``oci:DIR:TAG``, ``oci-archive:FILE:TAG``,
    ``docker-archive:FILE:NAME``, ``docker-daemon:NAME``) or names in the store. ``platform`` takes one image out of an
    index; Docker's archives and daemons hold no more than one, for this machine if nothing else is said.

    Gives what is at each place now; names of one place are one transfer. Raises
    :class:`~wherry.errors.WherryError`; then the names at the place at fault mean what they did.
    """
    from wherry.sinks.target import parse_targets, write
    from wherry.sources.address import content_at, parse_address

    address, targets = parse_address(source), parse_targets(destinations)
    reporter = Reporter(listener)
    with (
        _using(store) as opened,
        Registries(insecure=insecure) as registries,
        supplying(opened, registries, reporter) as supply,
    ):
        opened.scratch()  # says to other processes that the store is in use
        with reporter.step(f"find {address}") as task:
            content, taken = content_at(address, platform, registries, opened, task)
            task.detail = content.top.digest[:19]
        done = []
        for target in targets:
            written = write(content, target, registries, opened, supply, listener)
            size = written.bytes + (taken if target.transport == "store" else 0)
            done.append(Transferred(target.texts, written.digest, size))
    return tuple(done)


def pull(
    name: str,
    *,
    platform: Platform | None = None,
    insecure: Sequence[str] = (),
    store: Store | None = None,
    listener: Listener | None = None,
) -> Transferred:
    """Fetch the image that ``name`` means at its registry, for ``platform`` (this machine's), and name it in the store.

    What the store has is not fetched again. ``insecure`` is as for :func:`push`. Raises
    :class:`~wherry.errors.WherryError`; then the name means what it did.
    """
    from wherry.sources.registry import pull_image

    reporter = Reporter(listener)
    with (
        _using(store) as opened,
        Registries(insecure=insecure) as registries,
        supplying(opened, registries, reporter) as supply,
    ):
        opened.scratch()  # says to other processes that the store is in use
        reference = registries.hosts.resolve(name)
        with reporter.step(f"pull {reference.familiar}") as task:
            found, fetched = pull_image(reference, platform or Platform.native(), registries, opened, supply, task)
            if not fetched:
                task.cached()
        named = replace(reference, digest=None).familiar if reference.tag else reference.familiar
        descriptor = opened.add_image(found.image)
        if reference.tag:
            opened.tag((named,), descriptor)
    return Transferred((named,), found.digest, fetched)


def login(registry: str, user: str, password: str, *, insecure: Sequence[str] = ()) -> str:
    """Keep a login for ``registry`` (``host[:port]``) if that accepts it; gives the file or the helper that has it now.

    Docker and Podman find it there, too. Raises :class:`~wherry.errors.WherryError` for one that is not accepted.
    """
    from wherry.registry.credentials import Login, store_login
    from wherry.registry.location import parse_host
    from wherry.registry.ping import expect_access

    host = parse_host(registry)
    given = Login(user, password)
    with Registries(insecure=insecure, given={host: given}) as registries:
        expect_access(registries.client, registries.hosts.push_endpoint(Reference(host, "any", "latest")))
    return store_login(host, given)


def logout(registry: str) -> bool:
    """Forget the login for ``registry``; gives whether there was one."""
    from wherry.registry.credentials import forget_login
    from wherry.registry.location import parse_host

    return forget_login(parse_host(registry))


def _destination(text: str) -> Reference:
    reference = Reference.parse(text)
    if reference.digest:
        raise UsageError(f"cannot push to {text!r}: it has a digest", hint="Give a name and a tag.")
    return reference


def run(
    name: str, arguments: Sequence[str] = (), *, options: RunOptions | None = None, store: Store | None = None
) -> int:
    """Run an image of the store in the built-in sandbox, with this process's standard streams; gives the exit code."""
    from wherry.running import RunOptions, run_image

    with _using(store) as opened:
        image = find(name, opened)
        if isinstance(image, Index):
            image = _native(image, name)
        return run_image(image, tuple(arguments), options or RunOptions(), opened)


def _native(index: Index, name: str) -> Image:
    native = Platform.native()
    for image in index.images:
        if image.config.platform == native:
            return image
    have = ", ".join(str(image.config.platform) for image in index.images)
    raise UsageError(f"{name} has no image for {native}; it has {have}")


def _name(text: str) -> str:
    reference = Reference.parse(text)
    if reference.digest:
        raise UsageError(f"{text!r} cannot be given to an image: it has a digest", hint="Give a name and a tag.")
    return reference.familiar


@contextmanager
def _using(store: Store | None) -> Iterator[Store]:
    """The caller's store, which stays open, or the default one for the length of the block."""
    if store is not None:
        yield store
    else:
        with open_store() as opened:
            yield opened
