"""Real projects, their requirements from the package index, run by a real Docker Engine and by ``wherry run``."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Docker, Wherry

pytestmark = pytest.mark.e2e

MakeProject = Callable[..., Path]


@pytest.fixture
def image(warm: Wherry, docker: Docker, tmp_path: Path) -> Callable[..., str]:
    """Builds a project, loads the archive into the Docker Engine and gives the image's name there."""

    def make(root: Path, name: str, *args: str) -> str:
        archive = tmp_path / f"{name}.tar"
        warm.ok("build", "-t", name, "-o", f"type=docker,dest={archive}", *args, root)
        assert docker.load(archive) == f"{name}:latest"
        return name

    return make


FASTAPI = {
    "requirements.txt": "fastapi==0.165.0\nuvicorn==0.54.0\n",
    "main.py": """
from fastapi import FastAPI

app = FastAPI()


@app.get("/greet/{name}")
def greet(name: str, times: int = 1) -> dict[str, str]:
    return {"greeting": " ".join([f"hello {name}"] * times)}
""",
}

FLASK = {
    "requirements.txt": "flask==3.1.3\ngunicorn==27.0.1\n",
    "app.py": """
from flask import Flask, render_template_string

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return render_template_string("{{ 6 * 7 }} from {{ name }}", name="flask")
""",
}

NUMBERS = {
    "requirements.txt": "numpy==2.5.5\npandas==3.1.1\n",
    "main.py": """
import sys

import numpy as np
import pandas as pd

frame = pd.DataFrame({"place": ["quay", "ship", "quay"], "weight": [1.5, 2.0, 4.5]})
print(frame.groupby("place").weight.sum().to_dict())
print(float(np.linalg.det(np.diag([1.0, 2.0, 3.0]))), *sys.argv[1:])
""",
}

PACKAGE = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "greeter"
version = "1.2.3"
requires-python = ">=3.11"
dependencies = ["click>=8.1"]

[project.scripts]
greet = "greeter.cli:main"

[tool.hatch.build.targets.wheel]
packages = ["src/greeter"]
""",
    "src/greeter/__init__.py": "",
    "src/greeter/greeting.txt": "Ahoy",
    "src/greeter/cli.py": """
from importlib.metadata import version
from importlib.resources import files

import click


@click.command()
@click.argument("name")
def main(name: str) -> None:
    greeting = files("greeter").joinpath("greeting.txt").read_text()
    click.echo(f"{greeting}, {name}, from {version('greeter')} in {__file__}")
""",
}

DJANGO = {
    "requirements.txt": "django==5.2.19\ngunicorn==27.0.1\n",
    "manage.py": """
import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_.settings")
execute_from_command_line(sys.argv)
""",
    "site_/__init__.py": "",
    "site_/settings.py": """
SECRET_KEY = "only for a test"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "site_.urls"
WSGI_APPLICATION = "site_.wsgi.application"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
""",
    "site_/urls.py": """
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.urls import path


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"django knows {get_user_model()._meta.label}")


urlpatterns = [path("", index)]
""",
    "site_/wsgi.py": """
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_.settings")
application = get_wsgi_application()
""",
}


def test_a_fastapi_project_serves_under_docker(project: MakeProject, image: Callable[..., str], docker: Docker) -> None:
    with ExitStack() as stack:
        container = docker.serve(image(project(FASTAPI), "fast"), stack)
        answer = docker.get(container, "http://127.0.0.1:8000/greet/boat?times=2")
        assert json.loads(answer) == {"greeting": "hello boat hello boat"}
        assert "greet" in docker.get(container, "http://127.0.0.1:8000/openapi.json")


def test_a_flask_project_serves_under_docker(project: MakeProject, image: Callable[..., str], docker: Docker) -> None:
    with ExitStack() as stack:
        container = docker.serve(image(project(FLASK), "flask"), stack)
        assert docker.get(container, "http://127.0.0.1:8000/") == "42 from flask"


def test_numpy_and_pandas_compute_under_docker_and_in_the_sandbox(
    project: MakeProject, image: Callable[..., str], docker: Docker, warm: Wherry
) -> None:
    expected = "{'quay': 6.0, 'ship': 2.0}\n6.0 aye\n"
    name = image(project(NUMBERS), "numbers")
    assert docker.run(name, "aye").stdout == expected
    assert warm.ok("run", name, "aye").stdout == expected


def test_a_package_with_a_console_script_greets_under_docker_and_in_the_sandbox(
    project: MakeProject, image: Callable[..., str], docker: Docker, warm: Wherry
) -> None:
    name = image(project(PACKAGE), "greeter")
    said = docker.run(name, "sailor").stdout
    assert said.startswith("Ahoy, sailor, from 1.2.3 in /opt/venv/lib/python3.13/site-packages/greeter/")
    assert warm.ok("run", name, "sailor").stdout == said


def test_a_django_project_serves_under_docker(project: MakeProject, image: Callable[..., str], docker: Docker) -> None:
    with ExitStack() as stack:
        container = docker.serve(image(project(DJANGO), "django"), stack)
        assert docker.get(container, "http://127.0.0.1:8000/") == "django knows auth.User"


def test_the_image_says_what_it_is_and_runs_as_nobody_special(
    project: MakeProject, image: Callable[..., str], docker: Docker
) -> None:
    root = project({"requirements.txt": "iniconfig==2.3.1\n", "main.py": "import os; print(os.getuid(), os.getcwd())"})
    name = image(root, "plain", "--label", "org.example.word=quay")
    config = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", name).stdout)
    assert config["User"] in {"65532", "65532:65532", "nonroot", "nonroot:nonroot"}
    assert config["WorkingDir"] == "/usr/src/app"
    assert config["Labels"]["org.example.word"] == "quay"
    env = dict(entry.split("=", 1) for entry in config["Env"])
    assert env["PATH"].startswith("/opt/venv/bin:")
    assert env["VIRTUAL_ENV"] == "/opt/venv"
    assert env["PYTHONUNBUFFERED"]
    assert docker.run(name).stdout == "65532 /usr/src/app\n"


def test_an_image_without_requirements_runs(project: MakeProject, image: Callable[..., str], docker: Docker) -> None:
    name = image(project({"requirements.txt": "", "main.py": "print('nothing needed')"}), "bare")
    assert docker.run(name).stdout == "nothing needed\n"


def test_the_standard_library_works_in_the_base(
    project: MakeProject, image: Callable[..., str], docker: Docker, warm: Wherry
) -> None:
    code = """
import bz2, ctypes, hashlib, lzma, sqlite3, ssl, zlib
import datetime, decimal, locale, multiprocessing, tempfile, zoneinfo

assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 50
assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
assert datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Rome")).utcoffset().seconds == 7200
assert ctypes.CDLL(None).getpid() > 0
assert lzma.decompress(lzma.compress(bz2.compress(zlib.compress(b"x"))))
with tempfile.TemporaryFile() as file:
    file.write(hashlib.sha256(b"x").digest())
print("all there")
"""
    name = image(project({"requirements.txt": "", "main.py": code}), "library")
    assert docker.run(name).stdout == "all there\n"
    assert warm.ok("run", name).stdout == "all there\n"


def test_exit_code_and_standard_input_pass_through_wherry_run(project: MakeProject, warm: Wherry) -> None:
    code = "import sys; print(sys.stdin.read().upper()); sys.exit(int(sys.argv[1]))"
    warm.ok("build", "-t", "exits", project({"requirements.txt": "", "main.py": code}))
    result = warm("run", "exits", "37", stdin="ahoy")
    assert (result.returncode, result.stdout) == (37, "AHOY\n")
