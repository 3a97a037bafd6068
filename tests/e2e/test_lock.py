"""``wherry lock``: what floats is pinned, and stays what it was, on any machine and whatever there is by then."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wherry import lockfile

if TYPE_CHECKING:
    from tests.conftest import NewWherry, User, Wherry

pytestmark = pytest.mark.e2e

MakeProject = Callable[..., Path]

MAIN = "import importlib.metadata as found\nprint(found.version('boats'))\n"

PACKAGE = {
    "pyproject.toml": """
[build-system]
requires = ["shipyard"]
build-backend = "shipyard"

[project]
name = "quay"
version = "1"
dependencies = ["boats"]
""",
    "main.py": MAIN,
}

BACKEND = """
import base64
import hashlib
import zipfile

VERSION = "{version}"


def record(path, text):
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{{path}},sha256={{digest}},{{len(text.encode())}}\\n"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "quay-1-py3-none-any.whl"
    info = "quay-1.dist-info"
    files = {{
        "built_by.py": f"VERSION = {{VERSION!r}}\\n",
        f"{{info}}/METADATA": "Metadata-Version: 2.1\\nName: quay\\nVersion: 1\\nRequires-Dist: boats\\n",
        f"{{info}}/WHEEL": "Wheel-Version: 1.0\\nGenerator: shipyard\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    listed = "".join(record(path, text) for path, text in files.items())
    files[f"{{info}}/RECORD"] = f"{{listed}}{{info}}/RECORD,,\\n"
    with zipfile.ZipFile(f"{{wheel_directory}}/{{name}}", "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return name
"""


def add_wheel(folder: Path, name: str, version: str, text: str = "") -> None:
    """Put a wheel with one module into ``folder``."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": text or f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    listed = [f"{path},sha256={_hash(content)},{len(content.encode())}\n" for path, content in files.items()]
    files[f"{info}/RECORD"] = "".join((*listed, f"{info}/RECORD,,\n"))
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content)


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder of distributions, in which there will be newer ones one day."""
    folder = tmp_path / "index"
    add_wheel(folder, "boats", "1.0")
    add_wheel(folder, "shipyard", "1.0", BACKEND.format(version="1.0"))
    return folder


def newer(index: Path) -> None:
    add_wheel(index, "boats", "1.1")
    add_wheel(index, "shipyard", "1.1", BACKEND.format(version="1.1"))


def options(index: Path) -> tuple[str, ...]:
    return ("--no-index", "--find-links", str(index))


def versions(root: Path) -> Mapping[str, str]:
    """The distributions that the lock of ``root`` pins, and their versions."""
    pins = lockfile.read(root)
    assert pins is not None
    text = "\n".join(pins.resolutions.values())
    return dict(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', text))


# -- the same again ------------------------------------------------------------------------------------


def test_another_machine_builds_the_same_image_although_there_are_newer_versions(
    warm: Wherry, new_wherry: NewWherry, project: MakeProject, index: Path, tmp_path: Path
) -> None:
    root = project(PACKAGE)
    warm.ok("lock", root, *options(index))
    assert (versions(root)["boats"], versions(root)["shipyard"]) == ("1.0", "1.0")
    locked = warm.build(root, "-t", "locked", *options(index))
    newer(index)
    assert new_wherry(tmp_path / "elsewhere").build(root, "-t", "locked", *options(index)) == locked
    assert warm.build(root, "-t", "locked", *options(index)) == locked
    assert warm.ok("run", "locked").stdout == "1.0\n"
    asking = ("--entrypoint", "/opt/venv/bin/python", "locked", "-c", "import built_by; print(built_by.VERSION)")
    assert warm.ok("run", *asking).stdout == "1.0\n"
    assert warm.build(root, "-t", "floating", "--no-lock", "--upgrade", *options(index)) != locked
    assert warm.ok("run", "floating").stdout == "1.1\n"
    # What was built without the lock is not taken for what it pins, nor the other way round.
    assert warm.build(root, "-t", "locked", *options(index)) == locked


def test_a_lock_and_no_lock_give_the_same_image_while_nothing_is_newer(
    warm: Wherry, project: MakeProject, index: Path
) -> None:
    root = project({**PACKAGE, "twice.py": ""})  # no other test has built this
    floating = warm.build(root, "-t", "floating", *options(index))
    warm.ok("lock", root, *options(index))
    assert warm.build(root, "-t", "locked", *options(index)) == floating


def test_an_ordinary_user_builds_with_a_lock(user: User, project: MakeProject) -> None:
    root = project(PACKAGE, parent=user.home / "locked")
    add_wheel(user.home / "locked" / "index", "boats", "1.0")
    add_wheel(user.home / "locked" / "index", "shipyard", "1.0", BACKEND.format(version="1.0"))
    user.own(user.home / "locked")
    wherry = user.wherry()
    wherry.ok("lock", root, *options(user.home / "locked" / "index"))
    wherry.build(root, "-t", "locked", *options(user.home / "locked" / "index"))


def test_a_lock_for_two_platforms_has_what_either_kind_of_machine_will_ask(
    warm: Wherry, project: MakeProject, index: Path
) -> None:
    root = project({**PACKAGE, "wherry.toml": 'platforms = ["linux/amd64", "linux/arm64"]\n'})
    warm.ok("lock", root, *options(index))
    pins = lockfile.read(root)
    assert pins is not None
    both = {"linux/amd64", "linux/arm64"}
    assert {wish.platform for wish in pins.bases} == both
    for what in ("pyproject.toml", "shipyard"):
        assert {wish.platform for wish in pins.resolutions if wish.requirements == what} == both
    locked = warm.build(root, *options(index))
    newer(index)
    assert warm.build(root, "--no-cache", *options(index)) == locked
    assert warm.build(root, "--platform", "linux/arm64", *options(index)) != locked  # one image of the two


def test_locking_twice_changes_nothing_and_upgrading_does(warm: Wherry, project: MakeProject, index: Path) -> None:
    root = project({"requirements.txt": "boats\n", "main.py": MAIN})
    warm.ok("lock", root, *options(index))
    before = (root / "wherry.lock").read_bytes()
    newer(index)
    assert "Nothing changed" in warm.ok("lock", root, *options(index)).stderr
    assert (root / "wherry.lock").read_bytes() == before
    warm.ok("lock", root, "--upgrade", *options(index))
    assert versions(root) == {"boats": "1.1"}


def test_a_changed_requirement_leaves_all_else_as_it_was(warm: Wherry, project: MakeProject, index: Path) -> None:
    add_wheel(index, "sails", "1.0")
    root = project({"requirements.txt": "boats\n", "main.py": MAIN})
    warm.ok("lock", root, *options(index))
    before = lockfile.read(root)
    newer(index)
    (root / "requirements.txt").write_text("boats\nsails\n")
    warm.ok("lock", root, *options(index))
    after = lockfile.read(root)
    assert before is not None
    assert after is not None
    assert after.bases == before.bases
    assert versions(root) == {"boats": "1.0", "sails": "1.0"}


def test_without_a_network_what_is_in_the_store_is_locked(warm: Wherry, project: MakeProject, index: Path) -> None:
    root = project({"requirements.txt": "boats\n", "main.py": MAIN})
    warm.ok("lock", root, *options(index))
    before = (root / "wherry.lock").read_bytes()
    (root / "wherry.lock").unlink()
    warm.ok("lock", root, "--offline", *options(index))
    assert (root / "wherry.lock").read_bytes() == before
    warm.build(root, "-t", "offline", "--offline", *options(index))


# -- what the lock says is what is taken ---------------------------------------------------------------


def test_the_packages_of_the_lock_are_taken_and_no_others(warm: Wherry, project: MakeProject, index: Path) -> None:
    root = project({"requirements.txt": "boats\n", "main.py": MAIN})
    warm.ok("lock", root, *options(index))
    lock = root / "wherry.lock"
    text = lock.read_text()
    sha256 = re.search(r'name = "tzdata".* sha256 = "([0-9a-f]{64})"', text)
    assert sha256 is not None
    lock.write_text(text.replace(sha256[1], "0" * 64))
    result = warm("build", root, *options(index))
    assert result.returncode == 1
    assert "tzdata" in result.stderr
    lock.write_text(
        re.sub(r'(name = "tzdata", version = )"[^"]*"(.*?)tzdata_[^"]*"', r'\1"1"\2tzdata_1_all.deb"', text).replace(
            sha256[1], "1" * 64
        )
    )
    result = warm("build", root, *options(index))
    assert result.returncode == 1
    assert "a Debian package that wherry.lock pins is not to be had any more" in result.stderr
    assert "wherry lock --upgrade" in result.stderr


def test_runtime_packages_are_locked_with_all_that_they_need(warm: Wherry, project: MakeProject, index: Path) -> None:
    root = project({"requirements.txt": "boats\n", "main.py": MAIN, "wherry.toml": 'packages = ["libpq5"]\n'})
    warm.ok("lock", root, *options(index))
    pins = lockfile.read(root)
    assert pins is not None
    ((wish, packages),) = pins.packages.items()
    assert wish.names == ("libpq5",)
    assert {"libpq5", "libldap2"} <= {one.name for one in packages}
    assert {one.archive for base in pins.bases.values() for one in base.packages} <= {"main", "updates", "security"}
    warm.build(root, "-t", "packages", *options(index))


def test_the_lock_is_no_part_of_the_image(warm: Wherry, project: MakeProject, index: Path, tmp_path: Path) -> None:
    root = project({"requirements.txt": "boats\n", "main.py": MAIN})
    warm.ok("lock", root, *options(index))
    warm.ok("build", root, "-o", tmp_path / "files", *options(index))
    assert {path.name for path in (tmp_path / "files" / "usr/src/app").iterdir()} == {"main.py", "requirements.txt"}


# -- a lock of another project -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "arguments", "told"),
    [
        ({"requirements.txt": "boats==1.0\n"}, (), "requirements.txt has changed"),
        ({"wherry.toml": 'base = "debian://bookworm"\n'}, (), "base is debian://bookworm, and was debian://trixie"),
        ({"wherry.toml": 'packages = ["libpq5"]\n'}, (), "packages is libpq5, and was not set"),
        ({}, ("--python", "3.13"), "python is 3.13, and was not set"),
        ({}, ("--build-package", "libpq-dev"), "build-packages is libpq-dev, and was not set"),
        ({}, ("--platform", "linux/riscv64"), "not for linux/riscv64"),
        ({"pylock.toml": 'lock-version = "1.0"\ncreated-by = "x"\npackages = []\n'}, (), "pylock.toml is new"),
    ],
)
def test_a_lock_that_does_not_match_is_an_error_that_says_what_differs(
    change: Mapping[str, str],
    arguments: tuple[str, ...],
    told: str,
    warm: Wherry,
    project: MakeProject,
    index: Path,
) -> None:
    root = project({"requirements.txt": "boats\n", "main.py": MAIN})
    warm.ok("lock", root, *options(index))
    assert warm.ok("lock", root, "--check").returncode == 0
    for name, text in change.items():
        (root / name).write_text(text)
    build = warm("build", root, *options(index), *arguments)
    assert build.returncode == 2
    check = warm("lock", "--check", root, *arguments)
    assert check.returncode == 1
    for result in (build, check):
        assert told in result.stderr
        assert "wherry.lock: " in result.stderr
        assert "`wherry lock`" in result.stderr


def test_what_does_not_decide_may_change(warm: Wherry, project: MakeProject, index: Path) -> None:
    root = project({**PACKAGE, "pylock.toml": 'lock-version = "1.0"\ncreated-by = "x"\npackages = []\n'})
    warm.ok("lock", root, *options(index))
    changed = PACKAGE["pyproject.toml"].replace('version = "1"', 'version = "1"\ndescription = "A quay"')
    (root / "pyproject.toml").write_bytes(changed.replace("\n", "\r\n").encode())
    (root / "main.py").write_text("print('ahoy')\n")
    assert warm.ok("lock", root, "--check", "--mirror", "https://mirror.example/debian", "--no-index").returncode == 0


def test_there_is_no_lock_to_check(warm: Wherry, project: MakeProject) -> None:
    root = project({"main.py": "print()\n"})
    result = warm("lock", "--check", root)
    assert result.returncode == 1
    assert "wherry.lock: there is none" in result.stderr


def test_a_build_with_a_lock_resolves_nothing_anew(warm: Wherry, project: MakeProject, index: Path) -> None:
    root = project({"requirements.txt": "boats\n", "main.py": MAIN})
    warm.ok("lock", root, *options(index))
    result = warm("build", root, "--upgrade", *options(index))
    assert result.returncode == 2
    assert "wherry lock --upgrade" in result.stderr


# -- what floats ---------------------------------------------------------------------------------------


def test_a_build_without_a_lock_says_what_floats(warm: Wherry, project: MakeProject, index: Path) -> None:
    root = project({"requirements.txt": "boats\n", "main.py": MAIN})
    told = warm.ok("build", root, *options(index)).stderr
    assert "not locked: debian://trixie, requirements.txt; `wherry lock` pins them" in told
    warm.ok("lock", root, *options(index))
    assert "not locked" not in warm.ok("build", root, *options(index)).stderr
    assert "not locked" in warm.ok("build", root, "--no-lock", *options(index)).stderr


def test_what_is_exact_does_not_float(warm: Wherry, project: MakeProject, index: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((index / "boats-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    root = project({"requirements.txt": f"boats==1.0 --hash=sha256:{digest}\n", "main.py": MAIN})
    assert "not locked: debian://trixie; " in warm.ok("build", root, *options(index)).stderr
    layout = tmp_path / "layout"
    warm.ok("build", root, "-o", f"type=oci,tar=false,dest={layout}", *options(index))
    told = warm.ok("build", root, "--base", f"oci:{layout}", *options(index)).stderr
    assert "not locked" not in told


def test_a_base_of_the_store_is_locked_to_its_digest(
    warm: Wherry, project: MakeProject, index: Path, tmp_path: Path
) -> None:
    first = warm.build(project({"main.py": "print(1)\n"}, "first"), "-t", "shipbase")
    root = project({"requirements.txt": "boats\n", "main.py": MAIN})
    arguments = ("--base", "shipbase", *options(index))
    warm.ok("lock", root, *arguments)
    pins = lockfile.read(root)
    assert pins is not None
    assert list(pins.images.values()) == [first]
    locked = warm.build(root, "-t", "one", *arguments)
    assert warm.build(project({"main.py": "print(2)\n"}, "second"), "-t", "shipbase") != first
    assert warm.build(root, "-t", "two", *arguments) == locked
    assert warm.build(root, "-t", "three", "--no-lock", *arguments) != locked


def test_a_base_in_a_file_must_be_the_one_that_was_locked(
    warm: Wherry, project: MakeProject, index: Path, tmp_path: Path
) -> None:
    base = project({"main.py": "print(1)\n"}, "base")
    layout = tmp_path / "layout"
    output = ("-o", f"type=oci,tar=false,dest={layout}")
    warm.ok("build", base, *output)
    root = project({"requirements.txt": "boats\n", "main.py": MAIN})
    arguments = ("--base", f"oci:{layout}", *options(index))
    warm.ok("lock", root, *arguments)
    warm.build(root, *arguments)
    (base / "main.py").write_text("print(2)\n")
    warm.ok("build", base, *output)
    result = warm("build", root, *arguments)
    assert result.returncode == 2
    assert "is another image than the one that wherry.lock was made with" in result.stderr
    warm.ok("lock", root, *arguments)
    warm.build(root, *arguments)


def test_no_password_of_an_index_gets_into_the_lock(warm: Wherry, project: MakeProject, index: Path) -> None:
    root = project({"requirements.txt": "boats\n", "main.py": MAIN})
    warm.ok("lock", root, *options(index), "--extra-index-url", "https://me:s3cret@packages.invalid/simple")
    assert "s3cret" not in (root / "wherry.lock").read_text()
