"""Where this machine gets Debian from: apt's own configuration (sources.list(5), apt.conf(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wherry.debian.apt import CHECK_VARIABLE, VARIABLE, read, setting_files, source_files
from wherry.errors import UsageError
from wherry.urls import redacted

_NO = {"0", "no", "false", "off", "without", "disable"}
_SCHEMES = ("http://", "https://", "file:/", "copy:/")


@dataclass(frozen=True, slots=True)
class Entry:
    """One archive and one suite that apt is configured with."""

    uri: str
    suite: str
    components: tuple[str, ...]
    check_valid_until: bool = True


@dataclass(frozen=True, slots=True)
class Mirror:
    """Archives to try, in order. ``archives`` may hold third parties' too: what they serve tells which is Debian's.

    ``security_configured`` tells that somebody named the security archives, so that a suite missing there is an
    error; otherwise they are guessed from the archives' names.
    """

    archives: tuple[str, ...]
    security: tuple[str, ...]
    security_configured: bool = False
    check_valid_until: bool = True


def find_mirror(wanted: str = "", root: Path = Path("/")) -> Mirror:
    """The mirror to use: ``wanted`` or WHERRY_DEBIAN_MIRROR (a URL, and after a blank, perhaps, that of the
    security archive), or what apt under ``root`` is configured with.

    Raises :class:`UsageError` if there is none.
    """
    check = _checks_valid_until(root)
    if wanted := wanted or os.environ.get(VARIABLE, ""):
        urls = [_url(url) for url in wanted.split()]
        for url in urls:
            if not url.startswith(_SCHEMES):
                raise UsageError(
                    f"{redacted(url)!r} is not the URL of a Debian mirror",
                    hint="It begins with http://, https:// or file:///.",
                )
        return Mirror(tuple(urls[:1]), tuple(urls[1:]) or _siblings(urls[:1]), len(urls) > 1, check)
    entries = [entry for entry in apt_entries(root) if "main" in entry.components]
    if not entries:
        raise UsageError(
            "this machine's apt is configured with no Debian archive",
            hint=f"Name one: set {VARIABLE}, or mirror in [tool.wherry], to its URL (the folder that holds dists/).",
        )
    security = {entry.uri: entry for entry in entries if _is_security(entry.suite)}
    archives = {entry.uri: entry for entry in entries if not _is_security(entry.suite)}
    if not archives:
        raise UsageError(
            "this machine's apt is configured with Debian's security archive alone",
            hint=f"Name the main archive: set {VARIABLE} to its URL (the folder that holds dists/).",
        )
    check = check and all(entry.check_valid_until for entry in entries)
    return Mirror(tuple(archives), tuple(security) or _siblings(archives), bool(security), check)


def apt_entries(root: Path = Path("/")) -> Iterator[Entry]:
    """What apt's source files under ``root`` say, enabled binary archives only, in apt's order."""
    for path in source_files(root):
        text = read(path)
        found = _deb822(text, str(path)) if path.suffix == ".sources" else _one_line(text)
        for entry in found:
            for uri in _expand(entry.uri, root):
                yield Entry(uri, entry.suite, entry.components, entry.check_valid_until)


def _one_line(text: str) -> Iterator[Entry]:
    """``deb [option=value …] uri suite component …``"""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if match:
            options = dict(option.partition("=")[::2] for option in (match[1] or "").lower().split())
            check = options.get("check-valid-until", "yes") not in _NO
            yield Entry(match[2], match[3], tuple(match[4].split()), check)


def _deb822(text: str, name: str) -> Iterator[Entry]:
    from debian.deb822 import Deb822

    try:
        paragraphs = list(Deb822.iter_paragraphs(text.splitlines()))
    except ValueError as error:
        raise UsageError(f"{name} cannot be read: {error}", hint=f"Repair it, or set {VARIABLE}.") from error
    for paragraph in paragraphs:
        enabled = paragraph.get("Enabled", "yes").strip().lower() not in _NO
        if not enabled or "deb" not in paragraph.get("Types", "").split():
            continue
        components = tuple(paragraph.get("Components", "").split())
        check = paragraph.get("Check-Valid-Until", "yes").strip().lower() not in _NO
        for uri in paragraph.get("URIs", "").split():
            for suite in paragraph.get("Suites", "").split():
                yield Entry(uri, suite, components, check)


def _expand(uri: str, root: Path) -> Iterator[str]:
    """``uri`` as URLs that we can read: a mirror list as its members (apt-transport-mirror(1)), others as they are."""
    if uri.startswith("mirror+file:"):
        path = root / uri.removeprefix("mirror+file:").lstrip("/")
        for line in read(path).splitlines():
            words = line.split("#")[0].split()
            if words and words[0].startswith(_SCHEMES):
                yield _url(words[0])
    elif uri.startswith(_SCHEMES):
        yield _url(uri)


def _url(uri: str) -> str:
    if uri.startswith(("copy:/", "file:/")):
        uri = "file:///" + uri.partition(":")[2].lstrip("/")
    return uri.rstrip("/")


def _is_security(suite: str) -> bool:
    return suite.endswith(("-security", "/updates"))


def _siblings(archives: tuple[str, ...] | list[str] | dict[str, Entry]) -> tuple[str, ...]:
    """Where mirrors that hold the security archive too have it: beside the main one."""
    return tuple(f"{uri}-security" for uri in archives)


def _checks_valid_until(root: Path) -> bool:
    """Whether an expired archive is an error: WHERRY_DEBIAN_CHECK_VALID_UNTIL, or apt's Acquire::Check-Valid-Until."""
    if value := os.environ.get(CHECK_VARIABLE, "").strip().lower():
        return value not in _NO
    answer = True
    for path in setting_files(root):
        answer = _setting(read(path), answer)
    return answer


def _setting(text: str, answer: bool) -> bool:
    """The last ``Acquire::Check-Valid-Until "…";`` of ``text``, also as ``Acquire { Check-Valid-Until "…"; }``."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(("//", "#"))]
    for value in re.findall(r"(?:^|[\s{;:])Check-Valid-Until\s+(\S+?)\s*;", "\n".join(lines), flags=re.I):
        answer = value.strip("\"'").lower() not in _NO
    return answer
