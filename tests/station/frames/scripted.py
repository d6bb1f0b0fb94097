"""A source that does what a test says, and waits for events of other threads."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from onlygood.station.frames import Frame

DEADLINE_S = 30.0


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Returns once something holds that other threads or processes bring about."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited for {DEADLINE_S:g} s: {what}"
        time.sleep(0.002)


def frame(number: int) -> Frame:
    pixels = np.full((4, 4, 3), number % 256, np.uint8)
    return Frame(number=number, at=datetime.now(UTC), name=f"{number}", pixels=pixels)


class Scripted:
    """Gives what is put into it, in order: a frame for a number; an exception is raised.

    Attributes:
        openings: what each `open` does in turn: None to succeed, or an exception; afterwards all succeed.
        opened: how often it was opened.
        closed: how often it was closed.
        given: the numbers of frames that were read.
    """

    kind = "folder"

    def __init__(self, *script: int | BaseException, is_live: bool = True) -> None:
        self.is_live = is_live
        self.script: queue.Queue[int | BaseException] = queue.Queue()
        for step in script:
            self.script.put(step)
        self.openings: list[BaseException | None] = []
        self.opened = self.closed = 0
        self.given: list[int] = []

    def open(self) -> None:
        self.opened += 1
        if self.openings and (error := self.openings.pop(0)) is not None:
            raise error

    def read(self, timeout_s: float) -> Frame | None:
        try:
            step = self.script.get(timeout=min(timeout_s, 0.02))
        except queue.Empty:
            return None
        if isinstance(step, BaseException):
            raise step
        self.given.append(step)
        return frame(step)

    def close(self) -> None:
        self.closed += 1

    def put(self, *script: int | BaseException) -> None:
        for step in script:
            self.script.put(step)

    def wait_for(self, count: int) -> None:
        """Returns once so many frames were read."""
        wait_until(lambda: len(self.given) >= count, f"{count} frames are read")
