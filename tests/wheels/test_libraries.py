"""What wheels need from outside, found as the dynamic linker would miss it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.wheels.compiled import AMD64, library, needs_gcc, opened, program

from wherry.errors import WherryError
from wherry.fetch import Download
from wherry.wheels.distribution import Distribution
from wherry.wheels.install import WheelToInstall
from wherry.wheels.libraries import Needed, external

MakeWheel = Callable[..., WheelToInstall]

pytestmark = needs_gcc


def needed(wheel: WheelToInstall) -> dict[str, Needed]:
    """What the wheel needs beside a C library, by name."""
    with opened(wheel) as file:
        return {need.soname: need for need in external(file, "3.13") if not need.libc}


def test_a_library_that_is_not_in_the_wheel_is_external(make_wheel: MakeWheel, tmp_path: Path) -> None:
    pq = library(tmp_path / "libpq.so.5")
    one = library(tmp_path / "_a.so", needs=[pq])
    wheel = make_wheel({"demo/_a.so": one.read_bytes(), "demo/_b.so": one.read_bytes(), "demo/x.py": ""})
    assert needed(wheel) == {"libpq.so.5": Needed("libpq.so.5", AMD64, by=("demo/_a.so", "demo/_b.so"))}


def test_the_c_librarys_parts_are_listed_and_marked(make_wheel: MakeWheel, tmp_path: Path) -> None:
    source = "#include <math.h>\ndouble f(double x) { return exp(x); }\n"
    one = library(tmp_path / "_a.so", source, options=["-lm"])
    with opened(make_wheel({"demo/_a.so": one.read_bytes()})) as file:
        found = {need.soname: need for need in external(file, "3.13")}
    assert {name: need.libc for name, need in found.items()} == {"libm.so.6": "glibc", "libc.so.6": "glibc"}
    assert found["libm.so.6"].versions == ("GLIBC_2.29",)


def test_versions_are_ordered_by_their_numbers(make_wheel: MakeWheel, tmp_path: Path) -> None:
    script = tmp_path / "map"
    script.write_text("V_2.4 { global: a; };\nV_2.14 { global: b; };\n")
    v = library(tmp_path / "libv.so.1", "void a(void){} void b(void){}", options=[f"-Wl,--version-script={script}"])
    one = library(tmp_path / "_a.so", "void a(void); void b(void); void c(void) { a(); b(); }", needs=[v])
    assert needed(make_wheel({"demo/_a.so": one.read_bytes()}))["libv.so.1"].versions == ("V_2.4", "V_2.14")


@pytest.mark.parametrize("kind", ["rpath", "runpath"])
@pytest.mark.parametrize("origin", ["$ORIGIN", "${ORIGIN}"])
def test_a_library_in_the_wheel_is_found_from_where_the_file_is(
    make_wheel: MakeWheel, tmp_path: Path, kind: str, origin: str
) -> None:
    pq = library(tmp_path / "libpq.so.5")
    one = library(tmp_path / "_a.so", needs=[pq], **{kind: f"{origin}/../../demo.libs"})
    assert needed(make_wheel({"demo/x/_a.so": one.read_bytes(), "demo.libs/libpq.so.5": pq.read_bytes()})) == {}
    assert set(needed(make_wheel({"demo/_a.so": one.read_bytes(), "demo.libs/libpq.so.5": pq.read_bytes()}))) == {
        "libpq.so.5"
    }


def test_what_a_library_in_the_wheel_needs_is_external_too(make_wheel: MakeWheel, tmp_path: Path) -> None:
    ssl = library(tmp_path / "libssl.so.3")
    pq = library(tmp_path / "libpq.so.5", needs=[ssl])
    one = library(tmp_path / "_a.so", needs=[pq], runpath="$ORIGIN")
    found = needed(make_wheel({"demo/_a.so": one.read_bytes(), "demo/libpq.so.5": pq.read_bytes()}))
    assert {name: need.by for name, need in found.items()} == {"libssl.so.3": ("demo/libpq.so.5",)}


def test_rpath_is_inherited_and_runpath_is_not(make_wheel: MakeWheel, tmp_path: Path) -> None:
    ssl = library(tmp_path / "libssl.so.3")
    pq = library(tmp_path / "libpq.so.5", needs=[ssl])
    inside = {"demo/libs/libpq.so.5": pq.read_bytes(), "demo/libs/libssl.so.3": ssl.read_bytes()}
    heir = library(tmp_path / "_a.so", needs=[pq], rpath="$ORIGIN/libs")
    assert needed(make_wheel({"demo/_a.so": heir.read_bytes(), **inside})) == {}
    other = library(tmp_path / "_a.so", needs=[pq], runpath="$ORIGIN/libs")
    found = needed(make_wheel({"demo/_a.so": other.read_bytes(), **inside}))
    assert found["libssl.so.3"].elsewhere == "demo/libs/libssl.so.3"


def test_a_library_that_is_loaded_already_is_not_looked_for(make_wheel: MakeWheel, tmp_path: Path) -> None:
    ssl = library(tmp_path / "libssl.so.3")
    pq = library(tmp_path / "libpq.so.5", needs=[ssl])
    one = library(tmp_path / "_a.so", needs=[ssl, pq], runpath="$ORIGIN")
    files = {path.name: path.read_bytes() for path in (ssl, pq, one)}
    assert needed(make_wheel({f"demo/{name}": data for name, data in files.items()})) == {}


def test_libraries_that_need_each_other_are_looked_at_too(make_wheel: MakeWheel, tmp_path: Path) -> None:
    z = library(tmp_path / "libz.so.1")
    first = library(tmp_path / "libb.so")
    a = library(tmp_path / "liba.so", needs=[first, z], runpath="$ORIGIN")
    b = library(tmp_path / "libb.so", needs=[a], runpath="$ORIGIN")
    assert set(needed(make_wheel({"liba.so": a.read_bytes(), "libb.so": b.read_bytes()}))) == {"libz.so.1"}


def test_folders_outside_of_the_wheel_are_told(make_wheel: MakeWheel, tmp_path: Path) -> None:
    hdf5 = library(tmp_path / "libhdf5.so.310")
    one = library(tmp_path / "_a.so", needs=[hdf5], rpath="$ORIGIN/libs:/opt/hdf5/lib/:relative")
    other = library(tmp_path / "_b.so", needs=[hdf5], runpath="/opt/$LIB")
    need = needed(make_wheel({"_a.so": one.read_bytes(), "_b.so": other.read_bytes()}))["libhdf5.so.310"]
    assert need.folders == ("/opt/hdf5/lib", "/opt/lib/x86_64-linux-gnu")
    assert need.inherited == ("/opt/hdf5/lib",)


def test_programs_and_libraries_in_the_data_folder_are_where_they_will_be(
    make_wheel: MakeWheel, tmp_path: Path
) -> None:
    a = library(tmp_path / "liba.so.1")
    run = program(tmp_path / "run", options=["-Wl,--no-as-needed", str(a), "-Wl,-rpath,$ORIGIN/../lib"])
    one = library(tmp_path / "_a.so", needs=[a], runpath="$ORIGIN/../..")
    files = {
        "demo-1.0.data/scripts/run": run.read_bytes(),
        "demo-1.0.data/data/lib/liba.so.1": a.read_bytes(),
        "demo-1.0.data/platlib/demo/_a.so": one.read_bytes(),
    }
    with opened(make_wheel(files)) as file:
        found = {need.soname: need.by for need in external(file, "3.13")}
    assert set(found) == {"libc.so.6", "ld-linux-x86-64.so.2", "liba.so.1"}
    assert found["ld-linux-x86-64.so.2"] == ("demo-1.0.data/scripts/run",)
    assert found["liba.so.1"] == ("demo-1.0.data/platlib/demo/_a.so",)  # lib/python3.13/liba.so.1 is not lib/liba.so.1


def test_a_library_for_another_machine_is_no_help(make_wheel: MakeWheel, tmp_path: Path) -> None:
    pq = library(tmp_path / "libpq.so.5")
    one = library(tmp_path / "_a.so", needs=[pq], runpath="$ORIGIN")
    arm = bytearray(pq.read_bytes())
    arm[18] = 183
    found = needed(make_wheel({"demo/_a.so": one.read_bytes(), "demo/libpq.so.5": bytes(arm)}))
    assert found["libpq.so.5"].by == ("demo/_a.so",)


def test_a_wheel_of_pure_python_needs_nothing(make_wheel: MakeWheel) -> None:
    with opened(make_wheel({"demo.py": "x = 1", "broken.so": b"\x7fELF nonsense"})) as file:
        assert external(file, "3.13") == ()


def test_a_member_that_is_not_what_the_wheel_says_is_refused(make_wheel: MakeWheel, tmp_path: Path) -> None:
    one = library(tmp_path / "_a.so").read_bytes()
    row = "_a.so,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,"
    with opened(make_wheel({"_a.so": one}, record={"_a.so": row})) as file, pytest.raises(WherryError, match="RECORD"):
        external(file, "3.13")


@pytest.mark.e2e
def test_repaired_wheels_need_only_what_their_tags_allow(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*words, "--dest", str(tmp_path), "psycopg2-binary", "numpy"], check=True)
    for path in tmp_path.glob("*.whl"):
        name, version = path.name.split("-")[:2]
        download = Download(path.as_uri(), {}, name=path.name)
        with opened(WheelToInstall(Distribution(name.replace("_", "-"), version, download), path)) as file:
            names = {need.soname for need in external(file, "3.13") if not need.libc}
        assert names <= {"libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"}  # PEP 600: manylinux_2_17
