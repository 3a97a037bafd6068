"""Our environment beside the one that pip makes of the same wheels."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.fetch import Download
from wherry.layers.compression import Compression
from wherry.layers.reader import entries
from wherry.layers.writer import LayerWriter
from wherry.store import Store
from wherry.target import Interpreter
from wherry.wheels.bytecode import Compiler, host_launch
from wherry.wheels.distribution import Distribution
from wherry.wheels.environment import Environment, skeleton
from wherry.wheels.install import WheelToInstall, pack

VERSION = ".".join(map(str, sys.version_info[:3]))
PYTHON = str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]

# Headers; a compiled library; scripts of entry points; a program in .data/scripts.
WHEELS = ("greenlet", "pyyaml", "httpx", "ruff")


@pytest.mark.e2e
def test_an_environment_is_as_pip_makes_it(tmp_path: Path, store: Store) -> None:
    wheels = download(tmp_path / "wheels")
    ours, theirs = tmp_path / "root" / "ours", tmp_path / "root" / "pips"
    install(wheels, ours, store)
    subprocess.run([PYTHON, "-m", "venv", str(theirs)], check=True)
    pip = [str(theirs / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, *(str(wheel.path) for wheel in wheels)], check=True)
    one, other = tree(ours), tree(theirs)
    assert one == other
    for record in ours.rglob("RECORD"):
        assert rows(record) == rows(theirs / record.relative_to(ours))
    done = subprocess.run([str(ours / "bin" / "ruff"), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ruff ")
    script = "import greenlet, yaml; print(greenlet.__cached__)"
    done = subprocess.run([str(ours / "bin" / "python"), "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(ours))


def download(folder: Path) -> list[WheelToInstall]:
    """Real wheels for the interpreter that runs this test."""
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*words, "--dest", str(folder), *WHEELS], check=True)
    found = []
    for path in sorted(folder.glob("*.whl")):
        name, version = path.name.split("-")[:2]
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        file = Download(path.as_uri(), {"sha256": sha256}, path.stat().st_size, path.name)
        found.append(WheelToInstall(Distribution(name.lower().replace("_", "-"), version, file), path))
    assert len(found) == len(WHEELS)
    return found


def install(wheels: list[WheelToInstall], prefix: Path, store: Store) -> None:
    """Make an environment of ``wheels`` at ``prefix``, by way of two layers."""
    environment = Environment(Interpreter(VERSION, PYTHON), str(prefix))
    plain = Compression("uncompressed", 0)
    with LayerWriter(store.blobs, plain) as writer:
        for entry, data in skeleton(environment, 315532800):
            writer.add(entry, data)
        layers = [writer.finish()]
    with Compiler(host_launch(PYTHON), VERSION) as compiler:
        layers.append(pack(wheels, environment, store=store, compression=plain, epoch=315532800, compiler=compiler))
    for layer in layers:
        for entry, stream in entries(store.blobs.path(layer.descriptor.digest)):
            path = Path("/") / entry.path
            if entry.kind == "dir":
                path.mkdir(exist_ok=True)  # without its mode: the folders above the prefix are not ours
            elif entry.kind == "symlink":
                path.symlink_to(entry.link)
            else:
                path.write_bytes(stream.read() if stream else b"")
                path.chmod(entry.mode)


def tree(prefix: Path) -> dict[str, tuple[bool, bytes]]:
    """Path to executable bit and content, without what must differ and pip itself."""
    found = {}
    for path in prefix.rglob("*"):
        name = path.relative_to(prefix).as_posix()
        if path.is_symlink() or not path.is_file() or name in {".gitignore", "pyvenv.cfg"}:
            continue
        differs = ("direct_url.json", "INSTALLER", "RECORD", "REQUESTED")  # pip was told of files
        if path.name in differs or name.startswith("bin/") or "site-packages/pip" in name:
            continue
        if any(part in name for part in ("site-packages/setuptools", "pkg_resources", "_distutils_hack", "distutils-")):
            continue
        content = b"" if path.suffix == ".pyc" else path.read_bytes()
        found[name] = (bool(path.stat().st_mode & 0o100), content)
    return found


def rows(record: Path) -> list[list[str]]:
    """A RECORD's rows, without those of files that must differ."""
    with record.open(newline="") as file:
        found = [row if not row[0].startswith("../../../bin/") else row[:1] for row in csv.reader(file)]
    return [row for row in found if not row[0].endswith(("direct_url.json", "INSTALLER", "REQUESTED"))]
