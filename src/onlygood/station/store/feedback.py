"""What people say of inspections, and the false alarms that are still to be learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import insert, update

from onlygood.errors import NotFoundError
from onlygood.station.schemas import InspectionRecord, Label, Verdict, VersionRates
from onlygood.station.store.database import Database
from onlygood.station.store.model_versions import ModelVersions
from onlygood.station.store.observed_rates import observed_rates
from onlygood.station.store.records import inspection_rows, records_of, storable
from onlygood.station.store.tables import FeedbackRow, InspectionRow, within_64_bits


class FeedbackBook:
    """The latest word on an inspection holds; all are kept.

    Args:
        database: with its tables.
        models: whose guarantees are compared with what people say.
        now: the time.
    """

    def __init__(self, database: Database, models: ModelVersions, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._models = models
        self._now = now

    def add(self, id: int, label: Label, by: str = "", note: str = "") -> InspectionRecord:
        """What a person says of an inspection; returns its record with that.

        Args:
            id: the inspection's number.
            label: good or a defect.
            by: whose token was used.
            note: in words.

        Raises:
            NotFoundError: there is no such inspection.
            StoreError: the database cannot be written.
        """
        row = {"label": label.value, "at": self._now(), "by": storable(by)[:64], "note": storable(note)}
        with self._database.writing() as connection:
            changed = connection.execute(
                update(InspectionRow).where(InspectionRow.id == within_64_bits(id)).values(label=label.value)
            )
            if changed.rowcount == 0:
                raise NotFoundError(f"inspection {id} must be one that is remembered, and is none: look in the history")
            connection.execute(insert(FeedbackRow).values(inspection_id=id, **row))
            query = inspection_rows().where(InspectionRow.id == id)
            return records_of(connection, connection.execute(query))[0]

    def review(self, model: str, *, limit: int = 1000) -> list[InspectionRecord]:
        """False alarms that a person marked good and no version has learned from, the oldest first; images are kept.

        Args:
            model: whose.
            limit: at most so many.

        Raises:
            StoreError: the database cannot be read.
        """
        query = (
            inspection_rows()
            .where(
                InspectionRow.model == model,
                InspectionRow.label == Label.GOOD.value,
                InspectionRow.verdict == Verdict.ANOMALOUS.value,
                InspectionRow.learned_in.is_(None),
                InspectionRow.has_image,
            )
            .order_by(InspectionRow.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return records_of(connection, connection.execute(query))

    def learned(self, ids: Sequence[int], version: int) -> None:
        """A version of the model has learned from these images: they leave the review list.

        Args:
            ids: of inspections.
            version: its number.

        Raises:
            StoreError: the database cannot be written.
        """
        if not ids:
            return
        with self._database.writing() as connection:
            connection.execute(update(InspectionRow).where(InspectionRow.id.in_(ids)).values(learned_in=version))

    def rates(self, model: str) -> list[VersionRates]:
        """How the guarantee of each version that inspected an image is doing, the newest version first.

        Args:
            model: its name.

        Raises:
            StoreError: the database cannot be read.
        """
        return observed_rates(self._database, model, self._models.versions(model))
