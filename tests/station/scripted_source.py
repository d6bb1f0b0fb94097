"""A camera that gives what a test tells it to, when it tells it to."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from threading import Condition
from typing import Any

from onlygood.errors import SourceError
from onlygood.images.reading import ImageArray
from onlygood.station.frames.frame import EndOfSource, Frame


class ScriptedSource:
    """Frames that are put into it, in their order."""

    kind = "camera"

    def __init__(self, *, is_live: bool = True) -> None:
        self.is_live = is_live
        self._waiting: deque[ImageArray | Exception] = deque()
        self._changed = Condition()
        self._number = 0
        self.opened = 0

    def put(self, *frames: ImageArray | Exception) -> None:
        """Give these frames, or fail."""
        with self._changed:
            self._waiting.extend(frames)
            self._changed.notify_all()

    def wait_until_read(self, timeout_s: float) -> bool:
        """Whether all frames were taken within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_s)

    def open(self) -> None:
        self.opened += 1
        self._number = 0

    def read(self, timeout_s: float) -> Frame | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, timeout_s):
                return None
            found = self._waiting.popleft()
            self._changed.notify_all()
        if isinstance(found, Exception):
            raise found
        self._number += 1
        return Frame(number=self._number, at=datetime.now(UTC), name=f"camera {self._number}", pixels=found)

    def close(self) -> None:
        pass


END = EndOfSource()
LOST = SourceError("the camera is lost")


def settings_of(**given: Any) -> dict[str, Any]:
    return {"name": "camera", "model": "part", **given}
