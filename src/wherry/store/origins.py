"""Where blobs can be had that are not here: repositories of registries, and folders of shared caches.

A layer of a base that nothing has read, or of a result that another machine has made, is known by its digest alone;
whoever wants its bytes has :meth:`~wherry.store.blobs.Blobs.bring` fetch them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wherry.image.digest import Digest
from wherry.store.database import Database


@dataclass(frozen=True, slots=True)
class Origin:
    """A place that has the blob ``digest`` of ``size`` bytes.

    ``place`` is ``docker://HOST[:PORT]/PATH``, a repository, or ``oci:DIR``, the absolute path of an image layout.
    """

    digest: Digest
    place: str
    size: int


class Origins:
    """What is known of other places. That a blob is there was so once; it may be gone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, origins: Iterable[Origin]) -> None:
        """Remember where blobs are."""
        rows = [(one.digest, one.place, one.size) for one in origins]
        if rows:
            with self._database.changing() as connection:
                connection.executemany("INSERT OR REPLACE INTO origins VALUES (?, ?, ?)", rows)

    def of(self, digest: Digest) -> tuple[Origin, ...]:
        """Where the blob is."""
        with self._database as connection:
            query = "SELECT place, size FROM origins WHERE digest = ? ORDER BY place"
            rows = connection.execute(query, (digest,)).fetchall()
        return tuple(Origin(digest, place, size) for place, size in rows)

    def forget(self, origin: Origin) -> None:
        """Drop what has turned out to be wrong."""
        with self._database as connection:
            connection.execute("DELETE FROM origins WHERE digest = ? AND place = ?", (origin.digest, origin.place))

    def keep(self, needed: Iterable[Digest]) -> None:
        """Drop all but what concerns ``needed`` blobs."""
        with self._database.changing() as connection:
            known = {digest for (digest,) in connection.execute("SELECT DISTINCT digest FROM origins")}
            gone = [(digest,) for digest in known - {*needed}]
            connection.executemany("DELETE FROM origins WHERE digest = ?", gone)
