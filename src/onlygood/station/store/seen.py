"""Which images of folders were inspected, or could not be: none is taken a second time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import exists, select

from onlygood.station.store.database import Database
from onlygood.station.store.records import storable
from onlygood.station.store.tables import SeenRow
from onlygood.station.store.transaction import stored_key


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
