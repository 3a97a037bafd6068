"""Where requirements come from: groups, constraints, URLs, repositories, private indexes, projects beside it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from tests.e2e.extensions import extension

from wherry.image import Image
from wherry.layers.merge import merged
from wherry.store import Store
from wherry.store.listing import find_descriptor

if TYPE_CHECKING:
    from tests.conftest import NewWherry, Wherry

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MakeProject = Callable[..., Path]

SAYS = """\
from importlib.metadata import distributions
print(*sorted(f"{one.name.removeprefix('wherry-test-')} {one.version}" for one in distributions()), sep="\\n")
"""
TOLD = """\
from importlib.metadata import distribution
print(distribution("wherry-test-%s").read_text("direct_url.json"))
"""
PASSWORD = "sesame-of-the-tests"

BACKEND = """\
import base64, hashlib, os, pathlib, tomllib, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    module = project["name"].replace("-", "_")
    info = f"{module}-{project['version']}.dist-info"
    metadata = f"Metadata-Version: 2.1\\nName: {project['name']}\\nVersion: {project['version']}\\n"
    metadata += "".join(f"Requires-Dist: {one}\\n" for one in project.get("dependencies", ()))
    files = {
        f"{module}.py": pathlib.Path("module.py").read_text(),
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    digests = {name: hashlib.sha256(text.encode()).digest() for name, text in files.items()}
    rows = [f"{name},sha256={base64.urlsafe_b64encode(one).decode().rstrip('=')}," for name, one in digests.items()]
    files[f"{info}/RECORD"] = "\\n".join([*rows, f"{info}/RECORD,,", ""])
    name = f"{module}-{project['version']}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
"""


def package(name: str, *requires: str, module: str = "", more: str = "", at: str = "") -> dict[str, str]:
    """The files of the local project ``wherry-test-NAME``, in the folder ``at``; it brings its own backend."""
    text = f'[project]\nname = "wherry-test-{name}"\nversion = "1.0"\ndependencies = {json.dumps(requires)}\n'
    text += f'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n{more}'
    files = {"pyproject.toml": text, "backend.py": BACKEND, "module.py": module}
    return {f"{at}/{path}" if at else path: content for path, content in files.items()}


def wheel(folder: Path, name: str, version: str = "1.0", *requires: str) -> Path:
    """The wheel of ``wherry-test-NAME`` in ``folder``."""
    module = f"wherry_test_{name}"
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: wherry-test-{name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    files = {
        f"{module}.py": f"version = {version!r}\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {name: hashlib.sha256(text.encode()).digest() for name, text in files.items()}
    rows = [f"{name},sha256={base64.urlsafe_b64encode(one).decode().rstrip('=')}," for name, one in hashes.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in {**files, f"{info}/RECORD": "\n".join([*rows, f"{info}/RECORD,,", ""])}.items():
            archive.writestr(member, text)
    return path


# -- an index -----------------------------------------------------------------------------------------


@dataclass
class Index:
    """A package index of the wheels in ``folder``; with ``login`` (user:password) only for who knows it.

    ``refused`` counts the requests that were answered with 401. What else lies in ``folder`` is served, too.
    """

    folder: Path
    port: int = 0
    login: str = ""
    refused: int = 0
    fetched: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.at()

    def at(self, user: str = "") -> str:
        """The index's URL, with ``user`` or user:password in it."""
        return f"http://{user}{'@' if user else ''}127.0.0.1:{self.port}/simple"

    def file(self, name: str) -> str:
        """The URL of a file."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def page(self, name: str) -> str:
        """What the index has of ``name``."""
        files = sorted(self.folder.glob(f"{name.replace('-', '_')}-*.whl"))
        links = {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in files}
        return "".join(f'<a href="/{name}#sha256={digest}">{name}</a>\n' for name, digest in links.items())


class Handler(BaseHTTPRequestHandler):
    index: Index

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(self.index.login.encode()).decode()
        if self.index.login and self.headers.get("Authorization") != expected:
            self.index.refused += 1
            self.answer(401, b"")
            return
        path = unquote(self.path.partition("?")[0])
        if path.startswith("/simple/"):
            page = self.index.page(path.split("/")[2])
            self.answer(200 if page else 404, page.encode(), "text/html")
            return
        file = self.index.folder / path.lstrip("/")
        if not file.is_file():
            self.answer(404, b"")
            return
        if self.command == "GET":
            self.index.fetched.append(file.name)
        self.answer(200, file.read_bytes())

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer(self, status: int, content: bytes, kind: str = "application/octet-stream") -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A running index with a few wheels: ``one`` requires ``two``, of which there are versions 1.0 and 2.0."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")) or name.lower() in {"http_proxy", "all_proxy"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    found = Index(tmp_path / "index")
    found.folder.mkdir()
    wheel(found.folder, "one", "1.0", "wherry-test-two>=1")
    for name, version in (("two", "1.0"), ("two", "2.0"), ("three", "1.0"), ("four", "1.0")):
        wheel(found.folder, name, version)
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"index": found})) as server:
        found.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


def said(wherry: Wherry, name: str) -> list[str]:
    """What the image prints."""
    return wherry.ok("run", name).stdout.splitlines()


# -- what is asked for --------------------------------------------------------------------------------

PYPROJECT = """\
[project]
name = "wherry-test-app"
version = "0.1"
dependencies = ["wherry-test-one"]
[project.optional-dependencies]
more = ["wherry-test-three"]
[dependency-groups]
four = ["wherry-test-four"]
all = [{ include-group = "four" }, "wherry-test-two<2"]
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), ["one 1.0", "two 2.0"]),
        (("--extra", "more"), ["one 1.0", "three 1.0", "two 2.0"]),
        (("--group", "all"), ["four 1.0", "one 1.0", "two 1.0"]),
        (("--group", "four", "--extra", "more"), ["four 1.0", "one 1.0", "three 1.0", "two 2.0"]),
    ],
)
def test_extras_and_groups_are_installed_when_they_are_asked_for(
    warm: Wherry, project: MakeProject, index: Index, arguments: tuple[str, ...], expected: list[str]
) -> None:
    root = project({"pyproject.toml": PYPROJECT, "main.py": SAYS})
    warm.ok("build", "-t", "groups", "--index-url", index.url, *arguments, root)
    assert said(warm, "groups") == expected


def test_extras_and_groups_of_a_project_that_is_a_package(warm: Wherry, project: MakeProject, index: Index) -> None:
    parts = package("app", "wherry-test-one", more=PYPROJECT[PYPROJECT.index("[project.optional") :])
    root = project({**parts, "main.py": SAYS})
    warm.ok("build", "-t", "own", "--index-url", index.url, "--extra", "more", "--group", "all", root)
    assert said(warm, "own") == ["app 1.0", "four 1.0", "one 1.0", "three 1.0", "two 1.0"]


def test_a_file_of_constraints_bounds_versions_and_installs_nothing(
    warm: Wherry, project: MakeProject, index: Index
) -> None:
    files = {"requirements.txt": "-c constraints.txt\nwherry-test-one\n", "main.py": SAYS}
    root = project({**files, "constraints.txt": "wherry-test-two<2\nwherry-test-three==1.0\n"})
    warm.ok("build", "-t", "bounded", "--index-url", index.url, root)
    assert said(warm, "bounded") == ["one 1.0", "two 1.0"]


def test_uvs_constraints_bound_versions(warm: Wherry, project: MakeProject, index: Index) -> None:
    text = PYPROJECT + '[tool.uv]\nconstraint-dependencies = ["wherry-test-two<2"]\n'
    warm.ok("build", "-t", "bounded", "--index-url", index.url, project({"pyproject.toml": text, "main.py": SAYS}))
    assert said(warm, "bounded") == ["one 1.0", "two 1.0"]


def test_uvs_overrides_replace_what_distributions_require(warm: Wherry, project: MakeProject, index: Index) -> None:
    wheel(index.folder, "picky", "1.0", "wherry-test-two>=2")
    text = PYPROJECT.replace("wherry-test-one", "wherry-test-picky")
    root = project({"pyproject.toml": text, "main.py": SAYS})
    warm.ok("build", "-t", "overridden", "--index-url", index.url, root)
    assert said(warm, "overridden") == ["picky 1.0", "two 2.0"]
    (root / "pyproject.toml").write_text(text + '[tool.uv]\noverride-dependencies = ["wherry-test-two==1.0"]\n')
    warm.ok("build", "-t", "overridden", "--index-url", index.url, root)
    assert said(warm, "overridden") == ["picky 1.0", "two 1.0"]


# -- URLs and repositories ----------------------------------------------------------------------------


def test_a_wheel_at_a_url_is_recorded_with_its_hash(warm: Wherry, project: MakeProject, index: Index) -> None:
    name = "wherry_test_three-1.0-py3-none-any.whl"
    digest = hashlib.sha256((index.folder / name).read_bytes()).hexdigest()
    root = project({"requirements.txt": f"wherry-test-three @ {index.file(name)}\n", "main.py": TOLD % "three"})
    warm.ok("build", "-t", "direct", "--index-url", index.url, root)
    expected = {"url": index.file(name), "archive_info": {"hashes": {"sha256": digest}}}
    assert json.loads(warm.ok("run", "direct").stdout) == expected


@dataclass(frozen=True)
class Repository:
    """A repository that the index's server has as plain files."""

    path: Path
    url: str
    published: Path

    def git(self, *words: str) -> str:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        author = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        command = ["git", *author, *words]
        return subprocess.run(
            command, cwd=self.path, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self) -> str:
        """Commit everything and publish it; gives the commit."""
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "x")
        self.git("push", "--quiet", "--all", str(self.published))
        subprocess.run(["git", "update-server-info"], cwd=self.published, check=True)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(project: MakeProject, index: Index) -> Repository:
    """A repository with a project at its top and one in ``below/``."""
    path = project({**package("top"), **package("below", at="below")}, name="repository")
    found = Repository(path, index.file("r.git"), index.folder / "r.git")
    subprocess.run(["git", "init", "--quiet", "--bare", str(found.published)], check=True)
    found.git("init", "--quiet", "--initial-branch=main")
    return found


def test_a_branch_of_a_repository_is_pinned_to_its_commit(
    warm: Wherry, project: MakeProject, index: Index, repository: Repository
) -> None:
    commit = repository.commit()
    requirement = f"wherry-test-top @ git+{repository.url}@main\n"
    root = project({"requirements.txt": requirement, "main.py": TOLD % "top"})
    warm.ok("build", "-t", "git", "--index-url", index.url, root)
    expected = {"vcs": "git", "commit_id": commit, "requested_revision": "main"}
    assert json.loads(warm.ok("run", "git").stdout) == {"url": repository.url, "vcs_info": expected}


def test_an_upgrade_follows_a_branch(warm: Wherry, project: MakeProject, index: Index, repository: Repository) -> None:
    first = repository.commit()
    requirement = f"wherry-test-top @ git+{repository.url}@main\n"
    root = project({"requirements.txt": requirement, "main.py": TOLD % "top"})
    arguments = ("build", "-t", "git", "--index-url", index.url, root)
    warm.ok(*arguments)
    (repository.path / "module.py").write_text("new = True\n")
    second = repository.commit()
    warm.ok(*arguments)
    assert json.loads(warm.ok("run", "git").stdout)["vcs_info"]["commit_id"] == first
    warm.ok(*arguments, "--upgrade")
    assert json.loads(warm.ok("run", "git").stdout)["vcs_info"]["commit_id"] == second


def test_a_project_below_the_top_of_a_repository(
    warm: Wherry, project: MakeProject, index: Index, repository: Repository
) -> None:
    commit = repository.commit()
    requirement = f"wherry-test-below @ git+{repository.url}@{commit}#subdirectory=below\n"
    root = project({"requirements.txt": requirement, "main.py": TOLD % "below"})
    warm.ok("build", "-t", "below", "--index-url", index.url, root)
    told = json.loads(warm.ok("run", "below").stdout)
    assert (told["subdirectory"], told["vcs_info"]["commit_id"]) == ("below", commit)


# -- an index with a password -------------------------------------------------------------------------


@pytest.fixture
def private(index: Index) -> Index:
    """An index that wants a password."""
    index.login = f"me:{PASSWORD}"
    return index


def traces(wherry: Wherry, name: str) -> list[str]:
    """Where in the store and in the files of the image the password is, as it is or as a header has it."""
    secrets = (PASSWORD.encode(), base64.b64encode(f"me:{PASSWORD}".encode()))
    with Store(wherry.store) as store:
        image = store.load(find_descriptor(store, name))
        assert isinstance(image, Image)
        layers = [store.blobs.file(layer.descriptor.digest) for layer in image.layers]
        found = [
            entry.path
            for entry, reader in merged(layers)
            if reader and entry.path.startswith(("opt/", "usr/src/")) and any(one in reader.read() for one in secrets)
        ]
    kept = [path for path in wherry.store.rglob("*") if path.is_file() and not path.is_symlink()]
    return [*found, *(str(path) for path in kept if any(one in path.read_bytes() for one in secrets))]


PRIVATE = {"requirements.txt": "wherry-test-one\n", "main.py": SAYS}


def test_without_its_password_an_index_refuses(warm: Wherry, project: MakeProject, private: Index) -> None:
    result = warm("build", "--index-url", private.url, project(PRIVATE))
    assert result.returncode == 1
    assert "an index refused access while resolving requirements.txt" in result.stderr
    assert "netrc" in result.stderr


def test_a_password_comes_from_netrc(
    warm: Wherry, new_wherry: NewWherry, project: MakeProject, private: Index, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {PASSWORD}\n")
    wherry = new_wherry(warm.store, (), {"NETRC": str(netrc)})
    wherry.ok("build", "-t", "netrc", "--index-url", private.url, project(PRIVATE))
    assert said(wherry, "netrc") == ["one 1.0", "two 2.0"]
    assert {f"wherry_test_{one}-py3-none-any.whl" for one in ("one-1.0", "two-2.0")} <= set(private.fetched)
    assert traces(wherry, "netrc") == []


def test_a_user_in_the_url_has_the_password_that_netrc_has(
    warm: Wherry, new_wherry: NewWherry, project: MakeProject, private: Index, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {PASSWORD}\n")
    wherry = new_wherry(warm.store, (), {"NETRC": str(netrc)})
    wherry.ok("build", "-t", "user", "--index-url", private.at("me"), project(PRIVATE))
    assert said(wherry, "user") == ["one 1.0", "two 2.0"]


def test_a_password_in_the_indexs_url_is_kept_nowhere(warm: Wherry, project: MakeProject, private: Index) -> None:
    result = warm.ok("build", "-t", "inurl", "--index-url", private.at(private.login), project(PRIVATE))
    assert said(warm, "inurl") == ["one 1.0", "two 2.0"]
    assert PASSWORD not in result.stdout + result.stderr
    assert traces(warm, "inurl") == []


def test_a_password_in_a_variable_of_requirements_is_kept_nowhere(
    warm: Wherry, new_wherry: NewWherry, project: MakeProject, private: Index
) -> None:
    text = f"--index-url {private.at('me:${WORD}')}\nwherry-test-one\n"
    root = project({**PRIVATE, "requirements.txt": text})
    wherry = new_wherry(warm.store, (), {"WORD": PASSWORD})
    wherry.ok("build", "-t", "variable", root)
    assert said(wherry, "variable") == ["one 1.0", "two 2.0"]
    assert traces(wherry, "variable") == []


def test_a_named_index_of_uvs_has_its_password_in_variables(
    warm: Wherry, new_wherry: NewWherry, project: MakeProject, private: Index
) -> None:
    text = f'{PYPROJECT}[[tool.uv.index]]\nname = "own"\nurl = "{private.url}"\ndefault = true\n'
    root = project({"pyproject.toml": text, "main.py": SAYS})
    env = {"UV_INDEX_OWN_USERNAME": "me", "UV_INDEX_OWN_PASSWORD": PASSWORD}
    wherry = new_wherry(warm.store, (), env)
    wherry.ok("build", "-t", "named", root)
    assert said(wherry, "named") == ["one 1.0", "two 2.0"]
    assert traces(wherry, "named") == []


def test_a_wheel_at_a_url_with_a_password_is_recorded_without_it(
    warm: Wherry, project: MakeProject, private: Index
) -> None:
    name = "wherry_test_three-1.0-py3-none-any.whl"
    url = private.file(name).replace("//", f"//{private.login}@")
    root = project({"pyproject.toml": PYPROJECT.replace("wherry-test-one", f"wherry-test-three @ {url}")})
    (root / "main.py").write_text(TOLD % "three")
    (root / ".dockerignore").write_text("pyproject.toml\n")
    warm.ok("build", "-t", "secret-url", root, "--index-url", private.at(private.login))
    assert json.loads(warm.ok("run", "secret-url").stdout)["url"] == private.file(name)
    assert traces(warm, "secret-url") == []


@pytest.mark.parametrize("settings", [{"UV_KEYRING_PROVIDER": "subprocess"}, {"PIP_KEYRING_PROVIDER": "subprocess"}])
def test_a_password_comes_from_a_keyring(
    warm: Wherry,
    new_wherry: NewWherry,
    project: MakeProject,
    private: Index,
    tmp_path: Path,
    settings: dict[str, str],
) -> None:
    program = tmp_path / "bin" / "keyring"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        f'[ "$1 $2 $3" = "get 127.0.0.1:{private.port} me" ] && echo {PASSWORD} || exit 1\n'
    )
    program.chmod(0o755)
    wherry = new_wherry(warm.store, (), {"PATH": f"{program.parent}:{os.environ['PATH']}", **settings})
    root = project(PRIVATE)
    wherry.ok("build", "-t", "keyring", "--index-url", private.at("me"), root)
    assert said(wherry, "keyring") == ["one 1.0", "two 2.0"]
    assert traces(wherry, "keyring") == []
    (tmp_path / "asked").unlink()
    without = new_wherry(warm.store, (), {"PATH": wherry.env["PATH"]})
    private.refused = 0
    assert without("build", "--no-cache", "--index-url", private.at("me"), root).returncode == 1
    assert private.refused
    assert not (tmp_path / "asked").exists()


# -- a monorepo ---------------------------------------------------------------------------------------

GREETS = "import wherry_test_lib\nprint(wherry_test_lib.greeting)\n"


def test_two_local_packages_inside_the_folder(warm: Wherry, project: MakeProject, index: Index) -> None:
    sources = '[tool.uv.sources]\nwherry-test-base = { path = "../base" }\n'
    lib = package("lib", "wherry-test-base", "wherry-test-three", module="import wherry_test_base", more=sources)
    files = {f"libs/lib/{path}": text for path, text in lib.items()} | package("base", at="libs/base")
    root = project(
        {"requirements.txt": "-e libs/lib\n./libs/base\n", "main.py": "import wherry_test_lib\n" + SAYS, **files}
    )
    warm.ok("build", "-t", "inside", "--index-url", index.url, root)
    assert said(warm, "inside") == ["base 1.0", "lib 1.0", "three 1.0"]


def monorepo(make: MakeProject, app: dict[str, str], outside: str = 'outside = ["../lib"]\n') -> Path:
    """The project ``app`` in a folder that has ``lib`` beside it."""
    files = {f"app/{path}": text for path, text in {"main.py": GREETS, "wherry.toml": outside, **app}.items()}
    return make({**files, **package("lib", module="greeting = 'ahoy'\n", at="lib")}, name="monorepo") / "app"


SOURCE = """\
[project]
name = "wherry-test-app"
version = "0.1"
requires-python = ">=3.11"
dependencies = ["wherry-test-lib"]
[tool.uv.sources]
wherry-test-lib = { path = "../lib" }
"""
PYLOCK = """\
lock-version = "1.0"
created-by = "test"
[[packages]]
name = "wherry-test-lib"
directory = { path = "../lib" }
"""
APPS = {
    "editable": {"requirements.txt": "-e ../lib\n"},
    "path": {"requirements.txt": "../lib\n"},
    "file": {"requirements.txt": "wherry-test-lib @ file:../lib\n"},
    "source": {"pyproject.toml": SOURCE},
    "pylock": {"pylock.toml": PYLOCK},
}


@pytest.mark.parametrize("app", APPS.values(), ids=APPS.keys())
def test_a_declared_project_outside_the_folder_is_installed(
    warm: Wherry, project: MakeProject, index: Index, app: dict[str, str]
) -> None:
    root = monorepo(project, app)
    warm.ok("build", "-t", "outside", "--index-url", index.url, root)
    assert said(warm, "outside") == ["ahoy"]
    assert sorted(path.name for path in (root.parent / "lib").iterdir()) == [
        "backend.py",
        "module.py",
        "pyproject.toml",
    ]


def test_a_declared_project_is_installed_from_uvs_lock(warm: Wherry, project: MakeProject, index: Index) -> None:
    from wherry.wheels.uv import uv_binary

    root = monorepo(project, {"pyproject.toml": SOURCE})
    subprocess.run([uv_binary(), "lock", "--quiet", "--index-url", index.url], cwd=root, check=True)
    warm.ok("build", "-t", "locked", root)
    assert said(warm, "locked") == ["ahoy"]


@pytest.mark.parametrize("app", APPS.values(), ids=APPS.keys())
def test_an_undeclared_project_outside_the_folder_is_refused(
    warm: Wherry, project: MakeProject, app: dict[str, str]
) -> None:
    result = warm("build", monorepo(project, app, outside='outside = ["../other"]\n'))
    assert result.returncode == 2
    assert "../lib is outside the project folder" in result.stderr
    assert 'outside = ["../lib"]' in result.stderr


def test_a_change_outside_the_folder_is_seen(warm: Wherry, project: MakeProject, index: Index) -> None:
    root = monorepo(project, APPS["path"])
    warm.ok("build", "-t", "changed", "--index-url", index.url, root)
    (root.parent / "lib" / "module.py").write_text("greeting = 'farewell'\n")
    warm.ok("build", "-t", "changed", "--index-url", index.url, root)
    assert said(warm, "changed") == ["farewell"]


def test_what_only_its_backend_knows_of_a_project_outside_is_asked_there(
    warm: Wherry, project: MakeProject, index: Index
) -> None:
    root = monorepo(project, APPS["file"])
    text = (root.parent / "lib" / "pyproject.toml").read_text()
    (root.parent / "lib" / "pyproject.toml").write_text(text.replace('version = "1.0"', 'dynamic = ["version"]'))
    backend = BACKEND.replace('["project"]', '["project"] | {"version": "3.0"}')
    (root.parent / "lib" / "backend.py").write_text(backend)
    (root / "main.py").write_text(SAYS)
    warm.ok("build", "-t", "dynamic", "--index-url", index.url, root)
    assert said(warm, "dynamic") == ["lib 3.0"]
    warm.ok("build", "-t", "dynamic", "--index-url", index.url, "--offline", root)


def test_what_a_declared_project_requires_must_be_declared_too(
    warm: Wherry, project: MakeProject, index: Index
) -> None:
    root = monorepo(project, APPS["path"])
    sources = '[tool.uv.sources]\nwherry-test-base = { path = "../base" }\n'
    lib = package("lib", "wherry-test-base", module="import wherry_test_base\ngreeting = 'both'\n", more=sources)
    project({f"lib/{path}": text for path, text in lib.items()} | package("base", at="base"), name="monorepo")
    result = warm("build", "--index-url", index.url, root)
    assert result.returncode == 2
    assert "wherry-test-base is outside the project folder" in result.stderr
    assert 'outside = ["../base"]' in result.stderr
    (root / "wherry.toml").write_text('outside = ["../lib", "../base"]\n')
    warm.ok("build", "-t", "both", "--index-url", index.url, root)
    assert said(warm, "both") == ["both"]


def test_an_extension_outside_the_folder_is_compiled(warm: Wherry, project: MakeProject) -> None:
    parts = extension("tiny")
    parts["pyproject.toml"] += '[project]\nname = "tiny"\nversion = "1.0"\n'
    files = {f"tiny/{path}": text for path, text in parts.items()}
    files |= {"app/requirements.txt": "../tiny\n", "app/main.py": "import tiny\nprint(tiny.answer())\n"}
    root = project({**files, "app/wherry.toml": 'outside = ["../tiny"]\n'}, name="monorepo")
    warm.ok("build", "-t", "compiled", root / "app")
    assert said(warm, "compiled") == ["42"]
    assert not (root / "tiny" / "build").exists()
