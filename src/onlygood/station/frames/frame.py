"""One image from a source, and what every source can do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from onlygood.images.reading import ImageArray


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One image from a source.

    Attributes:
        number: of the frame among those that the source gave since it was opened, from 1; frames that were skipped
            have numbers too.
        at: when it was taken, UTC, by the station's clock.
        name: of the image: of a file its path within the folder, else the source's name and the number.
        content: the bytes of the image file, where there is one; None for frames of a camera.
        pixels: uint8 or uint16 [H, W, C], red, green, blue; None where `content` is given.
        page: of a multi-page TIFF, from 0; None for a file of one.
        key: identifies the image across restarts, so that it is inspected once; None for frames of a camera.
        problem: a sentence on why the file gives no image, to be recorded with the key as inspections are; then there
            are no pixels, and content only where the file could be read.
    """

    number: int
    at: datetime
    name: str
    content: bytes | None = None
    pixels: ImageArray | None = None
    page: int | None = None
    key: str | None = None
    problem: str | None = None


class FrameSource(Protocol):
    """What is opened, read one frame after another, and closed, on one thread of the station's.

    `open` and `read` raise `SourceError` where the device is missing or lost: the caller waits, with growing pauses,
    and opens it again. A source counts nothing and retries nothing itself.
    """

    kind: str
    # Whether images come at their own speed, so that the newest one counts; else none is passed over, and the source
    # gives the next one when it is asked.
    is_live: bool

    def open(self) -> None:
        """Connect.

        Raises:
            SourceError: it is not there, or gives nothing.
        """

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; None where none came within the time.

        A stream that falls silent may take longer: until its own limit says that it was lost.

        Raises:
            SourceError: the source was lost.
            EndOfSource: a video file has no more frames; no error, and the end of the source.
        """

    def close(self) -> None:
        """Disconnect; no error where it is closed already."""


class EndOfSource(Exception):  # noqa: N818 - it is no error, as StopIteration is none
    """A source that has an end, such as a video file, has no more frames.

    Attributes:
        problem: a sentence on why it ended before its end; empty where all is well.
    """

    def __init__(self, problem: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
