"""Everything that a station remembers, in one place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from onlygood._files import make_folder
from onlygood._paths import given_path
from onlygood.errors import StoreError, WriteError
from onlygood.station.station_settings import Retention
from onlygood.station.store import database as databases
from onlygood.station.store import images as image_files
from onlygood.station.store import model_versions
from onlygood.station.store.archive import Manifest
from onlygood.station.store.backup import backup
from onlygood.station.store.clock import Clock, steady_s, utc_now
from onlygood.station.store.database import Database, sqlite_url
from onlygood.station.store.drift_states import DriftStates
from onlygood.station.store.feedback import FeedbackBook
from onlygood.station.store.folder_lock import FolderLock
from onlygood.station.store.identity import pair, remember
from onlygood.station.store.images import Images
from onlygood.station.store.inspections import Inspections
from onlygood.station.store.job_book import JobBook
from onlygood.station.store.model_versions import ModelVersions
from onlygood.station.store.needed import kept_bytes
from onlygood.station.store.outbox import OutboxTable
from onlygood.station.store.recorder import RETRY_S, Recorder
from onlygood.station.store.retention import INTERVAL_S, RetentionWorker
from onlygood.station.store.schema import migrate_within
from onlygood.station.store.seen import Seen
from onlygood.station.store.tables import StationRow
from onlygood.station.store.taught import Taught


class Store:
    """The memory of one station: a database and, in the data folder, files of images and models.

    Args:
        data: the data folder; made where it is missing. One station at a time has it.
        url: of the database; None for a file of SQLite in the data folder.
        retention: for how long what was inspected is kept.
        now: the time.
        steady: seconds that pass whatever the clock is set to.
        housekeeping_s: how often what is too old or too much is let go; 0 for when `retention.run` is called alone.
        retry_s: how long a lost database is waited for, before those who record are told.

    Raises:
        StoreError: another station has the folder, the database is not there, is damaged or is a newer onlygood's, or
            something cannot be written.
    """

    def __init__(
        self,
        data: Path,
        *,
        url: str | None = None,
        retention: Retention = Retention(),  # noqa: B008 - it never changes
        now: Callable[[], datetime] = utc_now,
        steady: Callable[[], float] = steady_s,
        housekeeping_s: float = INTERVAL_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self.data, self._url = given_path(data, error=StoreError), url
        try:
            make_folder(self.data)
        except WriteError as error:
            raise StoreError(str(error)) from error
        with ExitStack() as opened:
            opened.enter_context(closing(FolderLock(self.data)))
            self.database = Database(url or sqlite_url(self.data / databases.FILE_NAME))
            opened.callback(self.database.close)
            with self.database.writing() as connection:
                # All of it or nothing: a database that is not this folder's stays as it was.
                migrate_within(connection, shown=self.database.shown)
                self.id = pair(connection, self.database, self.data, now)
            try:
                remember(self.id, self.data)
            except WriteError as error:
                raise StoreError(str(error)) from error
            with self.database.reading() as connection:
                believed_at = connection.scalar(select(StationRow.clock_at))
            self._clock = Clock(now, believed_at=believed_at, steady=steady)
            self._images = Images(
                self.data / image_files.FOLDER_NAME,
                max_bytes=retention.max_image_bytes,
                min_free_bytes=retention.min_free_bytes,
                kept_bytes=kept_bytes(self.database),
            )
            self.models = ModelVersions(self.database, self.data / model_versions.FOLDER_NAME, now=now)
            self.inspections = Inspections(self.database, self._images, now=now)
            self.feedback = FeedbackBook(self.database, self.models, now=now)
            self.jobs = JobBook(self.database, now=now)
            self.taught = Taught(self.database, self._images, now=now)
            self.outbox = OutboxTable(self.database)
            self.seen = Seen(self.database, now=now)
            self.drift = DriftStates(self.database)
            self.recorder = Recorder(self.database, self._images, now=now, retry_s=retry_s)
            opened.callback(self.recorder.close)
            self.retention = RetentionWorker(self.database, self._images, self.seen, retention, self._clock)
            opened.callback(self.retention.close)
            if housekeeping_s > 0:
                self.retention.start(housekeeping_s)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Record what waits, and let others have the data folder; no error where it is closed already."""
        self._opened.close()

    def problems(self) -> list[str]:
        """What keeps the station from remembering, one sentence each; empty while all is well."""
        return [*self.recorder.problems(), *self.retention.problems()]

    def kept_bytes(self) -> int:
        """Of all images that are kept."""
        return self._images.kept_bytes

    def backup(self, path: Path) -> Manifest:
        """Write everything that the station remembers into one file, while it runs; see `backup.backup`.

        Args:
            path: of the file, a new name.

        Raises:
            StoreError: the file exists or cannot be written, or the database cannot be read.
        """
        return backup(path, self.data, self._url)

    def free_bytes(self) -> int:
        """Of the disk that the data folder is on."""
        return self._images.free_bytes()
