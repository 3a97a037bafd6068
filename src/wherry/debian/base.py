"""``debian://SUITE[?include=NAME,…&shell=1]``: a base image with Python, from packages alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl

from wherry.debian import FORMAT
from wherry.debian.apt import fingerprint
from wherry.errors import UsageError, did_you_mean
from wherry.events import Task
from wherry.fetch import Fetcher
from wherry.image import Layer, Platform
from wherry.image.json import JsonObject, as_list, as_object, as_str, as_strings
from wherry.layers.compression import Compression
from wherry.pins import BaseWish, Ledger, PackagesWish, PinnedBase, digest_of_lines
from wherry.store import Store

if TYPE_CHECKING:  # a base that is remembered needs none of the machinery
    from wherry.debian.archive import Archive
    from wherry.debian.package import Package

SCHEME = "debian://"
SYSTEM = ("base-files", "ca-certificates", "libc-bin", "libc6", "libstdc++6", "netbase", "tzdata", "zlib1g")
"""What every base has beside Python and what that needs itself (libssl, under a name that changes, among it)."""

SHELL = ("coreutils", "dash", "findutils", "grep", "sed")
"""What ``shell=1`` adds: /bin/sh and what is typed into it."""

_PARAMETERS = ("include", "shell")
_YES, _NO = {"1", "true", "yes"}, {"0", "false", "no", ""}
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A Debian base as it was asked for."""

    suite: str
    include: tuple[str, ...] = ()
    shell: bool = False

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """Read ``debian://…``. Raises :class:`UsageError` if it is malformed or has unknown parameters."""
        suite, _, query = text.removeprefix(SCHEME).partition("?")
        suite = suite.strip("/")
        if not suite or not suite.replace("-", "").replace(".", "").isalnum():
            raise UsageError(
                f"{text!r} names no Debian suite",
                hint="Write debian://trixie, or debian://trixie?include=libpq5&shell=1.",
            )
        include: list[str] = []
        shell = False
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name == "include":
                include += [part for part in value.replace(" ", ",").split(",") if part]
            elif name == "shell" and value.lower() in _YES | _NO:
                shell = value.lower() in _YES
            elif name == "shell":
                raise UsageError(f"{text!r}: shell={value}", hint="Write shell=1 for a shell, or nothing.")
            else:
                raise UsageError(f"{text!r}: unknown parameter {name!r}", hint=did_you_mean(name, _PARAMETERS))
        return cls(suite, tuple(sorted(set(include))), shell)

    def __str__(self) -> str:
        """The name again, always the same for the same recipe."""
        asked = [f"include={','.join(self.include)}"] if self.include else []
        asked += ["shell=1"] if self.shell else []
        return f"{SCHEME}{self.suite}" + (f"?{'&'.join(asked)}" if asked else "")

    @property
    def extra(self) -> tuple[str, ...]:
        """The packages beyond the base's own."""
        return tuple(sorted({*self.include, *(SHELL if self.shell else ())}))


@dataclass(frozen=True, slots=True)
class Assembled:
    """What became of a recipe: layers with what is in each in words, and the versions of Python and glibc."""

    layers: tuple[Layer, ...]
    titles: tuple[str, ...]
    python: str
    libc: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workshop:
    """What assembling needs beside the recipe. ``mirror`` as in :func:`wherry.debian.mirror.find_mirror`.

    ``refresh`` looks at the mirror anew where otherwise what is remembered would do. ``epoch`` is the time of all
    files, in seconds since 1970; ``apt`` the root of the system whose apt configuration counts. ``pins`` are asked
    which packages to take, before the archive is.
    """

    store: Store
    fetcher: Fetcher
    mirror: str = ""
    refresh: bool = False
    compression: Compression = field(default_factory=Compression)
    epoch: int = 0
    apt: Path = Path("/")
    pins: Ledger = field(default_factory=Ledger)

    def archive(self, suite: str, platform: Platform, *, refresh: bool = False) -> Archive:
        """The suite for ``platform``. Raises :class:`~wherry.errors.WherryError` if it cannot be had."""
        from wherry.debian.archive import open_archive
        from wherry.debian.mirror import find_mirror

        mirror = find_mirror(self.mirror, self.apt)
        architecture = debian_architecture(platform)
        return open_archive(mirror, suite, architecture, store=self.store, fetcher=self.fetcher, refresh=refresh)

    def _with_archive(self, suite: str, platform: Platform, work: Callable[[Archive], _Result]) -> _Result:
        """Do ``work`` with the suite; where the mirror has moved on since it was remembered, with its new state."""
        from wherry.fetch import NotFound

        try:
            return work(self.archive(suite, platform, refresh=self.refresh))
        except NotFound:
            if self.refresh or self.fetcher.offline:
                raise
            return work(self.archive(suite, platform, refresh=True))

    def _layer(
        self, packages: Sequence[Package], task: Task, *, python: str = "", below: Mapping[str, bytes] | None = None
    ) -> Layer:
        from wherry.debian.layer import package_layer
        from wherry.debian.rootfs import furnish

        return package_layer(
            packages,
            store=self.store,
            fetcher=self.fetcher,
            compression=self.compression,
            epoch=self.epoch,
            task=task,
            below=below or {},
            furnish=partial(furnish, python=python) if python else None,
            variant=f"base with python {python}" if python else "",
        )

    def assemble(self, recipe: Recipe, python: str, platform: Platform, task: Task) -> Assembled:
        """The base that ``recipe`` describes, with the Python that ``python`` (a version or specifier set) means.

        One layer of the system and Python, and one of what the recipe adds. Remembered: with the same mirror,
        settings and wishes it is made once, until a refresh. Raises :class:`~wherry.errors.WherryError`.
        """
        wishes = (recipe, python, str(platform), self.epoch, str(self.compression))
        pinned = (self.pins.identity,) if self.pins.identity else ()
        parts = (FORMAT, *wishes, fingerprint(self.mirror, self.apt), *pinned)
        key = "debian-base:" + sha256(repr(parts).encode()).hexdigest()
        again = self.pins.locking or (self.refresh and self.pins.free)
        if not again and (value := self.store.cache.get(key)):
            task.cached()
            return _from_json(value)
        with self.store.once(key):
            if not again and (value := self.store.cache.get(key)):
                task.cached()
                return _from_json(value)
            wish = BaseWish(str(recipe), str(platform), python)
            if (found := self.pins.bases.find(wish)) is not None:
                made = self._from_pins(recipe, found, task)
            else:
                made = self._with_archive(recipe.suite, platform, partial(self._make, recipe, wish, task=task))
            self.store.cache.put(key, _to_json(made), [layer.descriptor.digest for layer in made.layers])
        return made

    def _make(self, recipe: Recipe, wish: BaseWish, archive: Archive, task: Task) -> Assembled:
        from wherry.debian.pinned import pins_of
        from wherry.debian.python import choose_python
        from wherry.debian.resolve import resolve

        with task.step(f"read the package index of Debian {recipe.suite}") as part:
            universe = archive.universe(self.fetcher, part)
            minor, full = choose_python(wish.python, universe, recipe.suite)
            system = resolve((*SYSTEM, f"python{minor}-minimal", f"libpython{minor}-stdlib"), universe)
            extra = resolve(recipe.extra, universe, system)
            part.detail = f"version {archive.version}"
        del universe  # a hundred megabytes, not needed while packages are unpacked
        found = PinnedBase(archive.version, full, pins_of(system, archive), pins_of(extra, archive))
        made = self._assembled(recipe, found, system, extra, task, archive.remarks)
        self.pins.bases.note(wish, found)
        return made

    def _from_pins(self, recipe: Recipe, found: PinnedBase, task: Task) -> Assembled:
        from wherry.debian.mirror import find_mirror
        from wherry.debian.pinned import had, packages_of

        mirror = find_mirror(self.mirror, self.apt)
        system, extra = (packages_of(pins, mirror) for pins in (found.packages, found.included))
        with had():
            return self._assembled(recipe, found, system, extra, task, ())

    def _assembled(
        self,
        recipe: Recipe,
        found: PinnedBase,
        system: Sequence[Package],
        extra: Sequence[Package],
        task: Task,
        remarks: tuple[str, ...],
    ) -> Assembled:
        from wherry.debian.ldcache import linker_files
        from wherry.debian.package import upstream

        libc = next(upstream(package.version) for package in system if package.name == "libc6")
        minor = ".".join(found.python.split(".")[:2])
        name = " ".join(dict.fromkeys(("Debian", recipe.suite, found.version)))
        title = f"{name}: {len(system)} packages, Python {found.python}"
        with task.step(title) as part:
            layers = [self._layer(system, part, python=minor)]
            titles = [title]
        if extra:
            titles.append(describe(recipe.extra, extra))
            with task.step(titles[1]) as part:
                below = linker_files(self.store.blobs.file(layers[0].descriptor.digest))
                layers.append(self._layer(extra, part, below=below))
        return Assembled(tuple(layers), tuple(titles), found.python, libc, remarks)

    def extend(
        self,
        names: Iterable[str],
        suite: str,
        platform: Platform,
        installed: Sequence[Package],
        task: Task,
        below: Mapping[str, bytes] | None = None,
    ) -> tuple[Layer, str] | None:
        """A layer of the packages ``names`` of ``suite``, with all they need beyond ``installed``.

        ``below`` are the dynamic linker's files (:data:`wherry.debian.ldcache.FILES`) in the layers below, by path.
        With the layer goes what it is in words. None if nothing is missing. Raises :class:`~wherry.errors.WherryError`.
        """
        from wherry.debian.mirror import find_mirror
        from wherry.debian.pinned import had, packages_of, pins_of
        from wherry.debian.resolve import resolve

        wanted = tuple(sorted(set(names)))
        beyond = digest_of_lines(f"{package.name} {package.version}" for package in installed)
        wish = PackagesWish(suite, str(platform), wanted, beyond)

        def made(extra: Sequence[Package]) -> tuple[Layer, str] | None:
            return (self._layer(extra, task, below=below), describe(wanted, extra)) if extra else None

        def work(archive: Archive) -> tuple[Layer, str] | None:
            extra = resolve(wanted, archive.universe(self.fetcher, task), installed)
            layer = made(extra)
            self.pins.packages.note(wish, pins_of(extra, archive))
            return layer

        if (found := self.pins.packages.find(wish)) is not None:
            with had():
                return made(packages_of(found, find_mirror(self.mirror, self.apt)))
        return self._with_archive(suite, platform, work)


def debian_architecture(platform: Platform) -> str:
    """Debian's name for ``platform``. Raises :class:`UsageError` if Debian does not have it."""
    from wherry.debian.archive import ARCHITECTURES

    name = "/".join(part for part in (platform.architecture, platform.variant) if part)
    if platform.os != "linux" or name not in ARCHITECTURES:
        raise UsageError(f"Debian has no packages for {platform}", hint="Choose linux/amd64 or linux/arm64.")
    return ARCHITECTURES[name]


def describe(wanted: Sequence[str], packages: Sequence[Package]) -> str:
    """Added packages in words: those wanted, and how many came with them."""
    rest = len(packages) - len(wanted)
    return f"Debian packages {', '.join(wanted)}" + (f" and {rest} that they need" if rest > 0 else "")


def _to_json(made: Assembled) -> JsonObject:
    return {
        "layers": [layer.to_json() for layer in made.layers],
        "titles": list(made.titles),
        "python": made.python,
        "libc": made.libc,
        "remarks": list(made.remarks),
    }


def _from_json(value: JsonObject) -> Assembled:
    what = "a cached Debian base"
    return Assembled(
        tuple(Layer.from_json(as_object(item, what)) for item in as_list(value.get("layers"), what)),
        as_strings(value.get("titles"), what),
        as_str(value.get("python"), what),
        as_str(value.get("libc"), what),
        as_strings(value.get("remarks"), what),
    )
