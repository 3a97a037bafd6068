"""Local projects to wheels, by a backend of their own that needs no network."""

from __future__ import annotations

import os
import subprocess
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from wherry.children import stop_children
from wherry.errors import UsageError, WherryError
from wherry.events import Event, Output, Reporter
from wherry.image.platform import Platform
from wherry.store import Store
from wherry.target import Interpreter, Libc, Target
from wherry.wheels import project as projects
from wherry.wheels import tree
from wherry.wheels.distribution import Distribution, Project
from wherry.wheels.project import build_wheel, check, is_pure

TARGET = Target(Platform("linux", "amd64"), Libc("glibc", 2, 41), Interpreter("3.13.5", "/usr/bin/python3"))
EPOCH = 1_000_000_000
HELLO = Project("hello", ".")

PYPROJECT = """\
[project]
name = "hello"
version = "1.0"
requires-python = ">=3.11"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
# It leaves what setuptools leaves, and puts into the wheel what must not make a difference: modes, times, the folder.
BACKEND = """\
import os, sys, zipfile
from pathlib import Path

def build_wheel(folder, config_settings=None, metadata_directory=None):
    print("a line from the backend")
    Path("build").mkdir()
    Path("hello.egg-info").mkdir()
    name = "hello-1.0-TAG.whl"
    with zipfile.ZipFile(Path(folder, name), "w") as archive:
        for path in sorted(Path("src").rglob("*.py")):
            archive.writestr(zipfile.ZipInfo(path.name), f"{path.read_text()}# {path.stat().st_mode:o}"
                f" {int(path.stat().st_mtime)} {Path.cwd().name} {os.environ['SOURCE_DATE_EPOCH']}")
        archive.writestr(zipfile.ZipInfo("hello-1.0.dist-info/METADATA"),
            "Metadata-Version: 2.1\\nName: hello\\nVersion: 1.0\\nRequires-Python: PYTHON\\n")
    return name
"""


@dataclass
class Case:
    context: Path
    store: Store

    def write(self, name: str, text: str) -> Path:
        path = self.context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def backend(self, text: str = BACKEND, *, tag: str = "py3-none-any", python: str = ">=3.11") -> None:
        self.write("backend.py", text.replace("TAG", tag).replace("PYTHON", python))

    def build(self, target: Target = TARGET, *, epoch: int = EPOCH) -> tuple[Distribution, Path]:
        built = build_wheel(HELLO, self.context, store=self.store, offline=True, epoch=epoch)
        check(HELLO, built, target)
        return built.distribution, built.path

    def files(self) -> list[str]:
        return sorted(path.relative_to(self.context).as_posix() for path in self.context.rglob("*"))


@pytest.fixture
def case(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    case = Case(tmp_path / "context", store)
    case.write("pyproject.toml", PYPROJECT)
    case.write("src/hello/__init__.py", "HELLO = 1\n")
    case.backend()
    return case


@pytest.fixture
def no_uv(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called, running uv fails."""

    def forbid() -> None:
        def run(*_: object, **__: object) -> str:
            raise AssertionError("uv was run")

        monkeypatch.setattr(projects, "run_uv", run)

    return forbid


def test_a_project_becomes_a_wheel_among_the_stores_files(case: Case) -> None:
    one, path = case.build()
    assert (one.name, one.version, one.wheel.name) == ("hello", "1.0", "hello-1.0-py3-none-any.whl")
    assert path == case.store.files / "sha256" / one.wheel.hashes["sha256"]
    assert one.wheel.url == path.as_uri()
    assert one.wheel.size == path.stat().st_size
    assert one.direct_url == ""
    assert zipfile.ZipFile(path).namelist() == ["__init__.py", "hello-1.0.dist-info/METADATA"]


def test_nothing_is_left_in_the_projects_folder(case: Case) -> None:
    before = case.files()
    case.build()
    assert case.files() == before


def test_an_unchanged_project_is_not_built_again(case: Case, no_uv: Callable[[], None]) -> None:
    first = case.build()
    no_uv()
    case.write(".venv/pyvenv.cfg", "")
    case.write("src/hello/__pycache__/__init__.cpython-313.pyc", "")
    case.write(".git/HEAD", "ref: refs/heads/main")
    assert case.build() == first


def test_a_store_that_is_kept_among_the_projects_files_is_none_of_them(case: Case) -> None:
    with Store(case.context / ".cache" / "wherry") as case.store:
        first = case.build()
        copy = case.store.scratch() / "copy"
        copy.mkdir()
        tree.copy(case.context, copy, epoch=EPOCH, without=case.store.path)
        assert not (copy / ".cache" / "wherry").exists()
        assert case.build() == first


@pytest.mark.parametrize("change", ["content", "name", "mode", "epoch"])
def test_a_changed_project_is_built_again(case: Case, no_uv: Callable[[], None], change: str) -> None:
    case.build()
    no_uv()
    source = case.context / "src" / "hello" / "__init__.py"
    match change:
        case "content":
            source.write_text("HELLO = 2\n")
        case "name":
            case.write("src/hello/new.py", "")
        case "mode":
            source.chmod(0o755)
    with pytest.raises(AssertionError, match="uv was run"):
        case.build(epoch=EPOCH + (change == "epoch"))


def test_a_version_that_the_environment_tells_is_built_anew(
    case: Case, no_uv: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    case.build()
    no_uv()
    monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION_FOR_HELLO", "2.0")
    with pytest.raises(AssertionError, match="uv was run"):
        case.build()


def test_without_the_cache_a_project_is_built_again(case: Case, no_uv: Callable[[], None]) -> None:
    case.build()
    no_uv()
    with pytest.raises(AssertionError, match="uv was run"):
        build_wheel(HELLO, case.context, store=case.store, offline=True, epoch=EPOCH, anew=True)


def test_a_wheel_that_is_gone_is_built_again(case: Case) -> None:
    first = case.build()
    first[1].unlink()
    assert case.build() == first


def test_where_when_and_under_what_umask_it_was_built_makes_no_difference(
    case: Case, tmp_path: Path, store: Store
) -> None:
    first, _ = case.build()
    with Store(tmp_path / "other-store") as other:
        elsewhere = Case(tmp_path / "elsewhere", other)
        for name in case.files():
            if (case.context / name).is_file():
                path = elsewhere.write(name, (case.context / name).read_text())
                path.chmod(0o600)
                os.utime(path, (1, 1))
        mask = os.umask(0o077)
        try:
            again, _ = elsewhere.build()
        finally:
            os.umask(mask)
    assert again.wheel.hashes == first.wheel.hashes


def test_the_backend_is_told_the_time(case: Case) -> None:
    _, path = case.build()
    text = zipfile.ZipFile(path).read("__init__.py").decode()
    assert text == f"HELLO = 1\n# 100644 {EPOCH} source {EPOCH}"


def test_what_the_backend_prints_can_be_watched(case: Case) -> None:
    events: list[Event] = []
    with Reporter(events.append).step("build") as task:
        build_wheel(HELLO, case.context, store=case.store, offline=True, task=task)
    assert "a line from the backend" in [event.line for event in events if isinstance(event, Output)]


def test_a_project_in_a_folder_is_built_there(case: Case) -> None:
    project = Project("hello", "context")
    built = build_wheel(project, case.context.parent, store=case.store, offline=True, epoch=EPOCH)
    assert built.distribution == case.build()[0]


def test_a_backend_that_fails_is_quoted(case: Case) -> None:
    case.backend("def build_wheel(*_, **__):\n    raise SystemExit('the backend says boom')\n")
    with pytest.raises(WherryError, match=r"(?s)no wheel can be built from hello:.*the backend says boom") as caught:
        case.build()
    assert "Traceback" not in caught.value.message
    assert not list(case.store.scratch().iterdir())


def test_a_backend_that_cannot_be_had_offline_is_told(case: Case) -> None:
    case.write("pyproject.toml", PYPROJECT.replace("requires = []", 'requires = ["hatchling"]'))
    with pytest.raises(WherryError, match="no wheel can be built from hello"):
        case.build()


def test_a_wheel_with_compiled_parts_is_told_from_others() -> None:
    assert not is_pure("hello-1.0-cp313-cp313-linux_x86_64.whl")
    assert is_pure("hello-1.0-py2.py3-none-any.whl")


def test_a_wheel_for_another_python_is_refused(case: Case) -> None:
    case.backend(tag="cp311-none-any")
    with pytest.raises(WherryError, match=r"cp311-none-any\.whl, which does not fit"):
        case.build()


def test_a_project_that_refuses_the_targets_python_is_told(case: Case) -> None:
    case.backend(python="<3.12")
    with pytest.raises(UsageError, match=r"hello requires Python <3\.12, the base has 3\.13\.5"):
        case.build()
    case.build(replace(TARGET, interpreter=Interpreter("3.11.2", "/usr/bin/python3")))


def test_a_folder_that_is_no_project_is_a_clear_error(case: Case) -> None:
    with pytest.raises(UsageError, match="lib is not a Python project"):
        build_wheel(Project("lib", "lib"), case.context, store=case.store)


def test_a_file_that_cannot_be_read_is_named(case: Case) -> None:
    (case.context / "src" / "fifo").symlink_to("nowhere")  # a link to nothing is a link all the same
    case.build()
    if os.geteuid() != 0:
        (case.context / "src" / "hello" / "__init__.py").chmod(0)
        with pytest.raises(UsageError, match=r"cannot read .*__init__\.py"):
            case.build()


# -- the files of a project --------------------------------------------------------------------------


def test_only_what_belongs_to_a_project_is_copied(case: Case, tmp_path: Path) -> None:
    for name in (".git/HEAD", ".venv/x", "env/pyvenv.cfg", "node_modules/x", "build/lib/x.py", "x.egg-info/PKG-INFO"):
        case.write(name, "")
    for name in ("src/build/__init__.py", "src/dist/data.txt", ".gitignore", "data.pyc.txt"):
        case.write(name, "")
    found = [path.as_posix() for path in tree.walk(case.context)]
    assert found == [
        ".gitignore",
        "backend.py",
        "data.pyc.txt",
        "pyproject.toml",
        "src/build/__init__.py",
        "src/dist/data.txt",
        "src/hello/__init__.py",
    ]


def test_a_backend_ends_with_the_uv_that_is_stopped(case: Case, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    case.backend(
        "import time\ndef build_wheel(*_, **__):\n"
        f"    with open({str(pipe)!r}, 'w') as file:\n        print('started', file=file, flush=True)\n"
        "        time.sleep(60)\n"
    )
    with ThreadPoolExecutor(1) as pool:
        build = pool.submit(case.build)
        with pipe.open() as file:
            assert file.readline() == "started\n"
            start = time.monotonic()
            stop_children()
            assert file.read() == ""  # nobody has the other end any more
        assert isinstance(build.exception(), WherryError)
    assert time.monotonic() - start < 30


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def test_a_project_that_takes_its_version_from_git_gets_its_repository(case: Case, tmp_path: Path) -> None:
    git(case.context, "init")
    case.write("lib/pyproject.toml", "[build-system]\nrequires = ['setuptools-scm']\n")
    git(case.context, "add", ".")
    git(case.context, "commit", "-m", "one")
    lib = case.context / "lib"
    before = tree.fingerprint(lib)
    git(case.context, "tag", "v1.0")
    tagged = tree.fingerprint(lib)
    assert tagged != before
    git(case.context, "tag", "v2.0", "v1.0")
    git(case.context, "tag", "-d", "v1.0")
    assert tree.fingerprint(lib) != tagged
    copy = tree.copy(lib, tmp_path / "copy", epoch=EPOCH)
    assert copy == tmp_path / "copy" / "lib"
    git(copy, "describe", "--tags", "--exact-match")
    git(copy, "diff", "--exit-code")


def test_tags_and_commits_are_seen_from_a_further_work_tree(case: Case, tmp_path: Path) -> None:
    git(case.context, "init")
    case.write("pyproject.toml", "[build-system]\nrequires = ['setuptools-scm']\n")
    git(case.context, "add", ".")
    git(case.context, "commit", "-m", "one")
    further = tmp_path / "further"
    git(case.context, "worktree", "add", str(further))
    seen = [tree.fingerprint(further)]
    for words in (["tag", "v1.0"], ["pack-refs", "--all"], ["commit", "--allow-empty", "-m", "two"]):
        git(further, *words)
        seen.append(tree.fingerprint(further))
    assert len(set(seen)) == len(seen)
    assert tree.fingerprint(further) == seen[-1]


def test_tags_are_seen_in_a_submodule_and_its_copy_still_has_a_repository(case: Case, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init")
    (library / "pyproject.toml").write_text("[build-system]\nrequires = ['setuptools-scm']\n")
    git(library, "add", ".")
    git(library, "commit", "-m", "one")
    git(case.context, "init")
    git(case.context, "-c", "protocol.file.allow=always", "submodule", "add", str(library), "sub")
    before = tree.fingerprint(case.context / "sub")
    git(case.context / "sub", "tag", "v1.0")
    assert tree.fingerprint(case.context / "sub") != before
    git(tree.copy(case.context / "sub", tmp_path / "copy", epoch=EPOCH), "describe", "--tags", "--exact-match")


def test_a_project_that_has_its_version_in_a_file_gets_no_repository(case: Case, tmp_path: Path) -> None:
    git(case.context, "init")
    tree.copy(case.context, tmp_path / "copy", epoch=EPOCH)
    assert not (tmp_path / "copy" / ".git").exists()


@pytest.mark.e2e
@pytest.mark.parametrize("backend", ["hatchling", "setuptools"])
def test_real_backends_build_the_same_wheel_twice(tmp_path: Path, backend: str) -> None:
    text = '[project]\nname = "hello"\nversion = "1.0"\n[project.scripts]\nhello = "hello:main"\n[build-system]\n'
    text += {
        "hatchling": 'requires = ["hatchling"]\nbuild-backend = "hatchling.build"\n',
        "setuptools": 'requires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n',
    }[backend]
    found = []
    for name in ("one", "two"):
        with Store(tmp_path / f"{name}-store") as store:
            case = Case(tmp_path / name, store)
            case.write("pyproject.toml", text)
            case.write("src/hello/__init__.py", "def main() -> None:\n    print('hello')\n")
            before = case.files()
            built = build_wheel(HELLO, case.context, store=store)
            assert case.files() == before
            found.append(built.distribution.wheel.hashes)
    assert found[0] == found[1]
