"""Recording inspections: one thread writes what waits in one transaction, and says so once it is committed."""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from threading import Condition, Event, Thread

from onlygood.errors import BusyError, StoreError
from onlygood.station.schemas import InspectionRecord
from onlygood.station.store.database import Database
from onlygood.station.store.images import Images, reason_of
from onlygood.station.store.needed import is_needed
from onlygood.station.store.records import NewInspection, draft_of
from onlygood.station.store.transaction import AlreadySeen, Entry, Outcome, probe, record_entries, was_committed
from onlygood.station.store.troubles import PASSING, DatabaseError, Trouble

_log = logging.getLogger("onlygood.station")

# In one transaction: more would make the first of them wait for the last.
MOST_IN_A_BATCH = 256
# Of what waits to be written, beyond which `submit` waits itself.
MOST_WAITING = 512
MOST_WAITING_BYTES = 256 << 20
SUBMIT_TIMEOUT_S = 10.0
# How long a database that is away is waited for, before those who wait are told.
RETRY_S = 30.0
# How often it is seen whether a trouble has ended, while nothing is recorded.
PROBE_S = 2.0
_IMAGE_WRITERS = 4
# On a disk that is nearly full, images are kept and not kept in turn: the log says so now and then.
LOG_AGAIN_S = 60.0
_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


@dataclass(eq=False)
class _Waiting:
    entry: Entry
    future: Future[InspectionRecord]
    image: Future[None] | None
    bytes: int


class Recorder:
    """Inspections from any thread into the database, in the order in which they were submitted.

    Nothing is acknowledged before it is committed. An image that cannot be kept does not keep its inspection from being
    recorded; `problems` says so.

    Args:
        database: with its tables.
        images: where the files go.
        now: the time.
        retry_s: how long a lost database is waited for.
    """

    def __init__(
        self, database: Database, images: Images, *, now: Callable[[], datetime], retry_s: float = RETRY_S
    ) -> None:
        self._database = database
        self._images = images
        self._is_needed = is_needed(database)
        self._now = now
        self._retry_s = retry_s
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._changed = Condition()
        self._is_closed = False
        self._closing = Event()
        self._lost_since: float | None = None
        self._database_problem: str | None = None
        self._image_problem: str | None = None
        self._image_log_at = 0.0
        self._has_logged_images = False
        self._writers = ThreadPoolExecutor(_IMAGE_WRITERS, thread_name_prefix="onlygood-images")
        self._thread = Thread(target=self._run, name="onlygood-recorder", daemon=True)
        self._thread.start()

    def submit(
        self, new: NewInspection, *, outputs: Sequence[str] = (), drift: tuple[str, str] | None = None
    ) -> Future[InspectionRecord]:
        """Record one inspection; the future holds its record once that is committed, with its image.

        The future raises `AlreadySeen` where an image of the same source and key was recorded before, and `StoreError`
        where the database did not take it: then nothing of it is kept.

        Args:
            new: what was inspected.
            outputs: names of outputs that are to be told of it.
            drift: the digest of the model's version and the state of its drift test, which are saved with it.

        Raises:
            ValueError: a value is none that a record can have.
            BusyError: too many wait to be written, and the disk or database is no faster.
            StoreError: the station is closed.
        """
        entry = Entry(draft_of(new, new.at or self._now()), new, tuple(outputs), drift)
        size = len(new.content or b"")
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(size), SUBMIT_TIMEOUT_S):
                raise BusyError(
                    f"at most {MOST_WAITING} inspections or {MOST_WAITING_BYTES >> 20} MiB of images wait to be "
                    f"recorded, got more for {SUBMIT_TIMEOUT_S:g} s: the disk or the database is too slow; send fewer",
                    retry_after_s=SUBMIT_TIMEOUT_S,
                )
            if self._is_closed:
                raise StoreError("the station must be open to record an inspection, got one that is closed: start it")
            waiting = _Waiting(entry, Future(), None, size)
            if new.content is not None and self._images.max_bytes > 0:
                waiting.image = self._writers.submit(self._keep, entry, new.content)
            self._queue.append(waiting)
            self._queued_bytes += size
            self._changed.notify_all()
        return waiting.future

    def record(
        self, new: NewInspection, *, outputs: Sequence[str] = (), drift: tuple[str, str] | None = None
    ) -> InspectionRecord:
        """The same, waited for.

        Args:
            new: what was inspected.
            outputs: names of outputs that are to be told of it.
            drift: the digest of the model's version and the state of its drift test.

        Raises:
            AlreadySeen: an image of the same source and key was recorded before.
            StoreError: the database did not take it.
        """
        return self.submit(new, outputs=outputs, drift=drift).result()

    @property
    def waiting(self) -> int:
        """How many inspections are submitted and not yet taken into a transaction."""
        return len(self._queue)

    @property
    def is_recording(self) -> bool:
        """Whether the database took what it was last given; whether images are kept is another matter."""
        return self._database_problem is None

    def problems(self) -> list[str]:
        """What keeps inspections or images from being kept, one sentence each; empty while all are."""
        return [problem for problem in (self._database_problem, self._image_problem) if problem]

    def close(self) -> None:
        """Record what waits, and end."""
        with self._changed:
            self._is_closed = True
            self._closing.set()
            self._changed.notify_all()
        self._thread.join()
        self._writers.shutdown()

    def _has_room(self, size: int) -> bool:
        if self._is_closed or not self._queue:
            return True
        return len(self._queue) < MOST_WAITING and self._queued_bytes + size <= MOST_WAITING_BYTES

    def _keep(self, entry: Entry, content: bytes) -> None:
        """On a thread of its own, while others are inspected: the image's file."""
        digest = self._images.hold(content)
        entry.held = digest
        try:
            self._images.write(digest, content)
        except OSError as error:
            self._lacks(error)
        else:
            entry.keep_image(digest, len(content))
            self._keeps()

    def _lacks(self, error: OSError) -> None:
        problem = (
            f"images cannot be kept ({reason_of(error)}), inspections are recorded without them: make room on the disk "
            f"of {self._images.folder}"
        )
        if self._image_problem is None and time.monotonic() >= self._image_log_at:
            _log.error("%s", problem)
            self._image_log_at = time.monotonic() + LOG_AGAIN_S
            self._has_logged_images = True
        self._image_problem = problem

    def _keeps(self) -> None:
        if self._image_problem is not None:
            self._image_problem = None
            if self._has_logged_images:
                self._has_logged_images = False
                _log.info("images are kept again")

    def _run(self) -> None:
        while self._wait():
            batch = self._take()
            try:
                self._record(batch)
            except BaseException as error:  # the thread must outlive everything, and nobody waits forever
                _log.exception("the recorder had an error that it does not know")
                _fail(batch, StoreError(f"the inspection was not recorded: {error}"))
            finally:
                self._release(batch)

    def _release(self, batch: Sequence[_Waiting]) -> None:
        """Hold the images no longer. Those that no row names go: what is refused must not fill a full disk."""
        for waiting in batch:
            digest = waiting.entry.held
            if digest is None:
                continue
            self._images.release(digest)
            if not waiting.entry.is_recorded:
                self._images.remove_if_possible(digest, self._is_needed)

    def _wait(self) -> bool:
        """Until there are some to record; False once there will be no more. Meanwhile troubles are looked after."""
        while True:
            with self._changed:
                looks = PROBE_S if self.problems() else None
                if self._changed.wait_for(lambda: self._queue or self._is_closed, looks):
                    return bool(self._queue)
            self._probe()

    def _probe(self) -> None:
        try:
            if self._database_problem is not None:
                probe(self._database)
                self._works()
            if self._image_problem is not None:
                self._images.probe()
                self._keeps()
        except StoreError as error:
            self._database_problem = str(error)
        except OSError as error:
            self._lacks(error)

    def _take(self) -> list[_Waiting]:
        """Those that wait and whose image is written, in their order."""
        first = self._queue[0]
        if first.image is not None:
            first.image.exception()  # waits; what happened to the image is in the entry
        batch: list[_Waiting] = []
        with self._changed:
            while self._queue and len(batch) < MOST_IN_A_BATCH:
                waiting = self._queue[0]
                if waiting.image is not None and not waiting.image.done():
                    break
                batch.append(self._queue.popleft())
                self._queued_bytes -= waiting.bytes
            self._changed.notify_all()
        return batch

    def _record(self, batch: list[_Waiting]) -> None:
        live = [waiting for waiting in batch if waiting.future.set_running_or_notify_cancel()]
        if not live:
            return
        try:
            outcome = self._committed([waiting.entry for waiting in live])
        except DatabaseError as error:
            if error.trouble is Trouble.REFUSED and len(live) > 1:
                # One of them is none that can be stored: the others are.
                for waiting in live:
                    try:
                        _resolve([waiting], self._committed([waiting.entry]))
                    except StoreError as alone:
                        _fail([waiting], alone)
                return
            _fail(live, error)
            return
        except StoreError as error:
            _fail(live, error)
            return
        _resolve(live, outcome)

    def _committed(self, entries: list[Entry]) -> Outcome:
        """What a transaction with these entries came to, tried again while the database is away."""
        batch = secrets.token_hex(16)
        outcomes: list[Outcome] = []
        pauses = iter(_PAUSES_S)
        while True:
            try:
                # A connection that broke during COMMIT leaves open whether the transaction came through.
                if not outcomes or not was_committed(self._database, batch):
                    outcomes.clear()
                    record_entries(self._database, entries, batch=batch, at=self._now(), outcomes=outcomes)
            except DatabaseError as error:
                if error.trouble is not Trouble.REFUSED:
                    self._failed(str(error))
                if error.trouble not in PASSING or not self._is_worth_waiting():
                    raise
                self._closing.wait(next(pauses, _PAUSES_S[-1]))
            else:
                self._works()
                return outcomes[0]

    def _is_worth_waiting(self) -> bool:
        now = time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
        return now - self._lost_since < self._retry_s and not self._closing.is_set()

    def _failed(self, problem: str) -> None:
        if self._database_problem is None:
            _log.error("%s", problem)
        self._database_problem = problem

    def _works(self) -> None:
        self._lost_since = None
        if self._database_problem is not None:
            self._database_problem = None
            _log.info("inspections are recorded again")


def _resolve(batch: Sequence[_Waiting], outcome: Outcome) -> None:
    for waiting, result in zip(batch, outcome, strict=True):
        if isinstance(result, AlreadySeen):
            waiting.future.set_exception(result)
        else:
            waiting.entry.is_recorded = True
            waiting.future.set_result(result)


def _fail(batch: Sequence[_Waiting], error: StoreError) -> None:
    for waiting in batch:
        if not waiting.future.done():
            waiting.future.set_exception(error)
