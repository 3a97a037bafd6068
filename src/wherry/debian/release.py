"""A suite's Release file: its signature, its age and the hashes of the indexes that it lists (repository format)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from wherry.errors import WherryError
from wherry.fetch import Download
from wherry.urls import redacted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pysequoia import Cert


class Expired(WherryError):
    """An archive says of itself that it is too old to be trusted."""


class BadSignature(WherryError):
    """A Release file is not signed by a key that is trusted."""


@dataclass(frozen=True, slots=True)
class Release:
    """What is said about a suite at ``url`` (the archive, without ``/dists``) by somebody whom we trust.

    ``date`` and ``valid_until`` are in UTC; ``indexes`` maps a path below the suite to sha256 and size in bytes.
    """

    url: str
    suite: str
    origin: str
    label: str
    suite_name: str
    codename: str
    version: str
    date: datetime
    valid_until: datetime | None
    by_hash: bool
    architectures: tuple[str, ...]
    indexes: dict[str, tuple[str, int]]

    def packages(self, architecture: str) -> Download:
        """The index of ``main`` for ``architecture``: the form that is fastest to read of those that there are.

        Raises :class:`WherryError` if the suite has no such architecture.
        """
        # Security archives call their components updates/main but keep main's path; gzip decodes six times as
        # fast as xz and is a third larger.
        for ending in (".gz", ".xz", ""):
            path = f"main/binary-{architecture}/Packages{ending}"
            if path in self.indexes:
                return self._index(path, "package index")
        known = [name for name in self.architectures if name != "all"]
        raise WherryError(f"Debian {self.suite} has no packages for {architecture}", hint=f"It has {', '.join(known)}.")

    def contents(self, architecture: str) -> Download | None:
        """The Contents file of ``main``: which packages for ``architecture`` have which files.

        Those that are for any machine have one of their own, ``all``. None if the suite has none, which is no error
        of it, or only uncompressed, which would be half a gigabyte.
        """
        paths = (f"main/Contents-{architecture}{ending}" for ending in (".gz", ".xz"))
        path = next((path for path in paths if path in self.indexes), None)
        return self._index(path, f"list of files ({architecture})") if path else None

    def _index(self, path: str, name: str) -> Download:
        sha256, size = self.indexes[path]
        folder, _, file = f"{self.url}/dists/{self.suite}/{path}".rpartition("/")
        url = f"{folder}/by-hash/SHA256/{sha256}" if self.by_hash else f"{folder}/{file}"
        return Download(url, {"sha256": sha256}, size, f"{self.suite}'s {name}")

    def check_age(self, now: datetime) -> None:
        """Raise :class:`Expired` if ``now`` is after Valid-Until."""
        if self.valid_until and now > self.valid_until:
            raise Expired(
                f"the archive {redacted(self.url)} is out of date: its {self.suite} was valid until "
                f"{self.valid_until:%Y-%m-%d}",
                hint="Choose another mirror with WHERRY_DEBIAN_MIRROR. If it is a frozen copy on purpose, set "
                "WHERRY_DEBIAN_CHECK_VALID_UNTIL=0 or apt's Acquire::Check-Valid-Until.",
            )


@cache
def archive_keys() -> Sequence[Cert]:
    """Debian's archive keys, which come with Wherry (see keys/README.md)."""
    from pysequoia import Cert

    folder = resources.files("wherry.debian") / "keys"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".asc")), key=lambda file: file.name)
    return [cert for file in files for cert in Cert.split_bytes(file.read_bytes())]


def verified(data: bytes, url: str, keys: Sequence[Cert]) -> bytes:
    """The signed text within the InRelease file ``data``, and nothing around it.

    Raises :class:`BadSignature` unless one of ``keys`` signed it.
    """
    import pysequoia

    if not data.startswith(b"-----BEGIN PGP SIGNED MESSAGE-----"):
        raise BadSignature(
            f"{url} is not a signed Release file",
            hint="What answers there is no Debian archive: perhaps a login page, or a wrong URL.",
        )
    try:
        result = pysequoia.verify(data, lambda _: list(keys))
    except RuntimeError as error:
        reason = str(error).partition("\n")[0].removeprefix("Signature verification failed: ")
        raise BadSignature(
            f"the signature of {url} is not good: {reason}",
            hint="Nothing was taken from there. Either the mirror (or somebody on the way) altered the file, its key "
            "is newer than this Wherry, or this machine's clock is wrong.",
        ) from None
    return bytes(result.bytes or b"")


def parse_release(text: bytes, url: str, suite: str) -> Release:
    """Read a Release file's (verified) text.

    Raises :class:`WherryError` if it is malformed or is that of another suite than ``suite``.
    """
    fields: dict[str, str] = {}
    indexes: dict[str, tuple[str, int]] = {}
    section = ""
    for line in text.decode("utf-8", "replace").splitlines():
        if line.startswith(" "):
            words = line.split()
            if section == "sha256" and len(words) == 3 and words[1].isdigit():
                indexes[words[2]] = words[0], int(words[1])
        else:
            name, _, value = line.partition(":")
            section = name.lower()
            fields[section] = value.strip()
    names = {fields.get("suite", ""), fields.get("codename", "")}
    if suite.replace("/updates", "-security") not in names | {name.replace("/updates", "-security") for name in names}:
        raise WherryError(
            f"{redacted(url)}/dists/{suite} is the Release file of {' or '.join(sorted(names - {''})) or 'no suite'}",
            hint="The mirror serves another suite under this name: choose another mirror.",
        )
    date = _date(fields.get("date", ""))
    if date is None or not indexes:
        raise WherryError(f"{redacted(url)}/dists/{suite}: the Release file lacks a date or SHA256 hashes")
    return Release(
        url=url,
        suite=suite,
        origin=fields.get("origin", ""),
        label=fields.get("label", ""),
        suite_name=fields.get("suite", ""),
        codename=fields.get("codename", ""),
        version=fields.get("version", ""),
        date=date,
        valid_until=_date(fields.get("valid-until", "")),
        by_hash=fields.get("acquire-by-hash", "") == "yes",
        architectures=tuple(fields.get("architectures", "").split()),
        indexes=indexes,
    )


def _date(text: str) -> datetime | None:
    """``Sat, 12 Sep 2026 07:55:41 UTC``, whatever the locale."""
    from email.utils import parsedate_to_datetime

    try:
        value = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
