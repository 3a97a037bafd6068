"""What a failed build says that it lacks: a table of what compilers, linkers and build tools print.

Only what stops a build is taken, as far as a line tells: not what a configuration step looked for and did without.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["header", "library", "program", "pkg-config", "cmake", "rust"]

_MOST = 10  # of a log: each is searched for, and nobody reads more
_LONGEST = 4 << 20  # characters of a log; the failure is at its end


@dataclass(frozen=True, slots=True)
class Lacking:
    """Something that a build needs and has not found.

    ``name`` is a header's as it is included (``libxml/xmlversion.h``), a library's as it is linked (``pq`` of ``-lpq``)
    or the name of its file, that of a program, of a pkg-config module or of a CMake package.
    """

    kind: Kind
    name: str

    def __str__(self) -> str:
        match self.kind:
            case "library":
                return self.name if ".so" in self.name else f"-l{self.name}"
            case "pkg-config":
                return f"{self.name}.pc"
            case "cmake":
                return f"{self.name} (CMake)"
            case _:
                return self.name

    @property
    def patterns(self) -> tuple[str, ...]:
        """Where a Debian package has it: paths of which one will do, the best first, with ``**`` for any folders."""
        return _places(self.kind, self.name)


def lacking(output: str) -> tuple[Lacking, ...]:
    """What the ``output`` of a build says that was lacking, in the order in which it says so, at most ten things."""
    text = _COLOURS.sub("", output[-_LONGEST:])
    found = sorted(_found(text), key=lambda one: one[0])
    return tuple(dict.fromkeys(thing for _, thing in found))[:_MOST]


def _found(text: str) -> Iterator[tuple[int, Lacking]]:
    for rule, make in _RULES:
        for match in rule.finditer(text):
            for thing in make(match):
                if _NAME.fullmatch(thing.name):
                    yield match.start(), thing


# -- where things are ----------------------------------------------------------------------------------


def _places(kind: Kind, name: str) -> tuple[str, ...]:
    match kind:
        case "header":
            return *_ELSEWHERE.get(name, ()), f"usr/include/**/{name}", f"usr/lib/**/include/**/{name}"
        case "library" if ".so" in name:
            return (f"usr/lib/**/{name}",)
        case "library":
            return *_ELSEWHERE.get(f"-l{name}", ()), f"usr/lib/**/lib{name}.so", f"usr/lib/**/lib{name}.a"
        case "program":
            return *_ELSEWHERE.get(name, ()), f"usr/bin/{name}", f"usr/sbin/{name}"
        case "pkg-config":
            return (
                *_ELSEWHERE.get(f"{name}.pc", ()),
                f"usr/lib/**/pkgconfig/{name}.pc",
                f"usr/share/pkgconfig/{name}.pc",
            )
        case "cmake":
            low = name.lower()
            files = (f"{name}Config.cmake", f"{low}-config.cmake")
            modules = tuple(f"usr/{folder}/**/{file}" for folder in ("lib", "share") for file in files)
            # Of CMake's own Find modules, most look for what is called as they are, give or take "lib".
            own = (f"usr/lib/**/pkgconfig/{low}.pc", f"usr/lib/**/pkgconfig/lib{low}.pc")
            return *modules, *own, f"usr/lib/**/lib{low}.so", f"usr/include/**/{low}.h"
        case "rust":
            return (f"usr/bin/{name}",)


_OPENBLAS = "usr/lib/**/openblas-pthread"  # of three, the one that Debian prefers
_ELSEWHERE = {
    "Python.h": ("usr/include/python3.*/Python.h",),
    "jni.h": ("usr/lib/jvm/*/include/jni.h",),
    "mpi.h": ("usr/lib/**/openmpi/include/mpi.h",),
    "mpicc": ("usr/bin/mpicc.openmpi",),
    "mpicxx": ("usr/bin/mpicxx.openmpi",),
    "-lopenblas": (f"{_OPENBLAS}/libopenblas.so",),
    "openblas.pc": (f"{_OPENBLAS}/pkgconfig/openblas.pc",),
}
"""Places that come first: alternatives' links are in no package, and some names are used for other things too."""

# -- what is said ---------------------------------------------------------------------------------------

_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NAME = re.compile(r"(?!.*//)[A-Za-z0-9_](?:[\w.+/-]{0,126}[\w+])?", re.A)  # which hold no pattern and no way up
_Q = "['\"`‘’“”]"  # quotes, as the locale has them
_WORD = r"([\w.+-]{1,128})"
_FILE = r"([\w.+/-]{1,128})"
_PROGRAM = r"([A-Za-z_][\w+-]{0,63}(?:\.\d[\w.]{0,8})?)"  # no file's ending: 'setup.cfg' is no program
_LINE = r"^[^\n]{0,300}?"

_COMPILERS = {"cc": "gcc", "c99": "gcc", "c++": "g++", "f77": "gfortran", "f90": "gfortran", "f95": "gfortran"}
_COMPILERS |= {"cc1": "gcc", "cc1plus": "g++", "f951": "gfortran"}
_RUNTIMES = {"stdc++": "g++", "gfortran": "gfortran"}
_PILLOW = {
    "avif": "avif/avif.h",
    "freetype": "ft2build.h",
    "fribidi": "fribidi.h",
    "harfbuzz": "hb.h",
    "imagequant": "libimagequant.h",
    "jpeg": "jpeglib.h",
    "jpeg2000": "openjpeg.h",
    "lcms": "lcms2.h",
    "raqm": "raqm.h",
    "tiff": "tiff.h",
    "webp": "webp/encode.h",
    "xcb": "xcb/xcb.h",
    "zlib": "zlib.h",
}

_Make = Callable[[re.Match[str]], "tuple[Lacking, ...]"]


def _header(match: re.Match[str]) -> tuple[Lacking, ...]:
    return (Lacking("header", match[1].removeprefix("./")),)


def _library(match: re.Match[str]) -> tuple[Lacking, ...]:
    name = match[1].removeprefix(":")
    return (Lacking("program", _RUNTIMES[name]) if name in _RUNTIMES else Lacking("library", name),)


def _program(match: re.Match[str]) -> tuple[Lacking, ...]:
    name = next(group for group in match.groups() if group)
    name = _COMPILERS.get(name, name)
    if name in {"cargo", "rustc"}:
        return (Lacking("rust", "cargo"),)
    return () if name.isupper() else (Lacking("program", name),)  # README, VERSION: files


def _compiler(match: re.Match[str]) -> tuple[Lacking, ...]:
    return (Lacking("program", {"C": "gcc", "Fortran": "gfortran"}.get(match[1], "g++")),)


def _module(match: re.Match[str]) -> tuple[Lacking, ...]:
    return (Lacking("pkg-config", match[1]),)


def _dependency(match: re.Match[str]) -> tuple[Lacking, ...]:
    """What Meson calls a dependency, which it looks for with pkg-config and with CMake."""
    name = match[1]
    if name.lower() in {"openblas", "scipy-openblas", "blas", "lapack"}:
        return (Lacking("pkg-config", "openblas"),)
    by_module = "tried pkgconfig" in match[0] or ("tried" not in match[0] and name.islower())
    return (Lacking("pkg-config" if by_module else "cmake", name),)


def _cmake(match: re.Match[str]) -> tuple[Lacking, ...]:
    special = {"BLAS": "openblas", "LAPACK": "openblas", "PkgConfig": ""}
    name = match[1]
    if name in special:
        return (Lacking("pkg-config", special[name]) if special[name] else Lacking("program", "pkg-config"),)
    return (Lacking("cmake", name),)


def _meson_compilers(match: re.Match[str]) -> tuple[Lacking, ...]:
    """The compiler that Debian has, of a list of those that would do."""
    names = re.findall(rf"\[{_Q}{_WORD}{_Q}", match[1])
    known = [name for name in ("gcc", "g++", "gfortran", "rustc", "nasm") if name in names]
    name = (known or names or [""])[0]
    return (Lacking("rust", "cargo") if name == "rustc" else Lacking("program", name),)


def _pillow(match: re.Match[str]) -> tuple[Lacking, ...]:
    name = match[1] or match[2]
    return (Lacking("header", _PILLOW[name]),) if name in _PILLOW else ()


def _always(*things: Lacking) -> _Make:
    return lambda _: things


def _rule(pattern: str, make: _Make) -> tuple[re.Pattern[str], _Make]:
    return re.compile(pattern, re.M), make


_RUST = _always(Lacking("rust", "cargo"))
_CMAKE = _always(Lacking("program", "cmake"))
_BLAS = _always(Lacking("pkg-config", "openblas"))

_RULES = (
    # gcc, clang, SWIG
    _rule(rf"fatal error: {_FILE}: No such file or directory", _header),
    _rule(rf"fatal error: {_Q}{_FILE}{_Q} file not found", _header),
    _rule(rf"Error: Unable to find {_Q}{_FILE}{_Q}", _header),
    _rule(rf"cannot execute {_Q}?(cc1|cc1plus|f951){_Q}?: ", _program),
    # GNU ld, gold, lld, mold, the dynamic linker
    _rule(r"\bld(?:\.\w+)?: (?:error: )?cannot find -l(:?[\w.+-]{1,128}?)(?=:? |:?$)", _library),
    _rule(rf"\bld\.lld: error: unable to find library -l{_WORD}", _library),
    _rule(rf"\bmold: fatal: library not found: {_WORD}", _library),
    _rule(r"\b(lib[\w.+-]{1,120}\.so(?:\.\d+)*)[^\n]{0,40}: cannot open shared object file", _library),
    # shells, make, env
    _rule(
        rf"^[ \t]*(?:/\S{{1,80}}/)?(?:ba|da|z)?sh: (?:line )?(?:\d+: )?{_PROGRAM}: (?:command )?not found$", _program
    ),
    _rule(rf"{_LINE}: line \d+: {_PROGRAM}: command not found$", _program),
    _rule(rf"{_LINE}: \d+: {_PROGRAM}: not found$", _program),
    _rule(rf"^[ \t]*{_PROGRAM}: command not found$", _program),
    _rule(rf"^[ \t]*make(?:\[\d+\])?: {_PROGRAM}: (?:No such file or directory|[Cc]ommand not found)$", _program),
    _rule(rf"\benv: {_Q}?{_PROGRAM}{_Q}?: No such file or directory", _program),
    # Python, Go and Rust starting a program
    _rule(rf"FileNotFoundError: \[Errno 2\] No such file or directory: {_Q}{_PROGRAM}{_Q}", _program),
    _rule(rf"error: command {_Q}{_PROGRAM}{_Q} failed: No such file or directory", _program),
    _rule(rf"unable to execute {_Q}?{_PROGRAM}{_Q}?: No such file or directory", _program),
    _rule(rf"exec: {_Q}{_PROGRAM}{_Q}: executable file not found in \$PATH", _program),
    _rule(rf"\bis {_Q}{_PROGRAM}{_Q} not installed\?", _program),
    _rule(rf"error: linker {_Q}{_PROGRAM}{_Q} not found", _program),
    _rule(rf"Could not find {_Q}(protoc){_Q}", _program),
    _rule(r"Unable to find libclang", _always(Lacking("library", "clang"))),
    _rule(r"[Cc]argo, the Rust package manager, is not installed", _RUST),
    _rule(r"can't find Rust compiler|Rust toolchain not found|Rust not found, installing into", _RUST),
    # programs that tell where a library is
    _rule(r"\b(pg_config) executable (?:is )?not found", _program),
    _rule(r"\b((?:mysql|mariadb)_config|(?:gdal|geos|xml2|xslt)-config)(?: executable)?:? not found", _program),
    _rule(r"Could not run (curl-config): ", _program),
    _rule(r"GDAL API version must be specified", _always(Lacking("program", "gdal-config"))),
    # pkg-config, pkgconf, Python's pkgconfig, Rust's pkg-config
    _rule(rf"\bPackage {_Q}?{_WORD}{_Q}? was not found in the pkg-config search path", _module),
    _rule(rf"Package {_Q}{_WORD}{_Q}, required by {_Q}[^\n]{{1,80}}{_Q}, not found", _module),
    _rule(rf"No package {_Q}{_WORD}{_Q} found", _module),
    _rule(rf"PackageNotFoundError: {_WORD} not found", _module),
    _rule(rf"The system library {_Q}{_WORD}{_Q} required by crate {_Q}[\w-]+{_Q} was not found", _module),
    _rule(r"Can not find valid pkg-config name", _always(Lacking("pkg-config", "libmariadb"))),
    _rule(r"Pkg-config (?:binary )?for machine [^\n]{1,20} not found", _always(Lacking("program", "pkg-config"))),
    # Meson
    _rule(rf"Dependency {_Q}{_WORD}{_Q} (?:is required but )?not found(?:, tried [^\n]{{0,80}})?", _dependency),
    _rule(rf"ERROR: Program {_Q}{_PROGRAM}[^'\n]{{0,80}}{_Q} not found", _program),
    _rule(r"ERROR: Unknown compiler\(s\): \[(\[[^\n]{1,300}\])\]", _meson_compilers),
    _rule(rf"ERROR: C(?:\+\+)? (?:shared or static )?library {_Q}{_WORD}{_Q} not found", _library),
    _rule(rf"ERROR: C(?:\+\+)? header {_Q}{_FILE}{_Q} not found", _header),
    # CMake, with which "-- Could NOT find" is what it did without
    _rule(rf"^[ \t]*Could NOT find {_WORD} \(missing:", _cmake),
    _rule(rf"Could not find a package configuration file provided by\s{{1,4}}{_Q}{_WORD}{_Q}", _cmake),
    _rule(r"No CMAKE_(C|CXX|Fortran)_COMPILER could be found", _compiler),
    _rule(r"unable to find a build program corresponding to \"Ninja\"", _always(Lacking("program", "ninja"))),
    _rule(r"unable to find a build program corresponding to \"Unix Makefiles\"", _always(Lacking("program", "make"))),
    _rule(r"CMake must be installed|Could not find CMake\b|CMake executable not found", _CMAKE),
    # autoconf
    _rule(r"no acceptable (C|C\+\+|Fortran) compiler found in \$PATH", _compiler),
    # particular projects
    _rule(
        r"make sure the libxml2 and libxslt development packages are installed",
        _always(Lacking("header", "libxml/xmlversion.h"), Lacking("header", "libxslt/xslt.h")),
    ),
    _rule(r"headers or library files could not be found for (\w+)|RequiredDependencyException: (\w+)", _pillow),
    _rule(r"No BLAS library detected|No (?:BLAS/)?LAPACK libraries found", _BLAS),
)
