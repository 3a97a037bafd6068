"""A project folder as a Plan: stages, steps, files, platforms and what was found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import UsageError, WherryError
from wherry.frontends.python import ProjectOptions
from wherry.frontends.python.base import fits, has_shell
from wherry.frontends.python.planner import plan, plans
from wherry.image.platform import Platform
from wherry.plan import (
    DEFAULT_EPOCH,
    Base,
    BuildContext,
    BuildWheels,
    Configure,
    Copy,
    Install,
    Packages,
    Plan,
    StageRef,
    Virtualenv,
    describe,
    to_json,
)
from wherry.sources.context import walk
from wherry.sources.ignore import Patterns

Project = Callable[[dict[str, str]], Path]

PACKAGE = """
[build-system]
requires = ["hatchling"]
[project]
name = "greeter"
version = "1"
[project.scripts]
greet = "greeter:main"
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    def make(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "project" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "project"

    return make


def copied(made: Plan) -> Copy:
    """The step that copies the application's files."""
    steps = made.stage("runtime").steps
    return next(step for step in steps if isinstance(step, Copy) and isinstance(step.origin, BuildContext))


def files(root: Path) -> list[str]:
    origin = copied(plan(root)).origin
    assert isinstance(origin, BuildContext)
    return [file.entry.path for file in walk(root, Patterns(origin.ignore)) if file.entry.kind == "file"]


def fact(made: Plan, name: str) -> tuple[str, str]:
    return next((found.value, found.why) for found in made.facts if found.name == name)


# -- the whole ------------------------------------------------------------------------------------


def test_the_simplest_project_becomes_two_stages(project: Project) -> None:
    made = plan(project({"requirements.txt": "requests\n", "main.py": ""}))
    compile_, runtime = made.stages
    assert made.target == "runtime"
    assert compile_.base == runtime.base == Base("debian://trixie", bytecode=True)
    assert [type(step) for step in compile_.steps] == [Virtualenv, BuildWheels, Install]
    packages, venv, application, configure = runtime.steps
    assert packages == Packages((), StageRef("compile"))
    assert venv == Copy(StageRef("compile"), ("/opt/venv",), "/opt/venv", normalise=True)
    assert isinstance(application, Copy)
    assert (application.sources, application.destination) == ((".",), "/usr/src/app")
    assert isinstance(configure, Configure)
    assert configure.env == (
        ("PATH", "/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("VIRTUAL_ENV", "/opt/venv"),
        ("PYTHONUNBUFFERED", "1"),
    )
    assert configure.entrypoint == ("/opt/venv/bin/python", "main.py")
    assert (configure.workdir, configure.user, configure.ports) == ("/usr/src/app", "65532:65532", ())


def test_settings_find_their_places(project: Project) -> None:
    settings = """
    base = "debian://bookworm?include=curl"
    python = "3.11"
    workdir = "/srv"
    user = "root"
    ports = [80]
    packages = ["libpq5"]
    bytecode = false
    mirror = "https://mirror.example/debian"
    env = {A = "1"}
    labels = {team = "boats"}
    """
    made = plan(project({"requirements.txt": "x", "main.py": "", "wherry.toml": settings}))
    packages, _, application, configure = made.stage("runtime").steps
    assert made.stage("runtime").base == Base("debian://bookworm?include=curl", "3.11", "https://mirror.example/debian")
    assert packages == Packages(("libpq5",), StageRef("compile"))
    assert isinstance(application, Copy)
    assert application.destination == "/srv"
    assert isinstance(configure, Configure)
    assert ("A", "1") in configure.env
    assert (configure.workdir, configure.user, configure.ports) == ("/srv", "root", ("80/tcp",))
    assert configure.labels == (("team", "boats"),)
    install = made.stage("compile").steps[-1]
    assert isinstance(install, Install)
    assert not install.bytecode


def test_the_command_line_goes_before_the_settings(project: Project) -> None:
    settings = 'base = "scratch"\nbytecode = false\nuser = "root"\n[env]\nA = "1"\nB = "1"\n[labels]\nx = "1"\n'
    options = ProjectOptions(
        base="debian://bookworm",
        bytecode=True,
        user="1:1",
        workdir="/w",
        ports=("53/udp",),
        env=(("A", "2"),),
        labels=(("x", "2"), ("y", "2")),
        packages=("tini",),
        mirror="https://mirror.example",
    )
    made = plan(project({"requirements.txt": "x", "main.py": "", "wherry.toml": settings}), options)
    configure = made.stage("runtime").steps[-1]
    assert isinstance(configure, Configure)
    assert made.stage("compile").base == Base("debian://bookworm", "", "https://mirror.example", bytecode=True)
    assert [(name, value) for name, value in configure.env if len(name) == 1] == [("A", "2"), ("B", "1")]
    assert configure.labels == (("x", "2"), ("y", "2"))
    assert (configure.user, configure.workdir, configure.ports) == ("1:1", "/w", ("53/udp",))
    assert made.stage("runtime").steps[0] == Packages(("tini",), StageRef("compile"))
    install = made.stage("compile").steps[-1]
    assert isinstance(install, Install)
    assert install.bytecode


def test_without_requirements_nothing_is_installed(project: Project) -> None:
    made = plan(project({"main.py": ""}))
    assert made.stage("compile").steps == (Virtualenv(),)
    assert fact(made, "requirements")[0] == "none"


def test_a_plan_says_what_was_found_and_why(project: Project) -> None:
    text = describe(plan(project({"requirements.txt": "x", "main.py": "", ".python-version": "3.13\n"})))
    for words in ("requirements.txt  (found)", "3.13  (.python-version)", "main.py is here", "the default"):
        assert words in text


def test_a_plan_is_json_and_compares_by_value(project: Project) -> None:
    root = project({"requirements.txt": "x", "main.py": ""})
    assert plan(root) == plan(root)
    assert json.loads(json.dumps(to_json(plan(root))))["target"] == "runtime"


def test_a_plan_names_no_place_on_this_machine(project: Project) -> None:
    root = project({"requirements.txt": "-e ./lib", "lib/pyproject.toml": PACKAGE, "main.py": ""})
    assert str(root) not in json.dumps(to_json(plan(root)))


# -- Python and base ------------------------------------------------------------------------------


def test_the_python_version_is_looked_for_in_order(project: Project) -> None:
    root = project({"main.py": ""})
    assert fact(plan(root), "python") == ("the base's own", "nothing asks for a version")
    project({"pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.11"\n'})
    assert fact(plan(root), "python") == (">=3.11", "requires-python in pyproject.toml")
    project({".python-version": "# mine\n3.12.4\n3.11\n"})
    assert fact(plan(root), "python") == ("3.12", ".python-version")
    project({"wherry.toml": 'python = "3.13"\n'})
    assert fact(plan(root), "python") == ("3.13", "wherry.toml")
    assert fact(plan(root, ProjectOptions(python="3.11")), "python") == ("3.11", "--python")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3.12", "3.12"), ("cpython-3.13.1", "3.13"), ("python3.11", "3.11"), ("3.14-dev", "3.14"), ("3.14.0rc1", "3.14"),
     ("cpython@3.12", "3.12"), ("system", "the base's own"), (">=3.12", ">=3.12")],
)  # fmt: skip
def test_forms_of_python_version(project: Project, text: str, expected: str) -> None:
    assert fact(plan(project({"main.py": "", ".python-version": f"{text}\n"})), "python")[0] == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.11"\n', "requirements.txt": ""}, "<4,>=3.11"),
        ({"Pipfile": '[requires]\npython_version = "3.13"\n', "requirements.txt": ""}, "3.13"),
        ({"Pipfile": '[requires]\npython_full_version = "3.13.2"\n', "requirements.txt": ""}, "3.13"),
        ({"conda-lock.yml": "package:\n- name: python\n  version: 3.13.5\n  manager: conda\n"}, "3.13"),
    ],
)
def test_tools_tell_the_python_version_in_files_of_their_own(
    project: Project, files: dict[str, str], expected: str
) -> None:
    assert fact(plan(project({"main.py": "", **files})), "python")[0] == expected


def test_another_python_than_cpython_is_an_error_with_its_line(project: Project) -> None:
    with pytest.raises(UsageError, match="not a version of CPython") as caught:
        plan(project({"main.py": "", ".python-version": "\npypy3.10-7.3\n"}))
    assert str(caught.value.place) == ".python-version:2"


@pytest.mark.parametrize(
    ("python", "base"),
    [
        ("", "debian://trixie"),
        ("3.13", "debian://trixie"),
        ("3.11", "debian://bookworm"),
        ("3.11.2", "debian://bookworm"),
        (">=3.9", "debian://trixie"),
        (">=3.10,<3.12", "debian://bookworm"),
        ("~=3.11.0", "debian://bookworm"),
        ("==3.13.*", "debian://trixie"),
        ("3.12", "debian://trixie"),
    ],
)
def test_the_default_base_is_the_debian_release_with_that_python(project: Project, python: str, base: str) -> None:
    made = plan(project({"main.py": ""}), ProjectOptions(python=python))
    assert made.stages[0].base == Base(base, python, bytecode=True)


def test_a_chosen_base_stays_whatever_python_is_wanted(project: Project) -> None:
    made = plan(project({"main.py": ""}), ProjectOptions(python="3.11", base="debian://trixie"))
    assert made.stages[0].base == Base("debian://trixie", "3.11", bytecode=True)


@given(st.integers(0, 20), st.integers(0, 20))
def test_the_short_way_to_compare_versions_agrees_with_the_long_one(wanted: int, have: int) -> None:
    assert fits(f">=3.{wanted}", f"3.{have}") is fits(f">=3.{wanted},!=2.0", f"3.{have}")


def test_bases_that_have_a_shell() -> None:
    assert not has_shell("debian://trixie")
    assert not has_shell("debian://trixie?include=shell")
    assert has_shell("debian://trixie?include=curl&shell=1")
    assert has_shell("python:3.13-slim")
    assert not has_shell("scratch")


# -- application files ----------------------------------------------------------------------------

CLUTTER = {
    ".git/config": "",
    ".venv/bin/python": "",
    "env/pyvenv.cfg": "",
    "env/lib/x.py": "",
    "pkg/__pycache__/x.cpython-313.pyc": "",
    "x.pyc": "",
    "web/node_modules/a/index.js": "",
    ".mypy_cache/x": "",
    ".env": "SECRET=1",
    ".env.local": "SECRET=1",
    "pkg/.env": "SECRET=1",
    "Dockerfile": "",
    "greeter.egg-info/PKG-INFO": "",
}


def test_clutter_and_secrets_are_left_out(project: Project) -> None:
    root = project({"main.py": "", "pkg/a.py": "", "data/x.csv": "", "environment.py": "", **CLUTTER})
    assert files(root) == ["data/x.csv", "environment.py", "main.py", "pkg/a.py"]


def test_dockerignore_leaves_out_more(project: Project) -> None:
    root = project({"main.py": "", "docs/a.md": "", "docs/keep.md": "", ".dockerignore": "docs/*\n!docs/keep.md\n"})
    assert files(root) == ["docs/keep.md", "main.py"]


def test_a_whitelist_in_dockerignore_brings_no_clutter_along(project: Project) -> None:
    clutter = {**CLUTTER, ".venv/lib/x.py": "", "web/node_modules/a/x.py": ""}
    root = project({"main.py": "", "pkg/a.py": "", **clutter, ".dockerignore": "*\n!**/*.py\n!pkg/**\n!.env\n"})
    assert files(root) == ["main.py", "pkg/a.py"]


def test_include_and_exclude_have_the_last_word(project: Project) -> None:
    settings = 'include = [".env", "docs/guide.md", "pkg"]\nexclude = ["docs", "main.txt"]\n'
    root = project({"main.py": "", "main.txt": "", "docs/guide.md": "", "docs/x.md": "", "pkg/a.py": "", **CLUTTER})
    project({"wherry.toml": settings, ".dockerignore": "pkg\n"})
    assert files(root) == [".env", "docs/guide.md", "main.py", "pkg/.env", "pkg/a.py"]
    (root / ".dockerignore").unlink()
    assert files(root) == [".env", "docs/guide.md", "main.py", "pkg/.env", "pkg/a.py"]


def test_a_malformed_pattern_is_an_error_with_its_line(project: Project) -> None:
    with pytest.raises(UsageError, match="malformed pattern") as caught:
        plan(project({"main.py": "", ".dockerignore": "a\n[\n"}))
    assert str(caught.value.place) == ".dockerignore:2"


def test_an_installed_package_needs_none_of_its_files(project: Project) -> None:
    root = project({"pyproject.toml": PACKAGE, "src/greeter/__init__.py": "", "README.md": ""})
    assert files(root) == []
    assert fact(plan(root), "files") == ("none", "the project is installed as a wheel; include adds files")
    assert "create /usr/src/app" in describe(plan(root))


def test_an_installed_package_gets_what_include_names(project: Project) -> None:
    root = project({"pyproject.toml": PACKAGE, "wherry.toml": 'include = ["data"]\n', "data/a": "", "src/x.py": ""})
    assert files(root) == ["data/a"]


def test_an_installed_package_that_runs_a_file_gets_its_files(project: Project) -> None:
    root = project({"pyproject.toml": PACKAGE, "serve.py": "", "wherry.toml": 'entrypoint = "python serve.py"\n'})
    assert "serve.py" in files(root)


# -- platforms and time ---------------------------------------------------------------------------


def test_there_is_a_plan_for_each_platform(project: Project) -> None:
    root = project({"main.py": "", "wherry.toml": 'platforms = ["linux/amd64", "linux/arm64", "amd64"]\n'})
    assert [str(one.platform) for one in plans(root)] == ["linux/amd64", "linux/arm64"]
    assert [one.platform for one in plans(root, ProjectOptions(platforms=(Platform("linux", "s390x"),)))] == [
        Platform("linux", "s390x")
    ]
    with pytest.raises(UsageError, match="several platforms: linux/amd64, linux/arm64"):
        plan(root)


def test_the_platform_is_this_machines_by_default(project: Project) -> None:
    assert plan(project({"main.py": ""})).platform == Platform.native()


def test_images_are_linux_images(project: Project) -> None:
    with pytest.raises(UsageError, match="images are Linux images, not windows/amd64"):
        plans(project({"main.py": ""}), ProjectOptions(platforms=(Platform("windows", "amd64"),)))


def test_the_time_of_everything_is_fixed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project({"main.py": ""})
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert plan(root).epoch == DEFAULT_EPOCH
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert plan(root).epoch == 1700000000
    assert plan(root, ProjectOptions(epoch=5)).epoch == 5
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "253402300800")  # the year 10000
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        plan(root)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        plan(root)


# -- what cannot be read --------------------------------------------------------------------------


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file, not a project folder"):
        plan(tmp_path / "file")
    with pytest.raises(UsageError, match="does not exist"):
        plan(tmp_path / "nothing")


def test_a_link_to_itself_is_an_error_that_names_it(project: Project) -> None:
    root = project({"main.py": ""})
    (root / "requirements.txt").symlink_to("requirements.txt")
    with pytest.raises(WherryError, match="cannot read"):
        plan(root)
