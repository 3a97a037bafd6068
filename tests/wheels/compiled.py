"""Shared libraries and programs, really compiled for a test, and wheels opened for one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from wherry.wheels.elf import Elf, Machine, read_elf
from wherry.wheels.install import WheelToInstall
from wherry.wheels.wheelfile import WheelFile

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed on this machine")

AMD64 = Machine(62, 64, True)


def library(
    path: Path,
    source: str = "",
    *,
    soname: str | None = None,
    needs: Sequence[Path] = (),
    rpath: str = "",
    runpath: str = "",
    options: Sequence[str] = (),
) -> Path:
    """Compile a shared library at ``path``; its own name is that of the file unless it is given, "" for none."""
    soname = path.name if soname is None else soname
    path.parent.mkdir(parents=True, exist_ok=True)
    words = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", "-o", str(path), "-Wl,--no-as-needed"]
    words += [f"-Wl,-soname,{soname}"] if soname else []
    words += [f"-Wl,--disable-new-dtags,-rpath,{rpath}"] if rpath else []
    words += [f"-Wl,--enable-new-dtags,-rpath,{runpath}"] if runpath else []
    words += ["-Wl,--allow-shlib-undefined", *map(str, needs), *options]
    subprocess.run(words, input=source, text=True, check=True)
    return path


def program(path: Path, source: str = "int main(void) { return 0; }", options: Sequence[str] = ()) -> Path:
    """Compile a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["gcc", "-x", "c", "-", "-x", "none", "-o", str(path), *options], input=source, text=True, check=True
    )
    return path


def headers(path: Path) -> Elf:
    """What the file at ``path`` says."""
    with path.open("rb") as file:
        found = read_elf(file)
    assert found is not None
    return found


@contextmanager
def opened(wheel: WheelToInstall) -> Iterator[WheelFile]:
    """The wheel, open for reading."""
    with WheelFile.open(wheel.path, wheel.distribution) as file:
        yield file
