"""Release files: signature, age, suite."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from wherry.debian.release import BadSignature, Expired, archive_keys, parse_release, verified
from wherry.errors import WherryError

if TYPE_CHECKING:
    from tests.debian.conftest import FakeArchive

TEXT = b"""\
Origin: Debian
Suite: stable
Codename: trixie
Version: 13.1
Date: Sat, 06 Sep 2025 08:00:00 UTC
Valid-Until: Sat, 13 Sep 2025 08:00:00 UTC
Acquire-By-Hash: yes
Architectures: all amd64 arm64
MD5Sum:
 0 1 main/binary-amd64/Packages.gz
SHA256:
 aa 10 main/binary-amd64/Packages.xz
 bb 20 main/binary-amd64/Packages.gz
 cc 30 main/binary-arm64/Packages.xz
"""


def inrelease(archive: FakeArchive) -> bytes:
    archive.publish()
    return (archive.root / "dists/trixie/InRelease").read_bytes()


def test_a_signed_text_is_given_without_what_is_around_it(archive: FakeArchive) -> None:
    data = inrelease(archive) + b"\nCodename: evil\n"
    text = verified(data, "url", [archive.certificate])
    assert text.startswith(b"Origin: Debian\n")
    assert b"evil" not in text
    assert b"PGP" not in text


def test_an_altered_text_is_refused(archive: FakeArchive) -> None:
    data = inrelease(archive).replace(b"Version: 13.0", b"Version: 13.9")
    with pytest.raises(BadSignature, match="not good"):
        verified(data, "url", [archive.certificate])


def test_a_text_signed_by_somebody_else_is_refused(archive: FakeArchive) -> None:
    with pytest.raises(BadSignature, match="not good"):
        verified(inrelease(archive), "url", archive_keys())


@pytest.mark.parametrize("data", [b"", b"<html>please log in</html>", TEXT])
def test_an_unsigned_text_is_refused(data: bytes) -> None:
    with pytest.raises(BadSignature, match="not a signed"):
        verified(data, "url", archive_keys())


def test_a_signature_cut_off_is_refused(archive: FakeArchive) -> None:
    data = inrelease(archive)
    with pytest.raises(BadSignature):
        verified(data[: data.index(b"-----BEGIN PGP SIGNATURE")], "url", [archive.certificate])


def test_debians_keys_for_bookworm_and_trixie_are_here_and_not_expired() -> None:
    names = [str(cert.user_ids[0]) for cert in archive_keys()]
    assert len([name for name in names if "trixie" in name]) == 3
    assert len([name for name in names if "bookworm" in name]) == 3
    assert all(cert.expiration and cert.expiration > datetime.now(UTC) for cert in archive_keys())


def test_the_index_that_is_fastest_to_read_is_fetched_by_its_hash() -> None:
    release = parse_release(TEXT, "http://mirror.example/debian", "trixie")
    download = release.packages("amd64")
    assert download.url == "http://mirror.example/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/bb"
    assert (download.hashes, download.size) == ({"sha256": "bb"}, 20)
    assert release.packages("arm64").hashes == {"sha256": "cc"}


def test_an_architecture_that_the_suite_lacks_is_an_error_that_lists_those_it_has() -> None:
    with pytest.raises(WherryError) as caught:
        parse_release(TEXT, "u", "trixie").packages("s390x")
    assert "amd64, arm64" in (caught.value.hint or "")


@pytest.mark.parametrize("suite", ["trixie", "stable"])
def test_a_suite_is_known_by_its_codename_and_by_its_name(suite: str) -> None:
    assert parse_release(TEXT, "u", suite).codename == "trixie"


def test_the_release_file_of_another_suite_is_refused() -> None:
    with pytest.raises(WherryError, match="is the Release file of"):
        parse_release(TEXT, "u", "bookworm")


def test_a_release_expires() -> None:
    release = parse_release(TEXT, "u", "trixie")
    release.check_age(datetime(2025, 9, 13, tzinfo=UTC))
    with pytest.raises(Expired, match="2025-09-13"):
        release.check_age(datetime(2025, 9, 14, tzinfo=UTC))


def test_no_error_tells_the_mirrors_password() -> None:
    url = "https://me:secret@mirror.example/debian"
    with pytest.raises(Expired, match=r"https://mirror\.example/debian") as expired:
        parse_release(TEXT, url, "trixie").check_age(datetime(2025, 9, 14, tzinfo=UTC))
    with pytest.raises(WherryError, match=r"https://mirror\.example/debian/dists/bookworm") as other:
        parse_release(TEXT, url, "bookworm")
    with pytest.raises(WherryError, match=r"https://mirror\.example/debian/dists/trixie") as broken:
        parse_release(TEXT.replace(b"Date", b"Day"), url, "trixie")
    assert "secret" not in f"{expired.value}{other.value}{broken.value}"
