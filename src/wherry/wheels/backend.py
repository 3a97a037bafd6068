"""What a source tree says of its build: the backend, what that requires (PEP 517, PEP 518), and whether it compiles."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import WherryError

_LEGACY = "setuptools.build_meta:__legacy__"
_LEGACY_REQUIRES = ("setuptools>=40.8.0",)

_NATIVE = {
    *(".c", ".cc", ".cpp", ".cxx", ".c++", ".h", ".hpp", ".m", ".mm", ".s", ".cu"),
    *(".f", ".for", ".f77", ".f90", ".f95", ".f03", ".f08"),
    *(".pyx", ".pxd", ".rs", ".go", ".zig", ".nim", ".swig"),
}
_NATIVE_FILES = {"CMakeLists.txt", "meson.build", "Cargo.toml", "configure", "configure.ac", "Makefile.in"}
_NATIVE_REQUIRES = re.compile(
    r"(cffi|cython|pybind11|nanobind|mypy|mypyc|maturin|setuptools[-_]rust|scikit[-_]build(?:[-_]core)?|meson[-_]python"
    r"|meson|numpy|pythran|cmake|ninja|swig|hatch[-_]mypyc|hatch[-_]cython|extensionlib|py[-_]build[-_]cmake)\b",
    re.I,
)
_PASSED_OVER = {"test", "tests", "testing", "docs", "doc", "examples", "benchmarks", ".git"}


@dataclass(frozen=True, slots=True)
class BuildSystem:
    """``backend`` is ``module[:object]``, found first in the folders ``path`` of the tree; it ``requires`` these."""

    requires: tuple[str, ...] = _LEGACY_REQUIRES
    backend: str = _LEGACY
    path: tuple[str, ...] = ()


def build_system(root: Path) -> BuildSystem:
    """The build system of the project at ``root``; setuptools where it names none.

    Raises :class:`WherryError` if there is no project, or its ``[build-system]`` is malformed.
    """
    file = root / "pyproject.toml"
    if not file.is_file():
        if not (root / "setup.py").is_file():
            raise WherryError("it has neither pyproject.toml nor setup.py")
        return BuildSystem()
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WherryError(f"its pyproject.toml cannot be read: {error}") from None
    table = values.get("build-system")
    if table is None:
        return BuildSystem()
    requires = table.get("requires") if isinstance(table, dict) else None
    if not isinstance(requires, list) or not all(isinstance(one, str) for one in requires):
        raise WherryError("its pyproject.toml has a [build-system] without a list of requires (PEP 518)")
    backend = table.get("build-backend", _LEGACY)
    path = table.get("backend-path", [])
    if not isinstance(backend, str) or not isinstance(path, list) or not all(isinstance(one, str) for one in path):
        raise WherryError("its pyproject.toml has a malformed [build-system] (PEP 517)")
    return BuildSystem(tuple(requires), backend, tuple(path))


def checked(requires: Iterable[str], *, local: bool = False) -> tuple[str, ...]:
    """``requires`` as requirements (PEP 508) and nothing else: not as options of uv, nor as paths of this machine.

    Those of a ``local`` project may name files. Raises :class:`WherryError` for what is none.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    found: dict[str, None] = {}
    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise WherryError(f"its build requires {text!r}, which is no requirement: {error}") from None
        if requirement.url and not local and not requirement.url.lower().startswith(("https://", "http://", "git+")):
            raise WherryError(f"its build requires {text!r}, which is not for others to ask for")
        found[str(requirement)] = None
    return tuple(sorted(found))


def compiles(root: Path, system: BuildSystem) -> bool:
    """Whether building the project at ``root`` looks as if it took a compiler; tests and documentation do not count."""
    if any(_NATIVE_REQUIRES.match(one) for one in system.requires):
        return True
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name.lower() not in _PASSED_OVER]
        if any(Path(name).suffix.lower() in _NATIVE for name in names):
            return True
        if folder == str(root) and not _NATIVE_FILES.isdisjoint(names):
            return True
    return False
