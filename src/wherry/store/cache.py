"""The cache index: results by key, in SQLite, each with the blobs that it is worth nothing without."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from wherry.errors import StoreError
from wherry.image.digest import Digest
from wherry.image.json import Json, JsonObject, dump, load_object
from wherry.store.blobs import Blobs
from wherry.store.files import storing

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, value BLOB NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS needs (key TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (key, digest)) WITHOUT ROWID;
"""
_PATIENCE = 30  # seconds to wait for another process
_TOUCH_AFTER = 3600  # seconds; a result's last use is kept to the hour, so that reading rarely writes


class Cache:
    """Results of work by key. A result whose blobs are gone counts as not there."""

    def __init__(self, path: Path, blobs: Blobs) -> None:
        self._path = path
        self._blobs = blobs
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def get(self, key: str) -> JsonObject | None:
        """The result under ``key``, if it is there and complete."""
        with self._lock, _database(self._path):
            connection = self._open()
            row = connection.execute("SELECT value, used FROM results WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            needs = connection.execute("SELECT digest FROM needs WHERE key = ?", (key,)).fetchall()
            if not all(self._blobs.has(Digest(digest)) for (digest,) in needs):
                return None
            now = int(time.time())
            if now - row[1] > _TOUCH_AFTER:
                connection.execute("UPDATE results SET used = ? WHERE key = ?", (now, key))
        return load_object(row[0], f"cache entry {key}")

    def put(self, key: str, value: JsonObject, needs: Iterable[Digest] = ()) -> None:
        """Remember ``value`` under ``key``; it is good for as long as the blobs in ``needs`` are there."""
        data: Json = dict(value)
        with self._lock, _database(self._path):
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                row = (key, dump(data), int(time.time()))
                connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", row)
                connection.execute("DELETE FROM needs WHERE key = ?", (key,))
                connection.executemany("INSERT OR IGNORE INTO needs VALUES (?, ?)", [(key, digest) for digest in needs])
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise

    def forget(self, used_before: float) -> int:
        """Drop the results last used before a time (seconds since 1970); gives their number."""
        with self._lock, _database(self._path):
            connection = self._open()
            count = connection.execute("DELETE FROM results WHERE used < ?", (int(used_before),)).rowcount
            connection.execute("DELETE FROM needs WHERE key NOT IN (SELECT key FROM results)")
            return count

    def needed(self, used_since: float = 0) -> set[Digest]:
        """All blobs that some result needs that was last used since a time (seconds since 1970)."""
        query = "SELECT DISTINCT digest FROM needs JOIN results USING (key) WHERE used >= ?"
        with self._lock, _database(self._path):
            return {Digest(digest) for (digest,) in self._open().execute(query, (int(used_since),))}

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            with storing(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
            # One connection for all threads, under our lock; other processes wait in SQLite.
            connection = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            _begin(connection)
            self._connection = connection
        return self._connection


def _begin(connection: sqlite3.Connection) -> None:
    """Make the database what it should be, if it is new."""
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
        else:
            return


class _database:  # noqa: N801  (a context manager, lighter than a generator on the warm path)
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                with storing(self._path):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise StoreError(
                f"the cache index {self._path} cannot be used: {error}",
                hint="If it is damaged, remove it: it is built anew, images stay.",
            ) from error
