"""What outputs were not told of yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import delete, func, select

from onlygood.station.schemas import InspectionRecord
from onlygood.station.store.database import Database
from onlygood.station.store.records import inspection_rows, records_of
from onlygood.station.store.tables import InspectionRow, OutboxRow


class OutboxTable:
    """Verdicts that wait for the other side; they were put here in the transaction that recorded them.

    Args:
        database: with its tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._problems: dict[str, str] = {}

    def waiting(self, output: str, limit: int = 100) -> list[InspectionRecord]:
        """Those that an output was not told of yet, the oldest first.

        Args:
            output: its name.
            limit: at most so many.

        Raises:
            StoreError: the database cannot be read.
        """
        oldest = (
            select(OutboxRow.inspection_id)
            .where(OutboxRow.output == output)
            .order_by(OutboxRow.inspection_id)
            .limit(limit)
        )
        query = inspection_rows().where(InspectionRow.id.in_(oldest)).order_by(InspectionRow.id)
        with self._database.reading() as connection:
            return records_of(connection, connection.execute(query))

    def delivered(self, output: str, ids: Sequence[int]) -> None:
        """An output has taken some: they wait no more.

        Args:
            output: its name.
            ids: of inspections.

        Raises:
            StoreError: the database cannot be written; they will be delivered a second time.
        """
        if not ids:
            return
        with self._database.writing() as connection:
            connection.execute(delete(OutboxRow).where(OutboxRow.output == output, OutboxRow.inspection_id.in_(ids)))
        self._problems.pop(output, None)

    def failed(self, output: str, sentence: str) -> None:
        """Why an output takes nothing now; what waits for it waits on.

        Args:
            output: its name.
            sentence: what is wrong.
        """
        self._problems[output] = sentence

    def problem(self, output: str) -> str | None:
        """Why an output took nothing when it was last tried since the station began; None where it did.

        Args:
            output: its name.
        """
        return self._problems.get(output)

    def count(self, output: str) -> int:
        """How many wait for an output.

        Args:
            output: its name.

        Raises:
            StoreError: the database cannot be read.
        """
        query = select(func.count()).select_from(OutboxRow).where(OutboxRow.output == output)
        with self._database.reading() as connection:
            return connection.scalar(query) or 0

    def keep_only(self, outputs: Collection[str]) -> int:
        """Let go of what waits for outputs that are no more; returns how many that were.

        Args:
            outputs: the names of those that there are.

        Raises:
            StoreError: the database cannot be written.
        """
        with self._database.writing() as connection:
            return connection.execute(delete(OutboxRow).where(OutboxRow.output.not_in(list(outputs)))).rowcount
