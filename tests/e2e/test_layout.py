"""Other programs read what we write: skopeo and umoci from the store, skopeo from the archives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Wherry

pytestmark = pytest.mark.e2e

FILES = {"requirements.txt": "flask==3.1.3\n", "main.py": "print('hello')\n", "data/a.txt": "a\n"}


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program}: run .ci/packages {program}")


def output(*words: str | Path) -> str:
    result = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture
def root(project: Callable[..., Path]) -> Path:
    return project(FILES)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_skopeo_reads_the_store(warm: Wherry, root: Path, compression: str) -> None:
    need("skopeo")
    digest = warm.build(root, "-t", f"layout:{compression}", "--compression", compression)
    found = json.loads(output("skopeo", "inspect", f"oci:{warm.store}:layout:{compression}"))
    assert found["Digest"] == digest
    assert (
        found["Architecture"]
        == json.loads(warm.ok("build", "--print", "plan-json", root).stdout)[0]["platform"].split("/")[1]
    )


def test_skopeo_copies_every_blob_of_the_store(warm: Wherry, root: Path, tmp_path: Path) -> None:
    need("skopeo")
    warm.build(root, "-t", "layout")
    output("skopeo", "--insecure-policy", "copy", f"oci:{warm.store}:layout:latest", f"dir:{tmp_path}/copy")
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_text())
    assert all((tmp_path / "copy" / layer["digest"].partition(":")[2]).is_file() for layer in manifest["layers"])


def test_umoci_unpacks_the_store(warm: Wherry, root: Path, tmp_path: Path) -> None:
    need("umoci")
    warm.build(root, "-t", "layout")
    words = [] if os.geteuid() == 0 else ["--rootless"]
    output("umoci", "unpack", *words, "--image", f"{warm.store}:layout:latest", tmp_path / "bundle")
    files = tmp_path / "bundle" / "rootfs"
    assert (files / "usr/src/app/data/a.txt").read_text() == "a\n"
    assert (files / "opt/venv/bin/flask").read_text().startswith("#!/opt/venv/bin/python")
    assert (files / "opt/venv/bin/flask").stat().st_mode & 0o777 == 0o755
    spec = json.loads((tmp_path / "bundle" / "config.json").read_text())
    assert spec["process"]["cwd"] == "/usr/src/app"
    assert spec["process"]["user"]["uid"] == 65532


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_skopeo_reads_the_archives(warm: Wherry, root: Path, tmp_path: Path, kind: str) -> None:
    need("skopeo")
    archive = tmp_path / "image.tar"
    warm.build(root, "-t", "layout", "-o", f"type={kind},dest={archive}")
    config = json.loads(output("skopeo", "inspect", "--config", f"{kind}-archive:{archive}"))
    assert config["config"]["WorkingDir"] == "/usr/src/app"
    made = [step for step in config["history"] if not step.get("empty_layer")]
    assert len(made) == len(config["rootfs"]["diff_ids"])


def test_the_tar_and_the_folder_hold_the_same_files(warm: Wherry, root: Path, tmp_path: Path) -> None:
    warm.build(root, "-t", "layout", "-o", f"type=tar,dest={tmp_path}/all.tar", "-o", f"type=local,dest={tmp_path}/all")
    with tarfile.open(tmp_path / "all.tar") as archive:
        packed = {member.name.removeprefix("./").rstrip("/") for member in archive} - {"", "."}
    there = {str(path.relative_to(tmp_path / "all")) for path in (tmp_path / "all").rglob("*")}
    assert "opt/venv/bin/python" in there
    assert packed == there


def test_both_commands_of_the_builtin_help_name_what_they_write(warm: Wherry, root: Path, tmp_path: Path) -> None:
    files = tmp_path / "id", tmp_path / "metadata.json"
    result = warm.ok(
        "build", "-q", "-t", "one", "-t", "two:3", "--iidfile", files[0], "--metadata-file", files[1], root
    )
    metadata = json.loads(files[1].read_text())
    assert result.stdout.strip() == files[0].read_text().strip()
    assert result.stdout.startswith("sha256:")
    assert metadata["containerimage.digest"].startswith("sha256:")
    listed = warm.ok("images").stdout
    assert "one" in listed
    assert "two" in listed
