"""Which packages have a file: from lines made up for the purpose, a small archive's index, and the real one (e2e)."""

from __future__ import annotations

import gzip
import hashlib
import io
import resource
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wherry.debian.archive import Archive, open_archive
from wherry.debian.contents import Alternatives, lines, providers
from wherry.debian.mirror import find_mirror
from wherry.debian.release import Release
from wherry.events import Event, Note, Reporter, Task
from wherry.fetch import Fetcher, Stopped
from wherry.store import Store


def header(name: str) -> Alternatives:
    return f"usr/include/**/{name}", f"usr/lib/**/include/**/{name}"


class Shelf:
    """An archive at ``root`` that has nothing but Contents files, and what is noted while they are searched."""

    def __init__(self, root: Path, store: Store) -> None:
        self.root = root
        self.fetcher = Fetcher(store.files)
        self.events: list[Event] = []
        self.indexes: dict[str, tuple[str, int]] = {}

    @property
    def notes(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Note)]

    def put(self, text: str | bytes, architecture: str = "amd64", ending: str = ".gz") -> Path:
        """Write the Contents file of ``architecture``."""
        data = gzip.compress(text.encode() if isinstance(text, str) else text)
        path = self.root / f"dists/trixie/main/Contents-{architecture}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.indexes[f"main/{path.name}"] = hashlib.sha256(data).hexdigest(), len(data)
        return path

    @property
    def archive(self) -> Archive:
        date = datetime(2026, 1, 1, tzinfo=UTC)
        names = ("Debian", "Debian", "stable", "trixie", "13.1")
        release = Release(self.root.as_uri(), "trixie", *names, date, None, False, ("all", "amd64"), self.indexes)
        return Archive("trixie", "amd64", (release,))

    def find(self, *wanted: Alternatives) -> Mapping[Alternatives, tuple[str, ...]]:
        return providers(self.archive, wanted, self.fetcher, Task(Reporter(self.events.append), 0))

    def one(self, *alternatives: str) -> tuple[str, ...]:
        return self.find(alternatives)[alternatives]


@pytest.fixture
def shelf(tmp_path: Path, store: Store) -> Shelf:
    return Shelf(tmp_path / "mirror", store)


# -- lines ---------------------------------------------------------------------------------------------


def read(text: bytes, *names: str) -> list[tuple[str, str]]:
    return list(lines(io.BytesIO(text), [("", name) for name in names]))


def test_a_line_is_a_path_and_packages_whatever_blanks_are_between() -> None:
    text = b"usr/include/ffi.h      libdevel/libffi-dev\nusr/a/ffi.h\tx/a,y/b\nusr/lib/ffi.h z/c"
    assert read(text, "ffi.h") == [
        ("usr/include/ffi.h", "libdevel/libffi-dev"),
        ("usr/a/ffi.h", "x/a,y/b"),
        ("usr/lib/ffi.h", "z/c"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"usr/include/ffi.hpp x/a",
        b"usr/include/myffi.h x/a",
        b"usr/include/ffi.h/other x/a",
        b"usr/include/ffi.h other/file x/a",
        b"usr/include/ffi.h",
        b"usr/include/ffi.h   ",
        b"\0\xff\xfe",
        b"",
        b"a" * 6000 + b"/ffi.h x/a",
    ],
)
def test_a_line_that_is_malformed_or_another_files_is_left_out(line: bytes) -> None:
    assert read(b"\n" + line + b"\nusr/ffi.h x/b\n", "ffi.h") == [("usr/ffi.h", "x/b")]


def test_lines_across_the_pieces_that_are_read_are_found() -> None:
    text = b"".join(b"usr/share/%06d/ffi.h x/p%d\n" % (number, number) for number in range(40_000))
    assert len(read(text, "ffi.h")) == 40_000


def test_a_line_without_end_takes_no_memory() -> None:
    class Endless(io.RawIOBase):
        left = 200 << 20

        def read(self, size: int = -1) -> bytes:
            self.left -= size
            return b"x" * size if self.left > 0 else b""

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert list(lines(Endless(), [("", "ffi.h")])) == []  # type: ignore[arg-type]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10


# -- which packages are meant -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted", "packages"),
    [
        ("usr/include/zlib.h d/zlib1g-dev\nusr/include/Poco/zlib.h d/libpoco-dev\n", "zlib.h", ["zlib1g-dev"]),
        ("usr/include/Poco/zlib.h d/libpoco-dev\nusr/include/zlib.h d/zlib1g-dev\n", "zlib.h", ["zlib1g-dev"]),
        ("usr/include/postgresql/libpq-fe.h d/libpq-dev\n", "libpq-fe.h", ["libpq-dev"]),
        ("usr/include/x/ffi.h d/x-dev\nusr/include/x86_64-linux-gnu/ffi.h d/libffi-dev\n", "ffi.h", ["libffi-dev"]),
        ("usr/include/libxml2/libxml/a.h d/libxml2-dev\n", "libxml/a.h", ["libxml2-dev"]),
        ("usr/include/notlibxml/a.h d/other-dev\n", "libxml/a.h", []),
        ("usr/lib/jvm/java-21/include/jni.h j/openjdk-21-jdk\n", "jni.h", ["openjdk-21-jdk"]),
        ("usr/include/h.h d/liba-dev-cross,d/liba-dev-arm64-cross,d/liba-dev\n", "h.h", ["liba-dev"]),
        ("usr/aarch64-linux-gnu/include/zlib.h d/libc6-dev-arm64-cross\n", "zlib.h", []),
        ("usr/lib/gcc-cross/arm/include/omp.h d/x-dev\nusr/lib/klibc/include/omp.h d/y\n", "omp.h", []),
        ("usr/lib/python3/dist-packages/numpy/include/numpy/a.h p/python3-numpy\n", "numpy/a.h", []),
        ("usr/include/a.h utils/tool,d/liba-openmp-dev,d/liba-dev\n", "a.h", ["liba-dev", "liba-openmp-dev", "tool"]),
        ("usr/include/a.h non-free/libdevel/liba-dev\n", "a.h", ["liba-dev"]),
        ("usr/include/a.h d/\x1b[31m,d/..,d/;rm,,d/liba-dev\n", "a.h", ["liba-dev"]),
    ],
)  # fmt: skip
def test_the_likeliest_packages_are_told(text: str, wanted: str, packages: list[str], shelf: Shelf) -> None:
    shelf.put(text)
    assert shelf.one(*header(wanted)) == tuple(packages)


def test_a_programs_own_package_comes_first(shelf: Shelf) -> None:
    shelf.put("usr/bin/cargo devel/rustup,rust/cargo-web,rust/cargo\n")
    assert shelf.one("usr/bin/cargo") == ("cargo", "rustup", "cargo-web")


def test_folders_that_are_links_into_usr_count_as_what_they_lead_to(shelf: Shelf) -> None:
    shelf.put("lib/x86_64-linux-gnu/libz.so d/zlib1g-dev\nbin/sed u/sed\n")
    wanted = ("usr/lib/**/libz.so",), ("usr/bin/sed",)
    assert list(shelf.find(*wanted).values()) == [("zlib1g-dev",), ("sed",)]


def test_a_star_stands_for_letters_of_one_folder(shelf: Shelf) -> None:
    shelf.put("usr/include/pypy3.11/Python.h p/pypy3-dev\nusr/include/python3.13/Python.h p/libpython3.13-dev\n")
    assert shelf.one("usr/include/python3.*/Python.h") == ("libpython3.13-dev",)


def test_an_earlier_alternative_is_better_however_deep_it_is(shelf: Shelf) -> None:
    shelf.put("usr/b/x.h d/libb-dev\nusr/a/1/2/3/x.h d/liba-dev\n")
    assert shelf.one("usr/a/**/x.h", "usr/b/**/x.h") == ("liba-dev",)


def test_a_name_that_many_packages_use_means_none_of_them(shelf: Shelf) -> None:
    shelf.put("".join(f"usr/include/a{number}/config.h d/liba{number}-dev\n" for number in range(50)))
    assert shelf.one(*header("config.h")) == ()


def test_packages_for_any_machine_are_looked_through_if_need_be(shelf: Shelf) -> None:
    shelf.put("usr/include/itk/own/Eigen/Core d/libitk-dev\n")
    shelf.put("usr/include/eigen3/Eigen/Core d/libeigen3-dev\n", "all")
    assert shelf.one(*header("Eigen/Core")) == ("libeigen3-dev",)


def test_they_are_not_fetched_where_a_good_place_is_known(shelf: Shelf) -> None:
    shelf.put("usr/include/postgresql/libpq-fe.h d/libpq-dev\n")
    shelf.put("", "all").unlink()
    assert shelf.one(*header("libpq-fe.h")) == ("libpq-dev",)
    assert shelf.notes == []


def test_a_large_sorted_file_is_searched_in_all_folders_that_may_have_it(shelf: Shelf) -> None:
    many = range(20_000)
    text = [f"lib/x86_64-linux-gnu/a{number:05}/{number % 2 * 'x'}z.so d/p\n" for number in many]
    text += ["lib/x86_64-linux-gnu/libz.so d/zlib1g-dev\n"]
    text += [f"lib/x86_64-linux-gnu/z{number:05} d/p\n" for number in many]
    text += [f"usr/include/a{number:05}.h d/p\n" for number in many] + ["usr/include/zlib.h d/zlib1g-dev\n"]
    text += [f"usr/include/zz{number:05}.h d/p\n" for number in many]
    text += [f"usr/share/{number:05}/zlib.h d/p\n" for number in many]
    shelf.put("".join(text))
    assert set(shelf.find(header("zlib.h"), ("usr/lib/**/libz.so",)).values()) == {("zlib1g-dev",)}


# -- what may go wrong ------------------------------------------------------------------------------------


def test_a_suite_without_contents_files_has_no_answer(shelf: Shelf) -> None:
    assert shelf.one(*header("ffi.h")) == ()
    shelf.put("usr/include/ffi.h d/libffi-dev\n", ending="")  # which would be half a gigabyte
    assert shelf.one(*header("ffi.h")) == ()
    assert shelf.notes == []


def test_a_mirror_that_lacks_them_gives_no_answer_and_a_note(shelf: Shelf) -> None:
    shelf.put("usr/include/ffi.h d/libffi-dev\n").unlink()
    assert shelf.one(*header("ffi.h")) == ()
    assert len(shelf.notes) == 1
    assert "the mirror has not got trixie's list of files (amd64)" in shelf.notes[0]


def test_an_altered_file_gives_no_answer_and_a_note(shelf: Shelf) -> None:
    path = shelf.put("usr/include/ffi.h d/libffi-dev\n")
    path.write_bytes(gzip.compress(b"usr/include/ffi.h d/evil-dev\n"))
    assert shelf.one(*header("ffi.h")) == ()
    assert "is not the file that was asked for" in shelf.notes[0]


def test_a_damaged_file_gives_what_was_read_of_it_and_a_note(shelf: Shelf) -> None:
    path = shelf.put("usr/include/ffi.h d/libffi-dev\n")
    data = path.read_bytes()[:-12]
    path.write_bytes(data)
    shelf.indexes["main/Contents-amd64.gz"] = hashlib.sha256(data).hexdigest(), len(data)
    assert shelf.one(*header("ffi.h")) in {(), ("libffi-dev",)}
    assert "damaged" in shelf.notes[0]


def test_offline_what_is_here_is_used_and_what_is_not_is_not_missed(shelf: Shelf) -> None:
    shelf.put("usr/include/ffi.h d/libffi-dev\n")
    shelf.put("usr/include/uthash.h d/uthash-dev\n", "all")
    shelf.one(*header("ffi.h"))
    shelf.fetcher = Fetcher(shelf.fetcher.root, offline=True)
    assert shelf.one(*header("ffi.h")) == ("libffi-dev",)
    assert shelf.one(*header("uthash.h")) == ()
    assert shelf.notes == []


def test_giving_up_is_not_swallowed(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.put("usr/include/ffi.h d/libffi-dev\n")

    def stopped(*_: object) -> Path:
        raise Stopped

    monkeypatch.setattr(shelf.fetcher, "get", stopped)
    with pytest.raises(Stopped):
        shelf.one(*header("ffi.h"))


# -- the real archive -------------------------------------------------------------------------------------

WANTED: dict[Alternatives, str] = {
    header("libpq-fe.h"): "libpq-dev",
    header("mysql.h"): "libmariadb-dev",
    header("libxml/xmlversion.h"): "libxml2-dev",
    header("ffi.h"): "libffi-dev",
    header("jpeglib.h"): "libjpeg62-turbo-dev",
    header("ldap.h"): "libldap-dev",
    header("zlib.h"): "zlib1g-dev",
    ("usr/bin/gfortran",): "gfortran",
    ("usr/bin/cargo",): "cargo",
    ("usr/bin/pg_config",): "libpq-dev",
    ("usr/lib/**/libpq.so",): "libpq-dev",
    ("usr/lib/**/pkgconfig/cairo.pc",): "libcairo2-dev",
    ("usr/lib/**/pkgconfig/xmlsec1.pc",): "libxmlsec1-dev",
    ("usr/lib/**/openblas-pthread/pkgconfig/openblas.pc",): "libopenblas-pthread-dev",
    header("Eigen/Core"): "libeigen3-dev",
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store for the real archive's files."""
    with Store(tmp_path_factory.mktemp("contents") / "store") as store:
        yield store


def look(suite: str, wanted: Iterable[Alternatives], store: Store) -> Mapping[Alternatives, tuple[str, ...]]:
    notes: list[Event] = []
    with Fetcher(store.files) as fetcher:
        archive = open_archive(find_mirror(), suite, "amd64", store=store, fetcher=fetcher)
        found = providers(archive, wanted, fetcher, Task(Reporter(notes.append), 0))
    if any(isinstance(note, Note) and "the mirror has not got" in note.message for note in notes):
        pytest.skip(f"the mirror's InRelease of {suite} names files that it does not serve (yet)")
    return found


@pytest.mark.e2e
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_what_python_projects_compile_against_is_found_in_debian(suite: str, shared: Store) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = look(suite, WANTED, shared)
    assert {one: packages[0] for one, packages in found.items() if packages} == WANTED
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # of half a gigabyte


@pytest.mark.e2e
def test_a_suite_that_moves_has_them_too(shared: Store) -> None:
    found = look("sid", WANTED, shared)
    assert [one for one in found if one != header("Eigen/Core") and WANTED[one] not in found[one]] == []
