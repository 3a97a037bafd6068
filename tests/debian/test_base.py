"""Assembling a base from packages of a small archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from wherry.debian.apt import CHECK_VARIABLE
from wherry.debian.archive import open_archive
from wherry.debian.base import Assembled, Recipe, Workshop
from wherry.debian.ldcache import read_cache
from wherry.debian.mirror import Mirror
from wherry.debian.package import Package
from wherry.debian.release import BadSignature, Expired, Release
from wherry.errors import NetworkError, UsageError, WherryError
from wherry.events import Task
from wherry.fetch import Fetcher, HashMismatch
from wherry.image import Layer, Platform
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.reader import entries
from wherry.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.debian.conftest import FakeArchive

AMD64 = Platform("linux", "amd64")
TRIXIE = Recipe("trixie")


def read(layer: Layer, store: Store) -> dict[str, tuple[Entry, bytes]]:
    blob = store.blobs.path(layer.descriptor.digest)
    return {entry.path: (entry, reader.read() if reader else b"") for entry, reader in entries(blob)}


def assemble(workshop: Workshop, task: Task, recipe: Recipe = TRIXIE, python: str = "") -> Assembled:
    return workshop.assemble(recipe, python, AMD64, task)


# -- what was asked for --------------------------------------------------------------------------------


def test_a_base_is_named_by_its_suite_and_parameters() -> None:
    assert Recipe.parse("debian://trixie") == Recipe("trixie")
    assert Recipe.parse("debian://bookworm?include=git,libpq5&shell=1") == Recipe("bookworm", ("git", "libpq5"), True)
    assert Recipe.parse("debian://sid/?include=b&include=a,b") == Recipe("sid", ("a", "b"))


@pytest.mark.parametrize("text", ["debian://", "debian://?shell=1", "debian://a b", "debian://trixie?shell=bash"])
def test_a_base_that_names_no_suite_or_a_wrong_value_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Recipe.parse(text)


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError) as caught:
        Recipe.parse("debian://trixie?includes=git")
    assert "include" in (caught.value.hint or "")


# -- what is in it -------------------------------------------------------------------------------------


def test_the_base_is_one_layer_of_the_system_and_the_archives_python(
    small: FakeArchive, workshop: Workshop, task: Task
) -> None:
    made = assemble(workshop, task)
    assert made.python == "3.13.5"
    assert made.libc == "2.41"
    assert made.titles == ("Debian trixie 13.0: 10 packages, Python 3.13.5",)
    files = read(made.layers[0], workshop.store)
    assert files["usr/lib/x86_64-linux-gnu/libc.so.6"][1] == b"libc"
    assert files["usr/bin/python3.13"][0].mode == 0o755
    assert "usr/bin/python3.14" not in files


def test_entries_are_sorted_owned_by_root_and_of_one_time(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    made = assemble(replace(workshop, epoch=1_000_000), task)
    blob = workshop.store.blobs.path(made.layers[0].descriptor.digest)
    found = [entry for entry, _ in entries(blob)]
    paths = [entry.path for entry in found]
    assert paths == sorted(paths)
    assert len(set(paths)) == len(paths)
    assert {entry.mtime for entry in found} == {1_000_000}
    assert {entry.uid for entry in found if "nonroot" not in entry.path} == {0}
    assert all(parent in paths for parent in {path.rpartition("/")[0] for path in paths} - {""})


def test_usr_is_merged(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    files = read(assemble(workshop, task).layers[0], workshop.store)
    for name in ("bin", "sbin", "lib", "lib64"):
        assert (files[name][0].kind, files[name][0].link) == ("symlink", f"usr/{name}")
    assert not [path for path in files if path.startswith(("lib/", "bin/", "lib64/"))]
    assert "lib32" not in files


def test_what_maintainer_scripts_would_do_is_done(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    files = read(assemble(workshop, task).layers[0], workshop.store)
    assert files["etc/ssl/certs/ca-certificates.crt"][1] == b"-A-\n-B-\n"
    assert files["usr/lib/ssl/cert.pem"][0].link == "/etc/ssl/certs/ca-certificates.crt"
    assert b"\nnonroot:x:65532:65532:nonroot:/home/nonroot:" in files["etc/passwd"][1]
    assert b"\nnonroot:x:65532:" in files["etc/group"][1]
    assert (files["tmp"][0].mode, files["var/tmp"][0].mode) == (0o1777, 0o1777)
    assert (files["home/nonroot"][0].uid, files["home/nonroot"][0].mode) == (65532, 0o700)
    assert files["usr/bin/python3"][0].link == "python3.13"
    assert files["usr/bin/python"][0].link == "python3"
    assert files["var/run"][0].link == "/run"
    assert files["etc/localtime"][0].link == "/usr/share/zoneinfo/Etc/UTC"
    assert b"dns" in files["etc/nsswitch.conf"][1]


def test_scanners_see_each_package(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    files = read(assemble(workshop, task).layers[0], workshop.store)
    registered = {path.rpartition("/")[2] for path in files if path.startswith("var/lib/dpkg/status.d/")}
    assert registered == {
        *("base-files", "ca-certificates", "libc-bin", "libc6", "libpython3.13-stdlib", "libstdc++6", "netbase"),
        *("python3.13-minimal", "tzdata", "zlib1g"),
    }
    assert b"Version: 3.13.5-2+deb13u1\n" in files["var/lib/dpkg/status.d/python3.13-minimal"][1]


def test_checksums_are_recorded_for_the_files_that_are_there(
    archive: FakeArchive, workshop: Workshop, task: Task
) -> None:
    sums = b"0123  lib/libx.so\n4567  usr/share/man/man1/x.1\n"
    archive.add("x", "1", {"lib/libx.so": b"x", "usr/share/man/man1/x.1": b"m"}, others={"md5sums": sums})
    archive.publish()
    made = workshop.extend(["x"], "trixie", AMD64, [], task)
    assert made is not None
    assert read(made[0], workshop.store)["var/lib/dpkg/status.d/x.md5sums"][1] == b"0123  lib/libx.so\n"


def test_included_packages_are_a_layer_of_their_own(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    small.add("libpq5", "17", {"usr/lib/x86_64-linux-gnu/libpq.so.5": b"pq"}, Depends="libc6, libkrb5-3")
    small.add("libkrb5-3", "1.21", {"usr/lib/x86_64-linux-gnu/libkrb5.so.3": b"krb"}, Depends="libc6")
    small.publish()
    plain = assemble(workshop, task)
    made = assemble(workshop, task, Recipe("trixie", ("libpq5",)))
    assert made.layers[0] == plain.layers[0]
    assert made.titles[1] == "Debian packages libpq5 and 1 that they need"
    files = read(made.layers[1], workshop.store)
    assert {path for path, (entry, _) in files.items() if entry.kind != "dir"} == {
        "usr/lib/x86_64-linux-gnu/libkrb5.so.3",
        "usr/lib/x86_64-linux-gnu/libpq.so.5",
        "var/lib/dpkg/status.d/libkrb5-3",
        "var/lib/dpkg/status.d/libpq5",
    }


def test_every_layer_with_libraries_has_the_dynamic_linkers_cache_of_all(
    small: FakeArchive, workshop: Workshop, task: Task, library: Callable[..., bytes]
) -> None:
    folder = "usr/lib/x86_64-linux-gnu"
    small.add("zlib1g", "1:1.4", {f"{folder}/libz.so.1": library("libz.so.1")}, Depends="libc6")
    small.add("libpq5", "17", {f"{folder}/libpq.so.5": library("libpq.so.5")}, Depends="libc6, zlib1g")
    conf = {"etc/ld.so.conf": b"include /etc/ld.so.conf.d/*.conf", "etc/ld.so.conf.d/a.conf": b"/lib/x86_64-linux-gnu"}
    small.add("libc-bin", "2.42", {**conf}, Depends="libc6")
    small.publish()
    made = assemble(workshop, task, Recipe("trixie", ("libpq5",)))
    caches = [read_cache(read(layer, workshop.store)["etc/ld.so.cache"][1]) for layer in made.layers]
    assert [[one.path for one in cache] for cache in caches] == [
        ["/lib/x86_64-linux-gnu/libz.so.1"],
        ["/lib/x86_64-linux-gnu/libz.so.1", "/lib/x86_64-linux-gnu/libpq.so.5"],
    ]


def test_including_what_the_base_has_adds_nothing(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    assert len(assemble(workshop, task, Recipe("trixie", ("tzdata",))).layers) == 1


def test_extending_adds_only_what_is_not_there(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    small.add("libpq5", "17", {"usr/lib/libpq.so.5": b"pq"}, Depends="libc6 (>= 2.14)")
    small.publish()
    installed = [Package("libc6", "2.41-12")]
    made = workshop.extend(["libpq5"], "trixie", AMD64, installed, task)
    assert made is not None
    assert made[1] == "Debian packages libpq5"
    assert "var/lib/dpkg/status.d/libc6" not in read(made[0], workshop.store)
    assert workshop.extend(["libc6"], "trixie", AMD64, installed, task) is None


def test_alternatives_are_links_to_the_best(archive: FakeArchive, workshop: Workshop, task: Task) -> None:
    install = b"#!/bin/sh\nupdate-alternatives --quiet --install /usr/bin/awk awk \\\n  /usr/bin/%s %d \\\n  "
    install += b"--slave /usr/bin/nawk nawk /usr/bin/%s\n"
    for name, priority in ((b"mawk", 5), (b"gawk", 10)):
        script = install % (name, priority, name)
        archive.add(name.decode(), "1", {f"usr/bin/{name.decode()}": b"x"}, others={"postinst": script})
    archive.publish()
    made = workshop.extend(["mawk", "gawk"], "trixie", AMD64, [], task)
    assert made is not None
    files = read(made[0], workshop.store)
    assert files["usr/bin/awk"][0].link == "/usr/bin/gawk"
    assert files["usr/bin/nawk"][0].link == "/usr/bin/gawk"


def test_the_first_name_of_hard_links_holds_the_data(archive: FakeArchive, workshop: Workshop, task: Task) -> None:
    archive.add("perl-base", "1", {"usr/bin/perl": b"perl!", "usr/bin/aperl": "=usr/bin/perl"})
    archive.publish()
    made = workshop.extend(["perl-base"], "trixie", AMD64, [], task)
    assert made is not None
    files = read(made[0], workshop.store)
    assert (files["usr/bin/aperl"][0].kind, files["usr/bin/aperl"][1]) == ("file", b"perl!")
    assert (files["usr/bin/perl"][0].kind, files["usr/bin/perl"][0].link) == ("hardlink", "usr/bin/aperl")


def test_two_packages_with_different_files_of_one_name_are_refused(
    archive: FakeArchive, workshop: Workshop, task: Task
) -> None:
    archive.add("a", "1", {"usr/bin/x": b"a"})
    archive.add("b", "1", {"bin/x": b"b"})
    archive.publish()
    with pytest.raises(WherryError, match="a and b both hold /usr/bin/x"):
        workshop.extend(["a", "b"], "trixie", AMD64, [], task)


def test_a_package_may_replace_anothers_file(archive: FakeArchive, workshop: Workshop, task: Task) -> None:
    archive.add("a", "1", {"usr/bin/x": b"a"}, Replaces="b")
    archive.add("b", "1", {"usr/bin/x": b"b"})
    archive.publish()
    made = workshop.extend(["a", "b"], "trixie", AMD64, [], task)
    assert made is not None
    assert read(made[0], workshop.store)["usr/bin/x"][1] == b"a"


# -- Python --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        ("", "3.13.5"),
        ("3.13", "3.13.5"),
        ("3.13.5", "3.13.5"),
        ("3.14", "3.14.0rc2"),
        (">=3.10", "3.13.5"),
        ("3", "3.13.5"),
    ],
)
def test_the_wanted_python_is_chosen(
    wanted: str, version: str, small: FakeArchive, workshop: Workshop, task: Task
) -> None:
    assert assemble(workshop, task, python=wanted).python == version


def test_a_python_that_the_archive_lacks_is_an_error_that_names_what_there_is(
    small: FakeArchive, workshop: Workshop, task: Task
) -> None:
    with pytest.raises(UsageError) as caught:
        assemble(workshop, task, python="3.11")
    assert "3.13.5, 3.14.0rc2" in caught.value.message
    assert "debian://bookworm has 3.11" in (caught.value.hint or "")


# -- the same again ------------------------------------------------------------------------------------


def test_separate_stores_get_the_same_digests(
    small: FakeArchive, workshop: Workshop, task: Task, tmp_path: Path
) -> None:
    with Store(tmp_path / "other") as store:
        other = replace(workshop, store=store, fetcher=Fetcher(store.files))
        assert assemble(other, task).layers == assemble(workshop, task).layers


def test_a_base_is_remembered_until_a_refresh(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    first = assemble(workshop, task)
    small.add("netbase", "6.6", {"etc/services": b"new\n"})
    small.publish()
    assert assemble(workshop, task) == first
    renewed = assemble(replace(workshop, refresh=True), task)
    assert read(renewed.layers[0], workshop.store)["etc/services"][1] == b"new\n"
    assert assemble(workshop, task) == renewed


def test_a_mirrors_password_is_used_but_not_remembered(small: FakeArchive, workshop: Workshop) -> None:
    url = small.url.replace("file://", "file://me:secret@localhost")
    mirror = Mirror((url,), (f"{url}-security",))

    def release() -> Release:
        return open_archive(mirror, "trixie", "amd64", store=workshop.store, fetcher=workshop.fetcher).releases[0]

    first = release()
    (small.root / "dists/trixie/InRelease").unlink()
    assert release() == first
    assert first.packages("amd64").url.startswith(url)
    workshop.store.close()
    assert not [path for path in workshop.store.path.glob("cache.sqlite*") if b"secret" in path.read_bytes()]


def test_another_wish_uses_the_archive_as_it_was_remembered(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    first = assemble(workshop, task)
    small.add("netbase", "6.6", {"etc/services": b"new\n"})
    small.add("git", "2")
    small.publish()
    assert assemble(workshop, task, Recipe("trixie", ("tzdata",))).layers == first.layers


def test_a_mirror_that_moved_on_is_looked_at_again(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    assemble(workshop, task)
    for deb in (small.root / "pool").glob("zlib1g_*"):
        deb.unlink()
    del small.stanzas["zlib1g 1:1.3"]
    small.add("zlib1g", "1:1.4", {"usr/lib/x86_64-linux-gnu/libz.so.1": b"zz"})
    small.add("git", "2", Depends="zlib1g")
    small.publish()
    (workshop.store.files / "sha256").rename(workshop.store.files / "gone")
    made = assemble(workshop, task, Recipe("trixie", ("git",)))
    assert read(made.layers[0], workshop.store)["usr/lib/x86_64-linux-gnu/libz.so.1"][1] == b"zz"


def test_without_a_network_what_is_cached_serves(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    assemble(workshop, task)
    small.root.rename(small.root.with_name("gone"))
    offline = replace(workshop, fetcher=Fetcher(workshop.store.files, offline=True))
    other = replace(offline, compression=Compression("gzip", 1))
    assert assemble(other, task).python == "3.13.5"
    assert assemble(replace(other, refresh=True), task).python == "3.13.5"


def test_nothing_temporary_is_left(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    assemble(workshop, task)
    assert not list(workshop.store.scratch().iterdir())


# -- what may go wrong ---------------------------------------------------------------------------------


def test_an_unknown_suite_is_an_error_with_the_nearest_name(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    with pytest.raises(UsageError) as caught:
        assemble(workshop, task, Recipe("trixi"))
    assert "trixie" in (caught.value.hint or "")


def test_an_altered_release_is_refused(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    path = small.root / "dists/trixie/InRelease"
    path.write_bytes(path.read_bytes().replace(b"Label: Debian", b"Label: Demian"))
    with pytest.raises(BadSignature):
        assemble(workshop, task)


def test_an_altered_index_is_refused(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    for path in small.root.glob("dists/trixie/main/binary-amd64/by-hash/SHA256/*"):
        path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(HashMismatch):
        assemble(workshop, task)


def test_an_altered_package_is_refused_and_no_layer_is_kept(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    deb = next((small.root / "pool").glob("libc6_*"))
    deb.write_bytes(deb.read_bytes() + b"x")
    with pytest.raises(HashMismatch, match="libc6"):
        assemble(workshop, task)
    assert not (workshop.store.path / "blobs").exists()


def test_a_package_that_is_another_than_the_index_says_is_refused(
    archive: FakeArchive, workshop: Workshop, task: Task
) -> None:
    archive.add("a", "1")
    archive.stanzas["a 1"] = archive.stanzas["a 1"].replace("Package: a\n", "Package: b\n")
    archive.publish()
    with pytest.raises(WherryError, match="holds a 1"):
        workshop.extend(["b"], "trixie", AMD64, [], task)


def test_an_expired_archive_is_refused_unless_that_is_wanted(
    small: FakeArchive, workshop: Workshop, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.publish(valid_until=datetime.now(UTC) - timedelta(days=1))
    monkeypatch.setenv(CHECK_VARIABLE, "1")
    with pytest.raises(Expired) as caught:
        assemble(workshop, task)
    assert CHECK_VARIABLE in (caught.value.hint or "")
    monkeypatch.setenv(CHECK_VARIABLE, "0")
    assert assemble(workshop, task).python == "3.13.5"


def test_an_older_state_than_before_is_refused(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    assemble(workshop, task)
    small.publish(date=datetime.now(UTC) - timedelta(days=30))
    with pytest.raises(WherryError, match="older state"):
        assemble(replace(workshop, refresh=True), task)


def test_an_unreachable_archive_is_an_error(workshop: Workshop, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.fetch.attempts._ATTEMPTS", 1)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(NetworkError):
        assemble(replace(workshop, mirror="http://127.0.0.1:9/debian"), task)


def test_a_platform_that_debian_lacks_is_refused(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    with pytest.raises(UsageError):
        workshop.assemble(TRIXIE, "", Platform("windows", "amd64"), task)


# -- updates and security ------------------------------------------------------------------------------


def test_security_updates_come_before_the_suites_own_packages(
    small: FakeArchive, workshop: Workshop, task: Task
) -> None:
    security = type(small)(small.root.with_name("mirror-security"), small.key)
    security.add("netbase", "6.5+deb13u1", {"etc/services": b"safe\n"})
    security.publish("trixie-security", name="stable-security")
    made = assemble(workshop, task)
    assert read(made.layers[0], workshop.store)["etc/services"][1] == b"safe\n"
    assert made.remarks == ()


def test_a_stable_suite_without_security_updates_gives_a_note(
    small: FakeArchive, workshop: Workshop, task: Task
) -> None:
    assert "security" in assemble(workshop, task).remarks[0]


def test_a_named_security_archive_that_lacks_the_suite_is_an_error(
    small: FakeArchive, workshop: Workshop, task: Task
) -> None:
    with pytest.raises(WherryError, match="no security updates"):
        assemble(replace(workshop, mirror=f"{small.url} {small.url}-none"), task)


def test_sid_needs_no_security_updates(small: FakeArchive, workshop: Workshop, task: Task) -> None:
    small.publish("sid", name="unstable", version="")
    made = assemble(replace(workshop, mirror=f"{small.url} {small.url}-none"), task, Recipe("sid"))
    assert made.titles[0].startswith("Debian sid: ")
    assert made.remarks == ()
