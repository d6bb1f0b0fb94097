"""What was inspected, one by one and page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select

from onlygood.station.schemas import InspectionPage, InspectionRecord, Label, Verdict
from onlygood.station.store.database import Database
from onlygood.station.store.filters import Filters, narrowed
from onlygood.station.store.images import Images
from onlygood.station.store.records import inspection_rows, records_of
from onlygood.station.store.tables import InspectionRow

# SQLite's whole numbers have 64 bits; so have those of PostgreSQL.
MOST_ID = 2**63 - 1
_CHUNK = 500


class Inspections:
    """The inspections of a station.

    Args:
        database: with its tables.
        images: the files.
    """

    def __init__(self, database: Database, images: Images) -> None:
        self._database = database
        self._images = images

    def get(self, id: int) -> InspectionRecord | None:
        """One inspection with its latest feedback; None where there is none of that number, or it was let go.

        Args:
            id: its number.

        Raises:
            StoreError: the database cannot be read.
        """
        return next(iter(self.some([id])), None)

    def some(self, ids: Sequence[int]) -> list[InspectionRecord]:
        """Those that are there of some, in the order of their numbers.

        Args:
            ids: some hundreds at most.

        Raises:
            StoreError: the database cannot be read.
        """
        possible = [id for id in ids if 0 < id <= MOST_ID]
        if not possible:
            return []
        with self._database.reading() as connection:
            query = inspection_rows().where(InspectionRow.id.in_(possible)).order_by(InspectionRow.id)
            return records_of(connection, connection.execute(query))

    def page(
        self,
        *,
        before: int | None = None,
        limit: int = 50,
        model: str | None = None,
        verdict: Verdict | None = None,
        label: Label | Literal["any", "none"] | None = None,
        source: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        name: str | None = None,
        has_notes: bool | None = None,
    ) -> InspectionPage:
        """The newest inspections first, as far as everything holds of them that is given.

        Args:
            before: only those with smaller numbers.
            limit: at most so many.
            model: was asked.
            verdict: was told.
            label: is what a person said; "any" for those that were marked, "none" for the others.
            source: they came from.
            since: made then or later.
            until: made before that.
            name: is part of theirs.
            has_notes: whether there is something in them as in no good image.

        Raises:
            StoreError: the database cannot be read.
        """
        filters = Filters(
            model=model,
            verdict=verdict,
            label=label,
            source=source,
            since=since,
            until=until,
            name=name,
            has_notes=has_notes,
        )
        query = narrowed(inspection_rows(), filters).order_by(InspectionRow.id.desc()).limit(limit + 1)
        if before is not None:
            query = query.where(InspectionRow.id < min(max(before, 0), MOST_ID))
        with self._database.reading() as connection:
            found = records_of(connection, connection.execute(query))
        more = len(found) > limit
        return InspectionPage(inspections=tuple(found[:limit]), next_before=found[limit - 1].id if more else None)

    def count(self, filters: Filters = Filters(), *, most: int | None = None) -> int:  # noqa: B008 - it never changes
        """How many there are.

        Args:
            filters: which.
            most: at which number it stops; None to go through all of them.

        Raises:
            StoreError: the database cannot be read.
        """
        query = narrowed(select(InspectionRow.id), filters)
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
        if not 0 < id <= MOST_ID:
            return None
        with self._database.reading() as connection:
            query = select(InspectionRow.image_sha256, InspectionRow.image_suffix)
            row = connection.execute(query.where(InspectionRow.id == id, InspectionRow.has_image)).first()
        content = None if row is None or row.image_sha256 is None else self._images.read(row.image_sha256)
        return None if row is None or content is None else (content, row.image_suffix)

    def each(self, filters: Filters = Filters(), *, most: int | None = None) -> Iterator[InspectionRecord]:  # noqa: B008
        """All that are meant, the oldest first, without a transaction that is held open for the whole time.

        Args:
            filters: which.
            most: at most so many.

        Raises:
            StoreError: the database cannot be read.
        """
        after, given = 0, 0
        while most is None or given < most:
            limit = _CHUNK if most is None else min(_CHUNK, most - given)
            query = narrowed(inspection_rows(), filters).where(InspectionRow.id > after)
            with self._database.reading() as connection:
                found = records_of(connection, connection.execute(query.order_by(InspectionRow.id).limit(limit)))
            yield from found
            given += len(found)
            if len(found) < limit:
                return
            after = found[-1].id
