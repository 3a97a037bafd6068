"""Which file says what a project needs, and what a resolution of it will read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.errors import UsageError, WherryError
from wherry.frontends.python import ProjectOptions
from wherry.frontends.python.document import Document
from wherry.frontends.python.folder import Folder
from wherry.frontends.python.planner import plans
from wherry.frontends.python.requirements import Needs, find

Project = Callable[..., Path]

PACKAGE = """
[build-system]
requires = ["hatchling"]
[project]
name = "app"
version = "1"
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    def make(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def needs(root: Path, options: ProjectOptions | None = None) -> Needs:
    folder = Folder(root)
    return find(folder, Document.read(folder, "pyproject.toml"), options or ProjectOptions())


def complaint(root: Path, options: ProjectOptions | None = None) -> str:
    with pytest.raises(WherryError) as caught:
        needs(root, options)
    return str(caught.value)


# -- which file -----------------------------------------------------------------------------------


def test_files_are_preferred_in_order(project: Project) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "app"\ndependencies = ["flask"]\n',
        "requirements.txt": "flask\n",
        "uv.lock": "version = 1\n",
        "pylock.toml": 'lock-version = "1.0"\n',
    }
    for name, kind in zip(files, ("pyproject", "requirements.txt", "uv.lock", "pylock"), strict=True):
        found = needs(project(**{name: files[name]}))
        assert (found.requirements.kind, found.requirements.path) == (kind, name)
    assert found.why == "found; it goes before uv.lock and requirements.txt and pyproject.toml"


def test_a_project_without_any_has_none(project: Project) -> None:
    found = needs(project(**{"main.py": "", "pyproject.toml": "[tool.ruff]\n"}))
    assert (found.requirements.kind, found.requirements.path) == ("none", "")
    assert "requirements.txt" in found.why


def test_a_file_can_be_named(project: Project) -> None:
    root = project(**{"requirements.txt": "flask", "requirements/prod.txt": "django", "pylock.prod.toml": ""})
    found = needs(root, ProjectOptions(requirements="requirements/prod.txt"))
    assert (found.requirements.kind, found.requirements.path) == ("requirements.txt", "requirements/prod.txt")
    assert found.names == {"django"}
    assert needs(root, ProjectOptions(requirements="pylock.prod.toml")).requirements.kind == "pylock"
    assert "there is no file nothing.txt" in complaint(root, ProjectOptions(requirements="nothing.txt"))
    project(**{"other.lock": ""})
    assert "not a file of requirements" in complaint(root, ProjectOptions(requirements="other.lock"))


def test_poetrys_own_table_needs_its_lock(project: Project) -> None:
    message = complaint(project(**{"pyproject.toml": "[tool.poetry.dependencies]\nflask = '*'\n"}))
    assert "no [project] table" in message
    assert "run `poetry lock`" in message


def test_uv_lock_needs_the_project_that_it_locks(project: Project) -> None:
    assert "no pyproject.toml" in complaint(project(**{"uv.lock": "version = 1\n"}))


# -- requirements.txt -----------------------------------------------------------------------------


def test_names_are_normalised_and_known_without_resolving(project: Project) -> None:
    text = """
    # comment
    Flask_Login>=1  # why
    uvicorn[standard] == 0.30 ; python_version >= "3.9"
    zope.interface
    requests @ https://host.example/requests.tar.gz
    git+https://host.example/repo#egg=My_Tool
    https://host.example/files/some_thing-1.0-py3-none-any.whl
    attrs==25.1 \\
        --hash=sha256:00
    flask;python_version<"4"
    --no-binary numpy
    django (>=5)
    """
    found = needs(project(**{"requirements.txt": text}))
    assert found.names == {
        "flask-login", "uvicorn", "zope-interface", "requests", "my-tool", "some-thing", "attrs", "flask", "django",
    }  # fmt: skip


def test_fastapi_standard_brings_uvicorn(project: Project) -> None:
    assert "uvicorn" in needs(project(**{"requirements.txt": "fastapi[standard]"})).names


def test_included_files_are_inputs_relative_to_the_file_that_names_them(project: Project) -> None:
    root = project(
        **{
            "requirements.txt": "-r requirements/base.txt\n--constraint=constraints.txt\n-rextra.txt\nflask\n",
            "requirements/base.txt": "-r more.txt\n-c ../constraints.txt\n",
            "requirements/more.txt": "rich\n",
            "constraints.txt": "not-needed==1\n",
            "extra.txt": "attrs",
        }
    )
    found = needs(root)
    assert found.requirements.inputs == (
        "requirements.txt",
        "requirements/base.txt",
        "requirements/more.txt",
        "constraints.txt",
        "extra.txt",
    )
    assert found.names == {"flask", "rich", "attrs"}


def test_a_url_to_include_is_not_an_input(project: Project) -> None:
    assert needs(project(**{"requirements.txt": "-r https://host.example/r.txt"})).requirements.inputs == (
        "requirements.txt",
    )


def test_files_that_include_each_other_are_an_error(project: Project) -> None:
    message = complaint(project(**{"requirements.txt": "\n-r a.txt\n", "a.txt": "-r requirements.txt\n"}))
    assert message.startswith("a.txt:1: requirements.txt includes a.txt includes requirements.txt")


def test_a_file_that_two_files_include_is_no_loop(project: Project) -> None:
    root = project(
        **{"requirements.txt": "-r a.txt\n-r b.txt\n", "a.txt": "-r c.txt", "b.txt": "-r c.txt", "c.txt": "x"}
    )
    assert needs(root).names == {"x"}


def test_a_missing_include_is_an_error_with_its_line(project: Project) -> None:
    message = complaint(project(**{"requirements.txt": "flask\n-r missing.txt\n"}))
    assert message.startswith("requirements.txt:2: there is no file missing.txt")


@pytest.mark.parametrize("line", ["-r ../other.txt", "-e ../lib", "./../lib", "lib @ file:///somewhere/lib"])
def test_nothing_outside_the_folder_is_read(project: Project, line: str) -> None:
    message = complaint(project(**{"requirements.txt": f"flask\n{line}\n"}))
    assert message.startswith("requirements.txt:2:")
    assert "outside the project folder" in message


@pytest.mark.parametrize(
    "line",
    [
        "-e ./libs/one",
        "--editable=libs/one",
        "./libs/one",
        "libs/one[extra]",
        "one @ file:libs/one",
        "-e file:./libs/one",
        "-e libs/one[a,b] ; python_version > '3'",
    ],
)
def test_local_projects_are_found_with_their_metadata(project: Project, line: str) -> None:
    found = needs(project(**{"requirements.txt": line, "libs/one/pyproject.toml": PACKAGE, "libs/one/setup.cfg": ""}))
    assert found.requirements.projects == ("libs/one",)
    assert found.requirements.inputs == ("requirements.txt", "libs/one/pyproject.toml", "libs/one/setup.cfg")


def test_an_absolute_path_inside_the_folder_is_fine(project: Project) -> None:
    root = project(**{"lib/setup.py": ""})
    project(**{"requirements.txt": f"lib @ {(root / 'lib').as_uri()}"})
    assert needs(root).requirements.projects == ("lib",)


def test_a_local_wheel_is_an_input_and_no_project(project: Project) -> None:
    found = needs(
        project(**{"requirements.txt": "./wheels/my_lib-1-py3-none-any.whl", "wheels/my_lib-1-py3-none-any.whl": ""})
    )
    assert found.requirements.inputs == ("requirements.txt", "wheels/my_lib-1-py3-none-any.whl")
    assert found.requirements.projects == ()
    assert found.names == {"my-lib"}


def test_a_folder_of_wheels_is_an_input(project: Project) -> None:
    found = needs(
        project(**{"requirements.txt": "-f wheels\nx", "wheels/x-1-py3-none-any.whl": "", "wheels/notes": ""})
    )
    assert found.requirements.inputs == ("requirements.txt", "wheels/x-1-py3-none-any.whl")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("./nothing", "there is no project at nothing"),
        ("./empty", "empty is not a Python project"),
        ("-e", "-e names no project"),
        ("-r", "-r names no file"),
        ("not a requirement !!", "is not a requirement"),
    ],
)
def test_a_wrong_line_is_an_error_with_its_number(project: Project, line: str, what: str) -> None:
    message = complaint(project(**{"requirements.txt": f"flask\n\n{line}\n", "empty/readme": ""}))
    assert message.startswith("requirements.txt:3:")
    assert what in message


def test_variables_are_filled_in(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHICH", "base")
    assert needs(project(**{"requirements.txt": "-r ${WHICH}.txt", "base.txt": "x"})).names == {"x"}


def test_byte_order_marks_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"\xef\xbb\xbfflask\r\nrich\\\r\n>=1\r\n")
    assert needs(tmp_path).names == {"flask", "rich"}


def test_what_powershell_writes_is_explained(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("flask\n", encoding="utf-16")
    assert "UTF-16" in complaint(tmp_path)


def test_a_file_that_is_not_text_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"flask\ncaf\xe9\n")
    assert complaint(tmp_path).startswith("requirements.txt:2: the file is not UTF-8")


# -- pyproject.toml, extras and groups --------------------------------------------------------------

TABLES = """
[project]
name = "app"
dependencies = ["flask>=3"]
[project.optional-dependencies]
web_server = ["gunicorn"]
[dependency-groups]
base = ["rich"]
ops = ["sentry-sdk", {include-group = "base"}]
round = [{include-group = "trip"}]
trip = [{include-group = "round"}]
"""


def test_extras_and_groups_add_their_requirements(project: Project) -> None:
    options = ProjectOptions(extras=("Web-Server",), groups=("ops",))
    found = needs(project(**{"pyproject.toml": TABLES}), options)
    assert found.names == {"flask", "gunicorn", "sentry-sdk", "rich"}
    assert (found.requirements.extras, found.requirements.groups) == (("web-server",), ("ops",))
    assert needs(project()).names == {"flask"}


def test_an_unknown_extra_or_group_names_the_nearest(project: Project) -> None:
    root = project(**{"pyproject.toml": TABLES})
    assert "Did you mean 'web-server'?" in complaint(root, ProjectOptions(extras=("webserver",)))
    assert "Did you mean 'ops'?" in complaint(root, ProjectOptions(groups=("opps",)))
    assert "pyproject.toml:7: there is no group" in complaint(root, ProjectOptions(groups=("opps",)))


def test_groups_that_include_each_other_are_an_error(project: Project) -> None:
    assert "includes itself" in complaint(project(**{"pyproject.toml": TABLES}), ProjectOptions(groups=("round",)))


def test_extras_mean_nothing_to_requirements_txt(project: Project) -> None:
    root = project(**{"pyproject.toml": TABLES, "requirements.txt": "flask"})
    assert "--extra has no meaning with requirements.txt" in complaint(root, ProjectOptions(extras=("web-server",)))


def test_dynamic_metadata_makes_the_build_scripts_inputs(project: Project) -> None:
    root = project(**{"pyproject.toml": '[project]\nname = "a"\ndynamic = ["dependencies"]\n', "setup.cfg": ""})
    assert needs(root).requirements.inputs == ("pyproject.toml", "setup.cfg")


def test_dependencies_of_the_wrong_type_are_an_error_with_their_line(project: Project) -> None:
    message = complaint(project(**{"pyproject.toml": '[project]\nname = "a"\ndependencies = "flask"\n'}))
    assert message.startswith("pyproject.toml:3: project.dependencies must be a list of strings")


def test_path_sources_of_uv_are_local_projects(project: Project) -> None:
    sources = 'lib = {path = "lib"}\nother = {path = "../x"}\n'
    text = f'[project]\nname = "a"\ndependencies = ["lib"]\n[tool.uv.sources]\n{sources}'
    assert needs(project(**{"pyproject.toml": text, "lib/pyproject.toml": PACKAGE})).requirements.projects == ("lib",)


# -- the project as a package ---------------------------------------------------------------------


def test_a_project_with_a_build_system_is_installed_too(project: Project) -> None:
    found = needs(project(**{"pyproject.toml": PACKAGE, "requirements.txt": "flask\n"}))
    assert found.requirements.projects == (".",)
    assert found.requirements.inputs == ("requirements.txt", "pyproject.toml")


def test_uvs_own_setting_decides_whether_it_is_a_package(project: Project) -> None:
    assert needs(project(**{"pyproject.toml": PACKAGE + "[tool.uv]\npackage = false\n"})).requirements.projects == ()
    text = '[project]\nname = "a"\n[tool.uv]\npackage = true\n'
    assert needs(project(**{"pyproject.toml": text})).requirements.projects == (".",)


def test_a_build_system_alone_makes_no_package(project: Project) -> None:
    text = '[build-system]\nrequires = ["setuptools"]\n'
    assert needs(project(**{"pyproject.toml": text, "requirements.txt": ""})).requirements.projects == ()


# -- locks ----------------------------------------------------------------------------------------

UV_LOCK = """
version = 1

[[package]]
name = "app"
version = "0.1"
source = { virtual = "." }
dependencies = [{ name = "used" }, { name = "flask" }]

[package.optional-dependencies]
server = [{ name = "gunicorn" }]

[package.dev-dependencies]
dev = [{ name = "tools" }, { name = "uvicorn" }]

[[package]]
name = "used"
source = { editable = "libs/used" }
dependencies = [{ name = "deep" }]

[[package]]
name = "deep"
source = { directory = "libs/deep" }

[[package]]
name = "tools"
source = { editable = "libs/tools" }

[[package]]
name = "flask"
version = "3.1"
[[package]]
name = "gunicorn"
[[package]]
name = "uvicorn"
"""
UV_PROJECT = """
[project]
name = "app"
dependencies = ["used", "flask"]
[project.optional-dependencies]
server = ["gunicorn"]
[dependency-groups]
dev = ["tools", "uvicorn"]
"""


@pytest.fixture
def locked(project: Project) -> Path:
    libs = {f"libs/{name}/pyproject.toml": PACKAGE for name in ("used", "deep", "tools")}
    return project(**{"uv.lock": UV_LOCK, "pyproject.toml": UV_PROJECT, **libs})


def test_of_a_workspace_only_what_the_project_needs_is_built(locked: Path) -> None:
    assert needs(locked).requirements.projects == ("libs/deep", "libs/used")
    assert needs(locked, ProjectOptions(groups=("dev",))).requirements.projects == (
        "libs/deep",
        "libs/tools",
        "libs/used",
    )


def test_what_a_lock_has_for_development_only_is_not_a_requirement(locked: Path) -> None:
    assert not {"uvicorn", "gunicorn", "tools"} & needs(locked).names
    assert "gunicorn" in needs(locked, ProjectOptions(extras=("server",))).names


def test_a_lock_and_its_project_are_inputs(locked: Path) -> None:
    assert needs(locked).requirements.inputs[:2] == ("uv.lock", "pyproject.toml")


def test_directories_in_a_pylock_are_local_projects(project: Project) -> None:
    lock = """
lock-version = "1.0"
[[packages]]
name = "lib"
[packages.directory]
path = "./lib"
[[packages]]
name = "uvicorn"
version = "1"
"""
    found = needs(project(**{"pylock.toml": lock, "lib/pyproject.toml": PACKAGE}))
    assert found.requirements.projects == ("lib",)
    assert found.names == {"lib", "uvicorn"}


@pytest.mark.parametrize(
    "packages",
    [
        'packages = [{name = "lib", directory = {path = "%s"}}]',
        'packages = [{name = "lib", directory.path = "%s"}]',
        '[[packages]]\nname = "lib"\n"directory" = {path = "%s"}',
        '[[packages]]\nname = "lib"\n[ packages . directory ]\npath = "%s"',
        '[[packages]]\nname = "lib"\n"direc\\u0074ory".path = "%s"',
    ],
)
def test_a_directory_in_a_pylock_is_seen_however_it_is_written(project: Project, packages: str) -> None:
    lock = 'lock-version = "1.0"\n' + packages
    found = needs(project(**{"pylock.toml": lock % "lib", "lib/pyproject.toml": PACKAGE}))
    assert found.requirements.projects == ("lib",)
    assert found.names == {"lib"}
    assert "outside the project folder" in complaint(project(**{"pylock.toml": lock % "../lib"}))


def test_a_large_lock_is_read_fast(project: Project) -> None:
    import time

    packages = "".join(f'[[package]]\nname = "p{number}"\nversion = "1"\n' * 5 for number in range(4000))
    root = project(**{"uv.lock": "version = 1\n" + packages, "pyproject.toml": UV_PROJECT})
    start = time.perf_counter()
    assert "p3999" in needs(root).names
    assert time.perf_counter() - start < 1


def test_indexes_are_passed_on(project: Project) -> None:
    from wherry.plan import Indexes

    indexes = Indexes("https://host.example/simple")
    assert needs(project(**{"requirements.txt": ""}), ProjectOptions(indexes=indexes)).requirements.indexes == indexes


def test_a_name_that_leads_nowhere_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        Folder(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["setup.py", "Pipfile", "environment.yml"])
def test_requirements_in_a_form_that_is_not_read_are_an_error_and_not_left_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    (tmp_path / "main.py").write_text("print(1)\n")
    with pytest.raises(UsageError, match=f"{name} says what the project needs") as caught:
        plans(tmp_path)
    assert re.search(r"requirements\.txt|lock", str(caught.value.hint))


# -- locks of other tools ---------------------------------------------------------------------------

POETRY_LOCK = """
[[package]]
name = "Flask"
version = "3.1"
optional = false
groups = ["main"]

[[package]]
name = "gunicorn"
version = "23.0"
optional = true
groups = ["main"]
markers = "extra == \\"server\\""

[[package]]
name = "uvicorn"
version = "0.30"
optional = false
groups = ["dev"]

[[package]]
name = "lib"
version = "1.0"
optional = false
groups = ["main"]
develop = true

[package.source]
type = "directory"
url = "libs/lib"

[metadata]
lock-version = "2.1"
python-versions = ">=3.11"
content-hash = ""
"""
POETRY_PROJECT = """
[tool.poetry]
name = "app"
version = "1"
[tool.poetry.dependencies]
python = "^3.11"
[tool.poetry.extras]
server = ["gunicorn"]
[tool.poetry.group.dev.dependencies]
uvicorn = "*"
"""


@pytest.fixture
def poetry(project: Project) -> Path:
    return project(**{"poetry.lock": POETRY_LOCK, "pyproject.toml": POETRY_PROJECT, "libs/lib/pyproject.toml": PACKAGE})


def test_a_poetry_lock_goes_before_requirements_txt_and_that_is_said(poetry: Path, project: Project) -> None:
    project(**{"requirements.txt": "flask\n"})
    found = needs(poetry)
    assert (found.requirements.kind, found.requirements.path) == ("poetry.lock", "poetry.lock")
    assert found.why == "found; it goes before requirements.txt and pyproject.toml"


def test_a_poetry_lock_names_what_extras_and_groups_choose(poetry: Path) -> None:
    assert needs(poetry).names == {"flask", "lib"}
    assert "gunicorn" in needs(poetry, ProjectOptions(extras=("server",))).names
    assert "uvicorn" in needs(poetry, ProjectOptions(groups=("dev",))).names


def test_local_projects_of_a_poetry_lock_are_found_with_their_metadata(poetry: Path) -> None:
    found = needs(poetry).requirements
    assert found.projects == ("libs/lib",)
    assert found.inputs == ("poetry.lock", "pyproject.toml", "libs/lib/pyproject.toml")


def test_local_projects_of_a_lock_outside_the_folder_are_refused(poetry: Path, project: Project) -> None:
    project(**{"poetry.lock": POETRY_LOCK.replace("libs/lib", "../lib")})
    assert "outside the project folder" in complaint(poetry)


def test_an_extra_or_group_that_poetry_does_not_know_names_the_nearest(poetry: Path) -> None:
    assert "Did you mean 'server'?" in complaint(poetry, ProjectOptions(extras=("sever",)))
    assert "Did you mean 'dev'?" in complaint(poetry, ProjectOptions(groups=("deb",)))


@pytest.mark.parametrize(
    ("tables", "is_it"),
    [
        ('[tool.poetry]\nname = "a"\n', False),
        ('[tool.poetry]\nname = "a"\n[build-system]\nrequires = []\n', True),
        ('[tool.poetry]\nname = "a"\npackage-mode = false\n[build-system]\nrequires = []\n', False),
        ('[project]\nname = "a"\n[tool.pdm]\ndistribution = false\n[build-system]\nrequires = []\n', False),
        ('[project]\nname = "a"\n[tool.pdm]\ndistribution = true\n', True),
        ('[project]\nname = "a"\n[tool.pdm]\n', False),
    ],
)
def test_poetry_and_pdm_say_whether_the_project_is_a_package(project: Project, tables: str, is_it: bool) -> None:
    root = project(**{"pyproject.toml": tables, "requirements.txt": ""})
    assert needs(root).requirements.projects == ((".",) if is_it else ())


@pytest.mark.parametrize(
    ("file", "more", "is_it"),
    [
        ("my_app/__init__.py", "", True),
        ("src/my_app.py", "", True),
        ("app/main.py", "", False),
        ("app/main.py", 'packages = [{include = "app"}]\n', True),
        ("app/main.py", "package-mode = true\n", True),
    ],
)
def test_an_application_that_poetry_cannot_build_is_no_package(
    project: Project, file: str, more: str, is_it: bool
) -> None:
    text = f'[tool.poetry]\nname = "My-App"\nversion = "1"\n{more}'
    text += '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
    root = project(**{"pyproject.toml": text, "requirements.txt": "", file: ""})
    assert needs(root).requirements.projects == ((".",) if is_it else ())


def test_a_pdm_lock_names_what_groups_choose(project: Project) -> None:
    lock = '[metadata]\ngroups = ["default", "web"]\nlock_version = "4.5.0"\n'
    lock += '\n[[package]]\nname = "flask"\ngroups = ["default"]\n\n[[package]]\nname = "gunicorn"\ngroups = ["web"]\n'
    text = '[project]\nname = "a"\ndependencies = ["flask"]\n[dependency-groups]\nweb = ["gunicorn"]\n'
    root = project(**{"pdm.lock": lock, "pyproject.toml": text})
    assert needs(root).requirements.kind == "pdm.lock"
    assert needs(root).names == {"flask"}
    assert needs(root, ProjectOptions(groups=("web",))).names == {"flask", "gunicorn"}


def test_a_pipfile_lock_names_what_groups_choose(project: Project) -> None:
    lock = '{"_meta": {}, "default": {"flask": {"version": "==3.1"}}, "develop": {"gunicorn": {"version": "==23"}}}'
    root = project(**{"Pipfile.lock": lock, "Pipfile": ""})
    found = needs(root)
    assert found.requirements.kind == "Pipfile.lock"
    assert found.names == {"flask"}
    assert found.requirements.inputs == ("Pipfile.lock", "Pipfile")
    assert needs(root, ProjectOptions(groups=("dev",))).names == {"flask", "gunicorn"}
    assert "--extra has no meaning" in complaint(root, ProjectOptions(extras=("x",)))


def test_a_conda_lock_may_have_a_name_of_its_own(project: Project) -> None:
    root = project(**{"envs/web.conda-lock.yml": "version: 1\npackage:\n- name: flask\n  manager: pip\n"})
    found = needs(root, ProjectOptions(requirements="envs/web.conda-lock.yml"))
    assert found.requirements.kind == "conda-lock"
    assert found.names == {"flask"}


# -- uv's workspaces --------------------------------------------------------------------------------

WORKSPACE_LOCK = """
version = 1
[manifest]
members = ["app", "lib", "other"]

[[package]]
name = "app"
version = "0.1"
source = { editable = "packages/app" }
dependencies = [{ name = "lib" }]

[[package]]
name = "flask"
version = "3.1"

[[package]]
name = "gunicorn"
version = "23.0"

[[package]]
name = "lib"
version = "0.1"
source = { editable = "packages/lib" }
dependencies = [{ name = "flask" }]

[[package]]
name = "other"
version = "0.1"
source = { editable = "packages/other" }
dependencies = [{ name = "gunicorn" }]
"""
MEMBER = (
    '[project]\nname = "app"\nversion = "0.1"\ndependencies = ["lib"]\n[tool.uv.sources]\nlib = {workspace = true}\n'
)
AROUND = ProjectOptions(requirements="../../uv.lock")


@pytest.fixture
def member(project: Project) -> Path:
    root = project(
        **{
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
            "uv.lock": WORKSPACE_LOCK,
            "packages/app/pyproject.toml": MEMBER,
            "packages/lib/pyproject.toml": PACKAGE,
            "packages/other/pyproject.toml": PACKAGE,
        }
    )
    return root / "packages" / "app"


def test_a_member_takes_from_the_workspaces_lock_what_it_needs(member: Path) -> None:
    found = needs(member, AROUND)
    assert (found.requirements.kind, found.requirements.path) == ("uv.lock", "../../uv.lock")
    assert found.requirements.projects == ("../../packages/lib",)
    assert found.names == {"lib", "flask"}
    assert {"../../uv.lock", "../../pyproject.toml", "pyproject.toml"} <= set(found.requirements.inputs)


def test_a_member_on_its_own_is_an_error_that_says_how_to_name_the_lock(member: Path) -> None:
    message = complaint(member)
    assert message.startswith("pyproject.toml:6: lib is in a uv workspace that is around the project folder")
    assert "--requirements ../../uv.lock" in message


def test_the_root_of_a_workspace_that_is_no_project_says_how_to_build_a_member(member: Path) -> None:
    (member / "../../uv.lock").unlink()
    assert "Build a member of the workspace" in complaint(member.parent.parent, ProjectOptions(groups=("x",)))


def test_a_lock_around_the_folder_that_is_of_another_project_is_refused(member: Path) -> None:
    (member / "../../uv.lock").write_text(WORKSPACE_LOCK.replace("packages/app", "packages/else"))
    assert "the project is not in the workspace of ../../uv.lock" in complaint(member, AROUND)


def test_nothing_else_outside_the_folder_can_be_named(member: Path) -> None:
    (member / "../../poetry.lock").write_text("")
    assert "outside the project folder" in complaint(member, ProjectOptions(requirements="../../poetry.lock"))
