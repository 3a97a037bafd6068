"""Packages that are pinned: taken whatever the archive has by then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wherry import lockfile
from wherry.debian.base import Assembled, Recipe, Workshop
from wherry.debian.mirror import Mirror
from wherry.debian.package import Package
from wherry.debian.pinned import packages_of
from wherry.errors import WherryError
from wherry.events import Task
from wherry.fetch import Fetcher
from wherry.image import Layer, Platform
from wherry.pins import Ledger, PinnedPackage, Pins, Unlocked
from wherry.store import Store

if TYPE_CHECKING:
    from tests.debian.conftest import FakeArchive

AMD64 = Platform("linux", "amd64")
RECIPE = Recipe("trixie", ("libpq5",))


@pytest.fixture
def archive_with_libpq(small: FakeArchive) -> FakeArchive:
    small.add("libpq5", "17", {"usr/lib/libpq.so.5": b"old"}, Depends="libc6")
    small.publish()
    return small


def locked(workshop: Workshop, task: Task) -> tuple[Assembled, Pins]:
    """A base, and the pins that it comes to, written and read again."""
    ledger = Ledger(None, "locking")
    made = replace(workshop, pins=ledger).assemble(RECIPE, "", AMD64, task)
    # What is remarked of the mirror is no part of it, and pins ask no mirror.
    return replace(made, remarks=()), lockfile.parse(lockfile.write(ledger.taken({})))


def elsewhere(workshop: Workshop, path: Path, pins: Pins) -> Workshop:
    """The tools of another machine, whose store is empty, with ``pins``."""
    store = Store(path)
    return replace(workshop, store=store, fetcher=Fetcher(store.files), pins=Ledger(pins, "locked"))


def newer(archive: FakeArchive) -> None:
    """Let the archive have other packages; the old files stay where they are."""
    archive.add("libpq5", "18", {"usr/lib/libpq.so.5": b"new"}, Depends="libc6, libnew")
    archive.add("libnew", "1", {"usr/lib/libnew.so": b"new"})
    archive.add("libc6", "2.42-1", {"lib/x86_64-linux-gnu/libc.so.6": b"new libc"})
    archive.publish(version="13.1")


def test_pinned_packages_give_the_same_base_when_the_archive_has_newer_ones(
    archive_with_libpq: FakeArchive, workshop: Workshop, task: Task, tmp_path: Path
) -> None:
    made, pins = locked(workshop, task)
    newer(archive_with_libpq)
    other = elsewhere(workshop, tmp_path / "other", pins)
    assert other.assemble(RECIPE, "", AMD64, task) == made
    assert replace(other, pins=Ledger()).assemble(RECIPE, "", AMD64, task).libc == "2.42"
    assert other.assemble(RECIPE, "", AMD64, task) == made


def test_a_base_that_was_made_without_pins_is_not_taken_for_one_with(
    archive_with_libpq: FakeArchive, workshop: Workshop, task: Task
) -> None:
    made, pins = locked(workshop, task)
    newer(archive_with_libpq)
    fresh = replace(workshop, refresh=True).assemble(RECIPE, "", AMD64, task)
    assert fresh.libc == "2.42"
    pinned = replace(workshop, pins=Ledger(pins, "locked"))
    assert pinned.assemble(RECIPE, "", AMD64, task) == made
    assert replace(pinned, refresh=True).assemble(RECIPE, "", AMD64, task) == made
    assert workshop.assemble(RECIPE, "", AMD64, task) == fresh


def test_pins_need_no_index(archive_with_libpq: FakeArchive, workshop: Workshop, task: Task, tmp_path: Path) -> None:
    made, pins = locked(workshop, task)
    (archive_with_libpq.root / "dists").rename(tmp_path / "gone")
    assert elsewhere(workshop, tmp_path / "other", pins).assemble(RECIPE, "", AMD64, task) == made


def test_added_packages_are_those_that_are_pinned(
    archive_with_libpq: FakeArchive, workshop: Workshop, task: Task, tmp_path: Path
) -> None:
    installed = [Package("libc6", "2.41-12")]

    def extended(tools: Workshop, names: tuple[str, ...] = ("libpq5",)) -> tuple[Layer, str] | None:
        return tools.extend(names, "trixie", AMD64, installed, task)

    ledger = Ledger(None, "locking")
    locking = replace(workshop, pins=ledger)
    made = extended(locking)
    assert extended(locking, ("libc6",)) is None
    newer(archive_with_libpq)
    other = elsewhere(workshop, tmp_path / "other", ledger.taken({}))
    assert extended(other) == made
    assert extended(other, ("libc6",)) is None
    with pytest.raises(Unlocked, match="the Debian packages libnew of trixie for linux/amd64"):
        extended(other, ("libnew",))
    with pytest.raises(Unlocked):
        other.extend(("libpq5",), "trixie", AMD64, [], task)


def test_a_package_that_replaces_anothers_file_does_so_when_pinned(
    archive: FakeArchive, workshop: Workshop, task: Task, tmp_path: Path
) -> None:
    archive.add("a", "1", {"usr/bin/x": b"a"}, Replaces="b")
    archive.add("b", "1", {"usr/bin/x": b"b"})
    archive.publish()
    ledger = Ledger(None, "locking")
    made = replace(workshop, pins=ledger).extend(["a", "b"], "trixie", AMD64, [], task)
    other = elsewhere(workshop, tmp_path / "other", ledger.taken({}))
    assert other.extend(["a", "b"], "trixie", AMD64, [], task) == made


def test_a_package_that_is_gone_is_an_error_that_says_what_to_do(
    archive_with_libpq: FakeArchive, workshop: Workshop, task: Task, tmp_path: Path
) -> None:
    _, pins = locked(workshop, task)
    next((archive_with_libpq.root / "pool").glob("libpq5_17_*")).unlink()
    with pytest.raises(WherryError, match=r"pins is not to be had any more: .*libpq5") as caught:
        elsewhere(workshop, tmp_path / "other", pins).assemble(RECIPE, "", AMD64, task)
    assert "wherry lock --upgrade" in (caught.value.hint or "")


def test_a_security_update_is_looked_for_in_the_main_archive_too() -> None:
    pin = PinnedPackage("openssl", "3", "amd64", "security", "pool/updates/main/o/openssl_3_amd64.deb", 1, "0" * 64)
    mirror = Mirror(("https://a.example/other", "https://a.example/debian"), ("https://s.example/security",))
    (package,) = packages_of([pin], mirror)
    assert [one.url for one in package.downloads] == [
        "https://s.example/security/pool/updates/main/o/openssl_3_amd64.deb",
        "https://a.example/debian/pool/main/o/openssl_3_amd64.deb",
        "https://a.example/other/pool/main/o/openssl_3_amd64.deb",
    ]


def test_a_file_that_moved_is_found(
    archive_with_libpq: FakeArchive, workshop: Workshop, task: Task, tmp_path: Path
) -> None:
    made, pins = locked(workshop, task)
    moved = replace(
        pins,
        bases={wish: replace(base, included=tuple(map(_updated, base.included))) for wish, base in pins.bases.items()},
    )
    assert elsewhere(workshop, tmp_path / "other", moved).assemble(RECIPE, "", AMD64, task) == made


def _updated(pin: PinnedPackage) -> PinnedPackage:
    return replace(pin, archive="security", path=pin.path.replace("pool/", "pool/updates/", 1))
