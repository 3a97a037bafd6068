"""What goes wrong for users: each time one clear message that says what to do, and nothing left in the store."""

from __future__ import annotations

import os
import subprocess
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import NewWherry, Result, User, Wherry

pytestmark = pytest.mark.e2e

MakeProject = Callable[..., Path]

MAIN = {"main.py": "print('hello')\n"}


def complaint(result: Result, wherry: Wherry) -> str:
    """The error message of a build that was refused as it should be."""
    assert result.returncode in {1, 2}, result.stderr
    assert "Traceback" not in result.stderr
    assert "internal error" not in result.stderr
    assert result.stderr.count("wherry: error:") == 1, result.stderr
    assert result.stdout == ""
    assert wherry.leftovers() == []
    return result.stderr[result.stderr.index("wherry: error:") :]


def build(wherry: Wherry, root: Path, *args: str | Path) -> str:
    """The error message of a build that must fail; it must not have made an image."""
    message = complaint(wherry("build", "-t", "refused", "--progress", "quiet", *args, root), wherry)
    assert "refused" not in wherry.ok("images").stdout
    return message


def test_an_empty_folder_is_told_what_a_project_is(warm: Wherry, project: MakeProject) -> None:
    message = build(warm, project({}))
    assert "requirements.txt" in message
    assert "pyproject.toml" in message


def test_a_folder_that_does_not_exist(warm: Wherry, tmp_path: Path) -> None:
    assert "nowhere" in build(warm, tmp_path / "nowhere")


def test_a_file_that_may_not_be_read(user: User, project: MakeProject) -> None:
    root = project({"requirements.txt": "", **MAIN, "data/secret.bin": "x"}, "unreadable", user.home)
    user.own(root)
    (root / "data" / "secret.bin").chmod(0)
    message = build(user.wherry(), root)
    assert "data/secret.bin" in message
    assert ".dockerignore" in message


def test_a_folder_that_may_not_be_read(user: User, project: MakeProject) -> None:
    root = project({"requirements.txt": "", **MAIN, "closed/a": "x"}, "closed", user.home)
    user.own(root)
    (root / "closed").chmod(0)
    try:
        assert "closed" in build(user.wherry(), root)
    finally:
        (root / "closed").chmod(0o700)


def test_a_folder_that_may_not_be_read_but_is_left_out_does_not_matter(user: User, project: MakeProject) -> None:
    files = {"requirements.txt": "", **MAIN, ".dockerignore": "pgdata\n", "pgdata/a": "x"}
    root = project(files, "database", user.home)
    user.own(root)
    (root / "pgdata").chmod(0)
    try:
        user.wherry().ok("build", "--print", "plan", root)
    finally:
        (root / "pgdata").chmod(0o700)


def test_broken_toml_is_shown_with_its_line(warm: Wherry, project: MakeProject) -> None:
    message = build(warm, project({"pyproject.toml": '[project]\nname = "x\n', **MAIN}))
    assert "pyproject.toml:2" in message


def test_broken_requirements_are_shown_with_their_line(warm: Wherry, project: MakeProject) -> None:
    message = build(warm, project({"requirements.txt": "iniconfig==2.3.1\nnot a requirement !!\n", **MAIN}))
    assert "requirements.txt:2" in message


def test_a_requirement_that_does_not_exist(warm: Wherry, project: MakeProject) -> None:
    message = build(warm, project({"requirements.txt": "wherry-has-no-such-requirement==1\n", **MAIN}))
    assert "wherry-has-no-such-requirement" in message


def test_a_version_that_does_not_exist(warm: Wherry, project: MakeProject) -> None:
    message = build(warm, project({"requirements.txt": "iniconfig==999\n", **MAIN}))
    assert "iniconfig==999" in message


def test_requirements_that_contradict_each_other(warm: Wherry, project: MakeProject) -> None:
    message = build(warm, project({"requirements.txt": "flask==3.1.3\nwerkzeug<3\n", **MAIN}))
    assert "werkzeug" in message


def test_a_hash_that_is_wrong(warm: Wherry, project: MakeProject) -> None:
    wrong = "0" * 64
    message = build(warm, project({"requirements.txt": f"iniconfig==2.3.1 --hash=sha256:{wrong}\n", **MAIN}))
    assert "iniconfig" in message
    assert not [path for path in warm.store.glob(f"files/**/*{wrong}*") if path.suffix != ".lock"]


def test_a_wheel_that_is_not_the_one_in_the_lock(warm: Wherry, project: MakeProject, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", {"quay.py": "x = 1\n"})
    wrong = "0" * 64
    lock = lock_of(wheel, wrong)
    message = build(warm, project({"pylock.toml": lock, **MAIN}))
    assert "quay" in message
    assert wrong in message
    assert sha256(wheel.read_bytes()).hexdigest() in message
    assert not [path for path in warm.store.glob(f"files/**/*{wrong}*") if path.suffix != ".lock"]


def test_a_wheel_that_leaves_its_folder(warm: Wherry, project: MakeProject, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    make_wheel(wheels, {"quay.py": "", "../../../../../../etc/passwd": "evil"})
    message = build(warm, project({"requirements.txt": "quay\n", **MAIN}), "--find-links", wheels)
    assert "../" in message
    assert "quay" in message


def test_two_wheels_with_one_file(warm: Wherry, project: MakeProject, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    make_wheel(wheels, {"shared.py": "x = 1\n"}, "quay")
    make_wheel(wheels, {"shared.py": "x = 2\n"}, "ship")
    message = build(warm, project({"requirements.txt": "quay\nship\n", **MAIN}), "--find-links", wheels)
    assert "shared.py" in message
    assert "quay" in message
    assert "ship" in message


def test_a_wheel_that_is_damaged(warm: Wherry, project: MakeProject, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", {"quay.py": "x = 1\n" * 1000})
    whole = wheel.read_bytes()
    lock = lock_of(wheel, sha256(whole[:-30]).hexdigest())
    wheel.write_bytes(whole[:-30])
    assert "quay-1.0-py3-none-any.whl" in build(warm, project({"pylock.toml": lock, **MAIN}))


def test_no_usable_wheel_in_a_lock_names_those_there_are(warm: Wherry, project: MakeProject, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", {"quay.py": ""}, tag="cp39-cp39-win_amd64")
    lock = lock_of(wheel, sha256(wheel.read_bytes()).hexdigest())
    message = build(warm, project({"pylock.toml": lock, **MAIN}))
    assert "quay" in message
    assert "cp39-cp39-win_amd64" in message
    assert "cp313" in message


def test_no_usable_wheel_in_an_index_says_what_is_wanted(warm: Wherry, project: MakeProject, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    make_wheel(wheels, {"quay.py": ""}, tag="cp39-cp39-win_amd64")
    message = build(warm, project({"requirements.txt": "quay\n", **MAIN}), "--find-links", wheels, "--no-index")
    assert "quay" in message
    assert "cp313" in message
    assert "cp39" in message


def test_an_unknown_option_names_the_nearest(warm: Wherry, project: MakeProject) -> None:
    result = warm("build", "--entry-point", "x", project(MAIN))
    assert result.returncode == 2
    assert "--entrypoint" in result.stderr


def test_an_image_that_is_not_there(warm: Wherry) -> None:
    message = complaint(warm("run", "no-such-image"), warm)
    assert "no-such-image" in message


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a file system of a few megabytes."""
    sudo = () if os.geteuid() == 0 else ("sudo", "-n")
    with ExitStack() as stack:

        def mount(megabytes: int) -> Path:
            path = tmp_path / f"disk-{megabytes}"
            path.mkdir()
            options = f"size={megabytes}m,uid={os.getuid()},gid={os.getgid()},mode=755"
            words = [*sudo, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
            if subprocess.run(words, capture_output=True, check=False).returncode:
                pytest.skip("mounting a file system needs root")
            stack.callback(subprocess.run, [*sudo, "umount", "-l", str(path)], check=False)
            return path

        yield mount


@pytest.mark.parametrize("megabytes", [1, 12, 40, 75])
def test_a_full_disk(
    megabytes: int, small_disk: Callable[[int], Path], project: MakeProject, new_wherry: NewWherry
) -> None:
    disk = small_disk(megabytes)
    wherry = new_wherry(disk / "store")
    root = project({"requirements.txt": "numpy==2.5.5\npandas==3.1.1\n", **MAIN})
    message = build(wherry, root)
    assert "no space left" in message.lower()
    assert "--store" in message


def test_what_a_full_disk_left_is_no_obstacle_once_there_is_room(
    small_disk: Callable[[int], Path], project: MakeProject, new_wherry: NewWherry
) -> None:
    disk = small_disk(60)
    wherry = new_wherry(disk / "store")
    root = project({"requirements.txt": "numpy==2.5.5\n", **MAIN})
    build(wherry, root)
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*sudo, "mount", "-o", "remount,size=1500m", str(disk)], check=True)
    wherry.build(root, "-t", "roomy")
    assert wherry.leftovers() == []


@pytest.fixture
def alone(tmp_path: Path, new_wherry: NewWherry) -> Callable[[Path], Wherry]:
    """The command where there is no network at all."""
    words = ("unshare", "-n") if os.geteuid() == 0 else ("unshare", "-r", "-n")
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespaces here")
    return lambda store: new_wherry(store, words)


def test_no_network_and_nothing_in_the_store(
    alone: Callable[[Path], Wherry], project: MakeProject, tmp_path: Path
) -> None:
    message = build(alone(tmp_path / "store"), project({"requirements.txt": "iniconfig==2.3.1\n", **MAIN}))
    assert "network" in message


def test_no_network_for_a_new_requirement(alone: Callable[[Path], Wherry], warm: Wherry, project: MakeProject) -> None:
    warm.build(project({"requirements.txt": "", **MAIN}, "first"), "-t", "first")
    message = build(alone(warm.store), project({"requirements.txt": "colorama==0.4.6\n", **MAIN}))
    assert "network" in message


def test_what_is_in_the_store_needs_no_network(
    alone: Callable[[Path], Wherry], warm: Wherry, project: MakeProject
) -> None:
    root = project({"requirements.txt": "iniconfig==2.3.1\n", **MAIN})
    digest = warm.build(root, "-t", "kept")
    assert alone(warm.store).build(root, "-t", "kept") == digest
    assert alone(warm.store).build(root, "-t", "kept", "--offline") == digest


def test_a_project_builds_offline_when_its_source_changed(
    alone: Callable[[Path], Wherry], warm: Wherry, project: MakeProject
) -> None:
    root = project({"requirements.txt": "iniconfig==2.3.1\n", **MAIN})
    warm.build(root, "-t", "kept")
    (root / "main.py").write_text("print('changed')\n")
    alone(warm.store).build(root, "-t", "kept", "--offline")
    assert warm.ok("run", "kept").stdout == "changed\n"


def lock_of(wheel: Path, digest: str) -> str:
    """A pylock.toml (PEP 751) that wants ``wheel`` with a sha256 of ``digest``."""
    return f"""
lock-version = "1.0"
created-by = "a test"

[[packages]]
name = "quay"
version = "1.0"
wheels = [{{ name = "{wheel.name}", url = "{wheel.as_uri()}", hashes = {{ sha256 = "{digest}" }} }}]
"""


def make_wheel(folder: Path, files: dict[str, str], name: str = "quay", tag: str = "py3-none-any") -> Path:
    """A wheel with ``files`` in it; gives its path."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-{tag}.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(
        f"{file},sha256={urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}\n"
        for file, text in files.items()
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(file, text)
    return path
