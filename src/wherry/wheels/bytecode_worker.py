"""Compiles Python sources to bytecode for another program: one request after the other over stdin and stdout.

Wherry never imports this file: its text is given to the image's interpreter with ``-c``, so it uses the standard
library alone, in the oldest syntax that an image may have, and shares no files with whoever runs it.

What :mod:`marshal` writes depends on which strings and constants the process already holds. So every request is
served by a fork of the same untouched process: its answer depends on the request alone. Where there is no fork, the
process serves one request and ends.

Numbers are 4 bytes, most significant first; texts and data follow their length.

    greeting   "wherry-bytecode", version of this protocol, full Python version, cache tag, 1 if it can fork else 0,
               1 if hashes are randomised else 0
    request    its length; number of files; for each: path, source
    answer     its length; number of files; for each: bytecode file, empty if the source does not compile
"""

# ruff: noqa: E402
from __future__ import annotations

import sys

sys.path = [folder for folder in sys.path if folder]  # -c has put the working directory there; nothing is ours in it

import gc
import importlib.util
import marshal
import os
import signal
import struct
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    File = tuple[bytes, bytes]

PROTOCOL = 1
CPU_SECONDS = 120  # for one request; a source that needs more is not compiled
UNCHECKED_HASH = 1  # PEP 552: the flags of a file that is used without looking at its source


def number(value: int) -> bytes:
    return struct.pack(">I", value)


def text(value: bytes) -> bytes:
    return number(len(value)) + value


def read(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def read_request(stream: IO[bytes]) -> list[File]:
    data = memoryview(read(stream, struct.unpack(">I", read(stream, 4))[0]))
    parts = []
    position = 4
    while position < len(data):
        length = struct.unpack_from(">I", data, position)[0]
        position += 4
        parts.append(bytes(data[position : position + length]))
        position += length
    return list(zip(parts[::2], parts[1::2]))  # noqa: B905


def compiled(path: bytes, source: bytes) -> bytes:
    try:
        code = compile(source, path.decode("utf-8", "surrogateescape"), "exec", dont_inherit=True, optimize=0)
        data = marshal.dumps(code)
    except Exception:  # also RecursionError and MemoryError: such a source is left as it is, as pip leaves it
        return b""
    head = importlib.util.MAGIC_NUMBER + struct.pack("<I", UNCHECKED_HASH)
    return head + importlib.util.source_hash(source) + data


def answer(files: list[File]) -> bytes:
    return b"".join(text(compiled(path, source)) for path, source in files)


def forked(files: list[File]) -> bytes | None:
    """The answer of a child process, or None if that dies."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            for descriptor in (0, 1, reader):  # who waits for our parent's end must not wait for ours
                os.close(descriptor)
            if hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # its signal ends the process
            with open(writer, "wb") as stream:  # noqa: PTH123
                stream.write(answer(files))
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:  # noqa: PTH123
        data = stream.read()
    return data if os.waitpid(child, 0)[1] == 0 else None


def answer_safely(files: list[File]) -> bytes:
    """The answer, each file by itself if one of them kills the compiler."""
    data = forked(files)
    if data is not None:
        return data
    if len(files) == 1:
        return text(b"")
    return b"".join(answer_safely([file]) for file in files)


def main() -> None:
    can_fork = hasattr(os, "fork")
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end of stdin tells us to go
    warnings.simplefilter("ignore")
    gc.disable()
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    version = ".".join(map(str, sys.version_info[:3]))
    for word in (b"wherry-bytecode", version.encode(), sys.implementation.cache_tag.encode()):
        stdout.write(text(word))
    stdout.write(number(PROTOCOL) + number(can_fork) + number(sys.flags.hash_randomization))
    stdout.flush()
    try:
        while True:
            files = read_request(stdin)
            data = number(len(files)) + (answer_safely(files) if can_fork else answer(files))
            stdout.write(number(len(data)) + data)
            stdout.flush()
            if not can_fork:
                break
    except (EOFError, BrokenPipeError):
        pass
    os._exit(0)  # nothing is left to flush, and nobody listens


if __name__ == "__main__":
    main()
