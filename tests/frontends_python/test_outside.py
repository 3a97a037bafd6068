"""Folders outside of the project that a build may read, because the project declares them."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.frontends.python import ProjectOptions, config
from wherry.frontends.python.document import Document
from wherry.frontends.python.folder import Folder
from wherry.frontends.python.planner import plan
from wherry.frontends.python.requirements import Needs, find
from wherry.plan import BuildWheels

PROJECT = '[project]\nname = "{name}"\nversion = "1"\n'


@pytest.fixture
def monorepo(tmp_path: Path) -> Path:
    """A folder that holds the projects ``app``, ``lib`` and ``libs/one``."""
    for path in ("app", "lib", "libs/one"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "pyproject.toml").write_text(PROJECT.format(name=path.rpartition("/")[2]))
    return tmp_path


def needs(monorepo: Path, line: str, *outside: str) -> Needs:
    (monorepo / "app" / "requirements.txt").write_text(line)
    folder = Folder(monorepo / "app").reaching(outside)
    return find(folder, Document(""), ProjectOptions())


def complaint(monorepo: Path, line: str, *outside: str) -> str:
    with pytest.raises(UsageError) as caught:
        needs(monorepo, line, *outside)
    return str(caught.value)


@pytest.mark.parametrize("line", ["-e ../lib", "../lib", "lib @ file:../lib", "../lib[extra]"])
def test_a_declared_project_is_found(monorepo: Path, line: str) -> None:
    found = needs(monorepo, line, "../lib").requirements
    assert found.projects == ("../lib",)
    assert found.inputs == ("requirements.txt", "../lib/pyproject.toml")


def test_an_absolute_path_to_a_declared_project_is_fine(monorepo: Path) -> None:
    assert needs(monorepo, f"lib @ {(monorepo / 'lib').as_uri()}", "../lib").requirements.projects == ("../lib",)


def test_a_path_below_a_declared_folder_is_fine(monorepo: Path) -> None:
    assert needs(monorepo, "../libs/one", "../libs").requirements.projects == ("../libs/one",)
    assert needs(monorepo, "../lib", "..").requirements.projects == ("../lib",)


def test_an_undeclared_project_is_an_error_that_says_how_to_declare_it(monorepo: Path) -> None:
    message = complaint(monorepo, "-e ../lib", "../libs")
    assert message.startswith("requirements.txt:1: ../lib is outside the project folder")
    assert 'outside = ["../lib"]' in message
    assert 'outside = ["../../' in complaint(monorepo, "../../lib", "..")


def test_a_file_of_requirements_may_lie_in_a_declared_folder(monorepo: Path) -> None:
    (monorepo / "libs" / "base.txt").write_text("attrs\n")
    assert needs(monorepo, "-r ../libs/base.txt", "../libs").names == {"attrs"}
    assert "outside the project folder" in complaint(monorepo, "-r ../libs/base.txt", "../lib")


@pytest.mark.parametrize("link", ["app/link", "libs/link"])
def test_a_symbolic_link_is_no_way_out(monorepo: Path, link: str) -> None:
    (monorepo / link).symlink_to(monorepo / "lib")
    line = f"./../{link}"
    if link.startswith("app/"):
        line = "./link"
    message = complaint(monorepo, line, "../libs")
    assert "outside the project folder" in message
    assert 'outside = ["../lib"]' in message
    assert needs(monorepo, line, "../libs", "../lib").requirements.projects


def test_a_link_that_stays_inside_is_fine(monorepo: Path) -> None:
    (monorepo / "app" / "own").mkdir()
    (monorepo / "app" / "own" / "setup.py").touch()
    (monorepo / "app" / "link").symlink_to("own")
    assert needs(monorepo, "./link").requirements.projects == ("link",)


def test_a_link_that_leads_to_itself_is_an_error(monorepo: Path) -> None:
    (monorepo / "app" / "loop").symlink_to("loop")
    assert "there is no project at loop" in complaint(monorepo, "./loop")


def test_what_a_local_project_requires_beside_it_decides_the_resolution_too(monorepo: Path) -> None:
    text = 'dependencies = ["one"]\n[tool.uv.sources]\none = { path = "../libs/one" }\n'
    (monorepo / "lib" / "pyproject.toml").write_text(PROJECT.format(name="lib") + text)
    (monorepo / "libs/one/pyproject.toml").write_text(
        PROJECT.format(name="one") + 'dependencies = ["lib @ file:../../lib"]'
    )
    found = needs(monorepo, "../lib", "../lib", "../libs").requirements
    assert found.projects == ("../lib",)
    assert "../libs/one/pyproject.toml" in found.inputs
    assert "../libs/one/pyproject.toml" not in needs(monorepo, "../lib", "../lib").requirements.inputs


def test_the_settings_declare_it(monorepo: Path) -> None:
    (monorepo / "app" / "pyproject.toml").write_text(
        PROJECT.format(name="app")
        + 'dependencies = ["lib"]\n[tool.uv.sources]\nlib = { path = "../lib" }\n[tool.wherry]\noutside = ["../lib/"]\n'
    )
    (monorepo / "app" / "main.py").touch()
    steps = [step for stage in plan(monorepo / "app").stages for step in stage.steps if isinstance(step, BuildWheels)]
    assert [step.requirements.projects for step in steps] == [("../lib",)]


def test_a_lock_may_name_a_declared_project(monorepo: Path) -> None:
    (monorepo / "lib" / "x-1-py3-none-any.whl").touch()
    (monorepo / "app" / "pylock.toml").write_text(
        'lock-version = "1.0"\n[[packages]]\nname = "one"\ndirectory = { path = "../libs/one" }\n'
        '[[packages]]\nname = "x"\narchive = { path = "../lib/x-1-py3-none-any.whl", hashes = { sha256 = "0" } }\n'
    )
    found = needs(monorepo, "", "../lib", "../libs").requirements
    assert (found.kind, found.projects) == ("pylock", ("../libs/one",))
    assert "../lib/x-1-py3-none-any.whl" in found.inputs
    assert 'outside = ["../lib/x-1-py3-none-any.whl"]' in complaint(monorepo, "", "../libs")


@pytest.mark.parametrize("path", ["lib", "/lib", "./../lib", "x/../../lib", "..", "../a\\u0000"])
def test_what_does_not_lead_out_cannot_be_declared(monorepo: Path, path: str) -> None:
    (monorepo / "app" / "wherry.toml").write_text(f'outside = ["../lib", "{path}"]\n')
    with pytest.raises(UsageError, match=r"wherry\.toml:1: outside has .* '\.\./'"):
        config.read(Folder(monorepo / "app"), Document("pyproject.toml"))


def test_a_lock_of_poetry_may_name_a_declared_project(monorepo: Path) -> None:
    (monorepo / "app" / "pyproject.toml").write_text('[tool.poetry]\nname = "app"\nversion = "1"\n')
    (monorepo / "app" / "poetry.lock").write_text(
        '[[package]]\nname = "lib"\nversion = "1"\noptional = false\npython-versions = "*"\n'
        'groups = ["main"]\nfiles = []\n'
        '[package.source]\ntype = "directory"\nurl = "../lib"\n\n'
        '[metadata]\nlock-version = "2.1"\npython-versions = "*"\ncontent-hash = ""\n'
    )
    folder = Folder(monorepo / "app")
    pyproject = Document.read(folder, "pyproject.toml")
    with pytest.raises(UsageError, match=r"\.\./lib is outside the project folder"):
        find(folder, pyproject, ProjectOptions())
    assert find(folder.reaching(("../lib",)), pyproject, ProjectOptions()).requirements.projects == ("../lib",)
