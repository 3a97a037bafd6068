"""Resolutions by the real uv, from a folder of small wheels; and from the real index (e2e)."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from wherry.errors import NetworkError, UsageError, WherryError
from wherry.events import Event, Finished, Reporter
from wherry.fetch import Fetcher
from wherry.image.platform import Platform
from wherry.plan import Indexes, Requirements
from wherry.store import Store
from wherry.target import Interpreter, Libc, Target
from wherry.wheels import uv
from wherry.wheels.distribution import Distribution, Project
from wherry.wheels.download import fetch_wheels
from wherry.wheels.resolve import resolve
from wherry.wheels.select import NoUsableWheel, select

AMD64 = Target(Platform("linux", "amd64"), Libc("glibc", 2, 41), Interpreter("3.13.5", "/usr/bin/python3"))
ARM64 = replace(AMD64, platform=Platform("linux", "arm64"))
MUSL = replace(AMD64, libc=Libc("musl", 1, 2))

PROJECT = """\
[project]
name = "hello"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["one"]
[project.optional-dependencies]
more = ["two"]
[dependency-groups]
extra = ["three"]
dev = ["nowhere"]
"""
BACKEND = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No index settings of this machine, but for the tests that go to the real index."""
    if request.node.get_closest_marker("e2e"):
        return
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


@pytest.fixture(scope="session")
def links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels."""
    folder = tmp_path_factory.mktemp("links")
    wheel(folder, "one", requires=["two>=1", "three; sys_platform == 'win32'"])
    wheel(folder, "two", "1.0")
    wheel(folder, "two", "2.0")
    wheel(folder, "three")
    for tag in ("manylinux_2_28_x86_64", "manylinux2014_aarch64", "musllinux_1_2_x86_64"):
        wheel(folder, "native", tag=f"cp313-cp313-{tag}")
    wheel(folder, "old", tag="cp312-cp312-manylinux2014_x86_64")
    wheel(folder, "young", python=">=3.14")
    sdist(folder, "source", "from setuptools import setup\nsetup()\n")
    sdist(folder, "other", "from setuptools import setup\nsetup()\n")
    return folder


def wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    tag: str = "py3-none-any",
    requires: Sequence[str] = (),
    python: str = "",
) -> Path:
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    metadata += f"Requires-Python: {python}\n" if python else ""
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def sdist(folder: Path, name: str, setup: str, *, metadata: str = "2.2") -> None:
    """An sdist that tells its requirements itself; with metadata 2.1 only its backend can."""
    metadata = f"Metadata-Version: {metadata}\nName: {name}\nVersion: 1.0\n"
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as archive:
        for path, text in {"setup.py": setup, "PKG-INFO": metadata}.items():
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


class Case:
    """A project folder, and resolutions of it that see only the folder of wheels."""

    def __init__(self, context: Path, store: Store, links: Path) -> None:
        self.context = context
        self.store = store
        self.indexes = Indexes(no_index=True, find_links=(str(links),))
        self.target = AMD64
        self.events: list[Event] = []

    def write(self, name: str, text: str) -> Path:
        path = self.context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def lock(self, requirements: Requirements, *, offline: bool = False, upgrade: bool = False) -> str:
        requirements = replace(requirements, indexes=self.indexes)
        with Reporter(self.events.append).step("resolve") as task:
            return resolve(
                requirements,
                self.target,
                self.context,
                store=self.store,
                offline=offline,
                upgrade=upgrade,
                task=task,
            )

    def chosen(self, requirements: Requirements, *, offline: bool = False, upgrade: bool = False) -> list[str]:
        """Names and versions, or paths."""
        found = select(self.lock(requirements, offline=offline, upgrade=upgrade), self.target, context=self.context)
        return [f"{one.name} {one.path if isinstance(one, Project) else one.version}" for one in found]

    def file(self, text: str, *, offline: bool = False, upgrade: bool = False) -> list[str]:
        """What a requirements.txt of ``text`` comes to."""
        self.write("requirements.txt", text)
        return self.chosen(requirements_file(), offline=offline, upgrade=upgrade)


def requirements_file(*inputs: str, projects: tuple[str, ...] = ()) -> Requirements:
    return Requirements("requirements.txt", "requirements.txt", ("requirements.txt", *inputs), projects)


@pytest.fixture(scope="session")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What uv finds out about our interpreter, found out once."""
    return tmp_path_factory.mktemp("uv")


@pytest.fixture
def case(tmp_path: Path, store: Store, links: Path, uv_cache: Path) -> Case:
    context = tmp_path / "context"
    context.mkdir()
    store.path.mkdir()
    (store.path / "uv").symlink_to(uv_cache)
    return Case(context, store, links)


@pytest.fixture
def no_uv(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called, running uv fails."""

    def forbid() -> None:
        def run(*_: object, **__: object) -> str:
            raise AssertionError("uv was run")

        monkeypatch.setattr(uv, "run_uv", run)

    return forbid


# -- requirements.txt --------------------------------------------------------------------------------


def test_requirements_and_what_they_require_for_the_target_are_locked(case: Case) -> None:
    assert case.file("one\n") == ["one 1.0", "two 2.0"]


def test_included_files_constraints_markers_and_comments_are_honoured(case: Case) -> None:
    case.write("sub/more.txt", "three ; python_version >= '3.13'  # a comment\none; sys_platform == 'win32'\n")
    case.write("constraints.txt", "two<2\n")
    case.write("requirements.txt", "-r sub/more.txt\n-c constraints.txt\ntwo\n")
    assert case.chosen(requirements_file("sub/more.txt", "constraints.txt")) == ["three 1.0", "two 1.0"]


def test_each_target_gets_its_own_wheels(case: Case) -> None:
    case.write("requirements.txt", "native\n")
    found = []
    for case.target in (AMD64, ARM64, MUSL):
        (one,) = select(case.lock(requirements_file()), case.target, context=case.context)
        assert isinstance(one, Distribution)
        found.append(one.wheel.name.removeprefix("native-1.0-cp313-cp313-").removesuffix(".whl"))
    assert found == ["manylinux_2_28_x86_64", "manylinux2014_aarch64", "musllinux_1_2_x86_64"]


def test_index_options_in_the_file_are_honoured(case: Case, tmp_path: Path) -> None:
    case.indexes = Indexes()
    wheel(tmp_path, "mine", "3.0")
    assert case.file(f"--no-index\n--find-links {tmp_path}\nmine\n") == ["mine 3.0"]


def test_a_local_wheel_is_taken_where_it_is(case: Case) -> None:
    (case.context / "wheels").mkdir()
    path = wheel(case.context / "wheels", "mine", "3.0", requires=["three"])
    assert case.file("./wheels/mine-3.0-py3-none-any.whl\n") == ["mine 3.0", "three 1.0"]
    with Fetcher(case.store.files, offline=True) as fetcher:
        found = select(case.lock(requirements_file()), AMD64, context=case.context)
        wanted = [one for one in found if isinstance(one, Distribution)]
        files = {one.name: file for one, file in fetch_wheels(wanted, fetcher)}
    assert files["mine"].read_bytes() == path.read_bytes()


def test_local_projects_are_locked_as_projects(case: Case) -> None:
    case.write("pyproject.toml", PROJECT)
    case.write("lib/pyproject.toml", PROJECT.replace("hello", "lib").replace('"one"', '"three"'))
    case.write("requirements.txt", "-e .[more]\n./lib\n")
    wanted = requirements_file("pyproject.toml", "lib/pyproject.toml", projects=(".", "lib"))
    assert case.chosen(wanted) == ["hello .", "lib lib", "one 1.0", "three 1.0", "two 2.0"]


def test_the_project_itself_is_locked_too(case: Case) -> None:
    case.write("pyproject.toml", PROJECT)
    case.write("requirements.txt", "three\n")
    assert case.chosen(requirements_file("pyproject.toml", projects=(".",))) == [
        "hello .",
        "one 1.0",
        "three 1.0",
        "two 2.0",
    ]


def test_an_empty_file_locks_nothing(case: Case) -> None:
    assert case.file("# nothing yet\n") == []


# -- hashes ------------------------------------------------------------------------------------------


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_hashes_in_the_file_are_held_to(case: Case, links: Path) -> None:
    right = sha256(links / "three-1.0-py3-none-any.whl")
    assert case.file(f"three==1.0 \\\n  --hash=sha256:{'0' * 64} \\\n  --hash=sha256:{right}\n") == ["three 1.0"]
    with pytest.raises(WherryError, match=r"no file in the index has a hash that requirements\.txt allows.*three 1\.0"):
        case.file(f"three==1.0 --hash=sha256:{'0' * 64}\n")


def test_one_hash_means_that_all_need_one(case: Case, links: Path) -> None:
    with pytest.raises(WherryError, match=r"has hashes, but none for: two"):
        case.file(f"one==1.0 --hash=sha256:{sha256(links / 'one-1.0-py3-none-any.whl')}\n")
    with pytest.raises(WherryError, match=r"has hashes, but none for: three"):
        case.file("--require-hashes\nthree==1.0\n")


# -- pyproject.toml ----------------------------------------------------------------------------------


def test_a_projects_dependencies_extras_and_groups_are_locked(case: Case) -> None:
    case.write("pyproject.toml", PROJECT)
    plain = Requirements("pyproject", "pyproject.toml", ("pyproject.toml",))
    assert case.chosen(plain) == ["one 1.0", "two 2.0"]
    assert case.chosen(replace(plain, groups=("extra",))) == ["one 1.0", "three 1.0", "two 2.0"]
    with_all = replace(plain, projects=(".",), extras=("more",), groups=("extra",))
    assert case.chosen(with_all) == ["hello .", "one 1.0", "three 1.0", "two 2.0"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Requirements("pyproject", "pyproject.toml", extras=("none",)), "has no extra 'none'"),
        (Requirements("pyproject", "pyproject.toml", groups=("none",)), "has no dependency group 'none'"),
    ],
)
def test_an_unknown_extra_or_group_is_a_clear_error(case: Case, wanted: Requirements, message: str) -> None:
    case.write("pyproject.toml", PROJECT)
    with pytest.raises(UsageError, match=message):
        case.lock(wanted)


def test_a_backend_that_must_tell_the_metadata_does_not_write_into_the_project(case: Case) -> None:
    case.write("pyproject.toml", '[project]\nname = "hello"\ndynamic = ["version", "dependencies"]\n' + BACKEND)
    case.write(
        "backend.py",
        "from pathlib import Path\n"
        "def prepare_metadata_for_build_wheel(directory, config_settings=None):\n"
        "    Path('litter').write_text('')\n"
        "    info = Path(directory, 'hello-1.0.dist-info')\n"
        "    info.mkdir()\n"
        "    info.joinpath('METADATA').write_text('Metadata-Version: 2.1\\nName: hello\\nVersion: 1.0\\n'\n"
        "        'Requires-Dist: three\\n')\n"
        "    info.joinpath('WHEEL').write_text('Wheel-Version: 1.0\\n')\n"
        "    return info.name\n"
        "def build_wheel(*args, **kwargs):\n    raise AssertionError\n",
    )
    assert case.chosen(Requirements("pyproject", "pyproject.toml", projects=(".",))) == ["hello .", "three 1.0"]
    assert sorted(path.name for path in case.context.iterdir()) == ["backend.py", "pyproject.toml"]


# -- locks of the project's own ----------------------------------------------------------------------


def test_a_projects_own_lock_is_taken_as_it_is(case: Case, no_uv: Callable[[], None]) -> None:
    no_uv()
    text = 'lock-version = "1.0"\ncreated-by = "x"\n\n[[packages]]\nname = "a"\ndirectory = { path = "lib" }\n'
    case.write("pylock.toml", text)
    assert case.lock(Requirements("pylock", "pylock.toml")) == text
    case.write("sub/pylock.toml", text)
    assert case.chosen(Requirements("pylock", "sub/pylock.toml")) == ["a sub/lib"]


def test_a_project_without_requirements_has_an_empty_lock(case: Case, no_uv: Callable[[], None]) -> None:
    no_uv()
    assert case.chosen(Requirements("none")) == []
    case.write("pyproject.toml", PROJECT)
    assert case.chosen(Requirements("none", projects=(".",))) == ["hello ."]


@pytest.fixture(scope="session")
def uv_lock(links: Path, uv_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a uv.lock, made by uv. It is as deep as a test's context, as the lock's paths are relative."""
    folder = tmp_path_factory.mktemp("locked") / "context"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT.replace('"nowhere"', '"two"') + BACKEND)
    words = ["lock", "--quiet", "--no-index", "--find-links", str(links), "--python", sys.executable]
    env = {**os.environ, "UV_CACHE_DIR": str(uv_cache)}
    subprocess.run([uv.uv_binary(), *words], cwd=folder, env=env, check=True)
    return folder


@pytest.fixture
def uv_project(case: Case, uv_lock: Path) -> Requirements:
    for path in uv_lock.iterdir():
        shutil.copy(path, case.context)
    return Requirements("uv.lock", "uv.lock", ("uv.lock", "pyproject.toml"), projects=(".",))


def test_uv_lock_is_exported(case: Case, uv_project: Requirements) -> None:
    before = case.write("uv.lock", (case.context / "uv.lock").read_text()).stat().st_mtime_ns
    assert case.chosen(uv_project) == ["hello .", "one 1.0", "two 2.0"]
    chosen = replace(uv_project, extras=("more",), groups=("extra",))
    assert case.chosen(chosen) == ["hello .", "one 1.0", "three 1.0", "two 2.0"]
    assert (case.context / "uv.lock").stat().st_mtime_ns == before


def test_uv_lock_needs_no_interpreter_that_the_project_allows(case: Case, uv_project: Requirements) -> None:
    for name in ("uv.lock", "pyproject.toml"):
        text = (case.context / name).read_text()
        case.write(name, text.replace('requires-python = ">=3.11"', 'requires-python = ">=3.99"'))
    case.target = replace(AMD64, interpreter=Interpreter("3.99.0", "/usr/bin/python3"))
    assert case.chosen(uv_project) == ["hello .", "one 1.0", "two 2.0"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('dependencies = ["one"]', 'dependencies = ["one>=1.0", "three"]', r"not in the lock: one>=1\.0\n.*three"),
        ('dependencies = ["one"]', "dependencies = []", "no longer required: one"),
        ('more = ["two"]', 'more = ["two", "one[x]"]', r"not in the lock: one\[x\] \(extra more\)"),
        ('extra = ["three"]', 'extra = ["two"]', r"not in the lock: two \(group extra\)"),
        ('">=3.11"', '">=3.12"', "requires-python is >=3.12, the lock is for >=3.11"),
    ],
)
def test_a_uv_lock_that_is_out_of_date_is_refused(
    case: Case, uv_project: Requirements, before: str, after: str, message: str
) -> None:
    text = (case.context / "pyproject.toml").read_text()
    assert before in text
    case.write("pyproject.toml", text.replace(before, after))
    with pytest.raises(UsageError, match=f"(?s)uv.lock does not match pyproject.toml.*{message}") as caught:
        case.lock(uv_project)
    assert caught.value.hint == "Run `uv lock`."


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('dependencies = ["one"]', 'dependencies = [ "One" , "three; sys_platform == \'win32\'"]'),
        ('version = "1.0"', 'version = "1.0"\ndescription = "new"'),
    ],
)
def test_what_makes_no_difference_is_no_reason_to_refuse_a_uv_lock(
    case: Case, uv_project: Requirements, before: str, after: str
) -> None:
    text = (case.context / "pyproject.toml").read_text()
    case.write("pyproject.toml", text.replace(before, after, 1))
    assert case.chosen(replace(uv_project, groups=("extra",)))[:1] == ["hello ."]


# -- what is remembered ------------------------------------------------------------------------------


def test_the_same_again_needs_no_process(case: Case, no_uv: Callable[[], None]) -> None:
    first = case.file("one\n")
    no_uv()
    assert case.file("one\n") == first
    finished = [event.outcome for event in case.events if isinstance(event, Finished)]
    assert finished == ["done", "cached"]


def test_other_inputs_are_resolved_anew(case: Case, no_uv: Callable[[], None]) -> None:
    case.file("one\n")
    no_uv()
    for text, target, indexes in (
        ("one\ntwo\n", AMD64, case.indexes),
        ("one\n", ARM64, case.indexes),
        ("one\n", AMD64, Indexes()),
    ):
        case.target, case.indexes = target, indexes
        with pytest.raises(AssertionError, match="uv was run"):
            case.file(text)


def test_another_value_of_a_variable_in_the_file_is_resolved_anew(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.0", "2.0"):
        (tmp_path / version).mkdir()
        wheel(tmp_path / version, "mine", version)
    case.indexes = Indexes()
    for version in ("1.0", "2.0"):
        monkeypatch.setenv("PLACE", str(tmp_path / version))
        assert case.file("--no-index\n--find-links ${PLACE}\nmine\n") == [f"mine {version}"]


def test_another_distribution_at_the_same_place_is_resolved_anew(
    case: Case, links: Path, no_uv: Callable[[], None]
) -> None:
    place = case.write("wheels/two-1.0-py3-none-any.whl", "")
    shutil.copyfile(links / place.name, place)
    case.write("requirements.txt", f"./wheels/{place.name}\n")
    inputs = requirements_file(f"wheels/{place.name}")
    assert case.chosen(inputs) == ["two 1.0"]
    assert case.chosen(inputs) == ["two 1.0"]
    with place.open("ab") as file:
        file.write(b"more")
    no_uv()
    with pytest.raises(AssertionError, match="uv was run"):
        case.chosen(inputs)


def test_the_fetcher_learns_the_credentials_in_the_file(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str, str]] = []

    class Told(Fetcher):
        def authorize(self, origin: str, user: str, password: str) -> None:
            told.append((origin, user, password))

    monkeypatch.setenv("WORD", "secret-word")
    case.write("requirements.txt", "one\n--extra-index-url https://me:${WORD}@127.0.0.1:9/simple\n")
    requirements = replace(requirements_file(), indexes=case.indexes)
    for _ in range(2):  # also if the answer is remembered
        told.clear()
        resolve(requirements, AMD64, case.context, store=case.store, fetcher=Told(case.store.files))
        assert told == [("https://127.0.0.1:9", "me", "secret-word")]
    case.store.close()
    kept = [path for path in case.store.path.rglob("*") if path.is_file()]
    assert [path for path in kept if b"secret-word" in path.read_bytes()] == []


def test_upgrade_sees_what_is_new(case: Case, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    wheel(mine, "mine", "1.0")
    text = f"--no-index\n--find-links {mine}\nmine\n"
    case.indexes = Indexes()
    assert case.file(text) == ["mine 1.0"]
    wheel(mine, "mine", "2.0")
    assert case.file(text) == ["mine 1.0"]
    assert case.file(text, upgrade=True) == ["mine 2.0"]
    assert case.file(text) == ["mine 2.0"]


def test_without_the_network_an_upgrade_takes_what_is_here(case: Case, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    wheel(mine, "mine", "1.0")
    case.indexes = Indexes()
    assert case.file(f"--no-index\n--find-links {mine}\nmine\n", offline=True, upgrade=True) == ["mine 1.0"]


def test_credentials_are_nowhere_in_the_store(case: Case) -> None:
    case.indexes = replace(case.indexes, extra_index_urls=("https://me:secret-word@127.0.0.1:9/simple",))
    case.file("one\n")
    case.store.close()
    kept = [path for path in case.store.path.rglob("*") if path.is_file()]
    assert [path for path in kept if b"secret-word" in path.read_bytes()] == []


def test_two_at_once_resolve_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[object] = []
    run = uv.run_uv

    def counted(*args: object, **options: object) -> str:
        runs.append(args)
        return run(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(uv, "run_uv", counted)
    case.write("requirements.txt", "one\n")
    threads = [threading.Thread(target=case.lock, args=(requirements_file(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1


# -- what goes wrong ---------------------------------------------------------------------------------


def test_a_requirement_that_does_not_exist_is_named(case: Case) -> None:
    with pytest.raises(WherryError, match=r"^nowhere, required by requirements\.txt, does not exist") as caught:
        case.file("nowhere\n")
    assert "spelling" in str(caught.value.hint)


def test_a_version_that_does_not_exist_is_named(case: Case) -> None:
    with pytest.raises(WherryError, match=r"^there is no two==9, required by requirements\.txt"):
        case.file("two==9\n")


def test_requirements_that_contradict_each_other_are_told(case: Case) -> None:
    with pytest.raises(WherryError, match=r"(?s)cannot be satisfied together.*two<1.*unsatisfiable"):
        case.file("one\ntwo<1\n")


@pytest.mark.parametrize("target", [AMD64, MUSL])
def test_a_requirement_without_a_wheel_for_the_target_is_named_with_those_that_exist(
    case: Case, target: Target
) -> None:
    case.target = target
    with pytest.raises(NoUsableWheel, match=r"old 1\.0: wheels exist for cp312-cp312-manylinux2014_x86_64\n"):
        case.file("old\nthree\n")


def test_what_has_only_a_source_is_in_the_lock(case: Case) -> None:
    assert case.file("source\n") == ["source 1.0"]


def test_all_that_have_only_sources_are_named_where_nothing_may_be_built(case: Case) -> None:
    with pytest.raises(NoUsableWheel, match=r"source 1\.0: there is no wheel"):
        case.file("--only-binary :all:\nsource\n")


def test_who_wants_what_has_no_wheel_is_told(case: Case, tmp_path: Path) -> None:
    wheel(tmp_path, "asks", requires=["old"])
    with pytest.raises(NoUsableWheel, match=r"all versions of asks depend on old"):
        case.file(f"--find-links {tmp_path}\nasks\n")


def test_a_package_for_another_python_is_told(case: Case) -> None:
    with pytest.raises(WherryError, match=r"requires Python >=3\.14"):
        case.file("young\n")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("one\ntwo=1\n", "requirements.txt:2", "no such comparison operator"),
        ("one\n--nonsense\n", "requirements.txt:2:1", "Unexpected '-'"),
        ("one\n\n-r none.txt\n", "requirements.txt:3", "No such file"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_with_its_place(case: Case, text: str, place: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        case.file(text)
    assert str(caught.value.place) == place


def test_a_missing_project_is_named(case: Case) -> None:
    with pytest.raises(UsageError, match=r"requirements\.txt names a file or project that is not there: lib\n"):
        case.file("./lib\n")


def test_a_missing_requirements_file_is_a_clear_error(case: Case) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        case.lock(requirements_file())


def test_an_index_that_cannot_be_reached_is_told_without_its_credentials(case: Case) -> None:
    case.indexes = Indexes(index_url="http://me:secret-word@127.0.0.1:9/simple")
    with pytest.raises(NetworkError, match="index cannot be reached") as caught:
        case.file("one\n")
    assert "secret-word" not in str(caught.value)


def test_offline_nothing_is_fetched(case: Case) -> None:
    case.indexes = Indexes(index_url="http://127.0.0.1:9/simple")
    with pytest.raises(NetworkError, match="--offline"):
        case.file("one\n", offline=True)


# -- the real index ----------------------------------------------------------------------------------

REFERENCE = """\
fastapi==0.115.12
uvicorn[standard]==0.34.2
numpy==2.2.5
pandas==2.2.3
sqlalchemy==2.0.40
requests==2.32.3
psycopg[binary]==3.2.9
pyyaml==6.0.2
"""


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("target", "machine"), [(AMD64, "manylinux"), (ARM64, "aarch64"), (MUSL, "musllinux")], ids=["amd64", "arm", "musl"]
)
def test_the_reference_project_resolves_for_every_target(
    tmp_path: Path, store: Store, target: Target, machine: str
) -> None:
    (tmp_path / "requirements.txt").write_text(REFERENCE)
    found = select(resolve(requirements_file(), target, tmp_path, store=store), target, context=tmp_path)
    wheels = {one.name: one.wheel.name for one in found if isinstance(one, Distribution)}
    assert {"fastapi", "uvloop", "psycopg-binary", "greenlet", "pydantic-core"} <= set(wheels)
    for name in ("numpy", "pandas", "psycopg-binary", "pydantic-core"):
        assert machine in wheels[name]


@pytest.mark.e2e
def test_wheels_from_the_index_are_fetched_and_verified(tmp_path: Path, store: Store) -> None:
    (tmp_path / "requirements.txt").write_text("flask==3.1.0\n")
    found = select(resolve(requirements_file(), AMD64, tmp_path, store=store), AMD64, context=tmp_path)
    wanted = [one for one in found if isinstance(one, Distribution)]
    with Fetcher(store.files) as fetcher:
        files = {one.name: path for one, path in fetch_wheels(wanted, fetcher)}
    assert sorted(files) == [one.name for one in wanted]
    assert all(zipfile.is_zipfile(path) for path in files.values())
    shutil.rmtree(store.path / "uv")
    assert select(resolve(requirements_file(), AMD64, tmp_path, store=store, offline=True), AMD64, context=tmp_path)


@pytest.mark.e2e
def test_an_sdist_that_cannot_even_tell_its_requirements_is_told(tmp_path: Path, store: Store) -> None:
    sdist(tmp_path, "broken", "raise SystemExit('boom')\n", metadata="2.1")
    (tmp_path / "requirements.txt").write_text(f"--find-links {tmp_path}\nbroken==1.0\n")
    with pytest.raises(NoUsableWheel, match=r"broken 1\.0: there is only a source distribution\n +uv had to build it"):
        resolve(requirements_file(), AMD64, tmp_path, store=store)


@pytest.mark.e2e
def test_a_requirement_that_has_no_wheels_for_musl_is_told(tmp_path: Path, store: Store) -> None:
    (tmp_path / "requirements.txt").write_text("onnxruntime==1.22.0\n")
    with pytest.raises(NoUsableWheel, match=r"onnxruntime 1\.22\.0: wheels exist for .*manylinux") as caught:
        resolve(requirements_file(), MUSL, tmp_path, store=store)
    assert "choose a base that is not built on musl" in str(caught.value.hint)
