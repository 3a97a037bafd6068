"""Links that update-alternatives would make, from scripts as Debian's compilers and numeric libraries have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.debian.base import Workshop
from wherry.debian.ldcache import CACHE, read_cache
from wherry.events import Task
from wherry.image import Platform
from wherry.layers.reader import entries

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.debian.conftest import FakeArchive

MULTIARCH = "usr/lib/x86_64-linux-gnu"
GXX = b"""\
#! /bin/sh -e

update-alternatives \\
    --install /usr/bin/c++ c++ /usr/bin/g++ 20 \\
    #--slave /usr/share/man/man1/c++.1.gz c++.1.gz /usr/share/man/man1/g++.1.gz

exit 0
"""
GCC = b"""\
#! /bin/sh
set -e
update-alternatives --quiet \\
    --install /usr/bin/cc cc /usr/bin/gcc 20 \\
    #--slave /usr/share/man/man1/cc.1.gz cc.1.gz /usr/share/man/man1/gcc.1.gz
update-alternatives --quiet \\
    --install /usr/bin/c99 c99 /usr/bin/c99-gcc 20 \\
    --slave /usr/share/man/man1/c99.1.gz c99.1.gz /usr/share/man/man1/c99-gcc.1.gz
# remove f77 alternative left over from an old egcs version ...
if [ -h /etc/alternatives/f77 -a ! -e /etc/alternatives/f77 ]; then
    rm -f /etc/alternatives/f77
fi
"""
OPENBLAS = b"""\
#! /bin/sh
set -e

update-alternatives --install /usr/lib/x86_64-linux-gnu/libblas.so.3 \\
                    libblas.so.3-x86_64-linux-gnu \\
\t            /usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3 100

update-alternatives --install /usr/lib/x86_64-linux-gnu/libopenblas.so.0 \\
                    libopenblas.so.0-x86_64-linux-gnu \\
\t            /usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0 100
"""
OPENBLAS_DEV = b"""\
#!/bin/sh
set -e

update-alternatives --install /usr/lib/x86_64-linux-gnu/libopenblas.so \\
                    libopenblas.so-x86_64-linux-gnu \\
                    /usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so \\
                    100 \\
                    --slave /usr/include/x86_64-linux-gnu/f77blas.h \\
                    f77blas.h-x86_64-linux-gnu \\
                    /usr/include/x86_64-linux-gnu/openblas-pthread/f77blas.h \\
                    --slave /usr/lib/x86_64-linux-gnu/pkgconfig/openblas.pc \\
                    openblas.pc-x86_64-linux-gnu \\
                    /usr/lib/x86_64-linux-gnu/openblas-pthread/pkgconfig/openblas.pc
"""


def links(workshop: Workshop, task: Task, *names: str) -> dict[str, str]:
    """The links into /usr in a layer of packages."""
    made = workshop.extend(names, "trixie", Platform("linux", "amd64"), [], task)
    assert made is not None
    blob = workshop.store.blobs.path(made[0].descriptor.digest)
    return {entry.path: entry.link for entry, _ in entries(blob) if entry.link.startswith("/usr/")}


def test_compilers_are_found_under_their_usual_names(archive: FakeArchive, workshop: Workshop, task: Task) -> None:
    archive.add("gcc", "4:14", {"usr/bin/gcc": "gcc-14", "usr/bin/c99-gcc": b"#!"}, others={"postinst": GCC})
    archive.add("g++", "4:14", {"usr/bin/g++": "g++-14"}, others={"postinst": GXX})
    archive.publish()
    assert links(workshop, task, "gcc", "g++") == {
        "usr/bin/c++": "/usr/bin/g++",
        "usr/bin/c99": "/usr/bin/c99-gcc",
        "usr/bin/cc": "/usr/bin/gcc",
    }


def test_numeric_libraries_are_found_where_the_linker_looks(
    archive: FakeArchive, workshop: Workshop, task: Task, library: Callable[..., bytes]
) -> None:
    place = f"{MULTIARCH}/openblas-pthread"
    files: dict[str, bytes | str | None] = {
        f"{place}/libblas.so.3": library("libblas.so.3"),
        f"{place}/libopenblas.so.0": "libopenblasp-r0.3.29.so",
        f"{place}/libopenblasp-r0.3.29.so": library("libopenblas.so.0"),
    }
    archive.add("libopenblas0-pthread", "0.3", files, others={"postinst": OPENBLAS})
    archive.publish()
    assert links(workshop, task, "libopenblas0-pthread") == {
        f"{MULTIARCH}/libblas.so.3": f"/{place}/libblas.so.3",
        f"{MULTIARCH}/libopenblas.so.0": f"/{place}/libopenblas.so.0",
    }


def test_the_linkers_cache_lists_libraries_that_are_alternatives(
    archive: FakeArchive, workshop: Workshop, task: Task, library: Callable[..., bytes]
) -> None:
    place = f"{MULTIARCH}/openblas-pthread"
    files = {f"{place}/libblas.so.3": library("libblas.so.3")}
    archive.add("libopenblas0-pthread", "0.3", files, others={"postinst": OPENBLAS})
    archive.publish()
    below = {"etc/ld.so.conf": f"/{MULTIARCH}\n".encode()}
    made = workshop.extend(["libopenblas0-pthread"], "trixie", Platform("linux", "amd64"), [], task, below)
    assert made is not None
    blob = workshop.store.blobs.path(made[0].descriptor.digest)
    (cache,) = (data.read() for entry, data in entries(blob) if entry.path == CACHE and data)
    assert [library.path for library in read_cache(cache)] == [f"/{MULTIARCH}/libblas.so.3"]


def test_what_compilers_ask_for_comes_with_what_belongs_to_it(
    archive: FakeArchive, workshop: Workshop, task: Task
) -> None:
    place = "openblas-pthread"
    files: dict[str, bytes | str | None] = {
        f"{MULTIARCH}/{place}/libopenblas.so": b"",
        f"usr/include/x86_64-linux-gnu/{place}/f77blas.h": b"",
        f"{MULTIARCH}/{place}/pkgconfig/openblas.pc": b"",
    }
    archive.add("libopenblas-pthread-dev", "0.3", files, others={"postinst": OPENBLAS_DEV})
    archive.publish()
    assert links(workshop, task, "libopenblas-pthread-dev") == {
        "usr/include/x86_64-linux-gnu/f77blas.h": f"/usr/include/x86_64-linux-gnu/{place}/f77blas.h",
        f"{MULTIARCH}/libopenblas.so": f"/{MULTIARCH}/{place}/libopenblas.so",
        f"{MULTIARCH}/pkgconfig/openblas.pc": f"/{MULTIARCH}/{place}/pkgconfig/openblas.pc",
    }
