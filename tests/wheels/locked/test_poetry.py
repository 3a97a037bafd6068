"""poetry.lock as poetry 1.8 and 2.5 wrote it, and by hand what they write rarely."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wherry.errors import UsageError
from wherry.wheels.locked import poetry
from wherry.wheels.locked.constraints import allows
from wherry.wheels.locked.pins import Environment, Locked, Pinned

Text = Callable[[str], str]
Linux = Callable[..., Environment]
Names = Callable[[Locked], list[str]]

EVERYWHERE = ["certifi", "charset-normalizer", "click", "idna", "pysocks", "requests", "urllib3"]
PROJECTS = ["poetry1", "poetry2", "poetry2-groups", "poetry1-places", "poetry2-places"]

OLD = """
[[package]]
name = "{name}"
version = "{version}"
optional = {optional}
python-versions = "{python}"
{files}
"""
END = '[metadata]\nlock-version = "1.1"\npython-versions = "^3.10"\ncontent-hash = ""\n'


@pytest.fixture
def project(text: Text) -> Callable[[str], tuple[str, str]]:
    """A lock and its pyproject.toml."""
    return lambda name: (text(f"{name}/poetry.lock"), text(f"{name}/pyproject.toml"))


Project = Callable[[str], tuple[str, str]]


def old(*packages: str) -> str:
    return "".join(packages) + END


def package(
    name: str, version: str = "1.0", *, optional: str = "false", python: str = "*", more: str = "files = []"
) -> str:
    return OLD.format(name=name, version=version, optional=optional, python=python, files=more)


def poetry1(dependencies: str, more: str = "") -> str:
    return f'[tool.poetry]\nname = "a"\n[tool.poetry.dependencies]\npython = "^3.10"\n{dependencies}\n{more}'


# -- is it current ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROJECTS)
def test_a_lock_is_current_by_poetrys_own_hash(project: Project, name: str) -> None:
    poetry.check_current(*project(name))


@pytest.mark.parametrize(
    ("name", "line", "instead"),
    [
        ("poetry1", 'click = "^8.1"', 'click = "^8.2"'),
        ("poetry1", "[tool.poetry.extras]", "[tool.poetry.extras]\nmore = []"),
        ("poetry2", 'requires-python = ">=3.10"', 'requires-python = ">=3.11"'),
        ("poetry2", 'colours = ["rich>=13"]', 'colours = ["rich>=14"]'),
        ("poetry2", 'iniconfig = "^2.0"', 'iniconfig = "^2.1"'),
        ("poetry2-groups", 'test = ["iniconfig>=2"]', 'test = ["iniconfig>=3"]'),
        ("poetry2-places", 'name = "mirror"', 'name = "other"'),
    ],
)
def test_a_lock_of_another_project_is_an_error_with_the_command(
    project: Project, name: str, line: str, instead: str
) -> None:
    lock, pyproject = project(name)
    assert line in pyproject
    with pytest.raises(UsageError, match=r"poetry\.lock does not match pyproject\.toml") as caught:
        poetry.check_current(lock, pyproject.replace(line, instead))
    assert caught.value.hint == "Run `poetry lock`."


def test_what_does_not_decide_requirements_does_not_make_a_lock_old(project: Project) -> None:
    lock, pyproject = project("poetry2")
    poetry.check_current(lock, pyproject.replace('version = "1.0"', 'version = "2.0"') + "\n[tool.ruff]\n")


# -- what is installed --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["poetry1", "poetry2"])
def test_the_main_group_is_installed_for_the_target(project: Project, linux: Linux, names: Names, name: str) -> None:
    found = names(poetry.pinned(*project(name), linux()))
    assert [one for one in found if one != "numpy"] == EVERYWHERE


@pytest.mark.parametrize("name", ["poetry1", "poetry2"])
def test_extras_and_groups_add_theirs(project: Project, linux: Linux, names: Names, name: str) -> None:
    plain = set(names(poetry.pinned(*project(name), linux())))
    more = {"markdown-it-py", "mdurl", "pygments", "rich"}
    assert set(names(poetry.pinned(*project(name), linux(), extras=["Colours"]))) - plain == more
    assert set(names(poetry.pinned(*project(name), linux(), groups=["ops"]))) - plain == {"tomli"}


def test_poetrys_old_table_of_development_dependencies_is_the_group_dev(
    project: Project, linux: Linux, names: Names
) -> None:
    assert "iniconfig" in names(poetry.pinned(*project("poetry1"), linux(), groups=["dev"]))


def test_a_group_that_includes_another_has_its_packages(project: Project, linux: Linux, names: Names) -> None:
    assert names(poetry.pinned(*project("poetry2-groups"), linux(), groups=["ops"])) == ["click", "iniconfig", "tomli"]


def test_markers_of_groups_are_those_of_the_target(project: Project, linux: Linux, names: Names) -> None:
    assert "tomli" not in names(poetry.pinned(*project("poetry2"), linux("3.14.0"), groups=["ops"]))
    assert "tomli" not in names(poetry.pinned(*project("poetry1"), linux("3.14.0"), groups=["ops"]))


@pytest.mark.parametrize(("python", "version"), [("3.10.4", "2.2.6"), ("3.13.5", "2.4.6")])
def test_of_two_versions_the_one_for_the_targets_python_is_taken(
    project: Project, linux: Linux, python: str, version: str
) -> None:
    pins = poetry.pinned(*project("poetry1"), linux(python)).pins
    assert [pin.version for pin in pins if pin.name == "numpy"] == [version]


def test_the_pythons_of_the_project_are_told(project: Project, linux: Linux) -> None:
    assert poetry.pinned(*project("poetry1-places"), linux()).python == "<4,>=3.10"


def test_hashes_are_those_of_all_files(project: Project, linux: Linux) -> None:
    pins = {pin.name: pin for pin in poetry.pinned(*project("poetry2"), linux()).pins}
    assert pins["click"].version == "8.5.1"
    assert len(pins["click"].hashes) == 2
    assert all(one.startswith("sha256:") for one in pins["click"].hashes)


@pytest.mark.parametrize("name", ["poetry1-places", "poetry2-places"])
def test_places_other_than_an_index_are_kept(
    project: Project, linux: Linux, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("POETRY_HTTP_BASIC_MIRROR_USERNAME", "me")
    monkeypatch.setenv("POETRY_HTTP_BASIC_MIRROR_PASSWORD", "a@b")
    pins = {pin.name: pin for pin in poetry.pinned(*project(name), linux()).pins}
    commit = "d4276af94e422c0b995b2d1938e3811fa13d07a4"
    url = "https://git.example/harbour.git"
    assert pins["harbour"] == Pinned("harbour", "0.3", git=url, commit=commit, revision="master")
    assert (pins["lib"].path, pins["lib"].is_project) == ("libs/lib", True)
    assert (pins["iniconfig"].path, pins["iniconfig"].is_project) == ("wheels/iniconfig-2.0.0-py3-none-any.whl", False)
    assert pins["sniffio"].indexes == ("https://me:a%40b@index.example/simple",)
    assert pins["click"].indexes == ()


# -- the walk through an old lock -----------------------------------------------------------------------


def test_what_is_required_through_a_local_project_is_found(project: Project, linux: Linux, names: Names) -> None:
    assert "idna" in names(poetry.pinned(*project("poetry1-places"), linux()))


def test_a_version_that_suits_one_and_not_the_other_is_given_up(linux: Linux) -> None:
    lock = old(
        package("a", more='files = []\n[package.dependencies]\nshared = "*"'),
        package("b", more='files = []\n[package.dependencies]\nshared = "<2"'),
        package("shared", "1.0"),
        package("shared", "2.0"),
    )
    for written in ('a = "*"\nb = "*"', 'b = "*"\na = "*"'):
        pins = poetry.pinned(lock, poetry1(written), linux()).pins
        assert {pin.name: pin.version for pin in pins}["shared"] == "1.0"


def test_a_lock_that_lacks_a_requirement_is_an_error(linux: Linux) -> None:
    with pytest.raises(UsageError, match=r"poetry\.lock has no b \^2") as caught:
        poetry.pinned(old(package("b")), poetry1('b = "^2"'), linux())
    assert caught.value.hint == "Run `poetry lock`."


def test_hashes_at_the_end_of_a_lock_are_found(linux: Linux) -> None:
    lock = old(package("b", more="")) + '[metadata.files]\nb = [{file = "b.whl", hash = "sha256:AB"}]\n'
    assert poetry.pinned(lock, poetry1('b = "*"'), linux()).pins[0].hashes == {"sha256:ab"}
    lock = old(package("b", more="")) + '[metadata.hashes]\nb = ["cd"]\n'
    assert poetry.pinned(lock, poetry1('b = "*"'), linux()).pins[0].hashes == {"sha256:cd"}


def test_a_platform_that_is_not_the_targets_leaves_a_dependency_out(linux: Linux) -> None:
    assert poetry.pinned(old(package("b")), poetry1('b = {version = "*", platform = "win32"}'), linux()).pins == ()


@pytest.mark.parametrize("version", ["", "3.0", "x"])
def test_a_lock_of_an_unknown_form_is_an_error(linux: Linux, version: str) -> None:
    with pytest.raises(UsageError, match=r"poetry\.lock is (of version|too old)"):
        poetry.pinned(f'[metadata]\nlock-version = "{version}"\n', "", linux())


# -- constraints --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("constraint", "inside", "outside"),
    [
        ("^1.2.3", "1.9", "2.0"),
        ("^0.2.3", "0.2.9", "0.3"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0", "0.9", "1.0"),
        ("^1.2", "1.2", "1.1.9"),
        ("~1.2.3", "1.2.9", "1.3"),
        ("~1", "1.9", "2.0"),
        ("~=1.2.3", "1.2.9", "1.3"),
        ("1.*", "1.5", "2.0"),
        ("*", "0.1a1", ""),
        ("1.2", "1.2.0", "1.2.1"),
        (">= 1.0, < 2", "1.5", "2.0"),
        (">=1.0 <2", "1.5", "2.0"),
        ("<1 || >=2", "2.1", "1.5"),
        ("!=1.5", "1.4", "1.5"),
        ("=1.5", "1.5", "1.4"),
    ],
)
def test_constraints_mean_what_poetry_means(constraint: str, inside: str, outside: str) -> None:
    assert allows(constraint, inside)
    assert not outside or not allows(constraint, outside)


def test_what_is_no_constraint_is_an_error() -> None:
    with pytest.raises(UsageError, match="is not a version constraint"):
        allows("^what", "1.0")
