"""Which files of packages go into an image, and where."""

from __future__ import annotations

import pytest

from wherry.debian.content import kept, placed


@pytest.mark.parametrize(
    "path",
    [
        "usr/share/doc/libc6/changelog.gz",
        "usr/share/man/man1/python3.13.1.gz",
        "usr/share/locale/de/LC_MESSAGES/coreutils.mo",
        "usr/share/zoneinfo/right/UTC",
        "usr/lib/x86_64-linux-gnu/gconv/EUC-JP.so",
        "usr/lib/python3.13/test/support/__init__.py",
        "usr/lib/python3.13/lib-dynload/_testcapi.cpython-313-x86_64-linux-gnu.so",
        "usr/lib/python3.13/__pycache__/os.cpython-313.pyc",
    ],
)
def test_what_only_people_tests_and_debuggers_read_is_left_out(path: str) -> None:
    assert not kept(path, "any")


@pytest.mark.parametrize(
    "path",
    [
        "usr/share/doc/libc6/copyright",
        "usr/share/doc/libpython3.13-stdlib",
        "usr/share/zoneinfo/Europe/Madrid",
        "usr/lib/x86_64-linux-gnu/gconv/gconv-modules.d/gconv-modules-extra.conf",
        "usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
        "usr/lib/python3.13/unittest/mock.py",
        "usr/lib/python3.13/lib-dynload/_ssl.cpython-313-x86_64-linux-gnu.so",
        "usr/lib/locale/C.utf8/LC_CTYPE",
        "usr/share/common-licenses/GPL-3",
    ],
)
def test_what_programs_and_licences_need_is_kept(path: str) -> None:
    assert kept(path, "any")


def test_glibcs_programs_are_left_out_and_others_of_that_path_are_not() -> None:
    assert not kept("usr/bin/ldd", "libc-bin")
    assert kept("usr/bin/ls", "coreutils")


def test_pythons_search_for_libraries_has_its_ldconfig() -> None:
    assert kept("usr/sbin/ldconfig", "libc-bin")
    assert not kept("usr/sbin/ldconfig.real", "libc-bin")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("bin/sh", "usr/bin/sh"),
        ("lib/x86_64-linux-gnu/libz.so.1", "usr/lib/x86_64-linux-gnu/libz.so.1"),
        ("lib64/ld.so", "usr/lib64/ld.so"),
        ("var/run/x", "run/x"),
        ("var/lock", "run/lock"),
        ("binary/x", "binary/x"),
        ("etc/lib/x", "etc/lib/x"),
    ],
)
def test_paths_are_those_of_a_merged_usr(path: str, place: str) -> None:
    assert placed(path) == place


def test_ensurepip_comes_with_the_package_that_was_asked_for_because_of_it() -> None:
    assert kept("usr/lib/python3.13/ensurepip/__init__.py", "python3.13-venv")
