"""Which image files some row of the database still names."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import exists, or_, select

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
