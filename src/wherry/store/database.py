"""The store's SQLite file: one connection for all threads, under one lock; other processes wait in SQLite."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherry.errors import StoreError
from wherry.store.files import storing

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, value BLOB NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS needs (key TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (key, digest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS origins (
    digest TEXT NOT NULL, place TEXT NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (digest, place)
) WITHOUT ROWID;
"""
_PATIENCE = 30  # seconds to wait for another process


class Database:
    """A context manager: within it the connection is the caller's alone.

    Raises :class:`StoreError` for a file that is damaged, or a disk that is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> sqlite3.Connection:
        self._lock.acquire()
        try:
            if self._connection is None:
                with storing(self.path):
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = self._open()
        except BaseException as error:
            self._lock.release()
            self._explain(error)
            raise
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._lock.release()
        if error is not None:
            self._explain(error)

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """As the database itself; what is done within the block is done as a whole, or not at all."""
        with self as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file; a later use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.executescript(_SCHEMA)
            except sqlite3.OperationalError as error:
                # Where two begin or end at once, SQLite lets one fail at once instead of waiting.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    connection.close()
                    raise
                time.sleep(0.01)
            except BaseException:
                connection.close()
                raise
            else:
                return connection

    def _explain(self, error: BaseException) -> None:
        """Raise what SQLite says as an error of the store."""
        if not isinstance(error, sqlite3.Error):
            return
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            with storing(self.path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise StoreError(
            f"the cache index {self.path} cannot be used: {error}",
            hint="If it is damaged, remove it: it is built anew, images stay.",
        ) from error
