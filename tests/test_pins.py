"""Pins, the ledger that goes through a build with them, and wherry.lock, which anybody may have written."""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from wherry import lockfile
from wherry.errors import UsageError
from wherry.pins import (
    BaseWish,
    ImageWish,
    Ledger,
    PackagesWish,
    PinnedBase,
    PinnedPackage,
    Pins,
    ResolutionWish,
    Unlocked,
)

DIGEST = "sha256:" + "1" * 64
HASH = "2" * 64
LIBC = PinnedPackage("libc6", "2.41-12", "amd64", "main", "pool/main/g/glibc/libc6_2.41-12_amd64.deb", 2850108, HASH)
TZDATA = PinnedPackage("tzdata", "1:2026a+x~1", "all", "security", "pool/updates/t_1%3a2026a+x~1_all.deb", 0, HASH)
IMAGE = ImageWish("python:3.13-slim", "linux/amd64")
BASE = BaseWish("debian://trixie", "linux/arm64", ">=3.11")
PACKAGES = PackagesWish("trixie", "linux/amd64", ("libpq5", "tzdata"), HASH)
RESOLUTION = ResolutionWish("requirements.txt", HASH, "linux/amd64", "glibc 2.41", "3.13.5")
LOCK = 'lock-version = "1.0"\n\n[[packages]]\nname = "a"\nmarker = "python_version > \'3\'"\n'

PINS = Pins(
    {"base": "debian://trixie", "file requirements.txt": DIGEST},
    {IMAGE: DIGEST},
    {BASE: PinnedBase("13.8", "3.13.5", (LIBC, TZDATA), (TZDATA,))},
    {PACKAGES: (TZDATA,), replace(PACKAGES, names=()): ()},
    {RESOLUTION: LOCK},
)


# -- the file ------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again() -> None:
    assert lockfile.parse(lockfile.write(PINS)) == PINS


@pytest.mark.parametrize("lock", ["", "'''", "a'", "a\r\nb", "\x7f", 'tab\t"quote"\\\n', "\x01", "é\n"])
def test_any_text_of_a_resolution_is_kept(lock: str) -> None:
    pins = Pins({'a "key"\\': lock}, resolutions={RESOLUTION: lock})
    assert lockfile.parse(lockfile.write(pins)) == pins


def test_the_same_pins_are_written_in_the_same_way_whatever_their_order() -> None:
    other = replace(PINS, packages=dict(reversed(list(PINS.packages.items()))))
    assert lockfile.write(other) == lockfile.write(PINS)
    assert other.digest == PINS.digest


def test_a_resolution_stands_there_as_it_is() -> None:
    assert f"lock = '''\n{LOCK}'''" in lockfile.write(PINS)


def test_a_folder_without_a_lock_has_no_pins(tmp_path: Path) -> None:
    assert lockfile.read(tmp_path) is None


def test_a_lock_is_read_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "wherry.lock").write_text(lockfile.write(PINS))
    assert lockfile.read(tmp_path) == PINS


# -- a file that somebody else wrote -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("version = 1", "version = 2", "it has format 2, and this wherry knows 1"),
        ("version = 1", "version = true", "it has no version = 1"),
        ("version = 1", "", "it has no version = 1"),
        ("version = 1", "version = 1\nhook = 'rm'", "unknown key hook"),
        ("[made-for]", "[made-for]\nx = 1", "made-for.x should be a string"),
        (DIGEST + '"\n\n[[base]]', 'sha256:1"\n\n[[base]]', "image[0].digest is not what it should be"),
        ('platform = "linux/amd64"', 'platform = "amd64"', "image[0].platform is not a platform: 'amd64'"),
        ('platform = "linux/amd64"', 'platform = "vax"', "image[0].platform is not a platform: 'vax'"),
        ('name = "python:3.13-slim"', 'name = "\\u001b[31m"', "image[0].name should be the name of a base"),
        ("pool/main/g/glibc/", "pool/../../../", "base[0].packages[0].path leads out of the archive"),
        ("pool/main/g/glibc/", "pool/%2E%2e/", "base[0].packages[0].path leads out of the archive"),
        ("pool/main/g/glibc/", "/etc/", "base[0].packages[0].path is not what it should be"),
        ("pool/main/g/glibc/", "https://example.org/", "base[0].packages[0].path is not what it should be"),
        ("pool/main/g/glibc/", "a?b=", "base[0].packages[0].path is not what it should be"),
        ('archive = "main"', 'archive = "elsewhere"', "base[0].packages[0].archive should be one of main, updates"),
        ("size = 2850108", "size = -1", "base[0].packages[0].size should be a number of bytes"),
        ("size = 2850108", "size = true", "base[0].packages[0].size should be a number of bytes"),
        ('name = "libc6"', 'name = "../libc6"', "base[0].packages[0].name is not what it should be"),
        ('name = "libc6"', 'name = "libc7"', "base[0].packages has no libc6"),
        ('name = "libc6"', 'name = "tzdata"', "base[0].packages has a package twice"),
        (f'sha256 = "{HASH}"', 'sha256 = ""', "base[0].packages[0].sha256 is not what it should be"),
        ('python = "3.13.5"', 'python = "; rm"', "base[0].python is not what it should be"),
        ('names = ["libpq5", "tzdata"]', "names = [1]", "packages[1].names should be a list of strings"),
        ('suite = "trixie"', 'suite = "../trixie"', "packages[0].suite is not what it should be"),
        ('names = ["libpq5", "tzdata"]', "names = []", "it has two answers for the Debian packages"),
        ("included = [", "more = 1\nincluded = [", "unknown key base[0].more"),
        (f'inputs = "{HASH}"', "inputs = 1", "resolution[0].inputs should be a string"),
        ("[[resolution]]", "[resolution]", "resolution should be a list of tables"),
        ("[[image]]", "image = [1]\n[x]", "unknown key x"),
    ],
)
def test_what_a_lock_cannot_say_is_refused_with_its_place(old: str, new: str, told: str) -> None:
    text = lockfile.write(PINS)
    assert old in text
    changed = text.replace(old, new, 1)
    tomllib.loads(changed)
    with pytest.raises(UsageError) as caught:
        lockfile.parse(changed)
    assert told in caught.value.message
    assert caught.value.place is not None
    assert caught.value.place.file == "wherry.lock"
    assert "wherry" in (caught.value.hint or "")


def test_a_conflict_that_git_left_is_shown_with_its_line() -> None:
    lines = lockfile.write(PINS).splitlines()
    lines.insert(9, "<<<<<<< HEAD")
    with pytest.raises(UsageError) as caught:
        lockfile.parse("\n".join(lines))
    assert "not valid TOML" in caught.value.message
    assert caught.value.place is not None
    assert caught.value.place.line == 10


def test_a_lock_cut_off_or_nested_without_end_is_refused() -> None:
    for text in (lockfile.write(PINS)[:-4], "a = " + "[" * 100_000):
        with pytest.raises(UsageError, match="not valid TOML"):
            lockfile.parse(text)


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "wherry.lock"
    lock.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is not UTF-8"):
        lockfile.read(tmp_path)
    lock.unlink()
    lock.mkdir()
    with pytest.raises(UsageError, match="it is no file"):
        lockfile.read(tmp_path)
    lock.rmdir()
    os.mkfifo(lock)
    with pytest.raises(UsageError, match="it is no file"):
        lockfile.read(tmp_path)
    lock.unlink()
    lock.symlink_to("nowhere")
    with pytest.raises(UsageError, match="a link to nothing"):
        lockfile.read(tmp_path)


# -- the ledger ----------------------------------------------------------------------------------------


def test_without_pins_nothing_is_known_and_what_floats_is_told_once() -> None:
    ledger = Ledger()
    assert ledger.images.find(IMAGE) is None
    ledger.images.note(IMAGE, DIGEST)
    for what in ("debian://trixie", "requirements.txt", "debian://trixie"):
        ledger.floats(what)
    assert ledger.floating == ("debian://trixie", "requirements.txt")
    assert ledger.taken({}) == Pins()
    assert (ledger.free, ledger.identity) == (True, "")


def test_what_is_locked_is_taken_and_what_is_not_is_an_error() -> None:
    ledger = Ledger(PINS, "locked")
    assert ledger.images.find(IMAGE) == DIGEST
    assert ledger.packages.find(replace(PACKAGES, names=())) == ()
    with pytest.raises(Unlocked, match=r"wherry\.lock does not say what to take for alpine for linux/amd64"):
        ledger.images.find(ImageWish("alpine", "linux/amd64"))
    ledger.floats("nothing")
    assert ledger.floating == ()


def test_while_locking_what_is_known_stays_what_is_new_is_noted_and_what_nobody_asked_for_goes() -> None:
    ledger = Ledger(PINS, "locking")
    other = ImageWish("alpine", "linux/amd64")
    assert ledger.images.find(IMAGE) == DIGEST
    assert ledger.images.find(other) is None
    ledger.images.note(other, DIGEST)
    assert ledger.images.find(other) == DIGEST
    assert ledger.taken({"base": "x"}) == Pins({"base": "x"}, {IMAGE: DIGEST, other: DIGEST})


def test_two_sets_of_pins_have_different_identities() -> None:
    other = replace(PINS, images={IMAGE: "sha256:" + "3" * 64})
    identities = {Ledger(PINS, "locked").identity, Ledger(other, "locked").identity, Ledger().identity}
    assert len(identities) == 3
    assert Ledger(replace(PINS, made_for={}), "locked").identity == Ledger(PINS, "locked").identity
