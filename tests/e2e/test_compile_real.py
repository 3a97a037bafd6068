"""The compile stage with what people compile: real distributions from the package index, run in their images.

Optimisation is off where it only costs time: what is tested is that things are built and found, not how fast they run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.extensions import extension

if TYPE_CHECKING:
    from tests.conftest import Docker, Wherry

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

MakeProject = Callable[..., Path]
PATIENCE = 1700

DATABASES = {
    "requirements.txt": "psycopg2==2.9.13\nmysqlclient==2.3.2\nlxml==6.1.3\npycairo==1.29.2\n",
    "main.py": """
import cairo
import lxml.etree
import MySQLdb
import psycopg2

print(psycopg2.__libpq_version__ > 170000, MySQLdb.get_client_info().split(".")[0], lxml.etree.fromstring("<a/>").tag)
surface = cairo.ImageSurface(cairo.FORMAT_ARGB32, 4, 4)
cairo.Context(surface).paint()
print(surface.get_width(), cairo.cairo_version_string().split(".")[0])
""",
    "wherry.toml": """
no-binary = ["lxml"]
build-packages = ["libpq-dev", "default-libmysqlclient-dev", "libxml2-dev", "libxslt1-dev", "libcairo2-dev"]
build-env = { CFLAGS = "-O0" }
""",
}

NUMPY = {
    "requirements.txt": "numpy==2.3.5\n",
    "main.py": """
import numpy

found = numpy.show_config("dicts")["Build Dependencies"]
print(found["blas"]["name"], found["lapack"]["name"], numpy.linalg.inv(numpy.eye(3) * 2)[0, 0])
""",
    "wherry.toml": """
no-binary = ["numpy"]
build-packages = ["libopenblas-dev"]
build-env = { CFLAGS = "-O0", CXXFLAGS = "-O0" }

[config-settings.numpy]
setup-args = ["-Dblas=openblas", "-Dlapack=openblas", "-Dallow-noblas=false", "-Ddisable-optimization=true"]
""",
}

CYTHON = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools>=77", "cython>=3.1"]
build-backend = "setuptools.build_meta"

[project]
name = "quick"
version = "1.0"

[project.scripts]
quick = "quick.fast:main"

[tool.setuptools]
packages = ["quick"]
ext-modules = [{ name = "quick.fast", sources = ["quick/fast.pyx"] }]
""",
    "quick/__init__.py": "",
    "quick/fast.pyx": """
cdef long double_of(long x):
    return 2 * x


def main():
    print("twice 21 is", double_of(21))
""",
}

RUST = {
    "pyproject.toml": """
[build-system]
requires = ["maturin>=1.7,<2"]
build-backend = "maturin"

[project]
name = "quick"
version = "0.1.0"
scripts = { quick = "quick:main" }

[tool.maturin]
python-source = "python"
module-name = "quick._quick"

[tool.wherry]
build-packages = ["cargo", "rustc", "librust-pyo3-dev"]
build-env = { CARGO_PROFILE_RELEASE_OPT_LEVEL = "0" }
""",
    "Cargo.toml": """
[package]
name = "quick"
version = "0.1.0"
edition = "2021"

[lib]
name = "_quick"
crate-type = ["cdylib"]

[dependencies]
pyo3 = { version = "*", features = ["extension-module"] }
""",
    # Debian has crates as packages, so that nothing needs to be fetched from elsewhere.
    ".cargo/config.toml": """
[source.crates-io]
replace-with = "debian"

[source.debian]
directory = "/usr/share/cargo/registry"
""",
    "src/lib.rs": """
use pyo3::prelude::*;

#[pyfunction]
fn double(x: i64) -> i64 {
    x * 2
}

#[pymodule]
fn _quick(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(double, m)?)?;
    Ok(())
}
""",
    "python/quick/__init__.py": """
from quick._quick import double


def main():
    print("twice 21 is", double(21))
""",
}


def test_four_distributions_with_c_libraries_are_built_and_start(
    warm: Wherry, docker: Docker, project: MakeProject, tmp_path: Path
) -> None:
    root = project(DATABASES)
    archive = tmp_path / "image.tar"
    warm.ok("build", "-t", "databases", "-o", f"type=docker,dest={archive}", root, timeout=PATIENCE)
    assert warm.ok("run", "databases").stdout == "True 3 a\n4 1\n"
    docker.load(archive)
    assert docker.run("databases").stdout == "True 3 a\n4 1\n"


def test_numpy_is_built_from_source_with_openblas(warm: Wherry, project: MakeProject) -> None:
    warm.ok("build", "-t", "openblas", project(NUMPY), timeout=PATIENCE)
    assert warm.ok("run", "openblas").stdout == "openblas openblas 0.5\n"


@pytest.mark.parametrize("files", [pytest.param(CYTHON, id="cython"), pytest.param(RUST, id="rust")])
def test_a_project_in_another_language_is_built_and_starts(
    warm: Wherry, project: MakeProject, files: dict[str, str]
) -> None:
    warm.ok("build", "-t", "quick", project(files), timeout=PATIENCE)
    assert warm.ok("run", "quick").stdout == "twice 21 is 42\n"


# -- musl --------------------------------------------------------------------------------------------

COMPILER = """\
FROM debian AS zig
RUN pip install --no-cache-dir --break-system-packages --target /opt/zig ziglang==0.13.0.post1

FROM musl-base
COPY --from=zig /opt/zig/ziglang /opt/zig
COPY --from=debian /usr/include/python3.13 /usr/local/include/python3.13
COPY --from=debian /usr/include/x86_64-linux-gnu/python3.13/pyconfig.h /usr/local/include/python3.13/pyconfig.h
RUN <<END
for one in cc c++ ar ranlib; do
  printf '#!/bin/sh\\nexec /opt/zig/zig %s "$@"\\n' $one > /usr/local/bin/$one
  chmod 755 /usr/local/bin/$one
done
END
"""
MAIN = "import tiny\nprint('the answer is', tiny.answer())\n"
SETTINGS = """
base = "musl-base"
build-base = "musl-compiler"
build-env = { CC = "cc", LDSHARED = "cc -shared" }
"""


@pytest.fixture(scope="module")
def musl(warm: Wherry, tmp_path_factory: pytest.TempPathFactory) -> Wherry:
    """The command with a base on musl in its store, and one that has a compiler beside it."""
    rootfs = Path(__file__).parents[3] / "shared" / "bases" / "musl-python-3.13.tar.zst"
    if not rootfs.is_file():
        pytest.skip("the root filesystem with musl and Python is not beside this checkout")
    base = tmp_path_factory.mktemp("musl-base")
    shutil.copy(rootfs, base / "root.tar.zst")
    (base / "Dockerfile").write_text("FROM scratch\nADD root.tar.zst /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n")
    warm.ok("build", "-t", "musl-base", base)
    compiler = tmp_path_factory.mktemp("musl-compiler")
    (compiler / "Dockerfile").write_text(COMPILER)
    debian = "debian=debian://trixie?shell=1&include=python3-venv,python3-pip,libpython3.13-dev"
    warm.ok("build", "--host-certs", "-t", "musl-compiler", "--build-context", debian, compiler, timeout=PATIENCE)
    return warm


def own(project: MakeProject, settings: str) -> Path:
    """A project that is itself an extension in C."""
    parts = extension("tiny")
    parts["pyproject.toml"] += '[project]\nname = "tiny"\nversion = "1.0"\n'
    return project({**parts, "main.py": MAIN, "wherry.toml": settings})


def test_for_musl_it_is_compiled_on_musl(musl: Wherry, project: MakeProject) -> None:
    musl.ok("build", "-t", "on-musl", own(project, SETTINGS), timeout=PATIENCE)
    assert musl.ok("run", "on-musl").stdout == "the answer is 42\n"


def test_for_musl_a_wheel_is_taken_where_there_is_one(musl: Wherry, project: MakeProject) -> None:
    main = "import markupsafe._speedups as found\nprint(found.__file__.rpartition('.cpython')[2])\n"
    root = project({"requirements.txt": "markupsafe==3.0.2\n", "main.py": main, "wherry.toml": SETTINGS})
    said = musl.ok("build", "-t", "musl-wheel", "--progress", "plain", root).stderr
    assert "build the wheel" not in said
    assert musl.ok("run", "musl-wheel").stdout == "-313-x86_64-linux-musl.so\n"


def test_for_musl_nothing_is_compiled_without_a_base_to_compile_in(musl: Wherry, project: MakeProject) -> None:
    result = musl("build", own(project, 'base = "musl-base"\n'))
    assert result.returncode == 2
    assert "takes a build-base" in result.stderr
    assert "tiny" in result.stderr


def test_a_build_base_with_another_c_library_is_refused_before_anything_is_built(
    musl: Wherry, project: MakeProject
) -> None:
    result = musl("build", "--build-base", "debian://trixie", own(project, 'base = "musl-base"\n'))
    assert result.returncode == 2
    assert "build-base debian://trixie has glibc 2.41, the image's base musl 1.2" in result.stderr
    assert "build the wheel" not in result.stderr


def test_a_build_base_with_another_python_is_refused(warm: Wherry, project: MakeProject) -> None:
    root = own(project, 'base = "debian://trixie"\nbuild-base = "debian://bookworm"\n')
    result = warm("build", root)
    assert result.returncode == 2
    assert "build-base debian://bookworm has Python 3.11" in result.stderr


def test_a_build_base_with_a_newer_c_library_is_refused(warm: Wherry, project: MakeProject) -> None:
    root = own(project, 'base = "debian://bookworm"\nbuild-base = "debian://trixie"\n')
    result = warm("build", root)
    assert result.returncode == 2
    assert "newer than the glibc 2.36 of the image's base" in result.stderr
