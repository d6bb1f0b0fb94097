"""Which image files some row of the database still names, and what they take."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlalchemy import exists, func, or_, select

from onlygood.station.store.database import Database
from onlygood.station.store.tables import InspectionRow, TaughtImageRow


def is_needed(database: Database, *, but: Collection[int] = ()) -> Callable[[str], bool]:
    """A function that says whether an inspection or a taught image has the file of a digest.

    Args:
        database: with its tables.
        but: numbers of inspections that are about to be without theirs.
    """

    def asked(digest: str) -> bool:
        of_inspection = exists().where(
            InspectionRow.image_sha256 == digest, InspectionRow.has_image, InspectionRow.id.not_in(but)
        )
        of_taught = exists().where(TaughtImageRow.image_sha256 == digest)
        with database.reading() as connection:
            return bool(connection.scalar(select(or_(of_inspection, of_taught))))

    return asked


def kept_bytes(database: Database) -> int:
    """What all files take that some row names, each once.

    Args:
        database: with its tables.

    Raises:
        StoreError: it cannot be read.
    """
    # Both from an index alone: a station that has run for a year would start slowly otherwise.
    files = (
        select(func.max(InspectionRow.image_bytes).label("bytes"))
        .where(InspectionRow.has_image)
        .group_by(InspectionRow.image_sha256)
        .subquery()
    )
    is_of_inspection = exists().where(
        InspectionRow.image_sha256 == TaughtImageRow.image_sha256, InspectionRow.has_image
    )
    taught = (
        select(func.max(TaughtImageRow.image_bytes).label("bytes"))
        .where(~is_of_inspection)
        .group_by(TaughtImageRow.image_sha256)
        .subquery()
    )
    with database.reading() as connection:
        return sum(int(connection.scalar(select(func.sum(each.c.bytes))) or 0) for each in (files, taught))
