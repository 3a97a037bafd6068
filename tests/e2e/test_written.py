"""What ``wherry dockerfile`` writes, built by a real Docker Engine, beside what ``wherry build`` makes of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.registry.servers import PROGRAM, registry

from wherry.debian.mirror import find_mirror
from wherry.wheels.uv import uv_binary

if TYPE_CHECKING:
    from tests.conftest import Docker, NewWherry, Wherry

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

MakeProject = Callable[..., Path]
Config = Mapping[str, object]

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
INDEXES = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX"}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

VENDORED = {
    "requirements.txt": "-r more.txt\n-e ./vendor/rope\n",
    "more.txt": "iniconfig==2.3.1\n",
    "vendor/rope/pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "rope"
version = "9.9"
[tool.setuptools]
py-modules = ["rope"]
""",
    "vendor/rope/rope.py": "LENGTH = 12\n",
    "main.py": "import iniconfig, os, rope; print(rope.LENGTH, rope.__file__, sorted(os.listdir('.')))\n",
    "data/words.txt": "quay\n",
    "data/.env": "SECRET=1\n",
    ".dockerignore": "vendor\n*.md\nmore.txt\n",
    "README.md": "# not for the image\n",
    "tool": "#!/bin/sh\n",
    "private": "",
}

FILES = {
    "requirements.txt": "-r more.txt\nmarkupsafe==3.0.4\n",
    "more.txt": "iniconfig==2.3.1\n",
    "app/main.py": "import os, iniconfig, markupsafe; print('sum', os.getuid(), sorted(os.listdir('.')))\n",
    "app/notes.md": "",
    "wherry.toml": """
entrypoint = ["python", "app/main.py", "$HOME", "a \\"b\\""]
packages = ["libpq5"]
ports = [8000]
exclude = ["**/*.md"]
[env]
GREETING = 'it costs $5, "all" \\ in'
[labels]
"org.example.word" = "a quay"
""",
    "tool": "#!/bin/sh\n",
    ".env": "SECRET=1\n",
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
dependencies = ["click==8.5.1"]

[project.optional-dependencies]
more = ["iniconfig==2.3.1"]

[project.scripts]
greet = "greeter.cli:main"

[tool.hatch.build.targets.wheel]
packages = ["src/greeter"]
""",
    "src/greeter/__init__.py": "",
    "src/greeter/greeting.txt": "Ahoy",
    "src/greeter/cli.py": """
from importlib.resources import files

import click, iniconfig


@click.command()
def main() -> None:
    click.echo(files("greeter").joinpath("greeting.txt").read_text())
""",
    ".dockerignore": "src\n",
}

LOCKED = {
    "pyproject.toml": """
[project]
name = "logbook"
version = "1"
requires-python = ">=3.11"
dependencies = ["click>=8.1", "markupsafe==3.0.4"]

[dependency-groups]
dev = ["iniconfig==2.3.1"]
""",
    ".python-version": "3.13.1\n",
    "main.py": "from importlib.metadata import version; print(version('click'))\n",
}


@dataclass(frozen=True)
class Entry:
    """A path of an image: what it is, whose, and what is in it."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    link: str
    content: bytes = field(repr=False)


@pytest.fixture(scope="module")
def engine(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Docker:
    """The Docker Engine with its BuildKit, and with a ``debian:trixie-slim`` of Debian's own packages."""
    folder = tmp_path_factory.mktemp("slim")
    builder = replace(docker, prefix=(*docker.prefix, "env", "DOCKER_BUILDKIT=1"))
    archive = folder / "slim.tar"
    if shutil.which("mmdebstrap") is None:
        pytest.skip("no mmdebstrap: run .ci/packages mmdebstrap")
    words = ["mmdebstrap", "--quiet", "--variant=apt", "--include=ca-certificates", "trixie", str(archive)]
    subprocess.run([*docker.prefix, *words, find_mirror().archives[0]], check=True, capture_output=True)
    builder(
        "import", "--change", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", archive, "slim"
    )
    # As this machine reaches the package index, the image must: with its certificates and its settings.
    bundle = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    context = folder / "context"
    context.mkdir()
    (context / "index.crt").write_bytes(Path(bundle or "/etc/ssl/certs/ca-certificates.crt").read_bytes())
    variables = {"PIP_CERT": CERTIFICATES}
    for name in (*INDEXES, *PROXIES):
        if value := os.environ.get(name):
            variables |= {name: value, INDEXES.get(name, name): value}
    lines = [
        "FROM slim",
        f"COPY index.crt {CERTIFICATES}",
        *(f"ENV {name}={value}" for name, value in variables.items()),
    ]
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    builder("build", "--quiet", "--tag", "debian:trixie-slim", context)
    return builder


@dataclass(frozen=True)
class Both:
    """One project, built by wherry and as it is written: the images' names in the engine."""

    engine: Docker
    ours: str
    theirs: str

    def said(self, *args: str) -> tuple[str, str]:
        """What each image prints."""
        return self.engine.run(self.ours, *args).stdout, self.engine.run(self.theirs, *args).stdout

    def files(self, folder: Path) -> tuple[dict[str, Entry], dict[str, Entry]]:
        """What each image has below /opt/venv and in the application's folder, as far as it must be the same."""
        ours, theirs = (essence(entries(self.engine, name, folder)) for name in (self.ours, self.theirs))
        return ours, theirs

    def configs(self) -> tuple[Config, Config]:
        """Each image's config, without the variables that a base brings."""
        ours, theirs = (
            dict(json.loads(self.engine("inspect", "--format", "{{json .Config}}", name).stdout))
            for name in (self.ours, self.theirs)
        )
        known = sorted(ours["Env"])
        return _config(ours, known), _config(theirs, [one for one in sorted(theirs["Env"]) if one in known])


def _config(found: Config, env: list[str]) -> Config:
    fields = ("User", "WorkingDir", "Entrypoint", "Cmd", "ExposedPorts", "Labels")
    return {**{name: found.get(name) for name in fields}, "Env": env}


Build = Callable[..., Both]


@pytest.fixture
def built(engine: Docker, warm: Wherry, tmp_path: Path) -> Build:
    """Builds a project by wherry, and its written Dockerfile by docker."""

    def build(root: Path, name: str, *args: str) -> Both:
        load(engine, warm, root, f"{name}-ours", tmp_path, *args)
        warm.ok("dockerfile", "-o", root / "Dockerfile", *args, root)
        text = for_old_engines((root / "Dockerfile").read_text())
        (root / "Dockerfile").write_text(text)
        engine("build", "--network=host", "--tag", f"{name}-theirs", root, timeout=600)
        return Both(engine, f"{name}-ours", f"{name}-theirs")

    return build


def load(engine: Docker, wherry: Wherry, root: Path, name: str, folder: Path, *args: str) -> None:
    """Build by wherry, into the engine."""
    archive = folder / f"{name}.tar"
    wherry.ok("build", "-t", name, "-o", f"type=docker,dest={archive}", *args, root, timeout=600)
    engine.load(archive)


def copy_to_store(engine: Docker, wherry: Wherry, name: str, folder: Path) -> None:
    """Give the command's store an image of the engine's, by the same name."""
    archive = folder / "copied.tar"
    engine("save", "--output", archive, name)
    if engine.prefix[0] == "sudo":
        subprocess.run(["sudo", "-n", "chmod", "a+r", str(archive)], check=True)
    wherry.ok("copy", f"docker-archive:{archive}", name)


def for_old_engines(text: str) -> str:
    """A Dockerfile without what Debian 12's engine does not know; a newer frontend it would fetch, which tests cannot.

    --link changes layers and no file; the modes that --chmod sets are those that the tests' files have.
    """
    return re.sub(r" --link| --chmod=\S+", "", text.replace("# syntax=docker/dockerfile:1\n", ""))


def entries(engine: Docker, name: str, folder: Path) -> dict[str, Entry]:
    """What an image has below /opt/venv and in the application's folder. Times are not looked at."""
    container = engine("create", name).stdout.strip()
    archive = folder / f"{name}.export.tar"
    engine("export", "--output", archive, container)
    engine("rm", container)
    if engine.prefix[0] == "sudo":
        subprocess.run(["sudo", "-n", "chmod", "a+r", str(archive)], check=True)
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            path = member.name.rstrip("/")
            if f"{path}/".startswith(("opt/venv/", "usr/src/app/")):
                data = tar.extractfile(member) if member.isfile() else None
                content = data.read() if data else b""
                found[path] = Entry(member.type, member.mode, (member.uid, member.gid), member.linkname, content)
    return found


# What says how a distribution was asked for, and by whom: an installer's notes, which nothing that runs reads.
NOTES = ("/REQUESTED", "/direct_url.json")


def essence(found: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries with only that content which must be the same."""
    return {
        path: replace(entry, content=_essence(path, entry.content))
        for path, entry in found.items()
        if not (".dist-info/" in path and path.endswith(NOTES))
    }


def _essence(path: str, content: bytes) -> bytes:
    if path.endswith(".dist-info/INSTALLER"):
        return b""  # the installer's name
    if path.endswith(".dist-info/RECORD"):
        # Bytecode is listed or not, scripts and notes are each installer's own; all other files by their hashes.
        rows = [
            row
            for row in content.splitlines()
            if not re.search(rb"\.pyc,|/(INSTALLER|REQUESTED|direct_url\.json),", row)
        ]
        return b"\n".join(sorted(row.partition(b",")[0] if row.startswith(b"../../../bin/") else row for row in rows))
    if path.startswith("opt/venv/bin/") and b"sys.argv[0]" in content:
        # Each installer has its own words for a console script: what it runs, imports and calls must be the same.
        return b"\n".join(line for line in content.splitlines() if re.match(rb"#!|from |    sys\.exit", line))
    return content


# -- the same image --------------------------------------------------------------------------------


def test_a_project_with_requirements(built: Build, project: MakeProject, tmp_path: Path) -> None:
    root = project(FILES)
    (root / "tool").chmod(0o755)
    both = built(root, "files")
    ours, theirs = both.files(tmp_path)
    assert ours == theirs
    assert "usr/src/app/app/main.py" in ours
    assert not {"usr/src/app/.env", "usr/src/app/app/notes.md", "usr/src/app/Dockerfile.dockerignore"} & ours.keys()
    one, other = both.configs()
    assert one == other
    one_said, other_said = both.said()
    assert one_said == other_said
    assert "65532" in one_said


def test_a_package_with_a_console_script(built: Build, project: MakeProject, tmp_path: Path) -> None:
    both = built(project(PACKAGE), "package", "--extra", "more")
    ours, theirs = both.files(tmp_path)
    assert ours == theirs
    assert "opt/venv/bin/greet" in ours
    assert both.said() == ("Ahoy\n", "Ahoy\n")


def test_a_lock(built: Build, project: MakeProject, tmp_path: Path) -> None:
    root = project(LOCKED)
    # Not the newest: what is locked must come, not what would be found today.
    words = [uv_binary(), "lock", "--quiet", "--python", sys.executable, "--upgrade-package", "click==8.1.8"]
    subprocess.run(words, cwd=root, check=True)
    both = built(root, "locked", "--group", "dev")
    ours, theirs = both.files(tmp_path)
    assert ours == theirs
    assert any(path.endswith("/iniconfig") for path in ours)
    assert both.said() == ("8.1.8\n", "8.1.8\n")


def test_a_project_on_an_image_of_another(
    engine: Docker, warm: Wherry, built: Build, project: MakeProject, tmp_path: Path
) -> None:
    base = "wherry.test/python:1"
    install = "apt-get update && apt-get install --yes --no-install-recommends python3-venv"
    settings = f"ENV SSL_CERT_FILE={CERTIFICATES}\nUSER nobody\nCMD python3\n"
    context = project({"Dockerfile": f"FROM debian:trixie-slim\nRUN {install}\n{settings}"}, "base")
    engine("build", "--network=host", "--tag", base, context, timeout=600)
    copy_to_store(engine, warm, base, tmp_path)
    both = built(project({"requirements.txt": "iniconfig==2.3.1\n", "main.py": "print('aye')"}), "on", "--base", base)
    ours, theirs = both.files(tmp_path)
    assert ours == theirs
    one, other = both.configs()
    assert one == other
    assert both.said() == ("aye\n", "aye\n")


def test_what_is_written_is_built_by_wherry_itself_word_for_word(
    engine: Docker, warm: Wherry, project: MakeProject, tmp_path: Path
) -> None:
    copy_to_store(engine, warm, "debian:trixie-slim", tmp_path)
    root = project(VENDORED)
    (root / "tool").chmod(0o700)
    (root / "private").chmod(0o600)
    load(engine, warm, root, "vendored-ours", tmp_path)
    warm.ok("dockerfile", "-o", root / "Dockerfile", root)
    load(engine, warm, root, "vendored-theirs", tmp_path)
    both = Both(engine, "vendored-ours", "vendored-theirs")
    ours, theirs = both.files(tmp_path)
    assert ours == theirs
    assert {path for path in ours if "vendor" in path or path.endswith("more.txt")} == set()
    one, other = both.said()
    assert one == other
    assert one.startswith("12 /opt/venv/lib/")


# -- the command -----------------------------------------------------------------------------------


def test_a_base_at_a_registry_is_pinned_and_one_that_cannot_be_asked_for_is_not(
    new_wherry: NewWherry, project: MakeProject, tmp_path: Path
) -> None:
    if not Path(PROGRAM).exists():
        pytest.skip("Debian's docker-registry is not installed")
    elsewhere, here, offline = (new_wherry(tmp_path / name) for name in ("elsewhere", "here", "offline"))
    root = project({"main.py": ""})
    with registry(tmp_path / "registry") as running:
        name = f"{running.host}/bases/one:1"
        digest = elsewhere.build(project({"Dockerfile": "FROM scratch\nENV A=b\n"}, "base"), "-t", name, "--push")
        assert f"\nFROM {name}@{digest} AS base\n" in here.ok("dockerfile", "--base", name, root).stdout
        result = offline.ok("dockerfile", "--offline", "--base", name, root)
        assert f"\nFROM {name} AS base\n" in result.stdout
        assert f"{name} is written without a digest" in result.stderr
    assert f"\nFROM {name}@{digest} AS base\n" in here.ok("dockerfile", "--offline", "--base", name, root).stdout


def test_an_image_that_only_the_store_has_is_not_pinned(
    new_wherry: NewWherry, project: MakeProject, tmp_path: Path
) -> None:
    here = new_wherry(tmp_path / "store")
    here.build(project({"Dockerfile": "FROM scratch\nENV A=b\n"}, "base"), "-t", "mine")
    result = here.ok("dockerfile", "--base", "mine", project({"main.py": ""}))
    assert "\nFROM mine:latest AS base\n" in result.stdout
    assert "mine is written without a digest" in result.stderr


def test_both_files_are_written_and_none_is_replaced(warm: Wherry, project: MakeProject) -> None:
    root = project({"main.py": "", "wherry.toml": 'exclude = ["*.log"]'})
    printed = [warm.ok("dockerfile", *more, root).stdout for more in ((), ("--ignore",))]
    warm.ok("dockerfile", "-o", root / "Dockerfile", root)
    written = [root / "Dockerfile", root / "Dockerfile.dockerignore"]
    assert [path.read_text() for path in written] == printed
    written[0].write_text("mine")
    result = warm("dockerfile", "-o", root / "Dockerfile", root)
    assert result.returncode == 2
    assert "would be replaced" in result.stderr
    assert written[0].read_text() == "mine"
    warm.ok("dockerfile", "-o", root / "Dockerfile", "--force", root)
    assert written[0].read_text() == printed[0]


def test_wherry_init_says_what_it_found_and_what_is_next(warm: Wherry, project: MakeProject) -> None:
    root = project({"main.py": "print('aye')", "requirements.txt": ""})
    result = warm.ok("init", root)
    assert "main.py is here" in result.stderr
    assert "wherry build -t NAME" in result.stderr
    assert warm("init", root).returncode == 2
    warm.ok("build", "-t", "first", root)
    assert warm.ok("run", "first").stdout == "aye\n"
