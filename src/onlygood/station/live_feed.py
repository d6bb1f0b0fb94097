"""What a source shows to those who look: its newest image with its verdict, never an older one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from onlygood.results import Inspection
from onlygood.station.schemas import InspectionRecord, ModelVersion


@dataclass(frozen=True, kw_only=True)
class LiveFrame:
    """One image that was shown live.

    Attributes:
        sequence: of the frame among those of its source since the station started, from 1.
        at: when it was taken, UTC.
        name: of the image.
        content: the image file that was inspected.
        suffix: of that file, such as ".jpg".
        width: in pixels.
        height: in pixels.
        model: the name of the model; None where none is chosen.
        version: of the model; None where none is chosen.
        inspection: with its map; None where there is no model or the image could not be inspected.
        record: what is remembered of it; None where it is not recorded.
        average: the mean score of the newest images, over as many as the alarm looks at.
        anomalous: how many of those are anomalous.
        of: how many of those there are.
        is_alarmed: whether enough of those are anomalous.
        problem: why it was not inspected, in a sentence.
    """

    sequence: int
    at: datetime
    name: str
    content: bytes = field(repr=False)
    suffix: str
    width: int
    height: int
    model: str | None = None
    version: ModelVersion | None = None
    inspection: Inspection | None = field(default=None, repr=False)
    record: InspectionRecord | None = None
    average: float | None = None
    anomalous: int = 0
    of: int = 0
    is_alarmed: bool = False
    problem: str | None = None


class LiveWatch:
    """One who looks at a feed. Safe to share between threads.

    Attributes:
        skipped: how many frames were replaced by newer ones before they were taken.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.skipped = 0
        self._wake = wake
        self._newest: LiveFrame | None = None
        self._lock = Lock()

    def offer(self, frame: LiveFrame) -> None:
        """Replace what was not taken yet, and wake who waits."""
        with self._lock:
            self.skipped += self._newest is not None
            self._newest = frame
        self._wake()

    def take(self) -> LiveFrame | None:
        """The newest frame that was not taken yet; None where there is none."""
        with self._lock:
            frame, self._newest = self._newest, None
            return frame


class LiveFeed:
    """The newest frames of one source, for any number of those who look. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._watches: list[LiveWatch] = []
        self._latest: LiveFrame | None = None

    @property
    def is_watched(self) -> bool:
        """Whether anybody looks: maps need not be computed for nobody."""
        return bool(self._watches)

    @property
    def latest(self) -> LiveFrame | None:
        """The newest frame that was published; None before the first."""
        return self._latest

    def publish(self, frame: LiveFrame) -> None:
        """Show a frame to all who look. It never waits for any of them."""
        with self._lock:
            self._latest = frame
            watches = tuple(self._watches)
        for watch in watches:
            watch.offer(frame)

    @contextmanager
    def watch(self, wake: Callable[[], None]) -> Iterator[LiveWatch]:
        """One who looks, for as long as the context lasts; the newest frame is there at once.

        Args:
            wake: called on the thread of the source after each frame: it must not block.
        """
        watch = LiveWatch(wake)
        with self._lock:
            self._watches.append(watch)
            latest = self._latest
        if latest is not None:
            watch.offer(latest)
        try:
            yield watch
        finally:
            with self._lock:
                self._watches.remove(watch)
