"""What can be wrong with a database, told from the errors of its driver, and the sentence for each."""

from __future__ import annotations

import shutil
import sqlite3
from enum import Enum
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from onlygood.errors import StoreError


class Trouble(Enum):
    """What is wrong, as far as it changes what is done about it."""

    LOST = "lost"  # a server that is not there: it may come back
    LOCKED = "locked"  # another process writes for longer than is waited
    FULL = "full"  # no room: there may be some later
    READ_ONLY = "read-only"
    DAMAGED = "damaged"
    REFUSED = "refused"  # what was asked for cannot be stored: asking again does not help
    OTHER = "other"


_NEXT_TO_NOTHING_BYTES = 64 << 10

# After these, the same transaction may come through when it is tried again.
PASSING = (Trouble.LOST, Trouble.LOCKED)


class DatabaseError(StoreError):
    """A `StoreError` that comes from the database.

    Attributes:
        trouble: what is wrong.
    """

    def __init__(self, sentence: str, *, trouble: Trouble) -> None:
        super().__init__(sentence)
        self.trouble = trouble


def store_error(error: SQLAlchemyError, *, shown: str, is_sqlite: bool) -> DatabaseError:
    """The sentence for an error of the database.

    Args:
        error: from SQLAlchemy.
        shown: what the database is called: its path, or its address without the password.
        is_sqlite: whether it is a file.
    """
    trouble = _of_sqlite(error) if is_sqlite else _of_postgres(error)
    if is_sqlite and trouble is Trouble.OTHER and _is_full(shown):
        # SQLite says so of some writes, and of others that there was an error.
        trouble = Trouble.FULL
    reason = _reason(error)
    kept = "nothing of this was kept"
    if trouble is Trouble.LOST:
        sentence = (
            f"the database {shown} must answer, got no connection to it ({reason}): start it, or check its address and "
            "the network"
        )
    elif trouble is Trouble.LOCKED:
        sentence = (
            f"the database {shown} must be free to write, got one that another program holds: end that program; {kept}"
        )
    elif trouble is Trouble.FULL:
        sentence = f"the disk of the database {shown} is full: make room on it; {kept}"
    elif trouble is Trouble.READ_ONLY:
        sentence = f"the database {shown} must be writable, got one that is not ({reason}): check who owns the files"
    elif trouble is Trouble.DAMAGED:
        sentence = (
            f"the database {shown} is damaged ({reason}): restore the newest backup into an empty data folder, and "
            "keep this one for a look"
        )
    else:
        sentence = f"the database {shown} did not take what it was asked ({reason}); {kept}"
    return DatabaseError(sentence, trouble=trouble)


def _is_full(path: str) -> bool:
    try:
        return shutil.disk_usage(Path(path).parent).free < _NEXT_TO_NOTHING_BYTES
    except OSError:
        return False


def _reason(error: SQLAlchemyError) -> str:
    """What the driver says, in one line."""
    cause: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        cause = error.orig
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return (lines[0] if lines else type(cause).__name__)[:300]


def _of_sqlite(error: SQLAlchemyError) -> Trouble:
    if isinstance(error, PoolTimeoutError):
        return Trouble.LOCKED
    cause = error.orig if isinstance(error, DBAPIError) else None
    if not isinstance(cause, sqlite3.Error):
        return Trouble.REFUSED
    name = getattr(cause, "sqlite_errorname", "") or ""
    for prefix, trouble in (
        ("SQLITE_FULL", Trouble.FULL),
        ("SQLITE_BUSY", Trouble.LOCKED),
        ("SQLITE_LOCKED", Trouble.LOCKED),
        ("SQLITE_READONLY", Trouble.READ_ONLY),
        ("SQLITE_CANTOPEN", Trouble.READ_ONLY),
        ("SQLITE_PERM", Trouble.READ_ONLY),
        ("SQLITE_CORRUPT", Trouble.DAMAGED),
        ("SQLITE_NOTADB", Trouble.DAMAGED),
    ):
        if name.startswith(prefix):
            return trouble
    return Trouble.REFUSED if isinstance(cause, sqlite3.IntegrityError | sqlite3.DataError) else Trouble.OTHER


def _of_postgres(error: SQLAlchemyError) -> Trouble:
    if isinstance(error, PoolTimeoutError):
        return Trouble.LOST
    if not isinstance(error, DBAPIError):
        return Trouble.REFUSED
    state: str | None = getattr(error.orig, "sqlstate", None)
    if error.connection_invalidated:
        return Trouble.LOST
    if state is None:
        # The driver has no answer of the server's to quote: there was none, or the values are none that it can send.
        return Trouble.LOST if type(error).__name__ == "OperationalError" else Trouble.REFUSED
    if state in ("53100", "53200"):
        return Trouble.FULL
    if state.startswith(("08", "57P", "53")):
        return Trouble.LOST
    if state in ("25006", "42501"):
        return Trouble.READ_ONLY
    if state.startswith("XX"):
        return Trouble.DAMAGED
    if state.startswith(("40", "55")):
        return Trouble.LOCKED
    return Trouble.REFUSED if state.startswith(("22", "23")) else Trouble.OTHER
