"""Delivering what waits for each output: in order, again and again, each output on a thread of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from typing import Protocol

from onlygood.errors import OnlygoodError, OutputError
from onlygood.station.outputs.output import Output
from onlygood.station.outputs.pauses import Pauses
from onlygood.station.schemas import InspectionRecord, OutputStatus

# Handed over at once, at most. It begins with one, and doubles while a delivery takes less than `QUICK_S`: what
# was taken is noted after each, so that little is repeated where the station is killed, and a slow output can be ended.
BATCH = 64
QUICK_S = 0.1
# How often an output is looked after while nothing waits for it.
IDLE_S = 2.0
_log = logging.getLogger("onlygood.station")


class Outbox(Protocol):
    """What waits for each output, kept where it survives a restart: written together with the inspection itself."""

    def waiting(self, output: str, limit: int) -> list[InspectionRecord]:
        """The inspections that wait for an output, by ascending id.

        Args:
            output: its name.
            limit: how many at most.

        Raises:
            StoreError: the database cannot be read.
        """

    def delivered(self, output: str, ids: Sequence[int]) -> None:
        """Note that these do not wait for an output any more; no error for one that does not.

        Raises:
            StoreError: the database cannot be written.
        """

    def failed(self, output: str, sentence: str) -> None:
        """Note why an output takes nothing now.

        Raises:
            StoreError: the database cannot be written.
        """

    def count(self, output: str) -> int:
        """How many inspections wait for an output.

        Raises:
            StoreError: the database cannot be read.
        """


class Delivery:
    """All outputs of a station, each with a thread that delivers to it.

    One that is broken or slow delays neither the others nor the inspections: those are written to the outbox, and
    `wake` returns at once.
    """

    def __init__(
        self,
        outbox: Outbox,
        outputs: Sequence[Output],
        *,
        pauses: Callable[[], Pauses] = Pauses,
        idle_s: float = IDLE_S,
    ) -> None:
        """Nothing is delivered before `start`.

        Args:
            outbox: where inspections wait.
            outputs: with different names.
            pauses: makes the pauses after failures, for each output its own.
            idle_s: how often an output is looked after, and the outbox, while nothing is heard of it.
        """
        self._workers = [_Worker(outbox, output, pauses(), idle_s) for output in outputs]

    def start(self) -> None:
        """Begin to deliver what waits, and whatever comes."""
        for worker in self._workers:
            worker.thread.start()

    def wake(self) -> None:
        """Say that inspections were written to the outbox; returns at once, from any thread."""
        for worker in self._workers:
            worker.wake()

    def stop(self, timeout_s: float = 30.0) -> bool:
        """End all threads; what was not delivered still waits.

        Args:
            timeout_s: how long to wait for outputs that are in the middle of a delivery.

        Returns:
            Whether all of them ended in time. One that did not ends with the process.
        """
        for worker in self._workers:
            worker.ask_to_stop()
        for worker in self._workers:
            if worker.thread.ident is not None:
                worker.thread.join(timeout_s)
        late = [worker.output.name for worker in self._workers if worker.thread.is_alive()]
        for name in late:
            _log.warning(
                "output %r did not end within %g s: what it did not deliver waits for the next start", name, timeout_s
            )
        return not late

    def statuses(self) -> tuple[OutputStatus, ...]:
        """What was delivered since the start, what waits, and what is wrong, for each output in their order."""
        return tuple(worker.status() for worker in self._workers)


class _Worker:
    """One output and its thread."""

    def __init__(self, outbox: Outbox, output: Output, pauses: Pauses, idle_s: float) -> None:
        self.output = output
        self.thread = Thread(target=self._run, name=f"output {output.name}", daemon=True)
        self._outbox, self._pauses, self._idle_s = outbox, pauses, idle_s
        self._woken, self._stopping = Event(), Event()
        # What the output took, but the outbox does not know of yet: it is never handed over a second time.
        self._taken: list[int] = []
        self._batch = 1
        # Held while the outbox is told of a delivery or asked for what waits: an inspection is one or the other.
        self._tally = Lock()
        self._delivered = 0
        self._waiting = 0
        self._problem: str | None = None  # set on the thread alone

    def wake(self) -> None:
        self._woken.set()

    def ask_to_stop(self) -> None:
        self._stopping.set()
        self._woken.set()

    def status(self) -> OutputStatus:
        unread = None
        with self._tally:
            try:
                self._waiting = self._outbox.count(self.output.name)
            except OnlygoodError as error:
                unread = str(error)
            delivered, waiting = self._delivered, self._waiting
        return OutputStatus(
            name=self.output.name,
            kind=self.output.kind,
            delivered=delivered,
            waiting=waiting,
            problem=self._problem or unread,
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()  # before the outbox is read: what is written from now on wakes it
            try:
                is_empty = self._deliver_some()
            except OnlygoodError as error:
                self._fail(str(error), error)
                asked_s = getattr(error, "retry_after_s", None)
                self._stopping.wait(self._pauses.next_s(asked_s or 0.0))
                continue
            except Exception as error:
                sentence = f"output {self.output.name!r} failed unexpectedly with {type(error).__name__}: {error}"
                self._fail(sentence, error)
                self._close()
                self._stopping.wait(self._pauses.next_s())
                continue
            self._succeed()
            if is_empty:
                self._woken.wait(self._idle_s)
        self._close()

    def _deliver_some(self) -> bool:
        """Deliver the first of what waits; whether nothing did."""
        self._note_taken()
        self.output.open()
        records = self._outbox.waiting(self.output.name, self._batch)
        if not records:
            self.output.check()
            return True
        ids = [record.id for record in records]
        begun_s = time.monotonic()
        try:
            self.output.deliver(records)
        except OutputError as error:
            self._batch = 1
            self._taken = ids[: error.taken]
            self._note_taken()
            raise
        is_quick = time.monotonic() - begun_s < QUICK_S
        self._batch = min(2 * self._batch, BATCH) if is_quick else max(self._batch // 2, 1)
        self._taken = ids
        self._note_taken()
        return False

    def _note_taken(self) -> None:
        if self._taken:
            with self._tally:
                self._outbox.delivered(self.output.name, self._taken)
                self._delivered += len(self._taken)
            self._taken = []

    def _succeed(self) -> None:
        self._pauses.reset()
        before, self._problem = self._problem, None
        if before is not None:
            _log.info("output %r works again", self.output.name)

    def _fail(self, sentence: str, error: Exception) -> None:
        """Say once in the log what is wrong, and to those who ask until it works again."""
        before, self._problem = self._problem, sentence
        if sentence != before:
            is_expected = isinstance(error, OnlygoodError)
            _log.log(
                logging.WARNING if is_expected else logging.ERROR,
                "%s; what waits is delivered later",
                sentence,
                exc_info=None if is_expected else error,
            )
        try:
            self._outbox.failed(self.output.name, sentence)
        except Exception as other:  # what is wrong was said, and the outbox is asked again in any case
            _log.debug("what is wrong with output %r cannot be written down: %s", self.output.name, other)

    def _close(self) -> None:
        try:
            self.output.close()
        except Exception:
            _log.exception("output %r cannot be closed", self.output.name)
