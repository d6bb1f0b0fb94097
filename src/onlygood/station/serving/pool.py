"""A bounded pool of threads with a bounded queue in front: when it is full, work is refused at once."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any, TypeVar

from onlygood._plurals import pluralize
from onlygood.errors import BusyError

T = TypeVar("T")

# Of the mean time of a piece of work: how much the newest one says.
_NEWEST_SHARE = 0.05
_LEAST_RETRY_S, _MOST_RETRY_S = 1.0, 60.0


@dataclass(frozen=True)
class _Work:
    call: Callable[[], Any]
    future: Future[Any]
    queued_at: float


class Pool:
    """Threads that work on what is submitted, in its order.

    Args:
        workers: how many threads; 0 for one a core.
        queue_size: how many pieces of work may wait.
        queue_timeout_s: what waited for longer than this is refused instead of begun: nobody may need it any more.
    """

    def __init__(self, *, workers: int = 0, queue_size: int = 64, queue_timeout_s: float = 30.0) -> None:
        self.workers = workers or os.cpu_count() or 1
        self.queue_size, self.queue_timeout_s = queue_size, queue_timeout_s
        self._waiting: deque[_Work] = deque()
        self._changed = Condition()
        self._is_closed = False
        self._mean_s = 0.0
        self._threads = [
            Thread(target=self._run, name=f"inspection-{number}", daemon=True) for number in range(self.workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued(self) -> int:
        """How many pieces of work wait now."""
        return len(self._waiting)

    def submit(self, call: Callable[[], T], *, waits_s: float = 0.0) -> Future[T]:
        """The future result of a call on one of the threads.

        Args:
            call: what to do. A future that is cancelled before a thread is free is never called.
            waits_s: for how long to wait for room in the queue before the work is refused.

        Raises:
            BusyError: the queue is full, or the pool is closed.
        """
        future: Future[T] = Future()
        with self._changed:
            if waits_s and len(self._waiting) >= self.queue_size:
                self._changed.wait_for(lambda: self._is_closed or len(self._waiting) < self.queue_size, waits_s)
            if self._is_closed:
                raise BusyError("the station is stopping and takes no more images: ask again later", retry_after_s=5.0)
            if len(self._waiting) >= self.queue_size:
                raise BusyError(
                    f"at most {pluralize(self.queue_size, 'image')} may wait to be inspected, and as many do: send "
                    "this one again later",
                    retry_after_s=self._retry_after_s(),
                )
            self._waiting.append(_Work(call, future, time.monotonic()))
            self._changed.notify_all()
        return future

    def close(self) -> None:
        """Refuse new work, finish what waits, and end the threads."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _retry_after_s(self) -> float:
        """When half of the queue will have been worked on."""
        needed_s = 0.5 * self.queue_size * self._mean_s / self.workers
        return min(max(needed_s, _LEAST_RETRY_S), _MOST_RETRY_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if not self._waiting:
                    return
                work = self._waiting.popleft()
                self._changed.notify_all()
            self._do(work)

    def _do(self, work: _Work) -> None:
        if not work.future.set_running_or_notify_cancel():
            return
        started = time.monotonic()
        waited_s = started - work.queued_at
        if waited_s > self.queue_timeout_s:
            work.future.set_exception(
                BusyError(
                    f"an image may wait for {self.queue_timeout_s:g} seconds, and this one waited for {waited_s:.1f}: "
                    "send it again later",
                    retry_after_s=self._retry_after_s(),
                )
            )
            return
        try:
            result = work.call()
        except BaseException as error:
            work.future.set_exception(error)
        else:
            work.future.set_result(result)
        taken_s = time.monotonic() - started
        self._mean_s = taken_s if not self._mean_s else self._mean_s + _NEWEST_SHARE * (taken_s - self._mean_s)
