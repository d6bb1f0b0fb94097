"""Fits and updates, so that what became of them is known after a restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, insert, select, update

from onlygood.errors import NotFoundError
from onlygood.station.schemas import Job, JobState
from onlygood.station.store.database import Database
from onlygood.station.store.records import storable
from onlygood.station.store.tables import JobRow, within_64_bits

_UNFINISHED = tuple(state.value for state in JobState if not state.is_over)


class JobBook:
    """The jobs of a station. How far one is at this moment is known to those who run it alone.

    Args:
        database: with its tables.
        now: the time.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def add(self, kind: Literal["fit", "update"], model: str, request: Mapping[str, Any]) -> Job:
        """A new job, queued.

        Args:
            kind: of the job.
            model: its name.
            request: what was asked for, as plain JSON values.

        Raises:
            StoreError: the database cannot be written.
        """
        values = {
            "kind": kind,
            "model": model,
            "state": JobState.QUEUED.value,
            "at": self._now(),
            "request": dict(request),
            "notes": [],
        }
        with self._database.writing() as connection:
            id = connection.scalars(insert(JobRow).values(**values).returning(JobRow.id)).one()
            return _of(connection.execute(select(JobRow.__table__).where(JobRow.id == id)).one())

    def update(
        self,
        id: int,
        state: JobState,
        *,
        problem: str | None = None,
        notes: Sequence[str] = (),
        version: int | None = None,
    ) -> Job:
        """What became of a job.

        Args:
            id: its number.
            state: that it is in now.
            problem: why it failed.
            notes: on what came out.
            version: of the model, that it made.

        Raises:
            NotFoundError: there is no such job.
            StoreError: the database cannot be written.
        """
        values = {
            "state": state.value,
            "problem": None if problem is None else storable(problem),
            "notes": [storable(note) for note in notes],
            "version": version,
            "ended_at": self._now() if state.is_over else None,
        }
        with self._database.writing() as connection:
            connection.execute(update(JobRow).where(JobRow.id == within_64_bits(id)).values(**values))
            row = connection.execute(select(JobRow.__table__).where(JobRow.id == within_64_bits(id))).first()
        return _found(row, id)

    def get(self, id: int) -> Job:
        """One job.

        Args:
            id: its number.

        Raises:
            NotFoundError: there is none of that number.
            StoreError: the database cannot be read.
        """
        with self._database.reading() as connection:
            row = connection.execute(select(JobRow.__table__).where(JobRow.id == within_64_bits(id))).first()
        return _found(row, id)

    def request(self, id: int) -> dict[str, Any]:
        """What was asked of a job; empty where there is none of that number.

        Args:
            id: its number.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._database.reading() as connection:
            return connection.scalar(select(JobRow.request).where(JobRow.id == within_64_bits(id))) or {}

    def list(self, *, model: str | None = None, limit: int = 50) -> list[Job]:
        """The newest jobs first.

        Args:
            model: whose; None for all.
            limit: at most so many.

        Raises:
            StoreError: the database cannot be read.
        """
        query = select(JobRow.__table__).order_by(JobRow.id.desc()).limit(limit)
        if model is not None:
            query = query.where(JobRow.model == model)
        with self._database.reading() as connection:
            return [_of(row) for row in connection.execute(query)]

    def interrupt_unfinished(self) -> int:
        """Jobs that were queued or ran when the station ended become interrupted; returns how many there were.

        Raises:
            StoreError: the database cannot be written.
        """
        values = {
            "state": JobState.INTERRUPTED.value,
            "problem": "the station ended before the job did: start it again",
            "ended_at": self._now(),
        }
        with self._database.writing() as connection:
            return connection.execute(update(JobRow).where(JobRow.state.in_(_UNFINISHED)).values(**values)).rowcount


def _found(row: Row[Any] | None, id: int) -> Job:
    if row is None:
        raise NotFoundError(f"a job must be one that is remembered, got {id}: ask for the list of jobs")
    return _of(row)


def _of(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        kind=row.kind,
        model=row.model,
        state=JobState(row.state),
        at=row.at,
        ended_at=row.ended_at,
        problem=row.problem,
        notes=tuple(row.notes),
        version=row.version,
    )
