"""Projects with the locks of other tools, as those tools wrote them: built and run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wherry.wheels.uv import uv_binary

if TYPE_CHECKING:
    from tests.conftest import Wherry

pytestmark = pytest.mark.e2e

LOCKS = Path(__file__).parent.parent / "wheels" / "locked"
MakeProject = Callable[..., Path]

SAYS = """
import sys
from importlib.metadata import distributions


def main() -> None:
    import click

    names = sorted(f"{one.name.lower()} {one.version}" for one in distributions())
    click.echo("\\n".join([f"Python {sys.version_info.major}.{sys.version_info.minor}", *names]))


if __name__ == "__main__":
    main()
"""
PACKAGE = {"quay/__init__.py": "", "quay/cli.py": SAYS}
MAIN = {"main.py": SAYS}
EVERYWHERE = [
    *("certifi 2026.10.19.post1", "charset-normalizer 3.5.3", "click 8.5.1", "idna 3.20"),
    *("pysocks 1.7.1", "requests 2.34.2", "urllib3 2.8.0"),
]


@pytest.fixture
def said(warm: Wherry, project: MakeProject) -> Callable[..., list[str]]:
    """Builds a project with one of the locks, runs it, and gives the lines that it prints."""

    def build(lock: str, files: dict[str, str], *args: str, name: str = "") -> list[str]:
        root = project(files, name or lock)
        shutil.copytree(LOCKS / lock, root, dirs_exist_ok=True)
        tag = f"lock-{(name or lock).lower()}"
        warm.ok("build", "-t", tag, *args, root)
        return warm.ok("run", tag).stdout.splitlines()

    return build


Said = Callable[..., list[str]]


def test_poetry_2_and_the_project_itself(said: Said) -> None:
    assert said("poetry2", PACKAGE) == ["Python 3.13", *sorted([*EVERYWHERE, "quay 1.0"])]
    more = said("poetry2", PACKAGE, "--extra", "colours", "--group", "ops", name="more")
    assert set(more) - {"Python 3.13", "quay 1.0", *EVERYWHERE} == {
        *("markdown-it-py 4.3.0", "mdurl 0.1.2", "pygments 2.21.0", "rich 15.0.0", "tomli 2.5.0"),
    }


def test_poetry_1_and_a_script_of_a_project_that_is_no_package(said: Said) -> None:
    assert said("poetry1", PACKAGE) == ["Python 3.13", *sorted([*EVERYWHERE, "numpy 2.4.6"])]


def test_pdm(said: Said) -> None:
    assert said("pdm", MAIN) == ["Python 3.13", *EVERYWHERE]


def test_pipenv_and_the_python_of_its_pipfile(said: Said) -> None:
    assert said("pipenv", MAIN, "--group", "dev") == ["Python 3.11", *sorted([*EVERYWHERE, "iniconfig 2.3.1"])]


def test_what_pip_installs_of_a_conda_lock(said: Said) -> None:
    assert said("conda", MAIN) == ["Python 3.13", "click 8.5.1", "idna 3.20"]


def test_a_lock_that_is_not_current_is_refused_with_its_command(warm: Wherry, project: MakeProject) -> None:
    root = project(MAIN, "stale")
    shutil.copytree(LOCKS / "pdm", root, dirs_exist_ok=True)
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace("click>=8.1", "click>=8.2"))
    result = warm("build", root)
    assert result.returncode != 0
    assert "pdm.lock does not match pyproject.toml" in result.stderr
    assert "Run `pdm lock`." in result.stderr


MEMBER = """
[project]
name = "{name}"
version = "0.1"
requires-python = ">=3.11"
dependencies = {requires}
[tool.uv.sources]
lib = {{ workspace = true }}
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""


def test_a_member_of_a_uv_workspace_from_its_own_folder(warm: Wherry, project: MakeProject) -> None:
    root = project(
        {
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
            "packages/app/pyproject.toml": MEMBER.format(name="app", requires='["lib", "click==8.5.1"]')
            + '[project.scripts]\napp = "app:main"\n',
            "packages/app/src/app/__init__.py": SAYS.replace("import click", "import click, lib"),
            "packages/lib/pyproject.toml": MEMBER.format(name="lib", requires='["idna==3.20"]'),
            "packages/lib/src/lib/__init__.py": "",
            "packages/other/pyproject.toml": MEMBER.format(name="other", requires='["iniconfig==2.3.1"]'),
        },
        "workspace",
    )
    subprocess.run([uv_binary(), "lock", "--quiet"], cwd=root, check=True)
    warm.ok("build", "-t", "member", "--requirements", "../../uv.lock", root / "packages" / "app")
    assert warm.ok("run", "member").stdout.splitlines() == [
        *("Python 3.13", "app 0.1", "click 8.5.1", "idna 3.20", "lib 0.1"),
    ]


def test_requirements_as_each_tool_exports_them(warm: Wherry, project: MakeProject) -> None:
    for tool in ("poetry", "pdm", "pipenv", "uv", "pip-compile"):
        root = project({**MAIN, "requirements.txt": (LOCKS / "exports" / f"{tool}.txt").read_text()}, f"of-{tool}")
        warm.ok("build", "-t", f"of-{tool}", root)
        said = warm.ok("run", f"of-{tool}").stdout.splitlines()
        assert set(said) >= set(EVERYWHERE), tool
