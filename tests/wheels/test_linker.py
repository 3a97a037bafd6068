"""Finding libraries in root filesystems, beside what the real dynamic linker finds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.wheels.compiled import AMD64, library, needs_gcc, program

from wherry.wheels.elf import Machine
from wherry.wheels.libraries import Needed
from wherry.wheels.linker import Closure, Linker, library_folders, provided
from wherry.wheels.root import Root

pytestmark = needs_gcc

ARM64 = Machine(183, 64, True)
MULTIARCH = "usr/lib/x86_64-linux-gnu"


def found(root: Path, soname: str, *folders: str, machine: Machine = AMD64) -> str | None:
    """The path by which a library is loaded."""
    library = Linker(Root([root]), "glibc").find(soname, machine, folders)
    return library.name if library else None


def closure(root: Path, *sonames: str) -> Closure:
    return Linker(Root([root]), "glibc").resolve([Needed(soname, AMD64, by=("x.so",)) for soname in sonames])


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


# -- where -----------------------------------------------------------------------------------------------


def test_a_library_is_found_in_the_systems_folders_and_its_file_behind_links(tmp_path: Path) -> None:
    library(tmp_path / MULTIARCH / "libpq.so.5.17", soname="libpq.so.5")
    (tmp_path / MULTIARCH / "libpq.so.5").symlink_to("libpq.so.5.17")
    (tmp_path / "lib").symlink_to("usr/lib")
    one = Linker(Root([tmp_path]), "glibc").find("libpq.so.5", AMD64)
    assert one is not None
    assert (one.soname, one.name, one.path) == (
        "libpq.so.5",
        "lib/x86_64-linux-gnu/libpq.so.5",
        f"{MULTIARCH}/libpq.so.5.17",
    )
    assert one.elf.soname == "libpq.so.5"


def test_a_link_of_update_alternatives_leads_to_the_library(tmp_path: Path) -> None:
    library(tmp_path / MULTIARCH / "openblas-pthread/libblas.so.3")
    (tmp_path / "etc/alternatives").mkdir(parents=True)
    (tmp_path / MULTIARCH / "libblas.so.3").symlink_to("/etc/alternatives/libblas")
    (tmp_path / "etc/alternatives/libblas").symlink_to(f"/{MULTIARCH}/openblas-pthread/libblas.so.3")
    one = Linker(Root([tmp_path]), "glibc").find("libblas.so.3", AMD64)
    assert one is not None
    assert one.path == f"{MULTIARCH}/openblas-pthread/libblas.so.3"


def test_folders_of_the_one_who_asks_come_first_then_those_of_ld_so_conf(tmp_path: Path) -> None:
    put(tmp_path, "etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")
    put(tmp_path, "etc/ld.so.conf.d/x.conf", "# ours\n/opt/x/lib\n")
    library(tmp_path / MULTIARCH / "liba.so.1")
    assert found(tmp_path, "liba.so.1") == f"{MULTIARCH}/liba.so.1"
    library(tmp_path / "opt/x/lib/liba.so.1")
    assert found(tmp_path, "liba.so.1") == "opt/x/lib/liba.so.1"
    library(tmp_path / "opt/y/liba.so.1")
    assert found(tmp_path, "liba.so.1", "/opt/none", "/opt/y") == "opt/y/liba.so.1"


def test_a_library_for_another_machine_is_passed_over(tmp_path: Path) -> None:
    arm = library(tmp_path / "lib/liba.so.1")
    data = bytearray(arm.read_bytes())
    data[18] = 183
    arm.write_bytes(data)
    assert found(tmp_path, "liba.so.1") is None
    assert found(tmp_path, "liba.so.1", machine=ARM64) == "lib/liba.so.1"
    library(tmp_path / "usr/lib/liba.so.1")
    assert found(tmp_path, "liba.so.1") == "usr/lib/liba.so.1"


def test_what_is_no_library_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, f"{MULTIARCH}/libc.so", "/* GNU ld script */")
    (tmp_path / MULTIARCH / "liba.so").symlink_to("nowhere")
    os.mkfifo(tmp_path / MULTIARCH / "libb.so")
    assert [found(tmp_path, name) for name in ("libc.so", "liba.so", "libb.so", "libd.so")] == [None] * 4


def test_a_name_with_a_slash_is_a_path(tmp_path: Path) -> None:
    library(tmp_path / "opt/liba.so")
    assert found(tmp_path, "/opt/liba.so") == "opt/liba.so"
    assert found(tmp_path, "opt/liba.so") is None
    assert found(tmp_path, "../../../opt/liba.so") is None


def test_folders_may_lie_in_several_layers(tmp_path: Path) -> None:
    top, low = tmp_path / "top", tmp_path / "low"
    library(low / MULTIARCH / "libpq.so.5.17", soname="libpq.so.5")
    (top / MULTIARCH).mkdir(parents=True)
    (top / MULTIARCH / "libpq.so.5").symlink_to("libpq.so.5.17")
    one = Linker(Root([top, low]), "glibc").find("libpq.so.5", AMD64)
    assert one is not None
    assert one.path == f"{MULTIARCH}/libpq.so.5.17"


def test_musls_linker_has_folders_of_its_own(tmp_path: Path) -> None:
    library(tmp_path / "usr/local/lib/liba.so.1")
    library(tmp_path / MULTIARCH / "libb.so.1")
    linker = Linker(Root([tmp_path]), "musl")
    assert linker.find("liba.so.1", AMD64) is not None
    assert linker.find("libb.so.1", AMD64) is None
    put(tmp_path, "etc/ld-musl-x86_64.path", f"/lib:/{MULTIARCH}\n")
    linker = Linker(Root([tmp_path]), "musl")
    assert linker.find("liba.so.1", AMD64) is None
    assert linker.find("libb.so.1", AMD64) is not None


# -- what that needs ---------------------------------------------------------------------------------------


def test_what_a_library_needs_is_found_too(tmp_path: Path) -> None:
    crypto = library(tmp_path / MULTIARCH / "libcrypto.so.3")
    ssl = library(tmp_path / MULTIARCH / "libssl.so.3", needs=[crypto])
    library(tmp_path / MULTIARCH / "libpq.so.5", needs=[ssl, crypto])
    all_of_it = closure(tmp_path, "libpq.so.5")
    assert {name: one.by for name, one in all_of_it.found.items()} == {
        "libcrypto.so.3": ("libpq.so.5", "libssl.so.3"),
        "libpq.so.5": ("x.so",),
        "libssl.so.3": ("libpq.so.5",),
    }
    assert all_of_it.missing == ()


def test_what_is_nowhere_is_missing_with_all_who_need_it(tmp_path: Path) -> None:
    gone = library(tmp_path / "elsewhere/libgone.so.1")
    one = library(tmp_path / MULTIARCH / "liba.so.1", needs=[gone])
    library(tmp_path / MULTIARCH / "libb.so.1", needs=[gone, one])
    (missing,) = closure(tmp_path, "libb.so.1").missing
    assert (missing.soname, missing.by) == ("libgone.so.1", ("liba.so.1", "libb.so.1"))


def test_libraries_that_need_each_other_are_found_once(tmp_path: Path) -> None:
    first = library(tmp_path / MULTIARCH / "libb.so.1")
    a = library(tmp_path / MULTIARCH / "liba.so.1", needs=[first])
    library(tmp_path / MULTIARCH / "libb.so.1", needs=[a])
    assert set(closure(tmp_path, "liba.so.1").found) == {"liba.so.1", "libb.so.1"}


def test_a_library_has_folders_of_its_own_and_hands_on_rpath_alone(tmp_path: Path) -> None:
    deep = library(tmp_path / "opt/private/libdeep.so.1")
    middle = library(tmp_path / "opt/private/libmiddle.so.1", needs=[deep])
    library(tmp_path / MULTIARCH / "liba.so.1", needs=[middle], rpath="$ORIGIN/../../../opt/private")
    assert not closure(tmp_path, "liba.so.1").missing
    library(tmp_path / MULTIARCH / "liba.so.1", needs=[middle], runpath="/opt/private")
    assert [need.soname for need in closure(tmp_path, "liba.so.1").missing] == ["libdeep.so.1"]


def test_the_c_librarys_parts_are_left_out(tmp_path: Path) -> None:
    library(tmp_path / MULTIARCH / "liba.so.1")
    both = Linker(Root([tmp_path]), "glibc").resolve([Needed("liba.so.1", AMD64), Needed("libm.so.6", AMD64, "glibc")])
    assert (set(both.found), both.missing) == ({"liba.so.1"}, ())


def test_this_machines_own_linker_finds_the_same(tmp_path: Path) -> None:
    """With RPATH inherited, RUNPATH not, and a name that is loaded already not looked for."""
    deep = library(tmp_path / "libs/libdeep.so.1")
    middle = library(tmp_path / "libs/libmiddle.so.1", needs=[deep])
    for kind in ("rpath", "runpath"):
        one = library(tmp_path / "liba.so.1", needs=[middle], **{kind: str(tmp_path / "libs")})
        run = program(tmp_path / "run", options=["-Wl,--no-as-needed", str(one), "-Wl,--allow-shlib-undefined"])
        environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
        theirs = subprocess.run([str(run)], env=environment, check=False, capture_output=True).returncode == 0
        ours = Linker(Root([Path("/")]), "glibc").resolve([Needed("liba.so.1", AMD64, folders=(str(tmp_path),))])
        assert theirs == (not ours.missing) == (kind == "rpath")


# -- what an image has -------------------------------------------------------------------------------------


def test_names_in_the_folders_for_libraries_are_provided() -> None:
    paths = [
        f"{MULTIARCH}/libz.so.1",
        f"{MULTIARCH}/libz.so.1.3.1",
        f"{MULTIARCH}/openblas-pthread/libblas.so.3",
        "lib/x86_64-linux-gnu/libc.so.6",
        "usr/lib64/ld-linux-x86-64.so.2",
        "usr/lib/i386-linux-gnu/libold.so.1",
        "usr/lib/libplain.so.1",
        "usr/local/lib/libpython3.13.so.1.0",
        "opt/app/libprivate.so.1",
        "usr/lib/os-release",
    ]
    plain = {"libz.so.1", "libz.so.1.3.1", "libc.so.6", "ld-linux-x86-64.so.2", "libplain.so.1"}
    assert provided(paths, AMD64, "glibc") == plain
    conf = {"etc/ld.so.conf": b"include /etc/ld.so.conf.d/*.conf", "etc/ld.so.conf.d/libc.conf": b"/usr/local/lib"}
    assert provided(paths, AMD64, "glibc", conf) == plain | {"libpython3.13.so.1.0"}
    assert provided(paths, AMD64, "musl") == {"libplain.so.1", "libpython3.13.so.1.0"}


def test_folders_for_other_machines_are_not_looked_in() -> None:
    conf = {"etc/ld.so.conf": b"/usr/lib/i386-linux-gnu\n/opt/lib/\ninclude /etc/ld.so.conf\n"}
    assert library_folders(ARM64, "glibc", conf) == (
        "/opt/lib",
        "/lib/aarch64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/lib64",
        "/usr/lib64",
        "/lib",
        "/usr/lib",
    )


@pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="this machine is no Debian")
def test_every_library_that_ls_itself_needs_is_found_on_this_machine() -> None:
    listed = subprocess.run(["ldd", "/bin/ls"], capture_output=True, text=True, check=True).stdout
    names = [line.split()[0] for line in listed.splitlines() if "=>" in line]
    linker = Linker(Root([Path("/")]), "glibc")
    theirs = {line.split()[0]: line.split()[2] for line in listed.splitlines() if "=>" in line}
    for name in names:
        one = linker.find(name, AMD64)
        assert one is not None
        assert f"/{one.name}" == theirs[name]
