"""What floats in a build, and what it came to: each question with its answer, as plain frozen data.

A :class:`Ledger` goes through a build with them. Where something floats, it is asked for the answer; where there is
none, what was found out is noted. So the code that resolves does not know who wants to know, or why.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock
from typing import Generic, Literal, TypeVar

from wherry.errors import UsageError

Archive = Literal["main", "updates", "security"]
"""Which of the archives of a Debian suite: its own, its updates, its security updates."""

Mode = Literal["free", "locked", "locking"]
"""``free``: everything floats. ``locked``: every answer is there. ``locking``: answers that are missing are found."""


@dataclass(frozen=True, slots=True, order=True)
class ImageWish:
    """A base image by its name, for one platform. The answer is a digest.

    It is that of the manifest or index behind a name; of an image in a file, the image ID.
    """

    source: str
    platform: str

    def __str__(self) -> str:
        return f"{self.source} for {self.platform}"


@dataclass(frozen=True, slots=True, order=True)
class BaseWish:
    """A base made of Debian packages: ``source`` is ``debian://…``, ``python`` what is wanted of its Python."""

    source: str
    platform: str
    python: str = ""

    def __str__(self) -> str:
        return f"{self.source} for {self.platform}" + (f" with Python {self.python}" if self.python else "")


@dataclass(frozen=True, slots=True, order=True)
class PackagesWish:
    """Debian packages of ``suite`` with all that they need ``beyond`` a set of packages (its digest)."""

    suite: str
    platform: str
    names: tuple[str, ...]
    beyond: str

    def __str__(self) -> str:
        shown = ", ".join(self.names[:6]) + (" …" if len(self.names) > 6 else "")
        return f"the Debian packages {shown} of {self.suite} for {self.platform}"


@dataclass(frozen=True, slots=True, order=True)
class ResolutionWish:
    """Requirements, made exact for a Python. ``inputs`` is a digest of all that decides them. The answer is a lock.

    ``requirements`` is the file that states them, or they themselves (those of builds).
    """

    requirements: str
    inputs: str
    platform: str
    libc: str
    python: str

    def __str__(self) -> str:
        return f"{self.requirements} for {self.platform} with {self.libc} and Python {self.python}"


@dataclass(frozen=True, slots=True, order=True)
class PinnedPackage:
    """One Debian package: ``path`` is that of its file in the ``archive``, as in a URL; ``size`` is in bytes."""

    name: str
    version: str
    architecture: str
    archive: Archive
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PinnedBase:
    """What a Debian base came to: the archive's version, Python's, and the packages of its two layers."""

    version: str
    python: str
    packages: tuple[PinnedPackage, ...]
    included: tuple[PinnedPackage, ...] = ()


@dataclass(frozen=True, slots=True)
class Pins:
    """Everything that floated. ``made_for`` is what decided it, by the names that people know, in words."""

    made_for: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[ImageWish, str] = field(default_factory=dict)
    bases: Mapping[BaseWish, PinnedBase] = field(default_factory=dict)
    packages: Mapping[PackagesWish, tuple[PinnedPackage, ...]] = field(default_factory=dict)
    resolutions: Mapping[ResolutionWish, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """A digest of all answers, for cache keys."""
        pages = (self.images, self.bases, self.packages, self.resolutions)
        return sha256(repr([sorted(map(repr, page.items())) for page in pages]).encode()).hexdigest()


class Unlocked(UsageError):
    """A question that a lock has no answer to, so that it is not the lock of this build."""


Wish = TypeVar("Wish", bound=Hashable)
Answer = TypeVar("Answer")


class Page(Generic[Wish, Answer]):
    """The questions of one kind. Any thread may ask."""

    def __init__(self, known: Mapping[Wish, Answer], mode: Mode) -> None:
        self._known = known
        self._mode = mode
        self._given: dict[Wish, Answer] = {}
        self._lock = Lock()

    def find(self, wish: Wish) -> Answer | None:
        """The answer that is pinned; None if it has to be found. Raises :class:`Unlocked` if it should be there."""
        if self._mode == "free":
            return None
        answer = self._known.get(wish)
        if answer is not None:
            with self._lock:
                return self._given.setdefault(wish, answer)
        if self._mode == "locked":
            raise Unlocked(f"wherry.lock does not say what to take for {wish}", hint=RENEW)
        with self._lock:
            return self._given.get(wish)

    def note(self, wish: Wish, answer: Answer) -> None:
        """Keep what was found out."""
        if self._mode == "locking":
            with self._lock:
                self._given[wish] = answer

    @property
    def known(self) -> Mapping[Wish, Answer]:
        """What is pinned since before."""
        return self._known

    @property
    def given(self) -> Mapping[Wish, Answer]:
        """All that was asked, with its answers."""
        with self._lock:
            return dict(self._given)


RENEW = "`wherry lock` brings it up to date; --no-lock builds without it."


class Ledger:
    """The pins of a build in progress, those that it began with and those that were found; by default none."""

    def __init__(self, pins: Pins | None = None, mode: Mode = "free") -> None:
        known = pins or Pins()
        self._mode = mode
        self._made_for = known.made_for
        self.images: Page[ImageWish, str] = Page(known.images, mode)
        self.bases: Page[BaseWish, PinnedBase] = Page(known.bases, mode)
        self.packages: Page[PackagesWish, tuple[PinnedPackage, ...]] = Page(known.packages, mode)
        self.resolutions: Page[ResolutionWish, str] = Page(known.resolutions, mode)
        self._floating: dict[str, None] = {}
        # In cache keys: results of one set of pins are none of another's, or of a build without. While pins are
        # being found nothing of the kind is looked up, since every question is to be asked.
        self.identity = "" if mode == "free" else mode if mode == "locking" else known.digest

    @property
    def locking(self) -> bool:
        """Whether every question must be asked, so that no result that hides one may be taken from a cache."""
        return self._mode == "locking"

    @property
    def free(self) -> bool:
        """Whether nothing is pinned."""
        return self._mode == "free"

    def floats(self, what: str) -> None:
        """Say that ``what`` may be something else another day."""
        if self.free:
            self._floating[what] = None

    @property
    def floating(self) -> tuple[str, ...]:
        """What floated, in the order in which it was met."""
        return tuple(self._floating)

    def taken(self, made_for: Mapping[str, str]) -> Pins:
        """All that was asked, as pins of what is ``made_for``."""
        return Pins(made_for, self.images.given, self.bases.given, self.packages.given, self.resolutions.given)


def digest_of_lines(lines: Iterable[str]) -> str:
    """A digest of lines, whatever their order."""
    return sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()
