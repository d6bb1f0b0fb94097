"""The archive of a backup: a ZIP file with tables, images, models, settings and certificates, of either database."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, DateTime, MetaData, Table, select

from onlygood.errors import StoreError
from onlygood.station.schemas import Sha256
from onlygood.station.station_settings import PKI_FOLDER, PKI_OWN, PKI_TRUSTED

FORMAT = 1
MANIFEST = "manifest.json"
SETTINGS = "station.json"
# Everything that can be in an archive; a name is never taken for a path.
TABLE_NAME = re.compile(r"tables/([a-z_]+)\.jsonl")
IMAGE_NAME = re.compile(r"images/([0-9a-f]{64})")
MODEL_NAME = re.compile(r"models/([0-9a-f]{64})\.onnx")
# Certificates and keys, which people put there under names of their choice.
_NO_NAME = r'/\\:*?"<>|\x00-\x1f'
PKI_NAME = re.compile(rf"{PKI_FOLDER}/({PKI_OWN}|{PKI_TRUSTED})/([^.{_NO_NAME}][^{_NO_NAME}]{{0,199}})")
MOST_PKI_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
_ROWS = 1000


class Manifest(BaseModel):
    """What an archive holds; the last thing that is written into it.

    Attributes:
        format: of the archive.
        made_at: when the backup was begun.
        onlygood: the version that wrote it.
        station: which one.
        revision: of the tables.
        digests: SHA-256 of tables, settings and certificates, by their names; of images and models they are the names.
        images: how many there are.
        models: how many model files there are.
        numbers: the highest number that was given to an inspection.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = Field(ge=1)
    made_at: datetime
    onlygood: str
    station: str
    revision: str
    digests: dict[str, Sha256]
    images: int
    models: int
    numbers: int


class Hashed:
    """Writes bytes, or reads them, and knows their digest.

    Args:
        file: that is written or read.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, block: bytes) -> None:
        """Write some.

        Args:
            block: of the content.
        """
        self._digest.update(block)
        self._file.write(block)

    def blocks(self) -> Iterator[bytes]:
        """All that there is to read, some at a time."""
        while block := self._file.read(_CHUNK_BYTES):
            self._digest.update(block)
            yield block

    def lines(self) -> Iterator[bytes]:
        """The same, by lines."""
        for line in self._file:
            self._digest.update(line)
            yield line

    @property
    def sha256(self) -> str:
        """Of all that was written or read so far."""
        return self._digest.hexdigest()


def tables_of(connection: Connection) -> list[Table]:
    """The tables that are in a database, each after those that it refers to.

    Args:
        connection: to the database.
    """
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def rows_of(connection: Connection, table: Table) -> Iterator[bytes]:
    """A table, a line of JSON a row, in the order of its key.

    Args:
        connection: to the database.
        table: in it.
    """
    query = select(table).order_by(*table.primary_key.columns)
    for row in connection.execution_options(yield_per=_ROWS).execute(query).mappings():
        values = {name: _plain(value) for name, value in row.items()}
        yield json.dumps(values, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def insert_rows(connection: Connection, table: Table, lines: Iterable[bytes]) -> None:
    """Fill a table with lines of `rows_of`, also of the other database.

    Args:
        connection: with a transaction.
        table: that is empty.
        lines: of the rows.

    Raises:
        ValueError: a line is none.
    """
    moments = {column.name for column in table.columns if isinstance(column.type, DateTime)}
    has_zone = connection.dialect.name != "sqlite"
    waiting: list[dict[str, Any]] = []
    for line in lines:
        values = json.loads(line)
        if not isinstance(values, dict) or set(values) != {column.name for column in table.columns}:
            raise ValueError(f"a row of {table.name} has other columns than its table")
        for name in moments:
            if values[name] is not None:
                at = datetime.fromisoformat(values[name])
                values[name] = at if has_zone else at.replace(tzinfo=None)
        waiting.append(values)
        if len(waiting) == _ROWS:
            connection.execute(table.insert(), waiting)
            waiting = []
    if waiting:
        connection.execute(table.insert(), waiting)


def read_manifest(archive: zipfile.ZipFile, shown: Path) -> Manifest:
    """What an archive says of itself.

    Args:
        archive: that is open.
        shown: its path.

    Raises:
        StoreError: it is no backup of a station, or one that a newer onlygood wrote.
    """
    try:
        written = json.loads(archive.read(MANIFEST))
        found = written.get("format") if isinstance(written, dict) else None
        if isinstance(found, int) and found > FORMAT:
            raise StoreError(
                f"the backup {shown} was written by a newer onlygood (its format is {found}, this onlygood knows "
                f"{FORMAT}): update onlygood"
            )
        return Manifest.model_validate(written)
    except KeyError as error:
        raise StoreError(
            f"the backup {shown} must be a station's, got a ZIP file of something else: check the path"
        ) from error
    except (ValidationError, ValueError) as error:
        raise damaged(shown, "what it says of itself cannot be read") from error


def damaged(shown: Path, what: str) -> StoreError:
    """The sentence on an archive that is not what was written.

    Args:
        shown: its path.
        what: is wrong.
    """
    return StoreError(f"the backup {shown} is damaged ({what}), and nothing was restored: use another one")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    return value
