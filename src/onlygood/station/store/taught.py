"""The good images that models are taught with, before there is a model."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, select, update

from onlygood.errors import NotFoundError, StoreError
from onlygood.station.schemas import TaughtImage
from onlygood.station.store.database import Database
from onlygood.station.store.images import Images, reason_of
from onlygood.station.store.needed import is_needed
from onlygood.station.store.records import storable
from onlygood.station.store.tables import TaughtImageRow, within_64_bits


class Taught:
    """Images that were taken or dropped to learn from. They are never let go but by a person.

    Args:
        database: with its tables.
        images: the files.
        now: the time.
    """

    def __init__(self, database: Database, images: Images, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._images = images
        self._now = now

    def add(
        self, model: str, name: str, content: bytes, *, suffix: str = ".jpg", width: int, height: int
    ) -> TaughtImage:
        """Keep an image to learn from; the same image twice is one.

        Args:
            model: that is taught.
            name: of the image.
            content: of its file.
            suffix: of the file, with its dot.
            width: in pixels.
            height: in pixels.

        Raises:
            StoreError: the image or its row cannot be written.
        """
        digest = self._images.hold(content)
        try:
            self._images.write(digest, content)
            values = {
                "model": model,
                "at": self._now(),
                "name": storable(name)[:1000],
                "image_sha256": digest,
                "image_suffix": suffix[:16],
                "image_bytes": len(content),
                "width": width,
                "height": height,
                "is_left_out": False,
            }
            with self._database.writing() as connection:
                statement = self._database.insert(TaughtImageRow).values(**values)
                connection.execute(statement.on_conflict_do_nothing(index_elements=["model", "image_sha256"]))
                query = select(TaughtImageRow.__table__).where(
                    TaughtImageRow.model == model, TaughtImageRow.image_sha256 == digest
                )
                added = _of(connection.execute(query).one())
        except OSError as error:
            self._images.release(digest)
            raise StoreError(
                f"the image {storable(name)} cannot be kept ({reason_of(error)}): make room on the disk of "
                f"{self._images.folder}"
            ) from error
        except BaseException:
            self._images.release(digest)
            self._images.remove_if_possible(digest, is_needed(self._database))
            raise
        self._images.release(digest)
        return added

    def names(self) -> list[str]:
        """The names of all models that are taught, in the order of the alphabet.

        Raises:
            StoreError: the database cannot be read.
        """
        query = select(TaughtImageRow.model).distinct().order_by(TaughtImageRow.model)
        with self._database.reading() as connection:
            return list(connection.scalars(query))

    def list(self, model: str) -> list[TaughtImage]:
        """The images of a model in the order in which they came, those that are left out too.

        Args:
            model: that is taught.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._database.reading() as connection:
            return [image for image, _ in taught_with_suffixes(connection, model)]

    def get(self, id: int) -> TaughtImage | None:
        """One image; None where there is none of that number.

        Args:
            id: its number.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._database.reading() as connection:
            row = connection.execute(_one(id)).first()
        return None if row is None else _of(row)

    def leave_out(self, id: int, is_left_out: bool = True) -> TaughtImage:
        """Whether an image is to be learned from.

        Args:
            id: its number.
            is_left_out: True for no.

        Raises:
            NotFoundError: there is no such image.
            StoreError: the database cannot be written.
        """
        with self._database.writing() as connection:
            _row(connection, id)
            changed = update(TaughtImageRow).where(TaughtImageRow.id == id)
            connection.execute(changed.values(is_left_out=bool(is_left_out)))
            return _of(_row(connection, id))

    def remove(self, id: int) -> TaughtImage:
        """Take an image out for good; returns what it was.

        Args:
            id: its number.

        Raises:
            NotFoundError: there is no such image.
            StoreError: the database cannot be written.
        """
        with self._database.writing() as connection:
            removed = _of(_row(connection, id))
            connection.execute(delete(TaughtImageRow).where(TaughtImageRow.id == id))
        self._images.remove(removed.image_sha256, is_needed(self._database))
        return removed

    def content(self, id: int) -> tuple[bytes, str] | None:
        """The bytes of an image's file and its suffix; None where there is none.

        Args:
            id: its number.

        Raises:
            StoreError: the database or the file cannot be read, or the file is damaged.
        """
        with self._database.reading() as connection:
            row = connection.execute(_one(id)).first()
        content = None if row is None else self._images.read(row.image_sha256)
        return None if row is None or content is None else (content, row.image_suffix)


def taught_with_suffixes(connection: Connection, model: str | None) -> list[tuple[TaughtImage, str]]:
    """The images of a model, or of all, in the order in which they came, with the suffixes of their files.

    Args:
        connection: to the database.
        model: that is taught; None for all.
    """
    query = select(TaughtImageRow.__table__).order_by(TaughtImageRow.id)
    if model is not None:
        query = query.where(TaughtImageRow.model == model)
    return [(_of(row), row.image_suffix) for row in connection.execute(query)]


def _one(id: int) -> Select[Any]:
    return select(TaughtImageRow.__table__).where(TaughtImageRow.id == within_64_bits(id))


def _row(connection: Connection, id: int) -> Row[Any]:
    row = connection.execute(_one(id)).first()
    if row is None:
        raise NotFoundError(f"a taught image must be one that is kept, got {id}: look at the list of images")
    return row


def _of(row: Row[Any]) -> TaughtImage:
    return TaughtImage(
        id=row.id,
        model=row.model,
        at=row.at,
        name=row.name,
        image_sha256=row.image_sha256,
        width=row.width,
        height=row.height,
        is_left_out=row.is_left_out,
    )
