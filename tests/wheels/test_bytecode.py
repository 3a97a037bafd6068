"""Bytecode, whoever makes it and however many help."""

from __future__ import annotations

import importlib.util
import marshal
import os
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from wherry.errors import WherryError
from wherry.wheels import bytecode
from wherry.wheels.bytecode import Compiled, Compiler, Source, bytecode_path, chunks, host_launch

VERSION = ".".join(map(str, sys.version_info[:3]))
TAG = sys.implementation.cache_tag

Compile = Callable[..., list[Compiled]]


def compiled(sources: Sequence[tuple[str, bytes]], workers: int = 2) -> list[Compiled]:
    """``sources`` compiled by the interpreter that runs this test."""
    with Compiler(host_launch(sys.executable), VERSION, workers) as compiler:
        return list(compiler.compile(sources))


def library(count: int = 1000) -> list[tuple[str, bytes]]:
    """Sources of the standard library: several chunks of real code."""
    folder = Path(os.__file__).parent
    return [(f"/lib/{path.name}", path.read_bytes()) for path in sorted(folder.glob("*.py"))[:count]]


def code_of(found: Compiled) -> types.CodeType:
    code = marshal.loads(found.data[16:])
    assert isinstance(code, types.CodeType)
    return code


def test_files_are_hash_based_and_unchecked() -> None:
    source = b"x = 1\n"
    (found,) = compiled([("/opt/venv/demo.py", source)])
    assert found.path == f"/opt/venv/__pycache__/demo.{TAG}.pyc"
    assert found.data[:4] == importlib.util.MAGIC_NUMBER
    assert found.data[4:8] == (1).to_bytes(4, "little")
    assert found.data[8:16] == importlib.util.source_hash(source)


def test_code_knows_where_it_will_be() -> None:
    (found,) = compiled([("/opt/venv/é\udc80.py", b"def f(): pass\n")])
    assert code_of(found).co_filename == "/opt/venv/é\udc80.py"


def test_an_interpreter_uses_them(tmp_path: Path) -> None:
    source = tmp_path / "demo.py"
    (found,) = compiled([(str(source), b"print('compiled')\n")])
    Path(found.path).parent.mkdir()
    Path(found.path).write_bytes(found.data)
    source.write_text("print('changed since')\n")
    done = subprocess.run(
        [sys.executable, "-c", "import demo"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "compiled\n"


def test_assertions_and_docstrings_are_kept() -> None:
    (found,) = compiled([("/a.py", b'"""Text."""\nassert x\n')])
    assert "Text." in code_of(found).co_consts
    assert "x" in code_of(found).co_names


@pytest.mark.parametrize(
    "source",
    [b"print 'Python 2'\n", b"{% if template %}\n", b"x = '\0'\n", b"\xff\xfe", b"# coding: nonsense\n", b"def f(:\n"],
)
def test_what_does_not_compile_is_left_out(source: bytes) -> None:
    assert [found.path for found in compiled([("/bad.py", source), ("/good.py", b"")])] == [
        f"/__pycache__/good.{TAG}.pyc"
    ]


def test_deep_nesting_hurts_nobody_else() -> None:
    deep = b"x = " + b"-" * 200_000 + b"1\n"
    deeper = b"x = " + b"(" * 150 + b")" * 150 + b"\n" + b"y" + b".a" * 100_000
    found = compiled([("/deep.py", deep), ("/deeper.py", deeper), ("/good.py", b"x = 1\n")])
    assert f"/__pycache__/good.{TAG}.pyc" in [one.path for one in found]


def test_a_source_of_a_huge_size_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "LARGEST", 100)
    assert [one.path for one in compiled([("/big.py", b"#" * 101), ("/small.py", b"#")])] == [
        f"/__pycache__/small.{TAG}.pyc"
    ]


def test_the_number_of_workers_does_not_matter() -> None:
    sources = library()
    assert len(list(chunks(Source(path, data) for path, data in sources))) > 3
    assert compiled(sources, 1) == compiled(sources, 3)


def test_what_was_compiled_before_does_not_matter() -> None:
    pieces = list(chunks(Source(path, data) for path, data in library()))
    with Compiler(host_launch(sys.executable), VERSION, 1) as compiler:
        one = list(compiler.results(pieces))
        other = list(compiler.results(reversed(pieces)))
    assert one == other[::-1]


def test_the_hosts_environment_does_not_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sources = library(8)
    plain = compiled(sources)
    (tmp_path / "struct.py").write_text("raise SystemExit('the working directory has no say')")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('nor has site')")
    monkeypatch.chdir(tmp_path)
    for name, value in {"PYTHONPATH": str(tmp_path), "PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "7"}.items():
        monkeypatch.setenv(name, value)
    assert compiled(sources) == plain


def test_warnings_about_sources_are_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    compiled([("/a.py", b"x = '\\d'\nassert (1, 'x')\n1 is 1\n")])
    assert capfd.readouterr().err == ""


def test_many_threads_share_the_workers() -> None:
    from concurrent.futures import ThreadPoolExecutor

    sources = library(12)
    with Compiler(host_launch(sys.executable), VERSION, 2) as compiler, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: list(compiler.compile(sources)), range(4)))
    assert all(result == results[0] for result in results)


def test_a_worker_that_dies_is_replaced_once() -> None:
    started: list[subprocess.Popen[bytes]] = []
    launch = host_launch(sys.executable)

    def fragile(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        started.append(launch(arguments))
        if len(started) == 1:
            started[0].kill()
        return started[-1]

    with Compiler(fragile, VERSION, 1) as compiler:
        assert len(list(compiler.compile([("/a.py", b"")]))) == 1
    assert len(started) == 2


def test_an_interpreter_that_always_fails_is_an_error() -> None:
    def broken(_: Sequence[str]) -> subprocess.Popen[bytes]:
        return host_launch(sys.executable)(["-c", "import sys; sys.exit('no such library')"])

    with Compiler(broken, VERSION, 1) as compiler, pytest.raises(WherryError, match="no such library"):
        list(compiler.compile([("/a.py", b"")]))


def test_a_program_that_is_no_interpreter_is_an_error() -> None:
    def chatty(_: Sequence[str]) -> subprocess.Popen[bytes]:
        return host_launch(sys.executable)(["-c", "print('hello ' * 99)"])

    with Compiler(chatty, VERSION, 1) as compiler, pytest.raises(WherryError, match="protocol"):
        list(compiler.compile([("/a.py", b"")]))


def test_an_interpreter_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with (
        Compiler(host_launch(str(tmp_path / "none")), VERSION) as compiler,
        pytest.raises(WherryError, match="cannot be started"),
    ):
        list(compiler.compile([("/a.py", b"")]))


def test_an_interpreter_of_another_version_is_an_error() -> None:
    with Compiler(host_launch(sys.executable), "3.8.1", 1) as compiler, pytest.raises(WherryError, match=VERSION):
        list(compiler.compile([("/a.py", b"")]))


def test_a_launcher_that_leaves_hashes_random_is_an_error() -> None:
    def random(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        env = {"PYTHONHASHSEED": "random"}
        return subprocess.Popen([sys.executable, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, env=env)

    with Compiler(random, VERSION, 1) as compiler, pytest.raises(WherryError, match="PYTHONHASHSEED"):
        list(compiler.compile([("/a.py", b"")]))


def test_a_python_that_cannot_fork_gives_the_same() -> None:
    def forkless(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        script = arguments[-1].replace("import os\n", "import os\ndel os.fork\n")
        assert script != arguments[-1]
        return host_launch(sys.executable)([*arguments[:-1], script])

    sources = library(12)
    with Compiler(forkless, VERSION, 1) as compiler:
        assert list(compiler.compile(sources)) == compiled(sources)


def test_closing_ends_the_workers_at_once() -> None:
    compiler = Compiler(host_launch(sys.executable), VERSION, 1)
    results = compiler.results(chunks(Source(path, data) for path, data in library()))
    next(results)
    compiler.close()
    with pytest.raises(WherryError, match="the build was stopped"):
        list(compiler.compile([("/a.py", b"")]))


def test_chunks_are_cut_by_content_alone() -> None:
    sources = [Source(f"/{number}.py", b"#" * 400_000) for number in range(7)]
    assert [len(chunk) for chunk in chunks(sources)] == [3, 3, 1]
    assert list(chunks([])) == []


def test_names_follow_pep_3147() -> None:
    assert bytecode_path("/a/b.c.py", "cpython-313") == "/a/__pycache__/b.c.cpython-313.pyc"
    assert bytecode_path("top.py", "cpython-313") == "__pycache__/top.cpython-313.pyc"
