"""The compile stage: what has no wheel is built in a sandbox, once, and its image runs without a compiler."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.extensions import extension, sdist

from wherry.image import Image, Platform
from wherry.layers.merge import merged
from wherry.sandbox.emulation import emulates
from wherry.store import Store
from wherry.store.listing import find_descriptor

if TYPE_CHECKING:
    from tests.conftest import NewWherry, User, Wherry

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MakeProject = Callable[..., Path]

MAIN = "import tiny\nprint('the answer is', tiny.answer())\n"


def files(wherry: Wherry, name: str) -> dict[str, bytes | None]:
    """The files of an image; the bytes of small ones."""
    with Store(wherry.store) as store:
        image = store.load(find_descriptor(store, name))
        assert isinstance(image, Image)
        layers = [store.blobs.file(layer.descriptor.digest) for layer in image.layers]
        return {
            entry.path: reader.read() if reader and entry.size < 1 << 16 else None for entry, reader in merged(layers)
        }


def project_of(make: MakeProject, parts: dict[str, str], settings: str = "", **more: str) -> Path:
    """A project that requires ``tiny``, an sdist of ``parts`` beside it."""
    root = make({"requirements.txt": "--find-links links\ntiny\n", "main.py": MAIN, "wherry.toml": settings, **more})
    sdist(root / "links", "tiny", parts)
    return root


@pytest.fixture
def tiny(project: MakeProject) -> Path:
    """A project that requires an extension in C, of which there is an sdist."""
    return project_of(project, extension("tiny"))


def test_an_sdist_with_an_extension_is_compiled_and_runs(warm: Wherry, tiny: Path) -> None:
    warm.ok("build", "-t", "tiny", tiny)
    assert warm.ok("run", "tiny").stdout == "the answer is 42\n"


def test_the_compiler_and_its_files_stay_behind(warm: Wherry, tiny: Path) -> None:
    warm.ok("build", "-t", "tiny", tiny)
    found = files(warm, "tiny")
    assert not [path for path in found if path.startswith(("opt/build", "build/", "usr/include/"))]
    assert not [
        path for path in found if path.rpartition("/")[2] in {"gcc", "cc", "make", "ld", "x86_64-linux-gnu-gcc"}
    ]


def test_what_was_compiled_is_not_compiled_again(warm: Wherry, tiny: Path) -> None:
    warm.ok("build", "-t", "tiny", tiny)
    again = warm.ok("build", "-t", "tiny", "--offline", "--progress", "plain", tiny).stderr
    assert "build wheels of what has none\n#4 CACHED" in again
    assert "toolchain" not in again


def test_the_same_source_gives_the_same_image_in_another_store(
    warm: Wherry, new_wherry: NewWherry, tiny: Path, tmp_path: Path
) -> None:
    other = new_wherry(tmp_path / "other")
    assert warm.build(tiny) == other.build(tiny)


def test_a_project_that_is_itself_an_extension_is_compiled(warm: Wherry, project: MakeProject) -> None:
    parts = extension("tiny")
    parts["pyproject.toml"] += '[project]\nname = "tiny"\nversion = "1.0"\n'
    root = project({**parts, "main.py": MAIN})
    warm.ok("build", "-t", "own", root)
    assert warm.ok("run", "own").stdout == "the answer is 42\n"
    assert not (root / "build").exists()


def test_a_library_comes_along_as_the_debian_package_that_has_it(warm: Wherry, project: MakeProject) -> None:
    parts = extension("tiny", head="#include <libpq-fe.h>", answer="PQlibVersion() > 0", libraries=("pq",))
    parts["setup.py"] = parts["setup.py"].replace("libraries=", 'include_dirs=["/usr/include/postgresql"], libraries=')
    warm.ok("build", "-t", "pq", project_of(project, parts, 'build-packages = ["libpq-dev"]\n'))
    assert warm.ok("run", "pq").stdout == "the answer is 1\n"
    found = files(warm, "pq")
    assert "var/lib/dpkg/status.d/libpq5" in found
    assert "var/lib/dpkg/status.d/libpq-dev" not in found


def test_a_library_can_be_vendored_into_the_wheel(warm: Wherry, project: MakeProject) -> None:
    parts = extension("tiny", head="#include <libpq-fe.h>", answer="PQlibVersion() > 0", libraries=("pq",))
    parts["setup.py"] = parts["setup.py"].replace("libraries=", 'include_dirs=["/usr/include/postgresql"], libraries=')
    settings = 'build-packages = ["libpq-dev"]\nnative-libs = "vendor"\n'
    warm.ok("build", "-t", "vendored", project_of(project, parts, settings))
    assert warm.ok("run", "vendored").stdout == "the answer is 1\n"
    found = files(warm, "vendored")
    assert "var/lib/dpkg/status.d/libpq5" not in found
    assert [path for path in found if "/tiny.libs/libpq-" in path]


def test_a_missing_header_is_told_with_the_package_that_has_it(warm: Wherry, project: MakeProject) -> None:
    parts = extension("tiny", head="#include <libpq-fe.h>")
    root = project_of(project, parts, 'base = "debian://bookworm"\n')
    (root / "requirements.txt").write_text("--find-links links\nwherry-asks\n")
    sdist(root / "links", "wherry_asks", extension("wherry_asks"), requires=("tiny",))
    result = warm("build", root)
    assert result.returncode == 1
    assert "fatal error: libpq-fe.h: No such file or directory" in result.stderr
    assert "no wheel can be built from tiny 1.0" in result.stderr
    assert "libpq-fe.h: add `libpq-dev` to build-packages" in result.stderr
    assert "Traceback" not in result.stderr


def test_what_only_the_compile_stage_can_tell_is_asked_there(warm: Wherry, project: MakeProject) -> None:
    before = "import os\nif not os.path.exists('/usr/include/postgresql/libpq-fe.h'):\n    raise SystemExit('no libpq')"
    parts = extension("tiny", requires=("idna>=3",), before=before)
    root = project_of(project, parts, 'build-packages = ["libpq-dev"]\n')
    sdist(root / "links", "tiny", parts, metadata="2.1")
    (root / "main.py").write_text("import idna\n" + MAIN)
    warm.ok("build", "-t", "asked", root)
    assert warm.ok("run", "asked").stdout == "the answer is 42\n"


def test_a_build_has_no_network(warm: Wherry, project: MakeProject) -> None:
    before = "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=5)\n"
    result = warm("build", project_of(project, extension("tiny", before=before)))
    assert result.returncode == 1
    assert "Network is unreachable" in result.stderr
    assert "A build has no network." in result.stderr


def test_the_backend_sees_its_variables_and_settings(warm: Wherry, project: MakeProject) -> None:
    settings = 'build-env = { SAID = "hello" }\n[config-settings]\nall = "1"\n'
    settings += 'tiny = { one = ["a", "b"] }\nother = { two = "2" }\n'
    warm.ok("build", "-t", "told", "-C", "tiny:more=3", project_of(project, in_tree(), settings))
    assert warm.ok("run", "told").stdout == "the answer is ('hello', {'all': '1', 'one': ['a', 'b'], 'more': '3'})\n"


def test_no_binary_builds_what_has_a_wheel(warm: Wherry, project: MakeProject) -> None:
    main = (
        "import markupsafe._speedups, importlib.metadata as m\nprint(m.distribution('markupsafe').read_text('WHEEL'))\n"
    )
    root = project({"requirements.txt": "--no-binary markupsafe\nmarkupsafe==3.0.2\n", "main.py": main})
    warm.ok("build", "-t", "built", root)
    assert "Tag: cp313-cp313-linux_x86_64" in warm.ok("run", "built").stdout
    (root / "requirements.txt").write_text("markupsafe==3.0.2\n")
    warm.ok("build", "-t", "fetched", root)
    assert "manylinux" in warm.ok("run", "fetched").stdout


def test_only_binary_builds_nothing(warm: Wherry, tiny: Path) -> None:
    result = warm("build", "--only-binary", ":all:", tiny)
    assert result.returncode == 1
    assert "Wheels are required for `tiny`" in result.stderr


def test_an_sdist_that_is_not_compiled_needs_no_toolchain(warm: Wherry, project: MakeProject) -> None:
    root = project({"requirements.txt": "docopt==0.6.2\n", "main.py": "import docopt\nprint(docopt.__version__)\n"})
    said = warm.ok("build", "-t", "pure", "--progress", "plain", root).stderr
    assert "toolchain" not in said
    assert warm.ok("run", "pure").stdout == "0.6.2\n"


def test_an_sdist_that_is_not_compiled_is_built_once_for_all_platforms(warm: Wherry, project: MakeProject) -> None:
    root = project({"requirements.txt": "docopt==0.6.2\n", "main.py": "import docopt\n"})
    said = warm.ok("build", "-t", "pure", "--platform", "linux/amd64,linux/arm64", "--progress", "plain", root).stderr
    assert said.count("build the wheel") <= 1


def test_a_foreign_platform_without_an_emulator_is_refused_before_anything_is_built(warm: Wherry, tiny: Path) -> None:
    platform = next((one for one in ("arm64", "386") if not emulates(Platform("linux", one))), None)
    if platform is None:
        pytest.skip("this machine runs everything that Debian has")
    result = warm("build", "--platform", f"linux/{platform}", "-r", "pylock.toml", _locked(tiny))
    assert result.returncode in {1, 2}
    assert f"tiny 1.0 has no wheel for linux/{platform}" in result.stderr
    assert "qemu-user-static" in result.stderr
    assert "build the wheel" not in result.stderr


def _locked(root: Path) -> Path:
    """``root`` with a lock, which uv could not write for every processor."""
    import hashlib

    digest = hashlib.sha256((root / "links" / "tiny-1.0.tar.gz").read_bytes()).hexdigest()
    (root / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "tiny"\nversion = "1.0"\n'
        f'sdist = {{ name = "tiny-1.0.tar.gz", path = "links/tiny-1.0.tar.gz", hashes = {{ sha256 = "{digest}" }} }}\n'
    )
    return root


def test_a_compiled_wheel_serves_another_machine(
    warm: Wherry, new_wherry: NewWherry, tiny: Path, tmp_path: Path
) -> None:
    warm.ok("build", "-t", "tiny", "--cache-to", f"type=local,dest={tmp_path / 'cache'}", tiny)
    other = new_wherry(tmp_path / "other")
    cache = f"type=local,src={tmp_path / 'cache'}"
    said = other.ok("build", "-t", "tiny", "--cache-from", cache, "--progress", "plain", tiny).stderr
    assert "toolchain" not in said
    assert "build the wheel" not in said
    assert other.ok("run", "tiny").stdout == "the answer is 42\n"


def test_a_git_requirement_is_built_from_its_commit(warm: Wherry, project: MakeProject, tmp_path: Path) -> None:
    repository = project(extension("tiny"), name="repository")

    def git(*words: str) -> str:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        author = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        return subprocess.run(
            ["git", *author, *words], cwd=repository, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    commit = git("rev-parse", "HEAD")
    main = f"{MAIN}import importlib.metadata as m\nprint(m.distribution('tiny').read_text('direct_url.json'))\n"
    root = project({"requirements.txt": f"tiny @ git+file://{repository}@main\n", "main.py": main})
    warm.ok("build", "-t", "git", root)
    answer, told = warm.ok("run", "git").stdout.splitlines()[:2]
    assert answer == "the answer is 42"
    assert json.loads(told)["vcs_info"] == {"vcs": "git", "commit_id": commit, "requested_revision": "main"}


def test_an_ordinary_user_compiles(user: User, project: MakeProject, tmp_path: Path) -> None:
    root = user.home / "tiny"
    project_of(lambda parts: project(parts, name="tiny", parent=user.home), extension("tiny"))
    user.own(root)
    wherry = user.wherry()
    wherry.ok("build", "-t", "tiny", root)
    assert wherry.ok("run", "tiny").stdout == "the answer is 42\n"


@pytest.mark.parametrize("name", ["../outside", "/outside"])
def test_an_sdist_that_leaves_its_folder_is_refused(
    warm: Wherry, project: MakeProject, tmp_path: Path, name: str
) -> None:
    root = project_of(project, extension("tiny"))
    path = root / "links" / "tiny-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, text in {
            "tiny-1.0/PKG-INFO": "Metadata-Version: 2.2\nName: tiny\nVersion: 1.0\n",
            name: "x",
        }.items():
            info = tarfile.TarInfo(member)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    result = warm("build", _locked(root))
    assert result.returncode == 1
    assert not Path("/outside").exists()
    assert "Traceback" not in result.stderr


def test_a_project_that_needs_itself_to_be_built_is_told(warm: Wherry, project: MakeProject) -> None:
    parts = extension("tiny")
    parts["pyproject.toml"] = parts["pyproject.toml"].replace('"setuptools>=77"', '"setuptools>=77", "tiny"')
    root = project_of(project, parts)
    result = warm("build", "--find-links", "links", root)
    assert result.returncode == 1
    assert "tiny 1.0 is required to build itself" in result.stderr


def test_two_that_need_each_other_to_be_built_are_told(warm: Wherry, project: MakeProject) -> None:
    root = project({"requirements.txt": "--find-links links\nwherry-one\nwherry-two\n", "main.py": ""})
    for name, other in (("wherry_one", "wherry-two"), ("wherry_two", "wherry-one")):
        parts = extension(name)
        parts["pyproject.toml"] = parts["pyproject.toml"].replace('"setuptools>=77"', f'"setuptools>=77", "{other}"')
        sdist(root / "links", name, parts)
    result = warm("build", root, timeout=120)
    assert result.returncode == 1
    assert "is required to build itself: wherry-" in result.stderr


# -- what comes from an index is not trusted -----------------------------------------------------------

BACKEND = """\
import base64, hashlib, json, os, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    files = {
        "tiny.py": f"def answer(): return {(os.environ.get('SAID'), config_settings)!r}\\n",
        "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n",
        "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    rows = "".join(f"{name},sha256={digest(text)},{len(text)}\\n" for name, text in files.items())
    files["tiny-1.0.dist-info/RECORD"] = rows + "tiny-1.0.dist-info/RECORD,,\\n"
    with zipfile.ZipFile(os.path.join(folder, "tiny-1.0-py3-none-any.whl"), "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return "tiny-1.0-py3-none-any.whl"

def digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
"""
IN_TREE = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def in_tree(more: str = "") -> dict[str, str]:
    """A project whose backend is its own, and does ``more`` when it is imported."""
    return {"pyproject.toml": IN_TREE, "backend.py": BACKEND + more}


def test_its_code_runs_nowhere_but_in_the_sandbox(warm: Wherry, project: MakeProject, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    more = f"\ntry:\n    open({str(trace)!r}, 'a').close()\nexcept OSError:\n    pass\n"
    root = project_of(project, in_tree(more))
    sdist(root / "links", "tiny", in_tree(more), metadata="2.1")
    warm.ok("build", "-t", "guarded", root)
    assert warm.ok("run", "guarded").stdout == "the answer is (None, None)\n"
    assert not trace.exists()


@pytest.mark.parametrize("wanted", ["-r /etc/hostname", "--extra-index-url http://127.0.0.1:9/", "x @ file:///etc/x"])
def test_what_a_build_requires_is_a_requirement_and_nothing_else(
    warm: Wherry, project: MakeProject, wanted: str
) -> None:
    more = f"\ndef get_requires_for_build_wheel(config_settings=None):\n    return [{wanted!r}]\n"
    result = warm("build", project_of(project, in_tree(more)))
    assert result.returncode == 1
    assert f"tiny 1.0 cannot be built: its build requires {wanted!r}" in result.stderr


@pytest.mark.parametrize(
    "left", ["os.mkfifo(answer)", "os.symlink('/dev/zero', answer)", "os.symlink('/etc/hosts', answer)"]
)
def test_an_answer_that_is_no_file_is_none(warm: Wherry, project: MakeProject, left: str) -> None:
    more = f"\nimport sys\nanswer = json.loads(sys.argv[1])['answer']\n{left}\nos._exit(0)\n"
    result = warm("build", project_of(project, in_tree(more)), timeout=60)
    assert result.returncode == 1
    assert "the backend ended without an answer" in result.stderr


def test_a_file_that_is_not_the_one_that_was_asked_for_is_told(warm: Wherry, project: MakeProject) -> None:
    root = project_of(project, in_tree())
    sdist(root / "links", "tiny", in_tree(), metadata="2.1")
    (root / "requirements.txt").write_text(f"--find-links links\ntiny==1.0 --hash=sha256:{'0' * 64}\n")
    result = warm("build", root)
    assert result.returncode == 1
    assert "no file in the index has a hash that requirements.txt allows for: tiny 1.0" in result.stderr


def test_an_own_project_that_compiles_nothing_sees_its_variables_too(warm: Wherry, project: MakeProject) -> None:
    parts = in_tree()
    parts["pyproject.toml"] += '[project]\nname = "tiny"\nversion = "1.0"\n'
    root = project({**parts, "main.py": MAIN, "wherry.toml": 'build-env = { SAID = "hello" }\n'})
    warm.ok("build", "-t", "own-told", root)
    assert warm.ok("run", "own-told").stdout == "the answer is ('hello', None)\n"
