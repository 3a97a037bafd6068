"""What failed builds say that they lack: messages as the tools print them."""

from __future__ import annotations

import time

import pytest

from wherry.wheels.lacking import Kind, Lacking, lacking

MYSQLCLIENT = """\
Trying pkg-config --exists mysqlclient
Command 'pkg-config --exists mysqlclient' returned non-zero exit status 1.
Trying pkg-config --exists mariadb
Command 'pkg-config --exists mariadb' returned non-zero exit status 1.
Traceback (most recent call last):
  File "<string>", line 156, in get_config_posix
Exception: Can not find valid pkg-config name.
Specify MYSQLCLIENT_CFLAGS and MYSQLCLIENT_LDFLAGS env vars manually
"""

PKG_CONFIG = """\
Package cairo was not found in the pkg-config search path.
Perhaps you should add the directory containing `cairo.pc'
to the PKG_CONFIG_PATH environment variable
No package 'cairo' found
"""

PSYCOPG = """\
Error: pg_config executable not found.

pg_config is required to build psycopg2 from source.  Please add the directory
containing pg_config to the $PATH or specify the full executable path with the
option:
"""

CMAKE_MODULE = """\
-- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)
CMake Error at /usr/share/cmake-3.31/Modules/FindPackageHandleStandardArgs.cmake:233 (message):
  Could NOT find ZLIB (missing: ZLIB_LIBRARY ZLIB_INCLUDE_DIR)
"""

CMAKE_CONFIG = """\
CMake Error at CMakeLists.txt:12 (find_package):
  Could not find a package configuration file provided by "Arrow" with any
  of the following names:

    ArrowConfig.cmake
    arrow-config.cmake
"""

OPENSSL_SYS = """\
  The system library `openssl` required by crate `openssl-sys` was not found.
  The file `openssl.pc` needs to be installed and the PKG_CONFIG_PATH environment variable must contain its parent
"""

PILLOW = """\
The headers or library files could not be found for jpeg,
a required dependency when compiling Pillow from source.
"""

MESON_FORTRAN = (
    "../meson.build:108:2: ERROR: Unknown compiler(s): [['gfortran'], ['flang-new'], ['flang'], ['pgfortran'], ['g95']]"
)
MESON_PKG_CONFIG = (
    "meson.build:9:0: ERROR: Dependency lookup for cairo with method 'pkgconfig' failed: "
    "Pkg-config for machine host machine not found. Giving up."
)
COLOURED = (
    "\x1b[01m\x1b[Ka.c:1:10:\x1b[m\x1b[K \x1b[01;31m\x1b[Kfatal error: \x1b[m\x1b[Kffi.h: No such file or directory"
)
MESON_C = "meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc'], ['clang'], ['nvc'], ['icx']]"


@pytest.mark.parametrize(
    ("output", "kind", "name"),
    [
        ("ps.h:3:10: fatal error: libpq-fe.h: No such file or directory\n", "header", "libpq-fe.h"),
        (COLOURED, "header", "ffi.h"),
        ("a.c:1:10: fatal error: 'libxml/xmlversion.h' file not found", "header", "libxml/xmlversion.h"),
        ("src/a.cpp:4:10: fatal error: Eigen/Core: No such file or directory", "header", "Eigen/Core"),
        ("      a.c:22:10: fatal error: Python.h: No such file or directory", "header", "Python.h"),
        ("a.i:16: Error: Unable to find 'openssl/opensslv.h'", "header", "openssl/opensslv.h"),
        ("../meson.build:9:0: ERROR: C header 'sys/acl.h' not found", "header", "sys/acl.h"),
        ("gcc: fatal error: cannot execute ‘cc1plus’: execvp: No such file or directory", "program", "g++"),
        ("g++: fatal error: cannot execute 'cc1plus': posix_spawnp: No such file or directory", "program", "g++"),
        ("/usr/bin/ld: cannot find -lpq\ncollect2: error: ld returned 1 exit status", "library", "pq"),
        ("/usr/bin/ld: cannot find -lpq: No such file or directory", "library", "pq"),
        ("/usr/bin/x86_64-linux-gnu-ld: cannot find -lldap_r: No such file or directory", "library", "ldap_r"),
        ("/usr/bin/ld.gold: error: cannot find -lssl", "library", "ssl"),
        ("ld.lld: error: unable to find library -lxml2", "library", "xml2"),
        ("mold: fatal: library not found: z", "library", "z"),
        ("/usr/bin/ld: cannot find -lstdc++: No such file or directory", "program", "g++"),
        ("OSError: libhdf5.so: cannot open shared object file: No such file or directory", "library", "libhdf5.so"),
        ("ERROR: C shared or static library 'rt2' not found", "library", "rt2"),
        (PSYCOPG, "program", "pg_config"),
        ("/bin/sh: 1: pg_config: not found", "program", "pg_config"),
        ("/bin/sh: 1: mysql_config: not found", "program", "mysql_config"),
        ("OSError: mysql_config not found", "program", "mysql_config"),
        ("/bin/sh: gcc: not found", "program", "gcc"),
        ("./configure: 2091: pkg-config: not found", "program", "pkg-config"),
        ("./build.sh: line 12: cmake: command not found", "program", "cmake"),
        ("bash: line 1: swig: command not found", "program", "swig"),
        ("bash: swig: command not found", "program", "swig"),
        ("make: gcc: No such file or directory", "program", "gcc"),
        ("make[2]: g++: Command not found", "program", "g++"),
        ("/usr/bin/env: ‘perl’: No such file or directory", "program", "perl"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'gdal-config'", "program", "gdal-config"),
        ("error: command 'gcc' failed: No such file or directory", "program", "gcc"),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "program", "x86_64-linux-gnu-gcc"),
        ("unable to execute 'swig': No such file or directory", "program", "swig"),
        ('go: exec: "gcc": executable file not found in $PATH', "program", "gcc"),
        ("No such file or directory (os error 2)\n  is `cmake` not installed?", "program", "cmake"),
        ("error: linker `cc` not found\n  |\n  = note: No such file or directory (os error 2)", "program", "gcc"),
        ('Could not find `protoc`. If `protoc` is installed, try setting the `PROTOC`', "program", "protoc"),
        ("A GDAL API version must be specified. Provide a path to gdal-config using", "program", "gdal-config"),
        ("configure: error: no acceptable C compiler found in $PATH", "program", "gcc"),
        ("  No CMAKE_CXX_COMPILER could be found.", "program", "g++"),
        ('CMake Error: CMake was unable to find a build program corresponding to "Ninja".', "program", "ninja"),
        ("RuntimeError: CMake must be installed to build the following extensions: _dlib", "program", "cmake"),
        ("Unable to find libclang: \"couldn't find any valid shared libraries", "library", "clang"),
        (MESON_FORTRAN, "program", "gfortran"),
        (MESON_C, "program", "gcc"),
        ("../meson.build:20:0: ERROR: Program 'pythran' not found or not executable", "program", "pythran"),
        ("ERROR: Program 'glib-mkenums mkenums' not found or not executable", "program", "glib-mkenums"),
        (MESON_PKG_CONFIG, "program", "pkg-config"),
        ('../meson.build:31:12: ERROR: Dependency "cairo" not found, tried pkgconfig and cmake', "pkg-config", "cairo"),
        ('../meson.build:31:12: ERROR: Dependency "cairo" not found, tried pkgconfig', "pkg-config", "cairo"),
        ("meson.build:5:0: ERROR: Dependency 'dbus-1' is required but not found.", "pkg-config", "dbus-1"),
        ('ERROR: Dependency "OpenBLAS" not found, tried pkgconfig and cmake', "pkg-config", "openblas"),
        ("RuntimeError: No BLAS library detected! Install one, or use the", "pkg-config", "openblas"),
        (PKG_CONFIG, "pkg-config", "cairo"),
        ("Package 'cairo', required by 'virtual:world', not found", "pkg-config", "cairo"),
        ("configure: error: Package requirements (libev >= 4) were not met:\n\nNo package 'libev' found", "pkg-config",
         "libev"),
        ("pkgconfig.pkgconfig.PackageNotFoundError: xmlsec1 not found", "pkg-config", "xmlsec1"),
        (OPENSSL_SYS, "pkg-config", "openssl"),
        (MYSQLCLIENT, "pkg-config", "libmariadb"),
        (CMAKE_MODULE, "cmake", "ZLIB"),
        (CMAKE_CONFIG, "cmake", "Arrow"),
        ("  Could NOT find BLAS (missing: BLAS_LIBRARIES)", "pkg-config", "openblas"),
        ("  Could NOT find PkgConfig (missing: PKG_CONFIG_EXECUTABLE)", "program", "pkg-config"),
        ("Cargo, the Rust package manager, is not installed or is not on PATH.", "rust", "cargo"),
        ("error: can't find Rust compiler", "rust", "cargo"),
        ("/bin/sh: 1: cargo: not found", "rust", "cargo"),
        (PILLOW, "header", "jpeglib.h"),
        ("__main__.RequiredDependencyException: zlib", "header", "zlib.h"),
    ],
)  # fmt: skip
def test_a_tools_message_tells_what_is_lacking(output: str, kind: Kind, name: str) -> None:
    assert lacking(f"running build_ext\n{output}\nerror: failed\n") == (Lacking(kind, name),)


def test_lxml_lacks_headers_of_two_libraries() -> None:
    text = "Error: Please make sure the libxml2 and libxslt development packages are installed."
    assert [thing.name for thing in lacking(text)] == ["libxml/xmlversion.h", "libxslt/xslt.h"]


def test_things_are_told_once_in_the_order_of_the_log() -> None:
    text = "/bin/sh: 1: pkg-config: not found\nx.c:1: fatal error: ffi.h: No such file or directory\n"
    assert lacking(text * 3) == (Lacking("program", "pkg-config"), Lacking("header", "ffi.h"))


@pytest.mark.parametrize(
    "output",
    [
        "",
        "Successfully built wheel",
        "-- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)",
        "      -- Could NOT find MPI_C (missing: MPI_C_LIB_NAMES)",
        "Run-time dependency cairo found: NO (tried pkgconfig and cmake)",
        "Program doxygen found: NO",
        "checking for pg_config... no",
        "FileNotFoundError: [Errno 2] No such file or directory: 'README.md'",
        "FileNotFoundError: [Errno 2] No such file or directory: 'VERSION'",
        "FileNotFoundError: [Errno 2] No such file or directory: '/opt/x/requirements.txt'",
        "ModuleNotFoundError: No module named 'numpy'",
        "fatal error: ../../etc/passwd: No such file or directory",
        "fatal error: /etc/passwd: No such file or directory",
        "fatal error: a//b.h: No such file or directory",
        "fatal error: **/x.h: No such file or directory",
        "fatal error: killed signal terminated program cc1plus",
    ],
)
def test_what_is_no_lack_or_no_name_is_left_out(output: str) -> None:
    assert lacking(output) == ()


def test_a_log_that_names_thousands_of_things_gives_ten() -> None:
    text = "".join(f"fatal error: x{number}.h: No such file or directory\n" for number in range(5000))
    assert len(lacking(text)) == 10


@pytest.mark.parametrize(
    "piece", ["lib", "a", "/", "sh: ", "fatal error: ", "make[1]: ", "\x1b[", ": 1: a", "a.", "\n "]
)
def test_a_log_without_sense_takes_no_time(piece: str) -> None:
    start = time.process_time()
    lacking(piece * (400_000 // len(piece)))
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    ("thing", "place"),
    [
        (Lacking("header", "libxml/xmlversion.h"), "usr/include/**/libxml/xmlversion.h"),
        (Lacking("library", "pq"), "usr/lib/**/libpq.so"),
        (Lacking("library", "libhdf5.so.310"), "usr/lib/**/libhdf5.so.310"),
        (Lacking("program", "pg_config"), "usr/bin/pg_config"),
        (Lacking("pkg-config", "cairo"), "usr/lib/**/pkgconfig/cairo.pc"),
        (Lacking("cmake", "Arrow"), "usr/lib/**/ArrowConfig.cmake"),
        (Lacking("rust", "cargo"), "usr/bin/cargo"),
    ],
)
def test_each_kind_has_its_place(thing: Lacking, place: str) -> None:
    assert thing.patterns[0] == place


def test_things_are_called_as_people_write_them() -> None:
    things = [Lacking("header", "ffi.h"), Lacking("library", "pq"), Lacking("pkg-config", "cairo")]
    assert [str(thing) for thing in things] == ["ffi.h", "-lpq", "cairo.pc"]
