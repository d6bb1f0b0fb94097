"""How many of something there were in a second, of late."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

# Over so many seconds.
WINDOW_S = 10.0
_LEAST_S = 1.0


class Throughput:
    """Takes note of each, and says how many a second there were over the last WINDOW_S. Safe to share between threads.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at = clock()
        self._times: deque[float] = deque()
        self._lock = Lock()

    def note(self) -> None:
        """There was one more."""
        with self._lock:
            self._times.append(self._clock())
            self._forget()

    @property
    def uptime_s(self) -> float:
        """The time since it began."""
        return self._clock() - self._began_at

    @property
    def per_s(self) -> float:
        """How many a second; since it began, where that is less than the window ago."""
        with self._lock:
            self._forget()
            return len(self._times) / min(WINDOW_S, max(self.uptime_s, _LEAST_S))

    def _forget(self) -> None:
        since = self._clock() - WINDOW_S
        while self._times and self._times[0] < since:
            self._times.popleft()
