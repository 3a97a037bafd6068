"""What of a wheel goes where."""

from __future__ import annotations

import csv
import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from wherry.errors import WherryError
from wherry.target import Interpreter
from wherry.wheels.destination import File, LayerDestination, installed
from wherry.wheels.environment import Environment
from wherry.wheels.install import WheelToInstall
from wherry.wheels.wheelfile import WheelFile

MakeWheel = Callable[..., WheelToInstall]

ENVIRONMENT = Environment(Interpreter("3.13.1", "/usr/bin/python3.13"))
SITE = "opt/venv/lib/python3.13/site-packages"


@pytest.fixture
def install(make_wheel: MakeWheel) -> Iterator[Callable[..., dict[str, File]]]:
    """Installs a wheel that is made of the arguments; gives its files by path."""

    def run(*args: object, **kwargs: object) -> dict[str, File]:
        return {file.path: file for file in destination(stack, make_wheel(*args, **kwargs)).finish()}

    with ExitStack() as stack:
        yield run


def destination(stack: ExitStack, wheel: WheelToInstall) -> LayerDestination:
    return installed(stack.enter_context(WheelFile.open(wheel.path, wheel.distribution)), ENVIRONMENT)


def content(file: File) -> bytes:
    return b"".join(file.pieces())


Install = Callable[..., dict[str, File]]


def test_each_scheme_has_its_place(install: Install) -> None:
    files = install(
        {
            "demo/__init__.py": "",
            "demo-1.0.data/purelib/pure.py": "",
            "demo-1.0.data/platlib/plat.so": "",
            "demo-1.0.data/headers/sub/demo.h": "",
            "demo-1.0.data/scripts/tool": "",
            "demo-1.0.data/data/share/man/demo.1": "",
        }
    )
    assert set(files) == {
        f"{SITE}/demo/__init__.py",
        f"{SITE}/pure.py",
        f"{SITE}/plat.so",
        "opt/venv/include/site/python3.13/demo/sub/demo.h",
        "opt/venv/bin/tool",
        "opt/venv/share/man/demo.1",
        *(f"{SITE}/demo-1.0.dist-info/{name}" for name in ("INSTALLER", "METADATA", "RECORD", "WHEEL")),
    }


def test_executable_bits_are_honoured(install: Install) -> None:
    files = install({"demo/tool": "", "demo/data": ""}, modes={"demo/tool": 0o100744, "demo/data": 0o100600})
    assert files[f"{SITE}/demo/tool"].executable
    assert not files[f"{SITE}/demo/data"].executable


def test_the_installer_is_wherry(install: Install) -> None:
    files = install({"demo-1.0.dist-info/INSTALLER": "pip\n", "demo-1.0.dist-info/REQUESTED": ""})
    assert content(files[f"{SITE}/demo-1.0.dist-info/INSTALLER"]) == b"wherry\n"
    assert f"{SITE}/demo-1.0.dist-info/REQUESTED" not in files


def test_a_direct_url_is_written_down(install: Install) -> None:
    text = json.dumps({"url": "file:///demo", "dir_info": {}})
    files = install({"demo.py": ""}, direct_url=text)
    assert content(files[f"{SITE}/demo-1.0.dist-info/direct_url.json"]) == text.encode()
    assert f"{SITE}/demo-1.0.dist-info/direct_url.json" not in install({"demo.py": ""})


def test_entry_points_become_scripts(install: Install) -> None:
    text = (
        "[console_scripts]\ndemo = demo.cli:main\n[gui_scripts]\ndemo-gui = demo.gui:App.run [extra]\n[other]\nx = y\n"
    )
    files = install({"demo.py": "", "demo-1.0.dist-info/entry_points.txt": text})
    script = files["opt/venv/bin/demo"]
    assert script.executable
    assert content(script).startswith(b"#!/opt/venv/bin/python\n")
    assert b"from demo.cli import main" in content(script)
    assert b"from demo.gui import App" in content(files["opt/venv/bin/demo-gui"])
    assert b"App.run()" in content(files["opt/venv/bin/demo-gui"])


@pytest.mark.parametrize(
    "text",
    [
        "[console_scripts]\n../../bin/sh = demo:main\n",
        "[console_scripts]\n.. = demo:main\n",
        "[console_scripts]\ndemo = demo\n",
        "[console_scripts]\ndemo = import os; evil():x\n",
        "no section = demo:main\n",
        "[console_scripts]\ndemo = a:b\ndemo = c:d\n",
    ],
)
def test_a_malformed_entry_point_is_refused(install: Install, text: str) -> None:
    with pytest.raises(WherryError, match="entry"):
        install({"demo.py": "", "demo-1.0.dist-info/entry_points.txt": text})


def test_scripts_get_our_interpreter_and_are_executable(install: Install) -> None:
    text = b"#!python -E\r\nprint()\n" + b"# long\n" * 100_000
    files = install({"demo-1.0.data/scripts/tool": text, "demo-1.0.data/scripts/binary": b"\x7fELF" + bytes(9)})
    tool = files["opt/venv/bin/tool"]
    assert content(tool) == b"#!/opt/venv/bin/python\nprint()\n" + b"# long\n" * 100_000
    assert tool.size == len(content(tool))
    assert tool.executable
    assert content(files["opt/venv/bin/binary"]).startswith(b"\x7fELF")
    assert files["opt/venv/bin/binary"].executable


def test_a_script_of_one_line_is_kept(install: Install) -> None:
    files = install({"demo-1.0.data/scripts/tool": "#!pythonw"})
    assert content(files["opt/venv/bin/tool"]) == b"#!/opt/venv/bin/python\n"


def test_record_lists_everything_sorted_with_hashes(install: Install) -> None:
    files = install(
        {"demo/__init__.py": "x = 1\n", "a,b.txt": "", "demo-1.0.data/scripts/tool": "#!python\n"},
        record={"a,b.txt": '"a,b.txt",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=,0'},
    )
    rows = list(csv.reader(content(files[f"{SITE}/demo-1.0.dist-info/RECORD"]).decode().splitlines()))
    assert rows == sorted(rows)
    assert ["demo-1.0.dist-info/RECORD", "", ""] in rows
    assert {row[0] for row in rows} >= {"a,b.txt", "demo/__init__.py", "../../../bin/tool"}
    by_place = {path.removeprefix(f"{SITE}/").replace("opt/venv/bin", "../../../bin"): path for path in files}
    assert {row[0] for row in rows} == set(by_place)
    for path, hash_, size in rows:
        if not path.endswith("RECORD"):
            data = content(files[by_place[path]])
            digest = urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            assert (hash_, size) == (f"sha256={digest}", str(len(data)))


def test_bytecode_is_in_record_without_a_hash(make_wheel: MakeWheel) -> None:
    with ExitStack() as stack:
        target = destination(stack, make_wheel({"demo.py": ""}))
        path = f"{SITE}/__pycache__/demo.cpython-313.pyc"
        files = {file.path: file for file in target.finish([File(path, 3, "", False, lambda: (b"pyc",))])}
        assert content(files[path]) == b"pyc"
        record = content(files[f"{SITE}/demo-1.0.dist-info/RECORD"]).decode()
    assert "__pycache__/demo.cpython-313.pyc,,\n" in record


def test_modules_are_the_sources_among_the_libraries(make_wheel: MakeWheel) -> None:
    files = dict.fromkeys(
        ("b.py", "a/__init__.py", "a/x.pyi", "demo-1.0.data/scripts/s.py", "demo-1.0.data/data/d.py"), ""
    )
    with ExitStack() as stack:
        modules = destination(stack, make_wheel(files)).modules
    assert [module.path for module in modules] == [f"{SITE}/a/__init__.py", f"{SITE}/b.py"]


def test_bytecode_in_a_wheel_is_left_out(install: Install) -> None:
    files = install({"demo.py": "", "__pycache__/demo.cpython-313.pyc": "evil", "demo/__pycache__/x.pyc": "evil"})
    assert not [path for path in files if path.endswith(".pyc")]


def test_what_goes_to_lib64_goes_to_lib(install: Install) -> None:
    assert "opt/venv/lib/demo.so" in install({"demo-1.0.data/data/lib64/demo.so": ""})


@pytest.mark.parametrize("path", ["data/pyvenv.cfg", "data/bin/python", "scripts/python3", "data/lib64"])
def test_the_environments_own_files_stay(install: Install, path: str) -> None:
    with pytest.raises(WherryError, match="overwrites the virtual environment's own"):
        install({f"demo-1.0.data/{path}": ""})


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("data/bin", "bin"),
        ("data/lib/python3.13/site-packages", "lib/python3.13/site-packages"),
        ("data/lib", "lib"),
        ("data/include", "include"),
        ("data/bin/python/x", "bin/python"),
        ("scripts/python3.13/x", "bin/python3.13"),
        ("data/pyvenv.cfg/x", "pyvenv.cfg"),
    ],
)
def test_nothing_takes_the_place_of_the_environments_folders_nor_lies_below_its_files(
    install: Install, path: str, own: str
) -> None:
    with pytest.raises(WherryError, match=f"demo.* overwrites the virtual environment's own opt/venv/{own}"):
        install({f"demo-1.0.data/{path}": ""})


def test_names_that_only_begin_like_the_environments_own_are_fine(install: Install) -> None:
    files = install({"demo-1.0.data/data/pyvenv.cfg.txt": "", "demo-1.0.data/scripts/python-demo": ""})
    assert {"opt/venv/pyvenv.cfg.txt", "opt/venv/bin/python-demo"} <= set(files)


def test_a_wheel_that_overwrites_its_own_file_is_refused(install: Install) -> None:
    with pytest.raises(WherryError, match=r"installs .*/demo.py twice"):
        install({"demo.py": "1", "demo-1.0.data/purelib/demo.py": "1"})


def test_another_spelling_of_the_data_folder_is_known(install: Install) -> None:
    assert "opt/venv/bin/tool" in install({"Demo-1.0.0.data/scripts/tool": ""})
