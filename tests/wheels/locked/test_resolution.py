"""Other tools' locks to a lock of ours, by the real uv, from a folder of wheels and from an index with a password."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wherry.errors import UsageError, WherryError
from wherry.image.platform import Platform
from wherry.plan import Indexes, Requirements
from wherry.store import Store
from wherry.target import Interpreter, Libc, Target
from wherry.wheels import lock as locks
from wherry.wheels.install import WheelToInstall
from wherry.wheels.locked import pipfile, poetry
from wherry.wheels.resolve import resolve

TARGET = Target(Platform("linux", "amd64"), Libc("glibc", 2, 41), Interpreter("3.13.5", "/usr/bin/python3"))
MakeWheel = Callable[..., WheelToInstall]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No index settings of this machine."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


class Case:
    """A project with a lock, and wheels that it may name."""

    def __init__(self, context: Path, store: Store, make_wheel: MakeWheel) -> None:
        self.context = context
        self.store = store
        self.make_wheel = make_wheel
        self.links = context.parent / "wheels"
        self.indexes = Indexes(no_index=True, find_links=(str(self.links),))

    def wheel(self, name: str, version: str = "1.0") -> tuple[Path, str]:
        """A wheel among the links, and its hash."""
        path = self.make_wheel({f"{name}.py": ""}, name=name, version=version).path
        return path, f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"

    def write(self, name: str, text: str) -> None:
        (self.context / name).parent.mkdir(parents=True, exist_ok=True)
        (self.context / name).write_text(text)

    def pipfile(self, entries: Mapping[str, object], source: str = "") -> None:
        text = "[packages]\n"
        sources = [{"name": "own", "url": source, "verify_ssl": True}] if source else []
        digest = next(iter(pipfile.content_hashes({"packages": {}, "source": sources})))
        meta = {"hash": {"sha256": digest}, "sources": sources}
        self.write("Pipfile", text)
        self.write("Pipfile.lock", json.dumps({"_meta": meta, "default": entries}))

    def poetry(self, packages: str, more: str = "") -> None:
        pyproject = f'[project]\nname = "a"\nversion = "1"\n[tool.poetry]\npackage-mode = false\n{more}'
        values = tomllib.loads(pyproject)
        digest = next(iter(poetry.content_hashes(values)))
        self.write("pyproject.toml", pyproject)
        end = f'[metadata]\nlock-version = "2.1"\npython-versions = ">=3.10"\ncontent-hash = "{digest}"\n'
        self.write("poetry.lock", packages + end)

    def lock(self, kind: str = "Pipfile.lock", projects: tuple[str, ...] = (), *, offline: bool = False) -> str:
        beside = "Pipfile" if kind == "Pipfile.lock" else "pyproject.toml"
        assert kind in {"Pipfile.lock", "poetry.lock"}
        requirements = Requirements(
            "Pipfile.lock" if kind == "Pipfile.lock" else "poetry.lock",
            kind,
            (kind, beside),
            projects=projects,
            indexes=self.indexes,
        )
        return resolve(requirements, TARGET, self.context, store=self.store, offline=offline)


@pytest.fixture
def case(tmp_path: Path, make_wheel: MakeWheel) -> Case:
    (tmp_path / "project").mkdir()
    return Case(tmp_path / "project", Store(tmp_path / "store"), make_wheel)


def test_the_versions_and_files_are_those_of_the_lock_alone(case: Case) -> None:
    path, digest = case.wheel("one")
    case.wheel("one", "2.0")
    case.pipfile({"one": {"version": "==1.0", "hashes": [digest]}})
    found = locks.parse(case.lock()).packages
    assert [(package.name, str(package.version)) for package in found] == [("one", "1.0")]
    assert found[0].wheels is not None
    assert f"sha256:{found[0].wheels[0].hashes['sha256']}" == digest
    assert path.exists()


def test_what_a_pin_requires_is_not_added(case: Case) -> None:
    metadata = "Metadata-Version: 2.1\nName: one\nVersion: 1.0\nRequires-Dist: nowhere\n"
    path = case.make_wheel({"one.py": ""}, name="one", metadata=metadata).path
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    case.pipfile({"one": {"version": "==1.0", "hashes": [digest]}})
    assert [package.name for package in locks.parse(case.lock()).packages] == ["one"]


def test_a_file_with_another_hash_is_refused(case: Case) -> None:
    case.wheel("one")
    case.pipfile({"one": {"version": "==1.0", "hashes": ["sha256:" + "0" * 64]}})
    with pytest.raises(WherryError, match=r"no file in the index has a hash that Pipfile\.lock allows for: one 1\.0"):
        case.lock()


def test_a_pin_without_a_hash_among_others_is_refused(case: Case) -> None:
    _, digest = case.wheel("one")
    case.wheel("two")
    case.pipfile({"one": {"version": "==1.0", "hashes": [digest]}, "two": {"version": "==1.0"}})
    with pytest.raises(WherryError, match=r"Pipfile\.lock has hashes, but none for: two"):
        case.lock()


def test_a_lock_that_is_not_current_is_an_error(case: Case) -> None:
    case.pipfile({})
    case.write("Pipfile", '[packages]\none = "*"\n')
    with pytest.raises(UsageError, match=r"Pipfile\.lock does not match Pipfile"):
        case.lock()


def test_what_no_index_has_needs_none(case: Case) -> None:
    case.indexes = Indexes(no_index=True)
    case.pipfile(
        {
            "lib": {"path": "./libs/lib", "editable": True},
            "file": {"path": "./file-1.0-py3-none-any.whl", "hashes": ["sha256:ab"]},
            "far": {"file": "https://host.example/far-1.0.tar.gz", "hashes": ["sha256:cd"]},
            "repo": {"git": "git@git.example:group/repo.git", "ref": "abc"},
        }
    )
    found = {str(package.name): package for package in locks.parse(case.lock(offline=True)).packages}
    lib, file, far, repo = found["lib"], found["file"], found["far"], found["repo"]
    assert lib.directory is not None and lib.directory.path == "libs/lib"
    assert file.archive is not None and (file.archive.path, file.archive.hashes) == (
        "file-1.0-py3-none-any.whl",
        {"sha256": "ab"},
    )
    assert far.archive is not None and far.archive.url == "https://host.example/far-1.0.tar.gz"
    assert repo.vcs is not None and (repo.vcs.url, repo.vcs.commit_id) == (
        "ssh://git@git.example/group/repo.git",
        "abc",
    )


def test_the_project_itself_comes_along_if_it_is_a_package(case: Case) -> None:
    case.poetry("")
    assert locks.parse(case.lock("poetry.lock")).packages == []
    assert [package.name for package in locks.parse(case.lock("poetry.lock", (".",))).packages] == ["a"]


def test_a_python_that_the_lock_is_not_for_is_an_error(case: Case) -> None:
    case.poetry("")
    case.write("poetry.lock", (case.context / "poetry.lock").read_text().replace(">=3.10", "~3.12"))
    with pytest.raises(UsageError, match=r"poetry\.lock is for Python .*3\.12"):
        case.lock("poetry.lock")


# -- an index with a password ---------------------------------------------------------------------------


class Private(SimpleHTTPRequestHandler):
    """An index for those who know its user and password, me and secret."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == "Basic " + base64.b64encode(b"me:secret").decode():
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="index"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def private(case: Case) -> Iterator[str]:
    """The host and port of an index that has the wheel of ``one``."""
    path, _ = case.wheel("one")
    folder = case.links / "simple" / "one"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(f'<a href="../../{path.name}">{path.name}</a>')
    case.indexes = Indexes()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Private, directory=str(case.links))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def digest_of(case: Case) -> str:
    return f"sha256:{hashlib.sha256(next(case.links.glob('one-*.whl')).read_bytes()).hexdigest()}"


def test_credentials_of_a_pipfiles_source_come_from_the_environment(
    case: Case, private: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDEX_PASSWORD", "secret")
    entry = {"version": "==1.0", "index": "own", "hashes": [digest_of(case)]}
    case.pipfile({"one": entry}, f"http://me:${{INDEX_PASSWORD}}@{private}/simple")
    text = case.lock()
    assert "one-1.0" in text
    assert "secret" not in text


SOURCED = """
[[package]]
name = "one"
version = "1.0"
optional = false
python-versions = "*"
groups = ["main"]
files = [{{file = "one.whl", hash = "{digest}"}}]
[package.source]
type = "legacy"
url = "{url}"
reference = "own"
"""


def test_credentials_of_a_poetry_source_are_poetrys_own_variables(
    case: Case, private: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POETRY_HTTP_BASIC_OWN_USERNAME", "me")
    monkeypatch.setenv("POETRY_HTTP_BASIC_OWN_PASSWORD", "secret")
    url = f"http://{private}/simple"
    case.poetry(
        SOURCED.format(digest=digest_of(case), url=url), f'[[tool.poetry.source]]\nname = "own"\nurl = "{url}"\n'
    )
    text = case.lock("poetry.lock")
    assert "one-1.0" in text
    assert "secret" not in text


def test_credentials_in_netrc_serve_as_well(
    case: Case, private: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    case.poetry(SOURCED.format(digest=digest_of(case), url=f"http://{private}/simple"))
    assert "one-1.0" in case.lock("poetry.lock")


def test_an_index_that_refuses_is_told(case: Case, private: str) -> None:
    case.poetry(SOURCED.format(digest=digest_of(case), url=f"http://{private}/simple"))
    with pytest.raises(WherryError, match=r"an index refused access while resolving poetry\.lock"):
        case.lock("poetry.lock")
