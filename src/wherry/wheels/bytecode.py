"""Bytecode for Python sources, made by an interpreter of the image's own kind (PEP 552, PEP 3147).

The files are hash-based and unchecked: they are used without a look at their source, and hold no time. Sources go in
chunks, cut by content alone, to workers that answer each chunk as if it were their first
(:mod:`wherry.wheels.bytecode_worker`); so the result does not depend on the number of workers or on what else is built.
"""

from __future__ import annotations

import os
import re
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from wherry.errors import WherryError
from wherry.wheels.identity import bytecode_identity

if TYPE_CHECKING:
    import subprocess
    from concurrent.futures import Future, ThreadPoolExecutor

LARGEST = 8 << 20
"""Sources of more bytes than this are not compiled: the compiler needs a hundred times their memory."""

Launch = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]
"""Starts the interpreter with the given arguments, its stdin and stdout pipes, and none of our files needed.

It must set ``PYTHONHASHSEED=0`` in an environment free of other ``PYTHON…`` variables, and give the process no
descriptors but the three. It may be anywhere: on this host or inside a sandbox.
"""

_CHUNK = 1 << 20  # each costs a fork
_PROTOCOL = 1
_HINT = "`bytecode = false` under [tool.wherry] builds without bytecode."


@dataclass(frozen=True, slots=True)
class Source:
    """A Python source file: its absolute path in the image, and its bytes."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Compiled:
    """A bytecode file: its absolute path in the image, and its bytes."""

    path: str
    data: bytes


Chunk = tuple[Source, ...]


class _Broken(Exception):
    """A worker said nothing, or nonsense."""


@dataclass
class Compiler:
    """Compiles sources on ``workers`` processes, started when the first chunk comes. Safe to use from any thread.

    ``version`` is the full version of the interpreter that ``launch`` starts, ``maker`` tells it from others of that
    version that might write another byte.
    """

    launch: Launch
    version: str
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    maker: str = ""
    _pool: ThreadPoolExecutor | None = None
    _running: set[_Worker] = field(default_factory=set)
    _idle: list[_Worker] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    @property
    def identity(self) -> str:
        """What the bytecode depends on besides its source: for cache keys."""
        return bytecode_identity(self.version, self.maker)

    @property
    def tag(self) -> str:
        """The interpreter's cache tag, which is in the name of every file."""
        return "cpython-" + "".join(self.version.split(".")[:2])

    def __enter__(self) -> Compiler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers at once."""
        with self._lock:
            self._closed = True
            running, pool = list(self._running), self._pool
        for worker in running:
            worker.kill()
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        for worker in running:
            worker.close()

    def compile(self, sources: Iterable[tuple[str, bytes]]) -> Iterator[Compiled]:
        """Bytecode files for (absolute path, source) pairs, in their order.

        Sources that do not compile are left out, as pip leaves them out. For the same result on every machine,
        give the same sources in the same order. Raises :class:`WherryError` if the interpreter cannot be used.
        """
        for compiled in self.results(chunks(Source(path, data) for path, data in sources)):
            yield from compiled

    def results(self, work: Iterable[Chunk]) -> Iterator[tuple[Compiled, ...]]:
        """What each chunk gives, in order; ``work`` is read only as far ahead as the workers need."""
        from concurrent.futures import CancelledError

        waiting: deque[Future[tuple[Compiled, ...]]] = deque()
        try:
            for chunk in work:
                waiting.append(self._submit(chunk))
                if len(waiting) > 2 * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except CancelledError:
            raise _closed() from None
        finally:
            for future in waiting:
                future.cancel()

    def _submit(self, chunk: Chunk) -> Future[tuple[Compiled, ...]]:
        from concurrent.futures import ThreadPoolExecutor

        with self._lock:
            if self._closed:
                raise _closed()
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="bytecode")
            return self._pool.submit(self._compile, chunk)

    def _compile(self, chunk: Chunk) -> tuple[Compiled, ...]:
        for last in (False, True):
            worker = self._take()
            try:
                answers = worker.answer(chunk)
            except _Broken as error:
                reason = str(error)
                self._drop(worker)
                # One may have been killed for its memory; twice is no accident.
                if last or self._closed:
                    raise WherryError(f"Python {self.version} cannot make bytecode: {reason}", hint=_HINT) from None
                continue
            except BaseException:
                self._drop(worker)
                raise
            if worker.forks:
                with self._lock:
                    self._idle.append(worker)
            else:
                self._drop(worker)
            pairs = zip(chunk, answers, strict=True)
            return tuple(Compiled(bytecode_path(one.path, self.tag), data) for one, data in pairs if data)
        raise AssertionError

    def _take(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise _closed()
            if self._idle:
                return self._idle.pop()
        worker = _Worker(self.launch, self.version)
        with self._lock:
            self._running.add(worker)
            closed = self._closed
        if closed:
            self._drop(worker)
            raise _closed()
        return worker

    def _drop(self, worker: _Worker) -> None:
        worker.kill()
        worker.close()
        with self._lock:
            self._running.discard(worker)


class _Worker:
    """One interpreter that runs the worker's script."""

    def __init__(self, launch: Launch, version: str) -> None:
        self._wanted = version
        self._greeted = False
        self.forks = False
        try:
            # Not -I: it would ignore PYTHONHASHSEED. The locale must not decide which paths can be had.
            self._process = launch(["-s", "-S", "-B", "-X", "utf8", "-c", _script()])
        except OSError as error:
            raise WherryError(f"Python {version} cannot be started: {error}", hint=_HINT) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._stdout: IO[bytes] = self._process.stdout

    def answer(self, chunk: Chunk) -> list[bytes]:
        """The bytecode of each source, empty where there is none. Raises :class:`_Broken`."""
        try:
            if not self._greeted:
                self._greet()
            parts = [_number(len(chunk))]
            for source in chunk:
                parts += [_text(source.path.encode("utf-8", "surrogateescape")), _text(source.data)]
            data = b"".join(parts)
            self._stdin.write(_number(len(data)))
            self._stdin.write(data)
            self._stdin.flush()
            return self._read_answer(len(chunk))
        except (OSError, ValueError, struct.error) as error:
            raise _Broken(self._complaint() or str(error)) from error

    def _greet(self) -> None:
        word, version, tag = (self._read_text(256) for _ in range(3))
        protocol, forks, randomised = (self._read_number() for _ in range(3))
        if word != b"wherry-bytecode" or protocol != _PROTOCOL:
            raise _Broken("it does not speak our protocol")
        release = re.match(r"\d+(\.\d+)*", self._wanted)
        wanted = release[0] if release else self._wanted
        if not f"{version.decode()}.".startswith(f"{wanted}."):
            raise _Broken(f"it is Python {version.decode()}")
        if tag.decode() != "cpython-" + "".join(wanted.split(".")[:2]):
            raise _Broken(f"it is not CPython but {tag.decode()}")
        if randomised:
            raise _Broken("it was started without PYTHONHASHSEED=0")
        self.forks = bool(forks)
        self._greeted = True

    def _read_answer(self, count: int) -> list[bytes]:
        data = memoryview(self._read(self._read_number()))
        position, answers = 4, []
        while position < len(data):
            length = struct.unpack_from(">I", data, position)[0]
            position += 4
            answers.append(bytes(data[position : position + length]))
            position += length
        if len(answers) != count or position != len(data):
            raise _Broken("it does not speak our protocol")
        return answers

    def _read_number(self) -> int:
        value: int = struct.unpack(">I", self._read(4))[0]
        return value

    def _read_text(self, most: int) -> bytes:
        length = self._read_number()
        if length > most:
            raise _Broken("it does not speak our protocol")
        return self._read(length)

    def _read(self, count: int) -> bytes:
        data = self._stdout.read(count)
        if len(data) != count:
            raise _Broken(self._complaint() or "it ended without an answer")
        return data

    def _complaint(self) -> str:
        """The last line of what the interpreter said on stderr, if that is a pipe."""
        self.kill()
        if self._process.stderr is None:
            return ""
        with suppress(OSError, ValueError):
            lines = self._process.stderr.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    def kill(self) -> None:
        """End the process."""
        with suppress(OSError):
            self._process.kill()

    def close(self) -> None:
        """Give up what belongs to the process, which has been killed."""
        for stream in (self._stdin, self._stdout, self._process.stderr):
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.close()
        self._process.wait()


def chunks(sources: Iterable[Source]) -> Iterator[Chunk]:
    """``sources`` in order in pieces of about 1 MiB; :data:`LARGEST` limits each source."""
    chunk: list[Source] = []
    size = 0
    for source in sources:
        if len(source.data) > LARGEST:
            continue
        chunk.append(source)
        size += len(source.data)
        if size >= _CHUNK:
            yield tuple(chunk)
            chunk, size = [], 0
    if chunk:
        yield tuple(chunk)


def bytecode_path(path: str, tag: str) -> str:
    """Where the bytecode of the source at ``path`` goes (PEP 3147)."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


def host_launch(executable: str) -> Launch:
    """A :data:`Launch` of an interpreter on this machine."""
    import subprocess

    def launch(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(os.environ),
        )

    return launch


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """``variables`` as a worker needs them."""
    return {**{k: v for k, v in variables.items() if not k.startswith("PYTHON")}, "PYTHONHASHSEED": "0"}


@cache
def _script() -> str:
    return Path(__file__).with_name("bytecode_worker.py").read_text(encoding="utf-8")


def _closed() -> WherryError:
    return WherryError("the build was stopped")


def _number(value: int) -> bytes:
    return struct.pack(">I", value)


def _text(data: bytes) -> bytes:
    return _number(len(data)) + data
