"""What was inspected, one by one and page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Unpack

from sqlalchemy import func, select

from onlygood.errors import NotFoundError
from onlygood.station.schemas import InspectionPage, InspectionRecord
from onlygood.station.store.database import Database
from onlygood.station.store.filters import Filters, Wanted, narrowed
from onlygood.station.store.images import Images
from onlygood.station.store.records import inspection_rows, records_of
from onlygood.station.store.tables import InspectionRow, within_64_bits

# A whole number in the tables has 64 bits.
MOST_ID = 2**63 - 1
# In one transaction of those that read everything.
CHUNK = 500


class Inspections:
    """The inspections of a station.

    Args:
        database: with its tables.
        images: the files.
    """

    def __init__(self, database: Database, images: Images) -> None:
        self._database = database
        self._images = images

    def get(self, id: int) -> InspectionRecord:
        """One inspection with its latest feedback.

        Args:
            id: its number.

        Raises:
            NotFoundError: there is none of that number, or it was let go.
            StoreError: the database cannot be read.
        """
        found = self.some([id])
        if not found:
            raise NotFoundError(
                f"inspection {id} must be one that is remembered, and it is none of those: look in the history"
            )
        return found[0]

    def some(self, ids: Sequence[int]) -> list[InspectionRecord]:
        """Those that are there of some, in the order of their numbers.

        Args:
            ids: some hundreds at most.

        Raises:
            StoreError: the database cannot be read.
        """
        possible = [within_64_bits(id) for id in ids]
        if not possible:
            return []
        with self._database.reading() as connection:
            query = inspection_rows().where(InspectionRow.id.in_(possible)).order_by(InspectionRow.id)
            return records_of(connection, connection.execute(query))

    def page(self, *, before: int | None = None, limit: int = 50, **wanted: Unpack[Wanted]) -> InspectionPage:
        """The newest inspections first, as far as everything holds of them that is given.

        Args:
            before: only those with smaller numbers.
            limit: at most so many.
            wanted: what `Filters` has.

        Raises:
            StoreError: the database cannot be read.
        """
        filters = Filters(**wanted)
        query = narrowed(inspection_rows(), filters).order_by(InspectionRow.id.desc()).limit(limit + 1)
        if before is not None:
            query = query.where(InspectionRow.id < min(max(before, 0), MOST_ID))
        with self._database.reading() as connection:
            found = records_of(connection, connection.execute(query))
        more = len(found) > limit
        return InspectionPage(inspections=tuple(found[:limit]), next_before=found[limit - 1].id if more else None)

    def count(self, *, most: int | None = None, **wanted: Unpack[Wanted]) -> int:
        """How many there are.

        Args:
            most: at which number it stops; None to go through all of them.
            wanted: what `Filters` has.

        Raises:
            StoreError: the database cannot be read.
        """
        query = narrowed(select(InspectionRow.id), Filters(**wanted))
        if most is not None:
            query = query.limit(most)
        with self._database.reading() as connection:
            return connection.scalar(select(func.count()).select_from(query.subquery())) or 0

    def image(self, id: int) -> tuple[bytes, str] | None:
        """The bytes of an inspection's image and the suffix of its file; None where it is not kept.

        Args:
            id: the inspection's number.

        Raises:
            StoreError: the database or the file cannot be read, or the file is damaged.
        """
        with self._database.reading() as connection:
            query = select(InspectionRow.image_sha256, InspectionRow.image_suffix).where(InspectionRow.has_image)
            row = connection.execute(query.where(InspectionRow.id == within_64_bits(id))).first()
        content = None if row is None or row.image_sha256 is None else self._images.read(row.image_sha256)
        return None if row is None or content is None else (content, row.image_suffix)

    def each(self, **wanted: Unpack[Wanted]) -> Iterator[InspectionRecord]:
        """All that are meant, the oldest first, without a transaction that is held open for the whole time.

        Args:
            wanted: what `Filters` has.

        Raises:
            StoreError: the database cannot be read.
        """
        filters = Filters(**wanted)
        after = 0
        while True:
            query = narrowed(inspection_rows(), filters).where(InspectionRow.id > after)
            with self._database.reading() as connection:
                found = records_of(connection, connection.execute(query.order_by(InspectionRow.id).limit(CHUNK)))
            yield from found
            if len(found) < CHUNK:
                return
            after = found[-1].id
