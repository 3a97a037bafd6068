"""A wire to a server that breaks where the test says: it forwards bytes and knows nothing of HTTP."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_PIECE = 1 << 14


@dataclass
class Wire:
    """A way to a server: ``host`` is this end. Each connection takes the next of ``breaks``, as long as there are any.

    A break is the number of bytes after which the connection is reset, on the way up or on the way down.
    """

    host: str
    breaks: list[tuple[str, int]] = field(default_factory=list)
    up: int = 0
    down: int = 0


@contextmanager
def wire(server: str) -> Iterator[Wire]:
    """A wire to ``server`` (``127.0.0.1:PORT``)."""
    name, _, port = server.partition(":")
    listening = socket.create_server(("127.0.0.1", 0))
    made = Wire(f"127.0.0.1:{listening.getsockname()[1]}")
    lock = threading.Lock()
    ends: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def forward(source: socket.socket, sink: socket.socket, way: str, most: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                if most is not None and passed + len(piece) > most:
                    sink.sendall(piece[: most - passed])
                    reset(source)
                    sink.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(piece)
                passed += len(piece)
                with lock:
                    setattr(made, way, getattr(made, way) + len(piece))
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.create_connection((name, int(port)))
                with lock:
                    ends.extend((near, far))
                    way, most = made.breaks.pop(0) if made.breaks else ("", 0)
                for source, sink, which in ((near, far, "up"), (far, near, "down")):
                    limit = most if which == way else None
                    thread = threading.Thread(target=forward, args=(source, sink, which, limit))
                    threads.append(thread)
                    thread.start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield made
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # closing alone wakes nobody
        listening.close()
        accepting.join()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for end in ends:
            end.close()


def reset(end: socket.socket) -> None:
    """End a connection without a word, as a machine does that has gone."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
