"""The model files that are or were served, their versions, and which of them is active."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select

from onlygood._files import make_folder, write_atomically
from onlygood.errors import NotFoundError, StoreError, WriteError
from onlygood.station.schemas import Label, ModelVersion, Verdict
from onlygood.station.store.database import Database
from onlygood.station.store.records import storable
from onlygood.station.store.tables import ActiveModelRow, InspectionRow, ModelVersionRow

FOLDER_NAME = "model-files"
Origin = Literal["upload", "folder", "fit", "update", "rollback"]


class ModelVersions:
    """Versions are numbered from 1 under each name; their files are named by their digests and never change.

    Args:
        database: with its tables.
        folder: of the files; made where it is missing.
        now: the time.

    Raises:
        StoreError: the folder cannot be made.
    """

    def __init__(self, database: Database, folder: Path, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        try:
            self.folder = make_folder(folder)
        except WriteError as error:
            raise StoreError(str(error)) from error

    def add(
        self,
        name: str,
        content: bytes,
        *,
        method: str,
        origin: Origin,
        false_alarm_rate: float,
        guarantee: str,
        good_images: int,
        note: str = "",
        activate: bool = True,
    ) -> ModelVersion:
        """Keep a model file as the next version under a name; the same file twice is the version that it was.

        Args:
            name: of the model.
            content: of the file.
            method: that it was fitted with.
            origin: where the file came from.
            false_alarm_rate: that the model states.
            guarantee: what is guaranteed or estimated, as a sentence.
            good_images: how many it learned from.
            note: in words.
            activate: whether this version is the one served from now on.

        Raises:
            StoreError: the file or its row cannot be written.
        """
        digest = hashlib.sha256(content).hexdigest()
        path = self.path(digest)
        if not path.exists() or path.stat().st_size != len(content):
            try:
                write_atomically(path, content)
            except WriteError as error:
                raise StoreError(f"the model {name} cannot be kept: {error}") from error
        with self._database.writing() as connection:
            versions = select(ModelVersionRow).where(ModelVersionRow.model == name).subquery()
            number = connection.scalar(select(versions.c.number).where(versions.c.sha256 == digest))
            if number is None:
                number = (connection.scalar(select(func.max(versions.c.number))) or 0) + 1
                connection.execute(
                    insert(ModelVersionRow).values(
                        model=name,
                        number=number,
                        sha256=digest,
                        at=self._now(),
                        method=method[:64],
                        origin=origin,
                        note=storable(note),
                        false_alarm_rate=false_alarm_rate,
                        guarantee=storable(guarantee),
                        good_images=good_images,
                        bytes=len(content),
                    )
                )
            if activate:
                self._activate(connection, name, number)
            return _version(connection, name, number)

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions under a name, the newest first; empty where there is none.

        Args:
            name: of the model.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._database.reading() as connection:
            return _versions(connection, name)

    def names(self) -> list[str]:
        """The names of all models that have an active version, in the order of the alphabet.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._database.reading() as connection:
            return list(connection.scalars(select(ActiveModelRow.model).order_by(ActiveModelRow.model)))

    def active(self, name: str) -> ModelVersion | None:
        """The version that is served; None where there is none under this name.

        Args:
            name: of the model.

        Raises:
            StoreError: the database cannot be read.
        """
        return next((version for version in self.versions(name) if version.is_active), None)

    def activate(self, name: str, number: int) -> ModelVersion:
        """Serve another version from now on.

        Args:
            name: of the model.
            number: of the version.

        Raises:
            NotFoundError: there is no such version.
            StoreError: its file is missing or damaged, or the database cannot be written.
        """
        with self._database.writing() as connection:
            found = _version(connection, name, number)
            self.content(found.sha256)
            self._activate(connection, name, number)
            return found.model_copy(update={"is_active": True})

    def path(self, sha256: str) -> Path:
        """Where the file of a digest lies, if it is kept.

        Args:
            sha256: of its content.
        """
        return self.folder / f"{sha256}.onnx"

    def content(self, sha256: str) -> bytes:
        """The bytes of a model file.

        Args:
            sha256: of its content.

        Raises:
            StoreError: it is missing, or not what was kept.
        """
        path = self.path(sha256)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreError(
                f"the model file {path} cannot be read ({error.strerror}): restore it from a backup, or upload it again"
            ) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StoreError(
                f"the model file {path} is damaged, its content is not what was kept: restore it from a backup, or "
                "upload it again"
            )
        return content

    def _activate(self, connection: Connection, name: str, number: int) -> None:
        statement = self._database.insert(ActiveModelRow).values(model=name, number=number)
        connection.execute(statement.on_conflict_do_update(index_elements=["model"], set_={"number": number}))


def _version(connection: Connection, name: str, number: int) -> ModelVersion:
    versions = _versions(connection, name)
    for version in versions:
        if version.number == number:
            return version
    raise NotFoundError(f"model {name} has no version {number}: ask for its list of versions")


def _versions(connection: Connection, name: str) -> list[ModelVersion]:
    rows = connection.execute(
        select(ModelVersionRow.__table__).where(ModelVersionRow.model == name).order_by(ModelVersionRow.number.desc())
    ).all()
    active = connection.scalar(select(ActiveModelRow.number).where(ActiveModelRow.model == name))
    in_review = connection.execute(
        select(InspectionRow.model_sha256, func.count())
        .where(
            InspectionRow.model == name,
            InspectionRow.label == Label.GOOD.value,
            InspectionRow.verdict == Verdict.ANOMALOUS.value,
            InspectionRow.learned_in.is_(None),
            InspectionRow.has_image,
        )
        .group_by(InspectionRow.model_sha256)
    )
    waiting = {digest: images for digest, images in in_review}  # noqa: C416 - rows are no tuples to mypy
    return [_of(row, row.number == active, waiting.get(row.sha256, 0)) for row in rows]


def _of(row: Row[Any], is_active: bool, in_review: int) -> ModelVersion:
    return ModelVersion(
        number=row.number,
        sha256=row.sha256,
        at=row.at,
        method=row.method,
        origin=row.origin,
        note=row.note,
        false_alarm_rate=row.false_alarm_rate,
        guarantee=row.guarantee,
        good_images=row.good_images,
        bytes=row.bytes,
        is_active=is_active,
        in_review=in_review,
    )
