"""The dynamic linker's cache: its format, where libraries are looked for, what is listed."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.debian.ldcache import CACHE, Library, cache_libraries, folders, linker_files, read_cache, write_cache
from wherry.debian.tree import Node, Tree
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.writer import LayerWriter
from wherry.store import Store

Make = Callable[..., bytes]

AMD64, ARM64 = 0x0303, 0x0A03
PLACE = "usr/lib/x86_64-linux-gnu"
CONF = {
    "etc/ld.so.conf": b"include /etc/ld.so.conf.d/*.conf\n\n",
    "etc/ld.so.conf.d/libc.conf": b"# default\n/usr/local/lib\n",
    "etc/ld.so.conf.d/x86_64-linux-gnu.conf": b"/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n",
}
Z = Library("libz.so.1", AMD64, "/lib/x86_64-linux-gnu/libz.so.1")


def tree(files: dict[str, bytes | str]) -> Tree:
    """A tree of files, and symbolic links where there is a str."""
    made = Tree()
    for path, data in files.items():
        if isinstance(data, str):
            made.put(Node(Entry(path, "symlink", 0o777, link=data)))
        else:
            made.put(Node(Entry(path, "file", size=len(data)), data))
    return made


def cached(made: Tree) -> list[str]:
    """The paths that the tree's cache lists."""
    node = made.nodes[CACHE]
    assert isinstance(node.data, bytes)
    return [library.path for library in read_cache(node.data)]


# -- the format ----------------------------------------------------------------------------------------


def test_the_cache_is_a_header_entries_of_24_bytes_and_strings() -> None:
    data = write_cache([Z])
    assert data[:20] == b"glibc-ld.so.cache1.1"
    count, length, order, extensions = struct.unpack_from("<IIB3xI", data, 20)
    assert (count, order, extensions) == (1, 2, 0)
    flags, name, path, unused, features = struct.unpack_from("<iIIIQ", data, 48)
    assert (flags, unused, features) == (0x0303, 0, 0)
    assert data[name:].startswith(b"libz.so.1\0")
    assert data[path:].startswith(b"/lib/x86_64-linux-gnu/libz.so.1\0")
    assert len(data) == 48 + 24 + length


def test_what_is_written_is_read() -> None:
    names = ["libz.so.10", "libz.so.9", "libz.so.1", "libz.so", "liba.so.1", "liba-2.so.1"]
    libraries = [Library(name, flags, f"/usr/lib/{name}") for name in names for flags in (ARM64, AMD64)]
    assert list(read_cache(write_cache(reversed(libraries)))) == libraries


def test_names_come_in_the_linkers_order_backwards_numbers_by_value() -> None:
    names = ["libx.so.9", "libx.so.10", "libx.so", "libx1.so.2", "libxy.so", "libX.so", "libx-1.so", "libx.so.9.1"]
    libraries = [Library(name, AMD64, f"/lib/{name}") for name in names]
    assert [one.soname for one in read_cache(write_cache(libraries))] == [
        *("libx1.so.2", "libxy.so", "libx.so.10", "libx.so.9.1", "libx.so.9", "libx.so", "libx-1.so", "libX.so")
    ]


def test_of_two_libraries_of_one_name_the_first_given_comes_first() -> None:
    both = (Library("libz.so.1", AMD64, "/usr/local/lib/libz.so.1"), Z)
    assert read_cache(write_cache(both)) == both
    assert read_cache(write_cache(both[::-1])) == both[::-1]


def test_the_same_libraries_give_the_same_bytes_in_any_order() -> None:
    libraries = [Library(f"lib{name}.so.1", AMD64, f"/lib/lib{name}.so.1") for name in "abc"]
    assert write_cache(libraries) == write_cache(libraries[::-1])


def test_a_cache_of_an_old_release_is_read_past_its_older_part() -> None:
    assert read_cache(b"ld.so-1.7.0\0\0\0\0\0" + bytes(24) + write_cache([Z])) == (Z,)


def test_entries_for_some_processors_only_are_passed_over() -> None:
    data = bytearray(write_cache([Z, Library("libz.so.1", AMD64, "/lib/glibc-hwcaps/x86-64-v3/libz.so.1")]))
    struct.pack_into("<Q", data, 48 + 24 + 16, 1 << 62)
    assert read_cache(bytes(data)) == (Z,)


@pytest.mark.parametrize("length", [0, 19, 20, 47, 48, 60])
def test_a_cache_that_breaks_off_lists_nothing(length: int) -> None:
    assert read_cache(write_cache([Z])[:length]) == ()


@pytest.mark.skipif(not Path("/sbin/ldconfig").exists(), reason="no ldconfig on this machine")
def test_ldconfig_lists_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.write_bytes(write_cache([Z, Library("libc.so.6", ARM64, "/lib/aarch64-linux-gnu/libc.so.6")]))
    done = subprocess.run(["/sbin/ldconfig", "-p", "-C", path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"2 libs found in cache `{path}'",
        "\tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1",
        "\tlibc.so.6 (libc6,AArch64) => /lib/aarch64-linux-gnu/libc.so.6",
    ]


# -- where libraries are -------------------------------------------------------------------------------


def test_folders_come_as_the_configuration_names_them_each_once() -> None:
    assert folders(CONF) == ("/usr/local/lib", "/lib/x86_64-linux-gnu", "/lib")


def test_without_a_configuration_there_is_the_default() -> None:
    assert folders({}) == ("/lib",)


def test_a_configuration_may_include_by_relative_name_and_even_itself() -> None:
    conf = {"etc/ld.so.conf": b"include ld.so.conf.d/a.conf\n", "etc/ld.so.conf.d/a.conf": b"include *\n/opt/x/ # x\n"}
    assert folders(conf) == ("/opt/x", "/lib")


# -- what is listed ------------------------------------------------------------------------------------


def test_libraries_are_listed_under_their_own_names(library: Make) -> None:
    made = tree({f"{PLACE}/libz.so.1": "libz.so.1.3", f"{PLACE}/libz.so.1.3": library("libz.so.1")})
    cache_libraries(made, CONF)
    assert cached(made) == ["/lib/x86_64-linux-gnu/libz.so.1"]


def test_a_library_without_a_name_is_listed_under_its_files(library: Make) -> None:
    made = tree({f"{PLACE}/libx.so": library()})
    cache_libraries(made, CONF)
    assert cached(made) == ["/lib/x86_64-linux-gnu/libx.so"]


def test_other_files_and_libraries_for_other_machines_are_not_listed(library: Make) -> None:
    files: dict[str, bytes | str] = {
        f"{PLACE}/libc.so": b"GROUP ( libc.so.6 )",
        f"{PLACE}/libs390.so.1": library("libs390.so.1", 22),
        f"{PLACE}/engines/libe.so": library("libe.so"),
        f"{PLACE}/plugin.so": library("plugin.so"),
        f"{PLACE}/libgone.so.1": "nowhere",
        f"{PLACE}/liblink.so.1": "liblink.so.1",
    }
    made = tree(files)
    cache_libraries(made, CONF)
    assert CACHE not in made.nodes


def test_a_link_for_compilers_is_listed_too(library: Make) -> None:
    made = tree(
        {
            f"{PLACE}/libz.so": "/lib/x86_64-linux-gnu/libz.so.1.3",
            f"{PLACE}/libz.so.1": "libz.so.1.3",
            f"{PLACE}/libz.so.1.3": library("libz.so.1"),
        }
    )
    cache_libraries(made, CONF)
    assert cached(made) == ["/lib/x86_64-linux-gnu/libz.so.1", "/lib/x86_64-linux-gnu/libz.so"]


def test_a_library_gets_the_link_that_its_name_needs(library: Make) -> None:
    made = tree({f"{PLACE}/libz.so.1.3": library("libz.so.1"), f"{PLACE}/libz.so.1.2": library("libz.so.1")})
    cache_libraries(made, CONF)
    assert made.nodes[f"{PLACE}/libz.so.1"].entry.link == "libz.so.1.3"


@pytest.mark.parametrize("name", ["..", ".", "../x", "libü.so", "lib x.so"])
def test_a_library_with_an_impossible_name_is_not_listed(name: str, library: Make) -> None:
    made = tree({f"{PLACE}/libx.so.1": library(name)})
    cache_libraries(made, CONF)
    assert list(made.nodes) == [f"{PLACE}/libx.so.1"]


def test_a_layer_on_top_lists_what_is_below_too(library: Make) -> None:
    made = tree({f"{PLACE}/libpq.so.5": library("libpq.so.5"), "usr/lib/libpq.so.5": library("libpq.so.5")})
    cache_libraries(made, {**CONF, CACHE: write_cache([Z])})
    assert cached(made) == [Z.path, "/lib/x86_64-linux-gnu/libpq.so.5", "/lib/libpq.so.5"]


def test_a_layer_that_brings_no_library_has_no_cache(library: Make) -> None:
    made = tree({"usr/bin/x": b"x", f"{PLACE}/libz.so.1": library("libz.so.1")})
    cache_libraries(made, {**CONF, CACHE: write_cache([Z])})
    assert CACHE not in made.nodes


def test_a_link_for_compilers_may_lead_to_a_library_below() -> None:
    made = tree({f"{PLACE}/libz.so": "libz.so.1.3"})
    cache_libraries(made, {**CONF, CACHE: write_cache([Z])})
    assert cached(made) == [Z.path, "/lib/x86_64-linux-gnu/libz.so"]


def test_a_layer_on_top_may_name_further_folders(library: Make) -> None:
    made = tree({"etc/ld.so.conf.d/a.conf": b"/usr/lib/a\n", "usr/lib/a/liba.so.1": library("liba.so.1")})
    cache_libraries(made, CONF)
    assert cached(made) == ["/usr/lib/a/liba.so.1"]


def test_the_linkers_files_are_read_from_a_layer(store: Store) -> None:
    with LayerWriter(store.blobs, Compression()) as writer:
        for path in ("etc/hosts", "etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d/a.conf", "usr/x"):
            writer.add(Entry(path, "file", size=len(path)), path.encode())
        layer = writer.finish()
    wanted = ("etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d/a.conf")
    assert linker_files(store.blobs.path(layer.descriptor.digest)) == {path: path.encode() for path in wanted}
