"""The public API of builds and of the store, behind :mod:`wherry`: what each command does, as a function."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from wherry.errors import UsageError, WherryError
from wherry.events import Listener, Reporter
from wherry.fetch import Fetcher
from wherry.frontends.python import ProjectOptions
from wherry.image import Descriptor, Image, Index, Platform, Reference
from wherry.opening import find, using
from wherry.pins import Ledger
from wherry.plan import Base, Plan
from wherry.planning import DockerfileRequest, Planned, is_dockerfile_build, planned, project_folder
from wherry.registry.registries import Registries
from wherry.solve import Options, solve
from wherry.solve.work import Work
from wherry.sources.supply import Gone, supplying
from wherry.store import Store

if TYPE_CHECKING:
    from wherry.frontends.dockerfile.writer import Written
    from wherry.frontends.python.suggestion import Suggestion
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
    "build",
    "dockerfile",
    "images",
    "init",
    "plans",
    "prune",
    "remove",
    "run",
]

Made = TypeVar("Made")

_PATIENCE = 5  # times that a build is done again for blobs that have gone


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
        using(store) as opened,
        Fetcher(opened.files, offline=options.offline) as fetcher,
        Registries(insecure=options.insecure, offline=options.offline, note=reporter.note) as registries,
        supplying(opened, registries, reporter),
        planned(context, request, options, opened, fetcher, registries, reporter) as found,
    ):
        return found.plans


def dockerfile(
    context: Path | str = ".",
    request: ProjectOptions | None = None,
    *,
    options: Options | None = None,
    store: Store | None = None,
) -> Written:
    """What a build of the project in ``context`` would do as a Dockerfile, and the .dockerignore that belongs to it.

    The digest of a base at a registry is looked up and written down; where none can be had, a note says so. Builds
    nothing. Raises :class:`~wherry.errors.WherryError`, for a base that docker has no name for among others.
    """
    from importlib.metadata import version

    from wherry.frontends.dockerfile.writer import pinnable, write

    options = options or Options()
    reporter = Reporter(None)
    with (
        using(store) as opened,
        Fetcher(opened.files, offline=options.offline) as fetcher,
        Registries(insecure=options.insecure, offline=options.offline, note=reporter.note) as registries,
        supplying(opened, registries, reporter),
        planned(context, request or ProjectOptions(), options, opened, fetcher, registries, reporter) as found,
    ):
        plan = found.plans[0]
        more = (found.context, opened, fetcher, registries, options, reporter)
        digests = {}
        for base in pinnable(plan):
            if digest := _digest(base, Work(plan, *more)):
                digests[base.source] = digest
        return write(plan, digests, uv=version("uv"), compiles=_compiles(plan, found.context))


def _compiles(plan: Plan, context: Path) -> bool:
    """Whether a local project that ``plan`` builds looks as if it took a compiler."""
    from wherry.plan import BuildWheels
    from wherry.wheels.backend import build_system, compiles

    for step in (step for stage in plan.stages for step in stage.steps if isinstance(step, BuildWheels)):
        for path in step.requirements.projects:
            with suppress(WherryError):  # what is no project, a build tells
                if compiles(context / path, build_system(context / path)):
                    return True
    return False


def init(folder: Path | str = ".", *, dry_run: bool = False) -> Suggestion:
    """Write first settings of the project in ``folder``: what a build would guess, to be changed; gives them.

    With ``dry_run`` nothing is written. Raises :class:`~wherry.errors.UsageError` if it has settings already.
    """
    from wherry.frontends.python.suggestion import suggest

    root = project_folder(folder)
    suggestion = suggest(root)
    if not dry_run:
        from wherry.sinks.destination import write_file, writing

        target = root / suggestion.file
        mode = target.stat().st_mode & 0o7777 if target.exists() else None
        write_file(target, suggestion.content)
        if mode is not None:
            with writing(target):
                target.chmod(mode)
    return suggestion


def _digest(base: Base, work: Work) -> str | None:
    """The digest that the image which a build would take has at its registry, if it is from one."""
    from wherry.solve.image import base_image
    from wherry.sources.registry import known_image

    platform = base.platform or work.plan.platform
    try:
        with work.reporter.step(f"base {base.source}") as task:
            image = base_image(base, platform, work, task)
        known = known_image(work.registries.hosts.resolve(base.source), platform, work.store)
    except WherryError:
        return None
    return known.digest if known is not None and known.image.digest == image.digest else None


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
        using(store) as opened,
        Fetcher(opened.files, offline=options.offline) as fetcher,
        Registries(insecure=options.insecure, offline=options.offline, note=reporter.note) as registries,
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
                more = (found.context, opened, fetcher, registries, options, reporter)
                pins = _ledger(request, found, options)
                work = [Work(one, *more, images=found.images, bases=bases, pins=pins) for one in found.plans]
                made = tuple(map(solve, work))
                if isinstance(request, ProjectOptions) and pins.floating:
                    reporter.note(f"not locked: {', '.join(pins.floating)}; `wherry lock` pins them")
                return found, made, bases

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


def _ledger(request: ProjectOptions | DockerfileRequest, found: Planned, options: Options) -> Ledger:
    """What a build asks where something floats: the project's lock, if it has one."""
    if not isinstance(request, ProjectOptions):
        return Ledger()
    from wherry.solve.pinning import ledger

    return ledger(found.plans, found.context, options)


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


def images(store: Store | None = None) -> tuple[Row, ...]:
    """The named images in the store."""
    from wherry.store.listing import rows

    with using(store) as opened:
        return rows(opened)


def remove(names: Sequence[str], store: Store | None = None) -> tuple[str, ...]:
    """Forget images by name or digest; gives the names that were removed. All of them or, with an error, none."""
    from wherry.store.listing import find_names

    with using(store) as opened:
        found = tuple(dict.fromkeys(name for given in names for name in find_names(opened, given)))
        opened.untag(found)
        return found


def prune(
    store: Store | None = None, *, everything: bool = False, older_than: float | None = None, dry_run: bool = False
) -> Report:
    """Remove what no image needs; see :func:`wherry.store.prune.prune`."""
    from wherry.store.prune import prune as prune_store

    with using(store) as opened:
        return prune_store(opened, everything=everything, older_than=older_than, dry_run=dry_run)


def run(
    name: str, arguments: Sequence[str] = (), *, options: RunOptions | None = None, store: Store | None = None
) -> int:
    """Run an image of the store in the built-in sandbox, with this process's standard streams; gives the exit code."""
    from wherry.running import RunOptions, run_image

    with using(store) as opened:
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
