"""One suite of Debian's archive with its updates and security updates, as far as we trust it.

What was found is remembered: until somebody asks for a refresh, the same mirror and suite give the same packages,
with no network, as a registry image does that was pulled once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from wherry.debian.index import Index, Universe
from wherry.debian.mirror import Mirror
from wherry.debian.parallel import parallel
from wherry.debian.release import BadSignature, Expired, Release, archive_keys, parse_release, verified
from wherry.errors import NetworkError, UsageError, WherryError, did_you_mean
from wherry.events import Task
from wherry.fetch import Download, Fetcher, NotFound
from wherry.image.json import Json, as_list, as_object, as_str
from wherry.store import Store
from wherry.store.files import storing, write_atomic
from wherry.urls import redacted

if TYPE_CHECKING:
    from pysequoia import Cert

ARCHITECTURES = {
    "amd64": "amd64",
    "arm64": "arm64",
    "arm/v7": "armhf",
    "arm/v6": "armel",
    "arm/v5": "armel",
    "386": "i386",
    "ppc64le": "ppc64el",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loong64": "loong64",
    "mips64le": "mips64el",
}
"""Debian's names by those of image platforms."""

SUITES = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13", "forky": "", "sid": ""}
"""Suites that people mean, and the Python that each will always have; used in advice only."""

_LIMIT = 16 << 20  # bytes of an InRelease file; sid's is 0.2 MB


@dataclass(frozen=True, slots=True)
class Archive:
    """A suite's releases for one architecture (Debian's name for it): its own first, then updates, then security."""

    suite: str
    architecture: str
    releases: tuple[Release, ...]

    @property
    def version(self) -> str:
        """Such as ``13.7``; the codename where there is none yet."""
        return self.releases[0].version or self.releases[0].codename

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a user should know of it."""
        secure = any("security" in release.suite_name for release in self.releases)
        moving = self.releases[0].suite_name in {"unstable", "testing", "experimental"}
        return () if secure or moving else (f"the mirror has no security updates for {self.suite}",)

    def universe(self, fetcher: Fetcher, task: Task) -> Universe:
        """All packages. Raises :class:`NetworkError` and :class:`~wherry.fetch.HashMismatch`."""
        downloads = [release.packages(self.architecture) for release in self.releases]
        for download in downloads:
            if not fetcher.cached(download):
                task.expect(download.size or 0)
        paths = parallel(lambda download: fetcher.get(download, task.advance), downloads)
        parts = zip(paths, self.releases, downloads, strict=True)
        return Universe(
            [Index.read(path, release.url, download.name, _kind(release)) for path, release, download in parts]
        )


def _kind(release: Release) -> str:
    """Which of a suite's archives ``release`` is of."""
    kind = release.suite.rpartition("-")[2]
    return kind if kind in {"updates", "security"} else "main"


def open_archive(
    mirror: Mirror,
    suite: str,
    architecture: str,
    *,
    store: Store,
    fetcher: Fetcher,
    refresh: bool = False,
    keys: Sequence[Cert] | None = None,
    now: datetime | None = None,
) -> Archive:
    """The suite as it was remembered, or (with ``refresh``, or where nothing was) as the mirror has it now.

    Raises :class:`~wherry.errors.WherryError` if it is not there, cannot be reached, has expired or is not signed
    by Debian (or by ``keys``).
    """
    desk = _Desk(mirror, store, fetcher, archive_keys() if keys is None else keys, now or datetime.now(UTC))
    addresses = [tuple(map(redacted, urls)) for urls in (mirror.archives, mirror.security)]
    key = "debian-archive:" + sha256(repr((*addresses, suite)).encode()).hexdigest()
    remembered = tuple(desk.recall(key))
    if remembered and (fetcher.offline or (not refresh and desk.fresh(remembered))):
        return Archive(suite, architecture, remembered)
    releases = desk.look(suite, {(release.url, release.suite): release for release in remembered})
    desk.remember(key, releases)
    return Archive(suite, architecture, tuple(release for release, _ in releases))


_Found = tuple[Release, bytes]


class _Desk:
    """The parts that every question to the archive needs."""

    def __init__(self, mirror: Mirror, store: Store, fetcher: Fetcher, keys: Sequence[Cert], now: datetime) -> None:
        self._mirror = mirror
        self._store = store
        self._fetcher = fetcher
        self._keys = keys
        self._now = now

    # -- memory ----------------------------------------------------------------------------------

    def remember(self, key: str, found: Sequence[_Found]) -> None:
        rows: list[Json] = []
        for release, data in found:
            digest = sha256(data).hexdigest()
            path = self._store.files / "sha256" / digest
            with storing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file():
                write_atomic(path, data, self._store.scratch())
            rows.append({"url": redacted(release.url), "suite": release.suite, "file": digest})
        self._store.cache.put(key, {"releases": rows})

    def recall(self, key: str) -> Iterator[Release]:
        """The remembered releases, their signatures checked again; none if one of them is not good any more.

        Credentials are not remembered: they are those of the mirror as it is configured now.
        """
        value = self._store.cache.get(key)
        rows = [as_object(row, key) for row in as_list((value or {}).get("releases"), key)]
        try:
            releases = [
                self._recalled(*(as_str(row.get(name), key) for name in ("url", "suite", "file"))) for row in rows
            ]
        except (OSError, WherryError):
            return
        yield from releases

    def _recalled(self, url: str, suite: str, name: str) -> Release:
        configured = {redacted(one): one for one in (*self._mirror.archives, *self._mirror.security)}
        path = self._fetcher.cached(Download(url, {"sha256": name}))  # which notes its use
        if path is None:
            raise NotFound(f"the Release file of {suite} is gone")
        data = path.read_bytes()
        return self._trusted(data, configured.get(url, url), suite)

    def fresh(self, releases: Sequence[Release]) -> bool:
        """Whether none of ``releases`` has expired."""
        try:
            for release in releases:
                self._check_age(release)
        except Expired:
            return False
        return True

    # -- the network -----------------------------------------------------------------------------

    def look(self, suite: str, known: dict[tuple[str, str], Release]) -> list[_Found]:
        """The suite's releases as the mirror has them."""
        main = self._main(suite)
        release = main[0]
        base = release.codename or suite
        moving = release.suite_name in {"unstable", "experimental"}
        wanted = [] if moving else [((release.url,), f"{base}-updates"), (self._mirror.security, f"{base}-security")]
        others = parallel(lambda one: self._first(*one), wanted)
        if wanted and others[1] is None and self._mirror.security_configured and release.suite_name != "testing":
            raise WherryError(
                f"{' and '.join(map(redacted, self._mirror.security))} has no security updates for {base}",
                hint="Choose a mirror that has them: set WHERRY_DEBIAN_MIRROR to its URL and, after a blank, that of "
                "its security archive.",
            )
        found = [main, *(other for other in others if other)]
        for release, _ in found:
            self._check_age(release)
            before = known.get((release.url, release.suite))
            if before and before.date > release.date:
                raise WherryError(
                    f"{redacted(release.url)} serves an older state of {release.suite} ({release.date:%Y-%m-%d}) "
                    f"than it did before ({before.date:%Y-%m-%d})",
                    hint="Its servers may disagree for a while: leave out --pull, or try again later.",
                )
        return found

    def _main(self, suite: str) -> _Found:
        """The suite from the first archive that has it and is Debian's."""
        failures: list[WherryError] = []
        for url in sorted(self._mirror.archives, key=lambda url: "debian" not in url.rpartition("/")[2]):
            try:
                found = self._find(url, suite)
            except (NetworkError, BadSignature) as error:
                if not isinstance(error, NotFound):
                    failures.append(error)
                continue
            if found[0].origin == "Debian":
                return found
        if failures:
            failures[0].hint = failures[0].hint or "Check the mirror: apt's sources, or WHERRY_DEBIAN_MIRROR."
            raise failures[0]
        places = ", ".join(map(redacted, self._mirror.archives))
        raise UsageError(
            f"the Debian archive has no suite {suite!r} (looked in {places})", hint=did_you_mean(suite, SUITES)
        )

    def _first(self, urls: Sequence[str], suite: str) -> _Found | None:
        """The suite from the first of ``urls`` that has it."""
        for url in urls:
            try:
                return self._find(url, suite)
            except NotFound:
                continue
        return None

    def _find(self, url: str, suite: str) -> _Found:
        data = self._fetcher.read(f"{url}/dists/{suite}/InRelease", limit=_LIMIT)
        return self._trusted(data, url, suite), data

    def _trusted(self, data: bytes, url: str, suite: str) -> Release:
        address = redacted(url)
        return parse_release(verified(data, f"{address}/dists/{suite}/InRelease", self._keys), url, suite)

    def _check_age(self, release: Release) -> None:
        if self._mirror.check_valid_until:
            release.check_age(self._now)
