"""Letting go of the oldest, so that a station can run for years on a disk that does not grow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from threading import Event, Lock, Thread
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, select, true, update

from onlygood._plurals import pluralize
from onlygood.errors import OnlygoodError
from onlygood.station.schemas import Label, Verdict
from onlygood.station.station_settings import MIB, Retention
from onlygood.station.store.clock import Clock
from onlygood.station.store.database import Database
from onlygood.station.store.images import Images
from onlygood.station.store.needed import is_needed
from onlygood.station.store.seen import Seen
from onlygood.station.store.tables import InspectionRow, StationRow, TaughtImageRow, table_of
from onlygood.station.store.troubles import DatabaseError, Trouble

_log = logging.getLogger("onlygood.station")

INTERVAL_S = 60.0
# Between two runs when images come faster than they are let go.
_LEAST_INTERVAL_S = 1.0
# In one transaction: those who record wait for it.
_CHUNK = 200


@dataclass(frozen=True, kw_only=True)
class LetGo:
    """What one run let go of.

    Attributes:
        inspections: that are no more.
        images: of inspections that are kept without them.
        bytes: that became free, of image files.
        orphans: files that no inspection had, of a station that ended in the middle of its work.
    """

    inspections: int = 0
    images: int = 0
    bytes: int = 0
    orphans: int = 0

    def __bool__(self) -> bool:
        return bool(self.inspections or self.images or self.orphans)


class RetentionWorker:
    """Keeps the memory within its bounds: `run` once, or from time to time on a thread of its own after `start`.

    By age go images and inspections; by bytes, and to keep the disk from being full, images alone: the oldest first,
    and those that a person marked after all others. Those that are taught or wait to be learned from never go.

    Args:
        database: with its tables.
        images: the files.
        seen: which images of folders were seen.
        settings: the bounds.
        clock: nothing goes by its age while it is not believed.
    """

    def __init__(self, database: Database, images: Images, seen: Seen, settings: Retention, clock: Clock) -> None:
        self._database, self._images, self._seen = database, images, seen
        self._settings, self._clock = settings, clock
        self._is_needed = is_needed(database)
        self._running = Lock()
        self._problem: str | None = None
        self._ending = Event()
        self._thread: Thread | None = None

    def start(self, interval_s: float = INTERVAL_S) -> None:
        """Run from time to time, and as soon as room is short.

        Args:
            interval_s: between two runs while nothing is short.
        """
        self._thread = Thread(target=self._work, args=(interval_s,), name="onlygood-retention", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, in the middle of a run too; what is left to let go of goes next time."""
        self._ending.set()
        self._images.is_short.set()
        if self._thread is not None:
            self._thread.join()

    def run(self) -> LetGo:
        """Let go of what is too old or too much; returns what that was.

        Raises:
            StoreError: the database cannot be read or written.
        """
        with self._running:
            self._images.is_short.clear()
            orphans = self._orphans()
            # Room first: a database on a full disk could not write down anything else.
            images, free = self._by_bytes()
            inspections, more_images, more_free = self._by_age()
        done = LetGo(
            inspections=inspections,
            images=images + more_images,
            bytes=free + more_free + orphans[1],
            orphans=orphans[0],
        )
        if done:
            _log.debug(
                "let go of %s, %s and %s without an inspection: %.1f MiB",
                pluralize(done.inspections, "inspection"),
                pluralize(done.images, "image"),
                pluralize(done.orphans, "file"),
                done.bytes / MIB,
            )
        return done

    def use(self, settings: Retention) -> None:
        """Other bounds, from now on.

        Args:
            settings: the bounds.
        """
        self._settings = settings
        self._images.max_bytes, self._images.min_free_bytes = settings.max_image_bytes, settings.min_free_bytes
        self._images.is_short.set()

    def trust_clock(self) -> None:
        """Believe the clock as it is now: a person has looked at it.

        Raises:
            StoreError: the database cannot be written.
        """
        self._clock.trust()
        self._remember_time()

    @property
    def doubts_clock(self) -> bool:
        """Whether the clock jumped, and nobody has said since that it is right."""
        return self._clock.problem() is not None

    def problems(self) -> list[str]:
        """What keeps the memory from being kept within its bounds, one sentence each."""
        return [problem for problem in (self._clock.problem(), self._problem) if problem]

    def _work(self, interval_s: float) -> None:
        while not self._ending.is_set():
            try:
                self.run()
            except OnlygoodError as error:
                _log.warning("nothing was let go: %s", error)
            except Exception:  # the thread must outlive everything, or the disk fills up
                _log.exception("letting go had an error that it does not know")
            if self._ending.wait(_LEAST_INTERVAL_S):
                return
            self._images.is_short.wait(interval_s)

    def _by_age(self) -> tuple[int, int, int]:
        now = self._clock.believed()
        if now is None:
            return 0, 0, 0
        self._remember_time()
        oldest = now - timedelta(days=min(self._settings.max_inspection_days, now.toordinal() - 1))
        inspections, free = self._each_chunk(
            lambda: _images_of().where(InspectionRow.at < oldest, _may_go()).order_by(InspectionRow.at), self._forget
        )
        while not self._ending.is_set() and self._seen.forget_some(oldest):
            pass
        oldest_image = now - timedelta(days=min(self._settings.max_image_days, now.toordinal() - 1))
        images, more_free = self._each_chunk(
            lambda: (
                _images_of()
                .where(InspectionRow.has_image, InspectionRow.at < oldest_image, _may_go())
                .order_by(InspectionRow.at)
            ),
            self._drop_images,
        )
        return inspections, images, free + more_free

    def _by_bytes(self) -> tuple[int, int]:
        images = free = 0
        marked = InspectionRow.label.in_([label.value for label in Label])
        for condition in (InspectionRow.label.is_(None), marked & _may_go()):
            query = _images_of().where(InspectionRow.has_image, condition).order_by(InspectionRow.id).limit(_CHUNK)
            while (lacking := self._images.lacking_bytes()) and not self._ending.is_set():
                with self._database.reading() as connection:
                    rows = _until(connection.execute(query).all(), lacking)
                if not rows:
                    break
                free += self._drop_images(rows)
                images += len(rows)
        self._problem = self._still_lacking()
        return images, free

    def _still_lacking(self) -> str | None:
        if not self._images.lacking_bytes() or self._ending.is_set():
            return None
        if self._images.kept_bytes > self._images.max_bytes:
            return (
                f"images may take {self._images.max_bytes / MIB:,.0f} MiB, and those that are taught or wait to be "
                f"learned from take {self._images.kept_bytes / MIB:,.0f} MiB: update the models, or raise "
                "max_image_bytes"
            )
        return (
            f"the disk of {self._images.folder} must have {self._images.min_free_bytes / MIB:,.0f} MiB free, got "
            f"{self._images.free_bytes() / MIB:,.0f} MiB and no more images to let go of: make room on it"
        )

    def _each_chunk(
        self, query: Callable[[], Select[Any]], let_go: Callable[[Sequence[Row[Any]]], int]
    ) -> tuple[int, int]:
        """Let go of all rows of a query, some at a time; how many there were, and the bytes that became free."""
        rows_in_all = free = 0
        while not self._ending.is_set():
            with self._database.reading() as connection:
                rows = connection.execute(query().limit(_CHUNK)).all()
            if not rows:
                break
            free += let_go(rows)
            rows_in_all += len(rows)
        return rows_in_all, free

    def _forget(self, rows: Sequence[Row[Any]]) -> int:
        with self._database.writing() as connection:
            connection.execute(delete(InspectionRow).where(InspectionRow.id.in_([row.id for row in rows])))
        return self._remove_files(rows)

    def _drop_images(self, rows: Sequence[Row[Any]]) -> int:
        ids = [row.id for row in rows]
        free = 0
        for attempt in range(2):
            try:
                with self._database.writing() as connection:
                    connection.execute(update(InspectionRow).where(InspectionRow.id.in_(ids)).values(has_image=False))
                break
            except DatabaseError as error:
                # On a disk that is full the database cannot say what is about to go: the files go first.
                if error.trouble is not Trouble.FULL or attempt or not (free := self._remove_files(rows, but=ids)):
                    raise
        return free + self._remove_files(rows)

    def _remove_files(self, rows: Sequence[Row[Any]], *, but: Sequence[int] = ()) -> int:
        digests = dict.fromkeys(row.image_sha256 for row in rows if row.has_image)
        needed = is_needed(self._database, but=but)
        return sum(self._images.remove(digest, needed) or 0 for digest in digests)

    def _orphans(self) -> tuple[int, int]:
        """Files that no row names: a station that was killed wrote them and did not come to its commit."""
        files = free = 0
        if not self._images.may_have_orphans:
            return files, free
        self._images.may_have_orphans = False
        for begin, digests in self._images.digests():
            if self._ending.is_set():
                self._images.may_have_orphans = True
                break
            needed: set[str | None] = set()
            if digests:
                with self._database.reading() as connection:
                    for column, condition in (
                        (InspectionRow.image_sha256, InspectionRow.has_image),
                        (TaughtImageRow.image_sha256, true()),
                    ):
                        of_these = column.between(begin, begin + "g")
                        needed.update(connection.scalars(select(column).where(of_these, condition)))
            for digest in digests:
                if digest not in needed:
                    removed = self._images.remove(digest, self._is_needed, is_orphan=True)
                    files += removed is not None
                    free += removed or 0
        return files, free

    def _remember_time(self) -> None:
        with self._database.writing() as connection:
            connection.execute(update(StationRow).values(clock_at=self._clock.now()))


def _may_go() -> ColumnElement[bool]:
    """Whether an inspection is none of those that wait in the review list with their image."""
    is_in_review = (
        (InspectionRow.label == Label.GOOD.value)
        & (InspectionRow.verdict == Verdict.ANOMALOUS.value)
        & InspectionRow.learned_in.is_(None)
        & InspectionRow.has_image
    )
    return InspectionRow.label.is_(None) | ~is_in_review


def _images_of() -> Select[Any]:
    table = table_of(InspectionRow)
    return select(*(table.c[name] for name in ("id", "image_sha256", "image_bytes", "has_image")))


def _until(rows: Sequence[Row[Any]], lacking_bytes: int) -> Sequence[Row[Any]]:
    """The first rows, up to that with which their images have so many bytes."""
    so_far = 0
    for number, row in enumerate(rows, 1):
        so_far += row.image_bytes
        if so_far >= lacking_bytes:
            return rows[:number]
    return rows
