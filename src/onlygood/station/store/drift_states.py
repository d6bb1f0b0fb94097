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

    def save(self, model_sha256: str, state: str) -> None:
        """Keep a state that comes with no inspection, as when a test begins again.

        Args:
            model_sha256: of the version's file.
            state: of its test.

        Raises:
            StoreError: the database cannot be written.
        """
        with self._database.writing() as connection:
            statement = self._database.insert(DriftRow).values(model_sha256=model_sha256, state=state)
            connection.execute(statement.on_conflict_do_update(index_elements=["model_sha256"], set_={"state": state}))

    def forget(self, model_sha256: str) -> None:
        """Begin the test of a version from nothing.

        Args:
            model_sha256: of the version's file.

        Raises:
            StoreError: the database cannot be written.
        """
        with self._database.writing() as connection:
            connection.execute(delete(DriftRow).where(DriftRow.model_sha256 == model_sha256))
