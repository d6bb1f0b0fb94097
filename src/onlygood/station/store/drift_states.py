"""The state of the drift test of each version of a model."""

from __future__ import annotations

from sqlalchemy import delete, select

from onlygood.station.store.database import Database
from onlygood.station.store.tables import DriftRow


class DriftStates:
    """States are saved with the inspections that led to them, by the recorder.

    Args:
        database: with its tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, model_sha256: str) -> str | None:
        """The state as it was saved last; None where there is none.

        Args:
            model_sha256: of the version's file.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._database.reading() as connection:
            return connection.scalar(select(DriftRow.state).where(DriftRow.model_sha256 == model_sha256))

    def forget(self, model_sha256: str) -> None:
        """Begin the test of a version from nothing.

        Args:
            model_sha256: of the version's file.

        Raises:
            StoreError: the database cannot be written.
        """
        with self._database.writing() as connection:
            connection.execute(delete(DriftRow).where(DriftRow.model_sha256 == model_sha256))
