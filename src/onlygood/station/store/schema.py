"""The database's tables are made and changed by migrations, which lie in the package and run when a station starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from onlygood.errors import StoreError
from onlygood.station.store.database import Database
from onlygood.station.store.tables import Table

_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(database: Database, *, revision: str = "head") -> None:
    """Make the tables, or bring those of an older onlygood up to date: all of it or nothing.

    Args:
        database: to change.
        revision: up to which.

    Raises:
        StoreError: a newer onlygood wrote the database, or something that is none of a station's.
    """
    with database.writing() as connection:
        migrate_within(connection, shown=database.shown, revision=revision)


def migrate_within(connection: Connection, *, shown: str, revision: str = "head") -> None:
    """The same within a transaction of the caller's.

    Args:
        connection: with a transaction.
        shown: what the database is called.
        revision: up to which.

    Raises:
        StoreError: a newer onlygood wrote the database, or something that is none of a station's.
    """
    check_revision(connection, shown=shown)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def check_revision(connection: Connection, *, shown: str) -> str | None:
    """The revision of a database's tables; None where there are none.

    Args:
        connection: to the database.
        shown: what it is called.

    Raises:
        StoreError: a newer onlygood wrote it, or something that is none of a station's.
    """
    present = MigrationContext.configure(connection).get_current_revision()
    if present is None:
        strangers = set(inspect(connection).get_table_names()) - {"alembic_version"}
        if strangers:
            raise StoreError(
                f"the database {shown} must be empty or a station's, got one with tables of something else "
                f"({sorted(strangers)[0]}): give the station a database of its own"
            )
        return None
    if present not in known_revisions():
        raise StoreError(
            f"the database {shown} was written by a newer onlygood (its tables are of revision {present}, this "
            f"onlygood knows them up to {head_revision()}): update onlygood, or restore a backup that this one wrote"
        )
    return present


def known_revisions() -> tuple[str, ...]:
    """All revisions, the oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(reversed([script.revision for script in scripts.walk_revisions()]))


def head_revision() -> str:
    """The newest revision."""
    return known_revisions()[-1]


def differences(database: Database) -> list[Any]:
    """In what the tables as the migrations made them differ from those of `tables`: in nothing, or the tests fail."""
    with database.reading() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), Table.metadata))


def _config() -> Config:
    config = Config()
    # Alembic takes a percent sign for the begin of a placeholder.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
