"""The connection to a station's database: SQLite in its data folder, or PostgreSQL by an address."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from onlygood.errors import StoreError
from onlygood.station.store.troubles import DatabaseError, Trouble, store_error

FILE_NAME = "station.db"
# For another connection's transaction to end, in SQLite; and for a server to answer that it is there.
BUSY_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 10
# A server that does not acknowledge what was sent for so long is lost.
SILENCE_MS = 10_000
_WRITES = "onlygood_writes"


class Database:
    """One database, from any thread.

    Args:
        url: "sqlite:///PATH" or "postgresql://USER:PASSWORD@HOST/NAME".
        busy_timeout_s: how long SQLite waits for another process.

    Raises:
        StoreError: the address is none of a database that a station can use.
    """

    def __init__(self, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.url = _checked(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.shown = self.url.database or ""
        if not self.is_sqlite:
            # Parameters such as password= may be secret, too.
            self.shown = self.url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
        self.engine = _sqlite(self.url, busy_timeout_s) if self.is_sqlite else _postgres(self.url)
        self._writing = self.engine.execution_options(**{_WRITES: True})
        # SQLite has one writer at a time: threads of this process wait for one another here, in order, and not by
        # trying again and again.
        self._writer = Lock() if self.is_sqlite else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees the database as it is at its first query.

        Raises:
            StoreError: it cannot be read.
        """
        with self._explained(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, committed at the end and rolled back where an error leaves it.

        Raises:
            StoreError: it cannot be written; nothing of it was.
        """
        with self._explained(), self._writer, self._writing.begin() as connection:
            yield connection

    def insert(self, table: type[Any] | Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that can say ON CONFLICT."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def close(self) -> None:
        """Close all connections; in SQLite, what the write-ahead log holds goes into the database file."""
        self.engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise store_error(error, shown=self.shown, is_sqlite=self.is_sqlite) from error
        except (OverflowError, UnicodeEncodeError) as error:
            # The driver of SQLite says so of numbers and characters that no column holds.
            raise DatabaseError(
                f"the database {self.shown} cannot store what it was given ({error}); nothing of this was kept",
                trouble=Trouble.REFUSED,
            ) from error


def sqlite_url(path: Path) -> str:
    """The address of a database file."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # It may hold a password, which the error of the library may quote: neither is shown.
        raise StoreError(
            "a database's address must look like postgresql://user:password@host/name, got another one: check it"
        ) from None
    kind = parsed.get_backend_name()
    if kind == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite+pysqlite")
    if kind == "postgresql" or parsed.drivername == "postgres":
        try:
            import psycopg  # noqa: F401 - that it is there
        except ImportError as error:
            raise StoreError(
                "a station with PostgreSQL needs psycopg, which is not installed: run pip install 'onlygood[postgres]'"
            ) from error
        return parsed.set(drivername="postgresql+psycopg")
    raise StoreError(
        "a station keeps its memory in a file of SQLite or in PostgreSQL, got an address that begins with "
        f"{parsed.drivername}://: give postgresql://user:password@host/name, or none for SQLite"
    )


def _sqlite(url: URL, busy_timeout_s: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": busy_timeout_s}, pool_size=8, max_overflow=24)

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        # Transactions begin where `begin` says, not where the driver of Python guesses.
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "journal_size_limit=67108864",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could be refused in its middle.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres(url: URL) -> Engine:
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_size=8,
        max_overflow=24,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "onlygood",
            "tcp_user_timeout": SILENCE_MS,
            "keepalives_idle": 30,
        },
    )
