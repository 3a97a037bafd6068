"""The cache index: results by key, each with the blobs that it is worth nothing without."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from wherry.image.digest import Digest
from wherry.image.json import Json, JsonObject, dump, load_object
from wherry.store.database import Database

PARTS = "parts"
"""Where a result lists the keys of others that it was made of."""

_TOUCH_AFTER = 3600  # seconds; a result's last use is kept to the hour, so that reading rarely writes

Lender = Callable[[str], tuple[JsonObject, Sequence[Digest]] | None]
"""Gives the result that somebody else has under a key, and the blobs that it needs."""


class Cache:
    """Results of work by key. A result whose blobs cannot be had any more counts as not there.

    ``obtainable`` says which can.
    """

    def __init__(self, database: Database, obtainable: Callable[[Digest], bool]) -> None:
        self._database = database
        self._obtainable = obtainable
        self._watching: list[set[str]] = []
        self._lenders: list[Lender] = []

    def get(self, key: str) -> JsonObject | None:
        """The result under ``key``, if it is there and complete."""
        found = self._own(key)
        if found is None:
            return self._borrowed(key) if self._lenders else None
        self._saw(key)
        return load_object(found, f"cache entry {key}")

    def _own(self, key: str) -> bytes | None:
        with self._database as connection:
            row = connection.execute("SELECT value, used FROM results WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            needs = connection.execute("SELECT digest FROM needs WHERE key = ?", (key,)).fetchall()
            now = int(time.time())
            if now - row[1] > _TOUCH_AFTER:
                connection.execute("UPDATE results SET used = ? WHERE key = ?", (now, key))
        value: bytes = row[0]
        return value if all(self._obtainable(Digest(digest)) for (digest,) in needs) else None

    def _borrowed(self, key: str) -> JsonObject | None:
        """The result that a lender has; kept, as the next build may come without."""
        for lender in self._lenders:
            lent = lender(key)
            if lent is not None and all(map(self._obtainable, lent[1])):
                self.put(key, *lent)
                return lent[0]
        return None

    def put(self, key: str, value: JsonObject, needs: Iterable[Digest] = ()) -> None:
        """Remember ``value`` under ``key``; it is good for as long as the blobs in ``needs`` can be had."""
        data: Json = dict(value)
        with self._database.changing() as connection:
            row = (key, dump(data), int(time.time()))
            connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", row)
            connection.execute("DELETE FROM needs WHERE key = ?", (key,))
            connection.executemany("INSERT OR IGNORE INTO needs VALUES (?, ?)", [(key, digest) for digest in needs])
        self._saw(key)

    @contextmanager
    def watched(self) -> Iterator[set[str]]:
        """The keys of all results that are used or made within the block, by any thread."""
        keys: set[str] = set()
        self._watching.append(keys)
        try:
            yield keys
        finally:
            self._watching.remove(keys)

    @contextmanager
    def borrowing(self, lender: Lender) -> Iterator[None]:
        """Within the block, ``lender`` is asked for what is not here."""
        self._lenders.append(lender)
        try:
            yield
        finally:
            self._lenders.remove(lender)

    def needs(self, key: str) -> tuple[Digest, ...]:
        """The blobs that the result under ``key`` is worth nothing without."""
        with self._database as connection:
            rows = connection.execute("SELECT digest FROM needs WHERE key = ? ORDER BY digest", (key,)).fetchall()
        return tuple(Digest(digest) for (digest,) in rows)

    def forget(self, used_before: float) -> int:
        """Drop the results last used before a time (seconds since 1970); gives their number."""
        with self._database as connection:
            count = connection.execute("DELETE FROM results WHERE used < ?", (int(used_before),)).rowcount
            connection.execute("DELETE FROM needs WHERE key NOT IN (SELECT key FROM results)")
            return count

    def needed(self, used_since: float = 0) -> set[Digest]:
        """All blobs that some result needs that was last used since a time (seconds since 1970)."""
        query = "SELECT DISTINCT digest FROM needs JOIN results USING (key) WHERE used >= ?"
        with self._database as connection:
            return {Digest(digest) for (digest,) in connection.execute(query, (int(used_since),))}

    def _saw(self, key: str) -> None:
        for keys in self._watching:
            keys.add(key)
