"""Small projects with extensions in C, and the sdists of such."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

SETUPTOOLS = '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'

EXTENSION = """\
#define PY_SSIZE_T_CLEAN
#include <Python.h>
%(head)s

static PyObject *answer(PyObject *self, PyObject *args) { return PyLong_FromLong(%(answer)s); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "%(name)s", "", -1, methods};
PyMODINIT_FUNC PyInit_%(name)s(void) { return PyModule_Create(&module); }
"""

SETUP = """\
from setuptools import Extension, setup
%(before)s
setup(
    name="%(name)s",
    version="1.0",
    ext_modules=[Extension("%(name)s", ["%(name)s.c"], libraries=%(libraries)s)],
    install_requires=%(requires)s,
)
"""


def extension(
    name: str,
    *,
    answer: str = "42",
    head: str = "",
    libraries: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
    before: str = "",
) -> dict[str, str]:
    """The files of a project whose module ``name``, in C, has a function ``answer``."""
    setup = {"name": name, "libraries": list(libraries), "requires": list(requires), "before": before}
    return {
        "pyproject.toml": SETUPTOOLS,
        "setup.py": SETUP % setup,
        f"{name}.c": EXTENSION % {"name": name, "answer": answer, "head": head},
    }


def sdist(
    folder: Path, name: str, files: Mapping[str, str], *, metadata: str = "2.2", requires: tuple[str, ...] = ()
) -> Path:
    """An sdist of ``files`` in ``folder``; with metadata 2.1 only its backend can tell what it requires."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0.tar.gz"
    told = f"Metadata-Version: {metadata}\nName: {name}\nVersion: 1.0\n"
    told += "".join(f"Requires-Dist: {one}\n" for one in requires)
    with tarfile.open(path, "w:gz") as archive:
        for member, text in {**files, "PKG-INFO": told}.items():
            info = tarfile.TarInfo(f"{name}-1.0/{member}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path
