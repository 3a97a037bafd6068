"""What a base image's own files tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from wherry.image import Image, ImageConfig, Layer, Platform, RuntimeConfig
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.reader import entries
from wherry.layers.writer import LayerWriter
from wherry.sources.base import Facts
from wherry.sources.inspect import inspect
from wherry.store import Store
from wherry.target import Interpreter, Libc

GLIBC = b"\x7fELF..GNU C Library (Debian GLIBC 2.41-12) stable release version 2.41.\nCopyright"
MUSL = b"\x7fELF\0\0musl libc (x86_64)\nVersion %s\n\0" + b"\x001.2.5\0"
PYTHON = b"\x7fELF"
PATH = "PATH=/usr/local/bin:/usr/bin:/bin"

Content = bytes | str
"""A file's bytes, or a symbolic link's target."""


def layer(store: Store, files: Mapping[str, Content]) -> Layer:
    with LayerWriter(store.blobs, Compression("zstd")) as writer:
        for path, content in sorted(files.items()):
            if isinstance(content, str):
                writer.add(Entry(path, "symlink", 0o777, link=content))
            else:
                writer.add(Entry(path, "file", 0o755, size=len(content)), content)
        return writer.finish()


def image(store: Store, *layers: Mapping[str, Content], env: tuple[str, ...] = (PATH,)) -> Image:
    config = ImageConfig(Platform("linux", "amd64"), RuntimeConfig(env=env))
    return Image.of(config, tuple(layer(store, files) for files in layers), {})


DEBIAN: Mapping[str, Content] = {
    "usr/lib/x86_64-linux-gnu/libc.so.6": GLIBC,
    "usr/bin/python3.13": PYTHON,
    "usr/bin/python3": "python3.13",
    "bin": "usr/bin",
    "var/lib/dpkg/status.d/python3.13-minimal": b"Package: python3.13-minimal\nVersion: 3.13.5-2+deb13u1\n",
}


def test_a_debian_base_tells_its_python_by_its_packages(store: Store) -> None:
    assert inspect(image(store, DEBIAN), store) == Facts(
        Libc("glibc", 2, 41), (Interpreter("3.13.5", "/usr/bin/python3.13"),)
    )


def test_dpkgs_own_status_file_counts_too_but_not_what_was_removed(store: Store) -> None:
    status = (
        b"Package: python3.12-minimal\nStatus: deinstall ok config-files\nVersion: 3.12.1-1\n\n"
        b"Package: python3.13-minimal\nStatus: install ok installed\nVersion: 3.13.0~rc1-1\n"
    )
    files: dict[str, Content] = {
        "usr/bin/python3.13": PYTHON,
        "usr/bin/python3.12": PYTHON,
        "var/lib/dpkg/status": status,
    }
    assert inspect(image(store, files), store).interpreters == (
        Interpreter("3.13.0rc1", "/usr/bin/python3.13"),
        Interpreter("3.12.0", "/usr/bin/python3.12"),
    )


def test_an_alpine_base_is_musl_and_its_package_tells_the_python(store: Store) -> None:
    files: dict[str, Content] = {
        "lib/ld-musl-x86_64.so.1": MUSL,
        "lib/libc.musl-x86_64.so.1": "ld-musl-x86_64.so.1",
        "usr/bin/python3.12": PYTHON,
        "usr/bin/python3": "python3.12",
        "lib/apk/db/installed": b"P:busybox\nV:1.37\n\nP:python3\nV:3.12.8-r1\n",
    }
    assert inspect(image(store, files), store) == Facts(
        Libc("musl", 1, 2), (Interpreter("3.12.8", "/usr/bin/python3.12"),)
    )


def test_the_official_python_image_tells_its_version_in_a_header_or_the_environment(store: Store) -> None:
    plain: dict[str, Content] = {"usr/local/bin/python3.13": PYTHON, "usr/local/bin/python": "python3.13"}
    header = {"usr/local/include/python3.13/patchlevel.h": b'#define PY_VERSION      \t"3.13.2+"\n'}
    wanted = "/usr/local/bin/python3.13"
    assert inspect(image(store, plain | header), store).interpreters == (Interpreter("3.13.2", wanted),)
    declared = image(store, plain, env=(PATH, "PYTHON_VERSION=3.13.7"))
    assert inspect(declared, store).interpreters == (Interpreter("3.13.7", wanted),)


def test_the_version_that_the_library_holds_is_the_last_resort(store: Store) -> None:
    files: dict[str, Content] = {
        "opt/python/bin/python3.13": PYTHON,
        "opt/python/lib/libpython3.13.so.1.0": b"\x7fELF\0%.80s\0003.13.9\0final",
    }
    found = inspect(image(store, files, env=("PATH=/opt/python/bin",)), store)
    assert found.interpreters == (Interpreter("3.13.9", "/opt/python/bin/python3.13"),)


def test_an_unversioned_interpreter_is_told_by_its_standard_library(store: Store) -> None:
    files: dict[str, Content] = {"usr/local/bin/python3": PYTHON, "usr/local/lib/python3.11/os.py": b""}
    assert inspect(image(store, files), store).interpreters == (Interpreter("3.11.0", "/usr/local/bin/python3"),)


def test_what_python3_means_comes_first_and_the_search_path_decides_between_folders(store: Store) -> None:
    files: dict[str, Content] = {
        "usr/local/bin/python3.12": PYTHON,
        "usr/local/bin/python3.13": PYTHON,
        "usr/local/bin/python3": "python3.12",
        "usr/bin/python3.9": PYTHON,
    }
    minors = [one.minor for one in inspect(image(store, files), store).interpreters]
    assert minors == ["3.12", "3.13", "3.9"]
    other = image(store, files, env=("PATH=/usr/bin:/usr/local/bin",))
    assert inspect(other, store).interpreters[0].minor == "3.9"


def test_a_later_layer_removes_and_replaces(store: Store) -> None:
    upper = {
        "usr/bin/.wh.python3.13": b"",
        "usr/bin/.wh.python3": b"",
        "usr/bin/python3.14": PYTHON,
        "usr/lib/x86_64-linux-gnu/libc.so.6": GLIBC.replace(b"2.41", b"2.43"),
    }
    assert inspect(image(store, DEBIAN, upper), store) == Facts(
        Libc("glibc", 2, 43), (Interpreter("3.14.0", "/usr/bin/python3.14"),)
    )


def test_links_are_followed_within_the_image_only(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "python3.13"
    outside.write_bytes(PYTHON)
    files: dict[str, Content] = {
        "usr/bin/python3.13": str(outside),
        "usr/bin/python3.12": "../../../../x/y",
        "x/y": PYTHON,
    }
    assert inspect(image(store, files), store).interpreters == (Interpreter("3.12.0", "/usr/bin/python3.12"),)


def test_links_in_a_circle_lead_nowhere(store: Store) -> None:
    assert inspect(image(store, {"usr/bin/python3": "python", "usr/bin/python": "python3"}), store).interpreters == ()


def test_an_empty_image_has_neither(store: Store) -> None:
    assert inspect(image(store), store) == Facts(None, ())


def test_of_two_c_libraries_the_interpreters_loader_decides(store: Store) -> None:
    both: dict[str, Content] = {
        "lib/ld-musl-x86_64.so.1": MUSL,
        "usr/lib/libc.so.6": GLIBC,
        "usr/bin/python3.13": b"\x7fELF\0\0/lib/ld-musl-x86_64.so.1\0",
    }
    assert inspect(image(store, both), store).libc == Libc("musl", 1, 2)
    both["usr/bin/python3.13"] = b"\x7fELF\0\0/lib64/ld-linux-x86-64.so.2\0"
    assert inspect(image(store, both), store).libc == Libc("glibc", 2, 41)


def test_glibc_without_a_banner_is_told_by_its_symbols(store: Store) -> None:
    files: dict[str, Content] = {"lib/libc.so.6": b"\x7fELF\0GLIBC_2.2.5\0GLIBC_2.36\0GLIBC_2.9\0"}
    assert inspect(image(store, files), store).libc == Libc("glibc", 2, 36)


def test_facts_are_remembered_by_the_layers(store: Store) -> None:
    made = image(store, DEBIAN)
    facts = inspect(made, store)
    store.blobs.path(made.layers[0].descriptor.digest).write_bytes(b"unreadable")
    assert inspect(made, store) == facts


def test_a_real_musl_base_is_read(store: Store, musl_base: Path) -> None:
    with LayerWriter(store.blobs, Compression("zstd", 1)) as writer:
        for entry, reader in entries(musl_base):
            writer.add(entry, reader.read() if reader else b"")
        made = Image.of(ImageConfig(Platform("linux", "amd64")), (writer.finish(),), {})
    facts = inspect(made, store)
    assert facts.libc == Libc("musl", 1, 2)
    assert [(one.minor, one.executable) for one in facts.interpreters] == [("3.13", "/usr/local/bin/python3.13")]
    assert not facts.interpreters[0].version.endswith(".0")


def test_an_image_that_claims_anothers_layers_does_not_speak_for_it(store: Store) -> None:
    good, bad = image(store, DEBIAN), image(store, {"lib/ld-musl-x86_64.so.1": MUSL})
    claims = replace(bad, config=good.config, source=None)
    assert inspect(claims, store) == Facts(Libc("musl", 1, 2), ())
    assert inspect(good, store).libc == Libc("glibc", 2, 41)
