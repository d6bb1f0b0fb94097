"""What was inspected, one by one and page by page."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Unpack, cast

from sqlalchemy import func, select

from onlygood.errors import NotFoundError
from onlygood.station.schemas import InspectionPage, InspectionRecord, Label
from onlygood.station.store.database import Database
from onlygood.station.store.export import Into, IntoFolder, IntoZip, Sink, put_set, table_lines
from onlygood.station.store.filters import Filters, Wanted, narrowed
from onlygood.station.store.images import Images
from onlygood.station.store.records import inspection_rows, records_of
from onlygood.station.store.tables import InspectionRow, within_64_bits
from onlygood.station.store.taught import taught_with_suffixes

# A whole number in the tables has 64 bits.
MOST_ID = 2**63 - 1
# In one transaction of those that read everything.
CHUNK = 500


class Inspections:
    """The inspections of a station.

    Args:
        database: with its tables.
        images: the files.
        now: the time.
    """

    def __init__(self, database: Database, images: Images, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._images = images
        self._now = now

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
            raise NotFoundError(f"inspection {id} must be one that is remembered, and is none: look in the history")
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

    def marked_defect(self, digests: Sequence[str]) -> set[str]:
        """Which of some images a person has called a defect, in any inspection of them.

        Args:
            digests: of the images' files.

        Raises:
            StoreError: the database cannot be read.
        """
        found: set[str] = set()
        with self._database.reading() as connection:
            for begin in range(0, len(digests), CHUNK):
                query = select(InspectionRow.image_sha256).where(
                    InspectionRow.label == Label.DEFECT.value,
                    InspectionRow.image_sha256.in_(digests[begin : begin + CHUNK]),
                )
                found.update(digest for digest in connection.scalars(query) if digest is not None)
        return found

    def each(self, **wanted: Unpack[Wanted]) -> Iterator[InspectionRecord]:
        """All that are meant, the oldest first, without a transaction that is held open for the whole time.

        Args:
            wanted: what `Filters` has.

        Raises:
            StoreError: the database cannot be read.
        """
        return (record for record, _ in self._each(Filters(**wanted)))

    def export_csv(self, **wanted: Unpack[Wanted]) -> Iterator[str]:
        """A CSV file with one inspection a line, the oldest first, as it is written; safe in spreadsheets.

        Args:
            wanted: what `Filters` has.

        Raises:
            StoreError: the database cannot be read.
        """
        return table_lines(self.each(**wanted))

    def export_mvtec(self, to: Path | BinaryIO, **wanted: Unpack[Wanted]) -> None:
        """Images whose truth is known, in MVTec's layout: see `put_set` for what goes where.

        Args:
            to: a folder that is empty or not there, or a stream for a ZIP file.
            wanted: what `Filters` has; of it the model holds of taught images too, and with anything else they stay
                out.

        Raises:
            StoreError: the database or an image cannot be read, or the folder cannot be written.
        """
        if isinstance(to, str | os.PathLike):
            for _ in self._set(IntoFolder(Path(to)), Filters(**wanted)):
                pass
            return
        into = IntoZip(to)
        for _ in self._set(into, Filters(**wanted)):
            pass
        into.close()

    def mvtec_zip(self, **wanted: Unpack[Wanted]) -> Iterator[bytes]:
        """The same as the bytes of a ZIP file, as it is made.

        Args:
            wanted: what `Filters` has.

        Raises:
            StoreError: the database or an image cannot be read.
        """
        sink = Sink()
        into = IntoZip(cast(BinaryIO, sink))
        for _ in self._set(into, Filters(**wanted)):
            yield sink.given()
        into.close()
        yield sink.given()

    def _set(self, into: Into, filters: Filters) -> Iterator[None]:
        marked = self._each(replace(filters, label=filters.label or "any")) if filters.label != "none" else iter(())
        is_of_model_alone = replace(filters, model=None, label=None) == Filters()
        with self._database.reading() as connection:
            taught = taught_with_suffixes(connection, filters.model)
        return put_set(
            into,
            marked=marked,
            taught=taught,
            with_taught=is_of_model_alone and filters.label in (None, "any", Label.GOOD),
            content=self._images.read,
            at=self._now(),
        )

    def _each(self, filters: Filters) -> Iterator[tuple[InspectionRecord, str]]:
        """Records with the suffixes of their images' files, in chunks of a transaction each."""
        after = 0
        while True:
            query = narrowed(inspection_rows(), filters).where(InspectionRow.id > after)
            with self._database.reading() as connection:
                rows = connection.execute(query.order_by(InspectionRow.id).limit(CHUNK)).all()
                records = records_of(connection, rows)
            yield from zip(records, [row.image_suffix for row in rows], strict=True)
            if len(rows) < CHUNK:
                return
            after = rows[-1].id
