"""Which station a database and a data folder belong to, so that neither is used with another's."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, insert, select

from onlygood._files import write_atomically
from onlygood.errors import StoreError
from onlygood.station.store.database import Database
from onlygood.station.store.tables import InspectionRow, ModelVersionRow, StationRow, TaughtImageRow

FILE_NAME = "station-id"


def pair(connection: Connection, database: Database, data: Path, now: Callable[[], datetime]) -> str:
    """The station's identity, made where there is none: 32 hexadecimal digits. `remember` it once it is committed.

    Image files that no row of the database names are removed. With the database of another station, or a new one, that
    would be all of them.

    Args:
        connection: with a transaction, and with the tables.
        database: that it belongs to.
        data: the data folder.
        now: the time.

    Raises:
        StoreError: the two belong to different stations.
    """
    file = data / FILE_NAME
    in_folder = file.read_text(encoding="ascii", errors="replace").strip() if file.exists() else None
    in_database = connection.scalar(select(StationRow.id))
    if in_database is None and in_folder is not None:
        raise StoreError(
            f"the data folder {data} must be used with the database that it was made with, got a new one, "
            f"{database.shown}: put that database back or give its address, or restore a backup into an empty folder"
        )
    if in_database is not None and in_folder is not None and in_database != in_folder:
        raise StoreError(
            f"the database {database.shown} must be used with the data folder of its station, got {data}, which "
            "is another station's: give that folder, or each station a database of its own"
        )
    if in_database is None:
        in_database = secrets.token_hex(16)
        connection.execute(insert(StationRow).values(id=in_database, made_at=now(), last_batch=""))
    elif in_folder is None and not database.is_sqlite and _remembers_something(connection):
        raise StoreError(
            f"the database {database.shown} must be used with the data folder of its station, got {data}, "
            "which is a new one: give that folder, or a database of its own to the new station"
        )
    return in_database


def remember(identity: str, data: Path) -> None:
    """Write a station's identity into its data folder, where it is not there yet.

    Args:
        identity: of `pair`.
        data: the data folder.

    Raises:
        WriteError: the folder cannot be written.
    """
    file = data / FILE_NAME
    if not file.exists():
        write_atomically(file, f"{identity}\n".encode("ascii"))


def _remembers_something(connection: Connection) -> bool:
    return any(
        connection.scalar(select(row.model).limit(1)) is not None
        for row in (InspectionRow, ModelVersionRow, TaughtImageRow)
    )
