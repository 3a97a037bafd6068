"""First settings: what a build would guess, written down, and no build made another by it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

import wherry
from wherry.errors import UsageError
from wherry.frontends.python.planner import plan
from wherry.frontends.python.suggestion import suggest
from wherry.plan import Base, Configure, Plan, Stage, Step

Project = Callable[[Mapping[str, str | bytes]], Path]

PACKAGE = """\
[build-system]
requires = ["hatchling"]

[project]
name = "greeter"
version = "1"
"""
SCRIPT = f'{PACKAGE}[project.scripts]\ngreet = "greeter:main"\n'
FASTAPI = {
    "requirements.txt": "fastapi\nuvicorn\n",
    "main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    def make(files: Mapping[str, str | bytes]) -> Path:
        root = tmp_path / "project"
        root.mkdir()
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return root

    return make


def settings(root: Path) -> Mapping[str, object]:
    """What stands in the settings that were written."""
    if (root / "wherry.toml").exists():
        return tomllib.loads((root / "wherry.toml").read_text())
    found: Mapping[str, object] = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["wherry"]
    return found


# -- what is written -------------------------------------------------------------------------------


def test_what_a_build_would_guess_is_written_down(project: Project) -> None:
    root = project({"requirements.txt": "", "main.py": ""})
    wherry.init(root)
    assert settings(root) == {"entrypoint": ["python", "main.py"], "python": "3.13", "base": "debian://trixie"}


def test_a_server_that_was_found_comes_with_its_port(project: Project) -> None:
    root = project(FASTAPI)
    wherry.init(root)
    written = settings(root)
    assert written["entrypoint"] == ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]
    assert written["ports"] == [8000]


def test_every_key_says_why(project: Project) -> None:
    root = project(FASTAPI)
    lines = suggest(root).text.splitlines()
    for before, line in pairwise(lines):
        assert line.startswith("#") or before.startswith("# ")
    assert "# What the image runs: app in main.py is an ASGI application, and uvicorn is required." in lines


def test_what_the_project_says_itself_is_not_said_again(project: Project) -> None:
    root = project({"pyproject.toml": f"{SCRIPT}[tool.x]\n", "greeter.py": "", ".python-version": "3.11\n"})
    wherry.init(root)
    assert settings(root) == {"base": "debian://bookworm"}


@pytest.mark.parametrize(
    "files",
    [
        {"requirements.txt": "", "main.py": ""},
        {"pyproject.toml": SCRIPT, "greeter.py": ""},
        {"pyproject.toml": f"{SCRIPT}[tool.uv]\npackage = false\n", "greeter.py": ""},
        {"pyproject.toml": PACKAGE, "src/greeter/__main__.py": ""},
        {"requirements.txt": "gunicorn\n", "Procfile": "web: gunicorn main:app\n", "main.py": ""},
        {"requirements.txt": "", "job/__main__.py": ""},
        FASTAPI,
    ],
    ids=["script", "package", "no package", "own module", "Procfile", "module", "application"],
)
def test_a_build_makes_the_same_of_it_afterwards(project: Project, files: Mapping[str, str]) -> None:
    root = project(files)
    before = plan(root)
    wherry.init(root)
    assert essence(plan(root)) == essence(before)


# -- where it is written ---------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "\n", "\n\n"], ids=["no newline", "a newline", "a blank line"])
def test_a_pyproject_keeps_its_bytes(project: Project, end: str) -> None:
    before = f"# café\n{SCRIPT}  # here\n[tool.wherries]\nx=1{end}".encode()
    root = project({"pyproject.toml": before, "greeter.py": ""})
    (root / "pyproject.toml").chmod(0o640)
    wherry.init(root)
    after = (root / "pyproject.toml").read_bytes()
    assert after.startswith(before)
    assert b"\n\n[tool.wherry]\n" in after
    assert (root / "pyproject.toml").stat().st_mode & 0o777 == 0o640


def test_lines_end_as_those_before_them(project: Project) -> None:
    before = b"\xef\xbb\xbf" + PACKAGE.replace("\n", "\r\n").encode()
    root = project({"pyproject.toml": before, "main.py": ""})
    wherry.init(root)
    after = (root / "pyproject.toml").read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == after.count(b"\r\n")
    plan(root)


def test_where_no_table_can_be_added_there_is_a_file_of_its_own(project: Project) -> None:
    root = project({"pyproject.toml": 'tool = {x = 1}\n[project]\nname = "x"\nversion = "1"\n', "main.py": ""})
    before = (root / "pyproject.toml").read_bytes()
    assert wherry.init(root).file == "wherry.toml"
    assert (root / "pyproject.toml").read_bytes() == before
    plan(root)


def test_a_dry_run_writes_nothing(project: Project) -> None:
    root = project({"requirements.txt": "", "main.py": ""})
    assert "entrypoint" in wherry.init(root, dry_run=True).text
    assert sorted(path.name for path in root.iterdir()) == ["main.py", "requirements.txt"]


@pytest.mark.parametrize(
    ("file", "text", "where"),
    [
        ("wherry.toml", "", "wherry.toml"),
        ("pyproject.toml", "[tool.wherry]\n", r"\[tool.wherry\] of pyproject.toml"),
        ("pyproject.toml", "[tool.wherry.env]\nA = '1'\n", r"\[tool.wherry\] of pyproject.toml"),
    ],
)
def test_settings_that_are_there_stay_as_they_are(project: Project, file: str, text: str, where: str) -> None:
    root = project({file: text, "main.py": ""})
    with pytest.raises(UsageError, match=f"there are settings already, in {where}"):
        wherry.init(root)
    assert (root / file).read_text() == text


def test_a_pyproject_that_is_not_toml_stays_as_it_is(project: Project) -> None:
    root = project({"pyproject.toml": "[x\n", "main.py": ""})
    with pytest.raises(UsageError, match="not valid TOML"):
        wherry.init(root)
    assert (root / "pyproject.toml").read_text() == "[x\n"


# -- what cannot be told ---------------------------------------------------------------------------


def test_candidates_for_the_entry_point_are_left_to_choose(project: Project) -> None:
    root = project({"requirements.txt": "", "main.py": "", "app.py": ""})
    result = wherry.init(root)
    assert result.undecided == ("entry point: the entry point could be any of main.py and app.py",)
    for name in ("main.py", "app.py"):
        assert f'# entrypoint = ["python", "{name}"]\n' in result.text
    assert "entrypoint" not in settings(root)


@pytest.mark.parametrize(
    ("files", "candidates"),
    [
        ({"pyproject.toml": f'{SCRIPT}bow = "greeter:bow"\n'}, ['["bow"]', '["greet"]']),
        ({"a/__main__.py": "", "b/__main__.py": ""}, ['["python", "-m", "a"]', '["python", "-m", "b"]']),
        ({"sail.py": ""}, ['["python", "sail.py"]']),
        (
            {"requirements.txt": "fastapi\nuvicorn\n", "main.py": FASTAPI["main.py"], "app.py": FASTAPI["main.py"]},
            [f'["uvicorn", "{name}:app", "--host", "0.0.0.0", "--port", "8000"]' for name in ("main", "app")],
        ),
    ],
    ids=["scripts", "packages", "nothing known", "applications"],
)
def test_candidates_are_of_the_kind_in_question(
    project: Project, files: Mapping[str, str], candidates: list[str]
) -> None:
    lines = suggest(project(files)).text.splitlines()
    prefix = "# entrypoint = "
    assert [line.removeprefix(prefix) for line in lines if line.startswith(prefix)] == candidates


@pytest.mark.parametrize("number", [0, 1])
def test_each_candidate_is_one_that_can_be_chosen(project: Project, number: int) -> None:
    root = project({"main.py": "", "app.py": ""})
    wherry.init(root)
    lines = (root / "wherry.toml").read_text().splitlines()
    chosen = [index for index, line in enumerate(lines) if line.startswith("# entrypoint")][number]
    lines[chosen] = lines[chosen].removeprefix("# ")
    (root / "wherry.toml").write_text("\n".join(lines))
    plan(root)


def test_a_python_that_no_debian_has_leaves_the_base_open(project: Project) -> None:
    root = project({"main.py": "", ".python-version": "3.12\n"})
    result = wherry.init(root)
    assert result.undecided == ("base: debian://trixie has no Python 3.12",)
    assert "base" not in settings(root)


def test_requirements_that_are_not_read_are_told_of(project: Project) -> None:
    root = project({"main.py": "", "Pipfile": ""})
    (question,) = wherry.init(root).undecided
    assert question.startswith("requirements: Pipfile: ")
    assert settings(root)["entrypoint"] == ["python", "main.py"]


# -- what the tests share --------------------------------------------------------------------------


def essence(made: Plan) -> tuple[Stage, ...]:
    """The stages, whether a program of the environment is named by its path or found there, and whatever was asked of
    Python: that is the base's own in any case.
    """
    return tuple(
        replace(
            stage,
            base=replace(stage.base, python="") if isinstance(stage.base, Base) else stage.base,
            steps=tuple(map(_named, stage.steps)),
        )
        for stage in made.stages
    )


def _named(step: Step) -> Step:
    if not isinstance(step, Configure) or step.entrypoint is None:
        return step
    return replace(step, entrypoint=tuple(word.removeprefix("/opt/venv/bin/") for word in step.entrypoint))
