"""What the image runs: each way to find it, their order, and what happens when two could be meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.frontends.python import ProjectOptions
from wherry.frontends.python.planner import plan
from wherry.plan import Configure, Fact

Project = Callable[[dict[str, str]], Path]

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
FLASK = "from flask import Flask\napp = Flask(__name__)\n"
PACKAGE = '[build-system]\nrequires = ["hatchling"]\n[project]\nname = "app"\nversion = "1"\n'
MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "{}")\nfrom django.core import management\n'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    def make(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def configure(root: Path, options: ProjectOptions | None = None) -> Configure:
    step = plan(root, options).stage("runtime").steps[-1]
    assert isinstance(step, Configure)
    return step


def command(root: Path, options: ProjectOptions | None = None) -> str:
    return " ".join(configure(root, options).entrypoint or ()).replace("/opt/venv/bin/", "@")


def why(root: Path) -> Fact:
    return next(fact for fact in plan(root).facts if fact.name == "entry point")


def complaint(root: Path, options: ProjectOptions | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        plan(root, options)
    return str(caught.value)


# -- what was said --------------------------------------------------------------------------------


def test_the_ways_are_tried_in_order(project: Project) -> None:
    ways: list[tuple[dict[str, str], str]] = [
        ({"__main__.py": ""}, "@python __main__.py"),
        ({"app.py": FLASK, "requirements.txt": "flask\ngunicorn\ndjango\n"}, "@gunicorn app:app --bind 0.0.0.0:8000"),
        ({"manage.py": MANAGE.format("site.settings"), "site/wsgi.py": ""},
         "@gunicorn site.wsgi:application --bind 0.0.0.0:8000"),
        ({"Procfile": "web: gunicorn other:app\n"}, "@gunicorn other:app"),
        ({"pyproject.toml": PACKAGE + '[project.scripts]\nserve = "app:main"\n'}, "@serve"),
        ({"wherry.toml": 'entrypoint = "python app.py"\n'}, "python app.py"),
    ]  # fmt: skip
    for files, expected in ways:
        assert command(project(files)) == expected
    assert command(project({}), ProjectOptions(entrypoint="gunicorn 'my app:x'")) == "gunicorn my app:x"


def test_words_are_taken_as_they_are(project: Project) -> None:
    root = project({"wherry.toml": 'entrypoint = ["sh", "-c", "echo $PORT && exit"]\ncmd = ["*"]\n'})
    found = configure(root)
    assert (found.entrypoint, found.cmd) == (("sh", "-c", "echo $PORT && exit"), ("*",))


def test_a_script_alone_is_run_by_python(project: Project) -> None:
    assert command(project({"job.py": ""}), ProjectOptions(entrypoint="job.py")) == "@python job.py"


def test_a_command_alone_is_the_whole_command(project: Project) -> None:
    found = configure(project({"main.py": "", "wherry.toml": 'cmd = "python main.py --once"\n'}))
    assert (found.entrypoint, found.cmd) == ((), ("python", "main.py", "--once"))


def test_the_command_line_keeps_the_settings_default_arguments_out(project: Project) -> None:
    root = project({"main.py": "", "wherry.toml": 'entrypoint = "python main.py"\ncmd = ["--slow"]\n'})
    assert configure(root).cmd == ("--slow",)
    assert configure(root, ProjectOptions(entrypoint="python main.py")).cmd is None
    found = configure(root, ProjectOptions(cmd=("--fast",)))
    assert (found.entrypoint, found.cmd) == (("python", "main.py"), ("--fast",))


@pytest.mark.parametrize("entrypoint", ["python missing.py", "missing.py", "/opt/venv/bin/python -u ./missing.py"])
def test_a_script_that_does_not_exist_is_an_error(project: Project, entrypoint: str) -> None:
    message = complaint(project({"other.py": ""}), ProjectOptions(entrypoint=entrypoint))
    assert message.startswith("--entrypoint: the entry point missing.py is not in the project")
    assert "Python files here: other.py" in message


def test_a_script_that_is_left_out_of_the_image_is_an_error(project: Project) -> None:
    message = complaint(project({"main.py": "", ".dockerignore": "*.py\n"}))
    assert message.startswith(".dockerignore: the entry point main.py is left out")


def test_variables_in_an_entry_point_come_from_env(project: Project) -> None:
    files = {"requirements.txt": "", "wherry.toml": 'entrypoint = "serve --port $PORT"\n[env]\nPORT = 9000\n'}
    assert command(project(files)) == "serve --port 9000"


def test_an_entry_point_that_needs_a_shell_gets_it_from_a_base_that_has_one(project: Project) -> None:
    root = project({"wherry.toml": 'entrypoint = "migrate && serve"\n'})
    assert complaint(root).startswith("wherry.toml:1: the command 'migrate && serve' needs a shell")
    assert command(root, ProjectOptions(base="debian://trixie?shell=1")) == "/bin/sh -c migrate && serve"


def test_an_empty_entry_point_is_an_error(project: Project) -> None:
    assert "is empty" in complaint(project({"main.py": "", "wherry.toml": "entrypoint = []\n"}))


# -- console scripts ------------------------------------------------------------------------------


def test_a_script_of_a_project_that_is_not_installed_is_imported(project: Project) -> None:
    root = project({"pyproject.toml": '[project]\nname = "x"\n[project.scripts]\ngo = "pkg.cli:main.run"\n'})
    assert command(root) == "@python -c import sys; from pkg.cli import main; sys.exit(main.run())"


def test_a_script_may_be_chosen_where_the_project_is_not_installed(project: Project) -> None:
    scripts = '[project.scripts]\nserve = "a:b"\nadmin = "a:c"\n'
    chosen = ProjectOptions(entrypoint="admin --all")
    loose = project({"pyproject.toml": '[project]\nname = "x"\n' + scripts})
    assert command(loose, chosen) == "@python -c import sys; from a import c; sys.exit(c()) --all"
    assert command(project({"pyproject.toml": PACKAGE + scripts}), chosen) == "admin --all"


def test_two_scripts_are_an_error_that_lists_them(project: Project) -> None:
    root = project({"pyproject.toml": PACKAGE + '[project.scripts]\nserve = "a:b"\nadmin = "a:c"\n', "main.py": ""})
    message = complaint(root)
    assert message.startswith("pyproject.toml:6: [project.scripts] has 2 scripts: admin, serve")
    assert "--entrypoint admin" in message


def test_a_procfile_decides_between_two_scripts(project: Project) -> None:
    scripts = '[project.scripts]\nserve = "a:b"\nadmin = "a:c"\n'
    assert command(project({"pyproject.toml": PACKAGE + scripts, "Procfile": "web: serve --all"})) == "serve --all"


def test_a_script_that_names_no_function_is_an_error(project: Project) -> None:
    message = complaint(project({"pyproject.toml": PACKAGE + '[project.scripts]\nserve = "a.b"\n'}))
    assert message.startswith("pyproject.toml:7: 'serve' does not name a function")


# -- Procfile -------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ['"pkg.cli:main"', '{reference = "pkg.cli:main", type = "console"}'])
def test_scripts_may_stand_in_poetrys_own_table(project: Project, target: str) -> None:
    table = f'[tool.poetry]\nname = "x"\nversion = "1"\n[tool.poetry.scripts]\ngo = {target}\n'
    root = project({"pyproject.toml": table, "requirements.txt": ""})
    assert command(root) == "@python -c import sys; from pkg.cli import main; sys.exit(main())"
    project({"pyproject.toml": table + '[build-system]\nrequires = ["poetry-core"]\n'})
    assert command(root) == "@go"
    assert why(root).why == "the only script in [tool.poetry.scripts]"


def test_a_procfile_gets_the_port_that_its_platforms_give(project: Project) -> None:
    files = {"requirements.txt": "gunicorn", "Procfile": "release: x\nweb: A=1 gunicorn app:app -b :$PORT # no\n"}
    found = configure(project({**files, "Procfile": "release: x\nweb: A=1 gunicorn app:app -b :$PORT\n"}))
    assert found.entrypoint == ("/opt/venv/bin/gunicorn", "app:app", "-b", ":8000")
    assert dict(found.env)["PORT"] == "8000"
    assert dict(found.env)["A"] == "1"
    assert found.ports == ("8000/tcp",)


def test_the_settings_may_choose_another_port(project: Project) -> None:
    files = {"Procfile": "web: python serve.py", "serve.py": "", "wherry.toml": "[env]\nPORT = 9000\n"}
    found = configure(project(files))
    assert found.entrypoint == ("/opt/venv/bin/python", "serve.py")
    assert (dict(found.env)["PORT"], found.ports) == ("9000", ("9000/tcp",))


def test_a_procfile_that_needs_a_shell_is_an_error_with_its_line(project: Project) -> None:
    root = project({"Procfile": "worker: x\nweb: python manage.py migrate && gunicorn x\n"})
    assert complaint(root).startswith("Procfile:2: the command")


def test_a_procfile_without_web_is_passed_over(project: Project) -> None:
    assert command(project({"Procfile": "worker: celery\n", "main.py": ""})) == "@python main.py"


def test_a_procfiles_missing_script_is_an_error_with_its_line(project: Project) -> None:
    assert complaint(project({"Procfile": "web: python bot.py\n"})).startswith("Procfile:1: the entry point bot.py")


# -- Django ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requirements", "files", "expected"),
    [
        ("gunicorn", ["config/wsgi.py"], "@gunicorn config.wsgi:application --bind 0.0.0.0:8000"),
        ("uvicorn", ["config/asgi.py"], "@uvicorn config.asgi:application --host 0.0.0.0 --port 8000"),
        ("gunicorn\nuvicorn", ["config/asgi.py", "config/wsgi.py"],
         "@gunicorn config.wsgi:application --bind 0.0.0.0:8000"),
        ("", ["config/wsgi.py"], "@python manage.py runserver --noreload 0.0.0.0:8000"),
        ("gunicorn", [], "@python manage.py runserver --noreload 0.0.0.0:8000"),
    ],
)  # fmt: skip
def test_django_is_served_by_what_is_required(
    project: Project, requirements: str, files: list[str], expected: str
) -> None:
    root = project({"requirements.txt": requirements, "manage.py": MANAGE.format("config.settings.production")})
    project(dict.fromkeys(files, ""))
    assert command(root) == expected
    assert configure(root).ports == ("8000/tcp",)


def test_a_manage_py_of_something_else_is_passed_over(project: Project) -> None:
    assert command(project({"manage.py": "print('hi')", "main.py": ""})) == "@python main.py"


# -- ASGI and WSGI --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requirements", "files", "expected"),
    [
        ("uvicorn[standard]", {"main.py": FASTAPI}, "@uvicorn main:app --host 0.0.0.0 --port 8000"),
        ("uvicorn\ngunicorn", {"main.py": FASTAPI}, "@uvicorn main:app --host 0.0.0.0 --port 8000"),
        ("fastapi[standard]", {"app/main.py": FASTAPI}, "@uvicorn app.main:app --host 0.0.0.0 --port 8000"),
        ("gunicorn", {"app.py": FLASK}, "@gunicorn app:app --bind 0.0.0.0:8000"),
        ("gunicorn", {"app.py": FLASK, "main.py": "print()"}, "@gunicorn app:app --bind 0.0.0.0:8000"),
        ("gunicorn", {"main.py": "from x import make\napplication = make()"},
         "@gunicorn main:application --bind 0.0.0.0:8000"),
        ("gunicorn\nuvicorn\nflask", {"main.py": "app = make()"}, "@gunicorn main:app --bind 0.0.0.0:8000"),
        ("fastapi", {"main.py": FASTAPI}, "@python main.py"),
        ("gunicorn", {"main.py": FASTAPI}, "@python main.py"),
        ("uvicorn", {"main.py": FLASK}, "@python main.py"),
        ("uvicorn", {"main.py": "import uvicorn\nuvicorn.run('x:y')"}, "@python main.py"),
    ],
)  # fmt: skip
def test_an_application_is_served_by_its_server(
    project: Project, requirements: str, files: dict[str, str], expected: str
) -> None:
    assert command(project({"requirements.txt": requirements, **files})) == expected


def test_two_applications_are_an_error_that_lists_them(project: Project) -> None:
    message = complaint(project({"requirements.txt": "uvicorn", "main.py": FASTAPI, "app.py": FASTAPI}))
    assert "two applications could be meant: main:app and app:app" in message
    assert '--entrypoint "uvicorn main:app --host 0.0.0.0 --port 8000"' in message


def test_two_servers_for_an_unknown_application_are_an_error(project: Project) -> None:
    message = complaint(project({"requirements.txt": "uvicorn\ngunicorn", "main.py": "app = make()"}))
    assert "main:app could be served by uvicorn or gunicorn" in message


# -- plain files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["main.py", "app.py", "__main__.py"])
def test_a_main_file_is_run(project: Project, name: str) -> None:
    root = project({name: "", "other.py": ""})
    assert command(root) == f"@python {name}"
    assert why(root).why == f"{name} is here"
    assert configure(root).ports == ()


def test_two_main_files_are_an_error_that_lists_them(project: Project) -> None:
    message = complaint(project({"main.py": "", "app.py": ""}))
    assert "could be any of main.py and app.py" in message
    assert '--entrypoint "python main.py"' in message


def test_a_package_with_a_main_is_run_as_a_module(project: Project) -> None:
    assert command(project({"boats/__main__.py": "", "tests/__main__.py": ""})) == "@python -m boats"


def test_a_src_package_with_a_main_is_run_if_it_is_installed(project: Project) -> None:
    root = project({"src/boats/__main__.py": ""})
    assert "nothing here says" in complaint(root)
    assert command(project({"pyproject.toml": PACKAGE})) == "@python -m boats"


def test_two_packages_with_a_main_are_an_error_that_lists_them(project: Project) -> None:
    assert "any of the packages boats, ships" in complaint(project({"boats/__main__.py": "", "ships/__main__.py": ""}))


# -- nothing --------------------------------------------------------------------------------------


def test_a_folder_with_nothing_to_run_says_what_was_looked_for(project: Project) -> None:
    message = complaint(project({"requirements.txt": "flask", "hello.py": ""}))
    for word in ("[tool.wherry]", "[project.scripts]", "Procfile", "manage.py", "main.py", "__main__.py"):
        assert word in message
    assert '--entrypoint "python hello.py"' in message


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    message = complaint(tmp_path)
    assert "is empty" in message
    assert "requirements.txt" in message
