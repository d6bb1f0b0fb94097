"""Frames between the thread that reads a source and the one that inspects them.

Of a live source the newest frame counts: a frame that was not taken when the next one comes is passed over. Of a folder
or a file none is: the reading thread waits until there is room.
"""

from __future__ import annotations

import time
from collections import deque
from threading import Condition

from onlygood.station.frames.frame import Frame

# Frames that wait of a source of which none is passed over: one is decoded while another is inspected.
MOST_WAITING = 2
# Triggers, and frames that they took, that wait for the inspection.
MOST_TRIGGERED = 16


class HandOver:
    """Frames that wait, and the rate at which they are taken.

    Attributes:
        taken: how many were taken.
        skipped: how many were passed over because the consumer was busy with earlier ones.
    """

    def __init__(self, max_frames_per_s: float = 0.0) -> None:
        """Nothing waits yet.

        Args:
            max_frames_per_s: at most so many are given in a second; 0 for no bound. A frame that is passed over for
                this bound alone is not one of the skipped.
        """
        self._frames: deque[Frame] = deque()
        self._changed = Condition()
        self._pause_s = 1 / max_frames_per_s if max_frames_per_s else 0.0
        self._next_at = self._came_at = 0.0
        self._is_closed = False
        self._taken_at: deque[float] = deque(maxlen=256)
        self.taken = self.skipped = 0

    def put_newest(self, frame: Frame) -> None:
        """Let the frame wait instead of the one that waits, if one does."""
        with self._changed:
            # one that came before it could be taken is passed over for the rate
            if self._frames and self._came_at >= self._next_at:
                self.skipped += 1
            self._came_at = time.monotonic()
            self._frames.clear()
            self._frames.append(frame)
            self._changed.notify_all()

    def put_behind(self, frame: Frame) -> None:
        """Let the frame wait behind those that wait, however many they are."""
        with self._changed:
            self._frames.append(frame)
            self._changed.notify_all()

    def wait_for_room(self, timeout_s: float) -> bool:
        """Whether there is room for one of a source of which none is passed over, within the time."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._frames) < MOST_WAITING or self._is_closed, timeout_s)
            return len(self._frames) < MOST_WAITING and not self._is_closed

    def skip(self, number: int) -> None:
        """Frames were passed over before they came here.

        Args:
            number: of frames, 0 or more.
        """
        with self._changed:
            self.skipped += number

    def take(self, timeout_s: float) -> Frame | None:
        """The frame that waits, the oldest if several do; None where none came within the time.

        At once None where nothing waits and nothing will come, since it was closed.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                now = time.monotonic()
                if self._frames and now >= self._next_at:
                    is_late = now - self._next_at > self._pause_s
                    self._next_at = (now if is_late else self._next_at) + self._pause_s
                    self._taken_at.append(now)
                    self.taken += 1
                    self._changed.notify_all()
                    return self._frames.popleft()
                if now >= deadline or (self._is_closed and not self._frames):
                    return None
                wake_at = min(deadline, self._next_at) if self._frames else deadline
                self._changed.wait(wake_at - now)

    def close(self) -> None:
        """Nothing more will come; who waits is woken. What waits can still be taken."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many frames wait."""
        with self._changed:
            return len(self._frames)

    @property
    def is_over(self) -> bool:
        """Whether nothing waits and nothing will come."""
        with self._changed:
            return self._is_closed and not self._frames

    def frames_per_s(self, window_s: float = 5.0) -> float:
        """How many were taken in a second, over the last seconds.

        Args:
            window_s: how many seconds.
        """
        with self._changed:
            since = time.monotonic() - window_s
            times = [at for at in self._taken_at if at > since]
            # a full memory of fast frames spans less than the window
            is_short = len(times) == self._taken_at.maxlen
            span_s = times[-1] - times[0] if is_short else window_s
            return round(len(times) / span_s, 2) if span_s > 0 else 0.0
