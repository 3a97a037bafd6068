"""What a source tree says of its build, and whether it looks as if that took a compiler."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.errors import WherryError
from wherry.wheels.backend import BuildSystem, build_system, compiles


def put(root: Path, *paths: str, text: str = "") -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def system(root: Path, text: str) -> BuildSystem:
    return build_system(put(root, "pyproject.toml", text=text))


def complaint(root: Path, text: str) -> str:
    with pytest.raises(WherryError) as caught:
        system(root, text)
    return str(caught.value)


# -- the build system ---------------------------------------------------------------------------------


def test_a_project_names_its_backend_and_what_that_requires(tmp_path: Path) -> None:
    text = '[build-system]\nrequires = ["hatchling>=1"]\nbuild-backend = "hatchling.build"\n'
    assert system(tmp_path, text) == BuildSystem(("hatchling>=1",), "hatchling.build")


def test_a_backend_may_lie_in_the_tree(tmp_path: Path) -> None:
    text = '[build-system]\nrequires = []\nbuild-backend = "own:make"\nbackend-path = ["tools", "."]\n'
    assert system(tmp_path, text) == BuildSystem((), "own:make", ("tools", "."))


def test_without_a_build_system_it_is_setuptools(tmp_path: Path) -> None:
    assert system(tmp_path, "[tool.black]\n") == BuildSystem()
    assert build_system(put(tmp_path / "old", "setup.py")) == BuildSystem()
    assert BuildSystem().backend == "setuptools.build_meta:__legacy__"
    assert BuildSystem().requires[0].startswith("setuptools")


def test_a_build_system_without_a_backend_is_setuptools_with_what_it_requires(tmp_path: Path) -> None:
    text = '[build-system]\nrequires = ["setuptools", "cython"]\n'
    assert system(tmp_path, text) == BuildSystem(("setuptools", "cython"))


def test_a_folder_without_a_project_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WherryError, match=r"neither pyproject\.toml nor setup\.py"):
        build_system(tmp_path)


def test_a_pyproject_that_is_a_folder_is_none(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").mkdir()
    assert build_system(put(tmp_path, "setup.py")) == BuildSystem()


@pytest.mark.parametrize("text", ["[build-system", "a = 1\na = 2\n", "\udcff"])
def test_a_pyproject_that_cannot_be_read_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(WherryError, match=r"its pyproject\.toml cannot be read"):
        build_system(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["build-system = 1", "[build-system]", '[build-system]\nrequires = "hatchling"', "[build-system]\nrequires = [1]"],
)
def test_a_build_system_must_list_what_it_requires(tmp_path: Path, text: str) -> None:
    assert "without a list of requires (PEP 518)" in complaint(tmp_path, text)


@pytest.mark.parametrize("line", ["build-backend = 1", 'backend-path = "."', "backend-path = [1]"])
def test_a_malformed_backend_is_an_error(tmp_path: Path, line: str) -> None:
    assert "malformed [build-system] (PEP 517)" in complaint(tmp_path, f"[build-system]\nrequires = []\n{line}\n")


# -- whether it compiles ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "requirement",
    ["cython", "Cython>=3", "cffi>=1.0; platform_python_implementation != 'PyPy'", "maturin>=1,<2", "setuptools-rust",
     "setuptools_rust", "scikit-build-core[pyproject]", "meson-python", "numpy", "pybind11~=2.10"],
)  # fmt: skip
def test_what_requires_a_tool_that_compiles_compiles(tmp_path: Path, requirement: str) -> None:
    assert compiles(tmp_path, BuildSystem(("setuptools", requirement)))


@pytest.mark.parametrize("requirement", ["setuptools>=77", "hatchling", "flit_core", "poetry-core", "mesonic", "wheel"])
def test_what_requires_none_does_not(tmp_path: Path, requirement: str) -> None:
    assert not compiles(tmp_path, BuildSystem((requirement,)))


@pytest.mark.parametrize("path", ["a.c", "src/deep/a.CPP", "a.pyx", "src/lib.rs", "include/a.h", "lapack.f90"])
def test_sources_of_other_languages_compile(tmp_path: Path, path: str) -> None:
    assert compiles(put(tmp_path, path), BuildSystem())


@pytest.mark.parametrize(
    "path", ["tests/a.c", "src/x/testing/a.c", "Docs/a.c", "examples/deep/a.rs", "benchmarks/a.cu"]
)
def test_those_of_tests_and_documentation_do_not_count(tmp_path: Path, path: str) -> None:
    assert not compiles(put(tmp_path, path, "x.py"), BuildSystem())


def test_files_of_build_tools_count_at_the_top_alone(tmp_path: Path) -> None:
    assert compiles(put(tmp_path / "a", "CMakeLists.txt"), BuildSystem())
    assert not compiles(put(tmp_path / "b", "vendor/configure"), BuildSystem())


def test_python_alone_does_not_compile(tmp_path: Path) -> None:
    assert not compiles(put(tmp_path, "setup.py", "src/x/__init__.py", "README.md", "x.css"), BuildSystem())
