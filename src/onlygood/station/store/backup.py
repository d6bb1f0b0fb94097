"""A backup of a station, while it runs or not: everything that it remembers, in one file."""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, text

from onlygood import _version
from onlygood._paths import given_path
from onlygood.errors import StoreError
from onlygood.station.station_settings import PKI_FOLDER, PKI_OWN, PKI_TRUSTED
from onlygood.station.store import archive as archives
from onlygood.station.store import database as databases
from onlygood.station.store import images as image_files
from onlygood.station.store import model_versions
from onlygood.station.store.archive import Hashed, Manifest, rows_of, tables_of
from onlygood.station.store.database import Database, sqlite_url
from onlygood.station.store.images import file_of, reason_of
from onlygood.station.store.schema import check_revision


def backup(path: Path, data: Path, url: str | None = None) -> Manifest:
    """Write everything that a station remembers into one file; also from another process, while it runs.

    The database is taken as it is at one moment. An image that is let go of between that moment and its turn is not in
    the backup, and its inspection is restored without it. Models, settings, certificates for OPC UA and their
    secrets are in the file: only its owner may read it.

    Args:
        path: of the file, a new name.
        data: the data folder.
        url: of the database; None for that in the data folder.

    Returns:
        What is in the file.

    Raises:
        StoreError: there is no station, the file exists or cannot be written, or the database cannot be read.
    """
    target, data = given_path(path, error=StoreError), given_path(data, error=StoreError)
    if target.exists():
        raise StoreError(f"a backup must be written to a new file, got {target}, which exists: name another one")
    if not target.parent.is_dir():
        raise StoreError(f"a backup must be written into a folder, got {target.parent}, which is none: make it first")
    partial = target.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}")
    try:
        with partial.open("xb") as file:
            with suppress(OSError):
                partial.chmod(0o600)
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                manifest = _write(archive, data, url, target.parent)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
    except OSError as error:
        raise StoreError(
            f"the backup {target} cannot be written ({reason_of(error)}): make room, or name another file"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return manifest


def _write(archive: zipfile.ZipFile, data: Path, url: str | None, scratch: Path) -> Manifest:
    made_at = datetime.now(UTC)
    digests: dict[str, str] = {}
    images: dict[str, None] = {}
    models: dict[str, None] = {}
    with _at_one_moment(data, url, scratch) as (connection, shown):
        revision = check_revision(connection, shown=shown)
        station = None if revision is None else connection.scalar(text("SELECT id FROM station"))
        if revision is None or station is None:
            raise StoreError(f"the database {shown} must be a station's, got one without tables: check its address")
        numbers = _highest_number(connection)
        for table in tables_of(connection):
            name = f"tables/{table.name}.jsonl"
            info = zipfile.ZipInfo(name, date_time=made_at.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            with Hashed(archive.open(info, "w", force_zip64=True)) as file:
                for line in rows_of(connection, table):
                    file.write(line)
            digests[name] = file.sha256
        images.update(dict.fromkeys(connection.scalars(text("SELECT image_sha256 FROM inspections WHERE has_image"))))
        images.update(dict.fromkeys(connection.scalars(text("SELECT image_sha256 FROM taught_images"))))
        models.update(dict.fromkeys(connection.scalars(text("SELECT sha256 FROM model_versions"))))
    kept_models = 0
    for digest in sorted(models):
        kept_models += _put(archive, f"models/{digest}.onnx", data / model_versions.FOLDER_NAME / f"{digest}.onnx")
    kept_images = 0
    for digest in sorted(images):
        kept_images += _put(archive, f"images/{digest}", file_of(data / image_files.FOLDER_NAME, digest))
    for name, path in _settings_and_certificates(data):
        content = path.read_bytes()
        archive.writestr(zipfile.ZipInfo(name), content)
        digests[name] = hashlib.sha256(content).hexdigest()
    manifest = Manifest(
        format=archives.FORMAT,
        made_at=made_at,
        onlygood=_version.__version__,
        station=station,
        revision=revision,
        digests=digests,
        images=kept_images,
        models=kept_models,
        numbers=numbers,
    )
    archive.writestr(archives.MANIFEST, manifest.model_dump_json(indent=2))
    return manifest


def _settings_and_certificates(data: Path) -> Iterator[tuple[str, Path]]:
    """Those that are there, by their names in the archive."""
    settings = data / archives.SETTINGS
    if settings.exists():
        yield archives.SETTINGS, settings
    for folder in (PKI_OWN, PKI_TRUSTED):
        for path in sorted((data / PKI_FOLDER / folder).glob("*")):
            name = f"{PKI_FOLDER}/{folder}/{path.name}"
            # Half-written files begin with a dot.
            if archives.PKI_NAME.fullmatch(name) and path.is_file() and path.stat().st_size <= archives.MOST_PKI_BYTES:
                yield name, path


def _put(archive: zipfile.ZipFile, name: str, path: Path) -> bool:
    """Put a file in; whether it is there."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    archive.writestr(zipfile.ZipInfo(name), content)
    return True


@contextmanager
def _at_one_moment(data: Path, url: str | None, scratch: Path) -> Iterator[tuple[Connection, str]]:
    """The database as it is now, for as long as the backup takes, and without a station having to wait for that."""
    database = Database(url or sqlite_url(data / databases.FILE_NAME))
    try:
        if database.is_sqlite:
            path = Path(database.shown)
            if not path.is_file():
                raise StoreError(f"a station must have been started in {data} to be backed up, got no database {path}")
            # A copy, as a transaction that lasts for long would keep the write-ahead log from being emptied.
            with tempfile.TemporaryDirectory(prefix=".onlygood-backup-", dir=scratch) as folder:
                copied = Database(sqlite_url(_copied(path, Path(folder))))
                try:
                    with copied.reading() as connection:
                        yield connection, database.shown
                finally:
                    copied.close()
            return
        with database.reading() as connection:
            yield connection.execution_options(isolation_level="REPEATABLE READ"), database.shown
    finally:
        database.close()


def _copied(path: Path, folder: Path) -> Path:
    copy = folder / "copy.db"
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        raise StoreError(f"the database {path} cannot be copied ({error}): make room in {folder.parent}") from error
    return copy


def _highest_number(connection: Connection) -> int:
    """That was given to an inspection, also to one that is no more."""
    if connection.dialect.name == "sqlite":
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'inspections'"
    else:
        query = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM inspections_id_seq"
    return int(connection.scalar(text(query)) or 0)
