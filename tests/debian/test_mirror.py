"""Finding the mirror in apt's configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.debian.apt import CHECK_VARIABLE, VARIABLE, fingerprint
from wherry.debian.mirror import apt_entries, find_mirror
from wherry.errors import UsageError

Write = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, CHECK_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def write(root: Path) -> Write:
    def write(name: str, text: str) -> None:
        path = root / "etc/apt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


SOURCES = """\
# the main archive
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


def test_deb822_sources_give_the_archive_and_its_security_archive(root: Path, write: Write) -> None:
    write("sources.list.d/debian.sources", SOURCES)
    mirror = find_mirror(root=root)
    assert mirror.archives == ("http://mirror.example/debian",)
    assert mirror.security == ("http://mirror.example/debian-security",)
    assert mirror.security_configured


def test_one_line_sources_may_have_options_and_comments(root: Path, write: Write) -> None:
    write(
        "sources.list",
        "# deb http://old.example/debian trixie main\n"
        "deb-src http://src.example/debian trixie main\n"
        "deb [ arch=amd64 signed-by=/k.gpg ] https://mirror.example/debian trixie main # ours\n"
        "deb [arch=amd64] http://mirror.example/security trixie-security main\n",
    )
    entries = list(apt_entries(root))
    assert [(entry.uri, entry.suite, entry.components) for entry in entries] == [
        ("https://mirror.example/debian", "trixie", ("main",)),
        ("http://mirror.example/security", "trixie-security", ("main",)),
    ]


def test_disabled_sources_and_those_without_main_are_not_used(root: Path, write: Write) -> None:
    write(
        "sources.list.d/a.sources",
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: x\nComponents: main\n",
    )
    write("sources.list.d/b.list", "deb http://docker.example/linux/debian trixie stable\n")
    write("sources.list.d/c.list.disabled", "deb http://unread.example/debian trixie main\n")
    write("sources.list.d/d.list", "deb http://mirror.example/debian trixie main\n")
    assert find_mirror(root=root).archives == ("http://mirror.example/debian",)


def test_a_mirror_list_file_counts_as_its_members(root: Path, write: Write) -> None:
    write("mirrors/debian.list", "# cloud\nhttps://one.example/debian/\tpriority:1\n")
    write("sources.list", "deb mirror+file:/etc/apt/mirrors/debian.list trixie main\n")
    assert find_mirror(root=root).archives == ("https://one.example/debian",)


def test_a_security_archive_that_nobody_named_is_looked_for_beside_the_main_one(root: Path, write: Write) -> None:
    write("sources.list", "deb http://mirror.example/debian trixie main\n")
    mirror = find_mirror(root=root)
    assert mirror.security == ("http://mirror.example/debian-security",)
    assert not mirror.security_configured


def test_the_variable_comes_before_apt_and_the_argument_before_the_variable(
    root: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("sources.list", "deb http://apt.example/debian trixie main\n")
    monkeypatch.setenv(VARIABLE, "http://variable.example/debian/ http://variable.example/security")
    assert find_mirror(root=root).archives == ("http://variable.example/debian",)
    assert find_mirror(root=root).security == ("http://variable.example/security",)
    assert find_mirror("http://argument.example/debian", root).archives == ("http://argument.example/debian",)


def test_a_machine_without_apt_is_told_what_to_set(root: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_mirror(root=root)
    assert VARIABLE in (caught.value.hint or "")


def test_a_mirror_that_is_no_url_is_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="not the URL"):
        find_mirror("mirror.example/debian", root)


@pytest.mark.parametrize(
    "text",
    [
        'Acquire::Check-Valid-Until "false";',
        'Acquire { Check-Valid-Until "0"; };',
        "acquire::check-valid-until no;",
        'Acquire::Check-Valid-Until "true";\nAcquire::Check-Valid-Until "false";',
    ],
)
def test_apts_own_setting_lets_expired_archives_pass(text: str, root: Path, write: Write) -> None:
    write("sources.list", "deb http://mirror.example/debian trixie main\n")
    write("apt.conf.d/99frozen", text)
    assert not find_mirror(root=root).check_valid_until


def test_a_setting_in_a_comment_does_not_count(root: Path, write: Write) -> None:
    write("sources.list", "deb http://mirror.example/debian trixie main\n")
    write("apt.conf.d/99frozen", '// Acquire::Check-Valid-Until "false";\n/* Acquire::Check-Valid-Until "no"; */\n')
    assert find_mirror(root=root).check_valid_until


def test_the_variable_decides_about_expired_archives(root: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("sources.list", "deb http://mirror.example/debian trixie main\n")
    write("apt.conf.d/99frozen", 'Acquire::Check-Valid-Until "false";')
    monkeypatch.setenv(CHECK_VARIABLE, "1")
    assert find_mirror(root=root).check_valid_until


def test_an_option_of_the_source_lets_an_expired_archive_pass(root: Path, write: Write) -> None:
    write("sources.list", "deb [check-valid-until=no] http://mirror.example/debian trixie main\n")
    assert not find_mirror(root=root).check_valid_until


def test_the_fingerprint_changes_with_the_configuration_alone(root: Path, write: Write) -> None:
    write("sources.list", "deb http://mirror.example/debian trixie main\n")
    first = fingerprint(root=root)
    assert fingerprint(root=root) == first
    write("sources.list", "deb http://other.example/debian trixie main\n")
    assert fingerprint(root=root) != first
