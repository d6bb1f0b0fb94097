"""What the log says again and again of one thing, now and then instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

# A camera gives many images of one kind, and a station runs for a year.
LOG_AGAIN_S = 600.0


class SaidLately:
    """The sentences that the log has lately. Safe to share between threads.

    Args:
        again_s: after which a sentence is said again.
        clock: seconds that never go back.
    """

    def __init__(self, again_s: float = LOG_AGAIN_S, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._again_s, self._clock = again_s, clock
        self._at: dict[str, float] = {}
        self._lock = Lock()

    def is_news(self, sentence: str) -> bool:
        """Whether the log does not have a sentence yet; from now on it does."""
        with self._lock:
            now = self._clock()
            self._at = {each: at for each, at in self._at.items() if now - at < self._again_s}
            if sentence in self._at:
                return False
            self._at[sentence] = now
            return True

    def forget(self) -> None:
        """Let every sentence be said again, as when what they are about works."""
        with self._lock:
            self._at.clear()
