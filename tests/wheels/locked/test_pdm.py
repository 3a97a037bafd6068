"""pdm.lock as pdm 2.29 and 2.10 wrote it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wherry.errors import UsageError
from wherry.wheels.locked import pdm
from wherry.wheels.locked.pins import Environment, Locked, Pinned

Text = Callable[[str], str]
Linux = Callable[..., Environment]
Names = Callable[[Locked], list[str]]

EVERYWHERE = ["certifi", "charset-normalizer", "click", "idna", "pysocks", "requests", "urllib3"]
PROJECTS = pytest.mark.parametrize("name", ["pdm", "pdm-old"])

HEAD = '[metadata]\ngroups = ["default"]\nstrategy = ["inherit_metadata"]\nlock_version = "4.5.0"\n'
PROJECT = '[project]\nname = "a"\ndependencies = ["b"]\n'


@pytest.fixture
def project(text: Text) -> Callable[[str], tuple[str, str]]:
    """A lock and its pyproject.toml."""
    return lambda name: (text(f"{name}/pdm.lock"), text(f"{name}/pyproject.toml"))


Project = Callable[[str], tuple[str, str]]


def package(more: str, name: str = "b") -> str:
    return f'{HEAD}\n[[package]]\nname = "{name}"\nversion = "1.0"\ngroups = ["default"]\n{more}\n'


@PROJECTS
def test_a_lock_is_current_by_pdms_own_hash(project: Project, name: str) -> None:
    pdm.check_current(*project(name))


@PROJECTS
@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ('"click>=8.1"', '"click>=8.2"'),
        ("rich>=13", "rich>=14"),
        ("tomli>=2", "tomli>=1"),
        ("[tool.pdm]", '[[tool.pdm.source]]\nname = "x"\nurl = "https://index.example"\n[tool.pdm]'),
    ],
)
def test_a_lock_of_another_project_is_an_error_with_the_command(
    project: Project, name: str, line: str, instead: str
) -> None:
    lock, pyproject = project(name)
    assert line in pyproject
    with pytest.raises(UsageError, match=r"pdm\.lock does not match pyproject\.toml") as caught:
        pdm.check_current(lock, pyproject.replace(line, instead))
    assert caught.value.hint == "Run `pdm lock`."


@PROJECTS
def test_the_projects_own_dependencies_are_installed_for_the_target(
    project: Project, linux: Linux, names: Names, name: str
) -> None:
    assert names(pdm.pinned(*project(name), linux())) == EVERYWHERE


@PROJECTS
def test_extras_and_groups_add_theirs(project: Project, linux: Linux, names: Names, name: str) -> None:
    more = {"markdown-it-py", "mdurl", "pygments", "rich"}
    assert set(names(pdm.pinned(*project(name), linux(), extras=["colours"]))) - set(EVERYWHERE) == more
    assert set(names(pdm.pinned(*project(name), linux(), groups=["ops"]))) - set(EVERYWHERE) == {"tomli"}


def test_a_group_that_was_not_locked_is_an_error_with_the_command(project: Project, linux: Linux) -> None:
    with pytest.raises(UsageError, match="made without the group 'docs'") as caught:
        pdm.pinned(*project("pdm"), linux(), groups=["docs"])
    assert "`pdm lock -G docs`" in str(caught.value.hint)


def test_a_package_with_extras_is_one_pin(project: Project, linux: Linux) -> None:
    pins = [pin for pin in pdm.pinned(*project("pdm"), linux()).pins if pin.name == "requests"]
    assert len(pins) == 1
    assert len(pins[0].hashes) == 2


def test_the_pythons_of_the_project_are_told(project: Project, linux: Linux) -> None:
    assert pdm.pinned(*project("pdm"), linux()).python == ">=3.10"


@pytest.mark.parametrize(
    ("more", "pin"),
    [
        (
            'git = "https://git.example/b.git"\nref = "main"\nrevision = "abc"\nsubdirectory = "x"',
            Pinned("b", "1.0", git="https://git.example/b.git", commit="abc", revision="main", subdirectory="x"),
        ),
        ('path = "./libs/b"\neditable = true', Pinned("b", "1.0", path="./libs/b")),
        (
            'url = "https://host.example/b.whl"\nfiles = [{url = "https://host.example/b.whl", hash = "sha256:ab"}]',
            Pinned("b", "1.0", frozenset({"sha256:ab"}), url="https://host.example/b.whl"),
        ),
    ],
)
def test_places_other_than_an_index_are_kept(linux: Linux, more: str, pin: Pinned) -> None:
    assert pdm.pinned(package(more), PROJECT, linux()).pins == (pin,)


SOURCES = """
[[tool.pdm.source]]
name = "own"
url = "https://${TOKEN}@own.example/simple"
include_packages = ["b-*"]
[[tool.pdm.source]]
name = "more"
url = "https://more.example/simple"
exclude_packages = ["c"]
"""


@pytest.mark.parametrize(
    ("name", "indexes"),
    [
        ("b-core", ("https://secret@own.example/simple",)),
        ("b", ("", "https://more.example/simple")),
        ("c", ()),
    ],
)
def test_sources_are_asked_for_what_they_claim(
    linux: Linux, monkeypatch: pytest.MonkeyPatch, name: str, indexes: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    assert pdm.pinned(package("", name), PROJECT + SOURCES, linux()).pins[0].indexes == indexes


def test_a_source_called_pypi_takes_the_default_indexs_place(linux: Linux) -> None:
    source = '[[tool.pdm.source]]\nname = "pypi"\nurl = "https://index.example/simple"\n'
    assert pdm.pinned(package(""), PROJECT + source, linux()).pins[0].indexes == ("https://index.example/simple",)


def test_a_variable_without_a_value_is_named(linux: Linux, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    with pytest.raises(UsageError, match="the variable TOKEN, which is not set"):
        pdm.pinned(package(""), PROJECT + SOURCES, linux())


@pytest.mark.parametrize("version", ["", "3.1", "5.0"])
def test_a_lock_of_an_unknown_form_is_an_error(linux: Linux, version: str) -> None:
    with pytest.raises(UsageError, match=r"pdm\.lock is (of version|too old)"):
        pdm.pinned(f'[metadata]\nlock_version = "{version}"\n', PROJECT, linux())


@pytest.mark.parametrize(
    ("target", "fits"),
    [
        ('requires_python = ">=3.11"', True),
        ('requires_python = ">=3.11"\nplatform = "manylinux_2_17_x86_64"', True),
        ('requires_python = ">=3.11"\nplatform = "windows_amd64"', False),
        ('requires_python = ">=3.11"\nplatform = "manylinux_2_17_aarch64"', False),
        ('requires_python = "==3.12.*"', False),
        ('requires_python = ">=3.11"\nimplementation = "pypy"', False),
    ],
)
def test_a_lock_for_other_targets_only_is_an_error(linux: Linux, target: str, fits: bool) -> None:
    lock = package("").replace("[[package]]", f"[[metadata.targets]]\n{target}\n\n[[package]]")
    if fits:
        assert len(pdm.pinned(lock, PROJECT, linux()).pins) == 1
    else:
        with pytest.raises(UsageError, match=r"pdm\.lock is not for Linux on x86_64 with Python 3\.13\.5"):
            pdm.pinned(lock, PROJECT, linux())
