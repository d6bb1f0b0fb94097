"""A station from its backup, on either database."""

from __future__ import annotations

import os
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, bindparam, inspect, text

from onlygood._paths import given_path
from onlygood.errors import StoreError
from onlygood.station.store import archive as archives
from onlygood.station.store import database as databases
from onlygood.station.store import identity, model_versions
from onlygood.station.store import images as image_files
from onlygood.station.store.archive import (
    IMAGE_NAME,
    MODEL_NAME,
    PKI_NAME,
    TABLE_NAME,
    Hashed,
    Manifest,
    damaged,
    insert_rows,
    read_manifest,
    tables_of,
)
from onlygood.station.store.database import Database, sqlite_url
from onlygood.station.store.images import file_of, reason_of
from onlygood.station.store.schema import known_revisions, migrate_within

# What is in the uppermost folder of some disks from the beginning.
_OF_THE_DISK = "lost+found"
# That the file system and the database take beside what is in the files.
_ROOM_BYTES = 50 << 20


def restore(path: Path, data: Path, url: str | None = None) -> Manifest:
    """Make a station of a backup, in an empty data folder; the whole of it or nothing.

    Verdicts that outputs were not told of when the backup was made are told again; jobs that ran are interrupted.

    Args:
        path: of the backup.
        data: the data folder, empty or not there.
        url: of a database that is empty, which need not be of the kind that the backup comes from; None for one in the
            data folder.

    Returns:
        What was in the backup.

    Raises:
        StoreError: the folder or the database is not empty, the backup is damaged, a newer onlygood's or no backup, or
            something cannot be written.
    """
    source, target = given_path(path, error=StoreError), given_path(data, error=StoreError)
    try:
        is_new = not target.exists()
        if not is_new and (not target.is_dir() or any(entry.name != _OF_THE_DISK for entry in target.iterdir())):
            raise StoreError(
                f"a backup must be restored into an empty folder, got {target}, which is not: name a new one"
            )
        with _opened(source) as archive:
            manifest = read_manifest(archive, source)
            target.mkdir(parents=True, exist_ok=True)
            # Within the folder, which may be a disk of its own.
            staging = target / f".restoring-{secrets.token_hex(4)}"
            try:
                _check(archive, manifest, source, target)
                staging.mkdir(mode=0o700)
                _restore(archive, manifest, source, staging, target, url)
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                if is_new:
                    with suppress(OSError):
                        target.rmdir()
                raise
            staging.rmdir()
    except OSError as error:
        raise StoreError(
            f"the backup {source} cannot be restored into {target} ({reason_of(error)}): check the paths, and make room"
        ) from error
    return manifest


@contextmanager
def _opened(source: Path) -> Iterator[zipfile.ZipFile]:
    if not source.exists():
        raise StoreError(f"a backup must be a file that exists, got {source}: check the path")
    try:
        with zipfile.ZipFile(source) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeError) as error:
        raise damaged(source, str(error) or type(error).__name__) from error


def _check(archive: zipfile.ZipFile, manifest: Manifest, shown: Path, folder: Path) -> None:
    """Whether everything is in an archive that should be, and nothing else."""
    names = [info.filename for info in archive.infolist()]
    if len(set(names)) != len(names):
        raise damaged(shown, "a name is in it twice")
    for name in names:
        is_known = any(pattern.fullmatch(name) for pattern in (IMAGE_NAME, MODEL_NAME))
        if not is_known and name not in manifest.digests and name != archives.MANIFEST:
            raise damaged(shown, "there is something in it that no backup has")
    missing = set(manifest.digests) - set(names)
    images = sum(IMAGE_NAME.fullmatch(name) is not None for name in names)
    models = sum(MODEL_NAME.fullmatch(name) is not None for name in names)
    if missing or (images, models) != (manifest.images, manifest.models):
        raise damaged(shown, "a part of it is missing")
    if manifest.revision not in known_revisions():
        raise StoreError(
            f"the backup {shown} was written by a newer onlygood (its tables are of revision {manifest.revision}): "
            "update onlygood"
        )
    needed = sum(info.file_size for info in archive.infolist()) + _ROOM_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreError(
            f"the backup {shown} needs {needed >> 20:,} MiB, got {free >> 20:,} MiB free for {folder}: make room"
        )


def _restore(
    archive: zipfile.ZipFile, manifest: Manifest, shown: Path, staging: Path, target: Path, url: str | None
) -> None:
    kept = _files(archive, shown, staging)
    for name, digest in manifest.digests.items():
        if name == archives.SETTINGS or PKI_NAME.fullmatch(name):
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(b"".join(_checked(archive, name, digest, shown)))
    (staging / identity.FILE_NAME).write_text(f"{manifest.station}\n", encoding="ascii")
    database = Database(url or sqlite_url(staging / databases.FILE_NAME))
    is_new_file = database.is_sqlite and not Path(database.shown).exists()
    moved: list[Path] = []
    try:
        with database.writing() as connection:
            strangers = inspect(connection).get_table_names()
            if strangers:
                raise StoreError(
                    f"a backup must be restored into an empty database, got {database.shown}, which has tables: give "
                    "a new one"
                )
            migrate_within(connection, shown=database.shown, revision=manifest.revision)
            _fill(connection, archive, manifest, shown)
            _without_lost_images(connection, kept)
            migrate_within(connection, shown=database.shown)
            if url is not None:
                # The files first: if the database then refuses, they are taken away again.
                _move(staging, target, moved)
        database.close()
        _move(staging, target, moved)
    except BaseException:
        database.close()
        leftovers = [Path(f"{database.shown}{end}") for end in ("", "-wal", "-shm")] if is_new_file else []
        for leftover in [*moved, *leftovers]:
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
        raise


def _files(archive: zipfile.ZipFile, shown: Path, staging: Path) -> set[str]:
    """Write images and models; the digests of images."""
    kept = set()
    (staging / model_versions.FOLDER_NAME).mkdir()
    (staging / image_files.FOLDER_NAME).mkdir()
    for info in archive.infolist():
        if image := IMAGE_NAME.fullmatch(info.filename):
            path, digest = file_of(staging / image_files.FOLDER_NAME, image[1]), image[1]
            kept.add(digest)
        elif model := MODEL_NAME.fullmatch(info.filename):
            path, digest = staging / model_versions.FOLDER_NAME / f"{model[1]}.onnx", model[1]
        else:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for block in _checked(archive, info.filename, digest, shown):
                file.write(block)
    return kept


def _fill(connection: Connection, archive: zipfile.ZipFile, manifest: Manifest, shown: Path) -> None:
    tables = tables_of(connection)
    names = {match[1] for name in manifest.digests if (match := TABLE_NAME.fullmatch(name))}
    if names != {table.name for table in tables}:
        raise damaged(shown, "its tables are not those of its revision")
    for table in tables:
        name = f"tables/{table.name}.jsonl"
        try:
            with Hashed(archive.open(name)) as file:
                insert_rows(connection, table, file.lines())
        except ValueError as error:
            raise damaged(shown, f"{name} cannot be read") from error
        if file.sha256 != manifest.digests[name]:
            raise damaged(shown, f"{name} is not what was written")
        if connection.dialect.name == "postgresql" and "id" in table.c and table.name != "station":
            highest = manifest.numbers if table.name == "inspections" else 0
            connection.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), "
                    f"GREATEST(:highest, (SELECT COALESCE(MAX(id), 0) FROM {table.name}), 1), "
                    f":highest > 0 OR EXISTS (SELECT 1 FROM {table.name}))"
                ),
                {"highest": highest},
            )
    if connection.dialect.name == "sqlite":
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = 'inspections'"))
        connection.execute(
            text("INSERT INTO sqlite_sequence (name, seq) VALUES ('inspections', :highest)"),
            {"highest": manifest.numbers},
        )


def _without_lost_images(connection: Connection, kept: set[str]) -> None:
    """Inspections whose image went between the database's moment and its turn are kept without it."""
    digests = connection.scalars(text("SELECT DISTINCT image_sha256 FROM inspections WHERE has_image")).all()
    for digest in set(digests) - kept:
        connection.execute(
            text("UPDATE inspections SET has_image = :no WHERE image_sha256 = :digest").bindparams(
                bindparam("no", False), bindparam("digest", digest)
            )
        )


def _checked(archive: zipfile.ZipFile, name: str, digest: str, shown: Path) -> Iterator[bytes]:
    """The content of a file in an archive; an error after its last block where it is not what was written."""
    with Hashed(archive.open(name)) as file:
        yield from file.blocks()
        if file.sha256 != digest:
            raise damaged(shown, f"{name} is not what was written")


def _move(staging: Path, target: Path, moved: list[Path]) -> None:
    """Move what is in a folder into the one above.

    Args:
        staging: the folder.
        target: where to.
        moved: gets what was.
    """
    if hasattr(os, "sync"):
        os.sync()  # one for all files, which are many
    for entry in sorted(staging.iterdir()):
        moved.append(target / entry.name)
        entry.rename(target / entry.name)
