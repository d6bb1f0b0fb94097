"""Which image files some row of the database still names, and what they take."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import exists, func, or_, select

from onlygood.station.store.database import Database
from onlygood.station.store.tables import InspectionRow, TaughtImageRow


def is_needed(database: Database) -> Callable[[str], bool]:
    """A function that says whether an inspection or a taught image has the file of a digest.

    Args:
        database: with its tables.
    """

    def asked(digest: str) -> bool:
        of_inspection = exists().where(InspectionRow.image_sha256 == digest, InspectionRow.has_image)
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
    of_inspections = select(InspectionRow.image_sha256, InspectionRow.image_bytes).where(InspectionRow.has_image)
    files = of_inspections.union(select(TaughtImageRow.image_sha256, TaughtImageRow.image_bytes)).subquery()
    with database.reading() as connection:
        return int(connection.scalar(select(func.sum(files.c.image_bytes))) or 0)
