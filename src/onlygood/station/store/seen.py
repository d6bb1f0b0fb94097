"""Which images of folders were inspected, or could not be: none is taken a second time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, select, tuple_, update
from sqlalchemy.orm import aliased

from onlygood.station.store.database import Database
from onlygood.station.store.records import storable
from onlygood.station.store.tables import SeenRow, WatchedFolderRow
from onlygood.station.store.transaction import stored_key

# In one transaction: those who record wait for it.
CHUNK = 500
# A folder, or some of it, may be away for so long, as a drive is that was unplugged.
_AWAY = timedelta(days=7)
# A folder into which nobody has looked for so long is watched no more.
_WATCHED = timedelta(days=365)


class Seen:
    """Keys of images, by their source. Those that were inspected come here with their inspection.

    Args:
        database: with its tables.
        now: the time.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def is_seen(self, source: str, key: str) -> bool:
        """Whether an image was inspected, or marked as one that cannot be read.

        Args:
            source: its name.
            key: of the image.

        Raises:
            StoreError: the database cannot be read.
        """
        found = exists().where(SeenRow.source == storable(source)[:64], SeenRow.key == stored_key(key))
        with self._database.reading() as connection:
            return bool(connection.scalar(select(found)))

    def mark_unreadable(self, source: str, key: str, problem: str) -> None:
        """An image cannot be inspected: it is not tried again, until it changes and has another key.

        Args:
            source: its name.
            key: of the image.
            problem: why, as a sentence.

        Raises:
            StoreError: the database cannot be written.
        """
        values = {
            "source": storable(source)[:64],
            "key": stored_key(key),
            "at": self._now(),
            "inspection_id": None,
            "problem": storable(problem),
        }
        with self._database.writing() as connection:
            statement = self._database.insert(SeenRow).values(**values)
            connection.execute(statement.on_conflict_do_nothing(index_elements=["source", "key"]))

    def problem(self, source: str, key: str) -> str | None:
        """Why an image could not be inspected; None where it could, or was not seen.

        Args:
            source: its name.
            key: of the image.

        Raises:
            StoreError: the database cannot be read.
        """
        query = select(SeenRow.problem).where(SeenRow.source == storable(source)[:64], SeenRow.key == stored_key(key))
        with self._database.reading() as connection:
            return connection.scalar(query)

    def still_there(self, source: str, keys: Sequence[str]) -> None:
        """These are all images that lie in the folder of a source: they are not forgotten for as long as they do.

        Said again and again, it has those forgotten that have not been there for a week.

        Args:
            source: its name.
            keys: of the images.

        Raises:
            StoreError: the database cannot be written.
        """
        name, now = storable(source)[:64], self._now()
        for start in range(0, len(keys), CHUNK):
            some = [stored_key(key) for key in keys[start : start + CHUNK]]
            with self._database.writing() as connection:
                connection.execute(update(SeenRow).where(SeenRow.source == name, SeenRow.key.in_(some)).values(at=now))
        values = {"source": name, "looked_at": now - _AWAY}
        with self._database.writing() as connection:
            statement = self._database.insert(WatchedFolderRow).values(**values)
            connection.execute(statement.on_conflict_do_update(index_elements=["source"], set_=values))

    def forget_some(self, before: datetime) -> int:
        """Forget images that were seen before a moment, at most CHUNK of them, and return how many.

        Those stay that lay in their folder when it was last looked through, or a week before: where they come back,
        they would be taken for new ones.

        Args:
            before: when.

        Raises:
            StoreError: the database cannot be written.
        """
        row = aliased(SeenRow)
        is_there = exists().where(
            WatchedFolderRow.source == row.source,
            WatchedFolderRow.looked_at <= row.at,
            WatchedFolderRow.looked_at > self._now() - _WATCHED,
        )
        old = select(row.source, row.key).where(row.at < before, ~is_there).limit(CHUNK)
        with self._database.writing() as connection:
            return connection.execute(delete(SeenRow).where(tuple_(SeenRow.source, SeenRow.key).in_(old))).rowcount


class SeenIn:
    """The same for one source.

    Args:
        seen: of all sources.
        source: its name.
    """

    def __init__(self, seen: Seen, source: str) -> None:
        self._seen, self._source = seen, source

    def is_seen(self, key: str) -> bool:
        """Whether an image was inspected, or marked as one that cannot be read."""
        return self._seen.is_seen(self._source, key)

    def still_there(self, keys: Sequence[str]) -> None:
        """These are all images that lie in the folder."""
        self._seen.still_there(self._source, keys)
