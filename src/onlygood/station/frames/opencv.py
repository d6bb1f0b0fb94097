"""Cameras, streams and video files through OpenCV: opening within a time, and pixels in the order red, green, blue.

OpenCV says whether it could open something and never why not, and writes what its libraries say to the terminal. Here
it is kept silent, and who opens something says what is wrong with it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal

import numpy as np

from onlygood._extras import need_extra
from onlygood.images.reading import ImageArray

if TYPE_CHECKING:
    import cv2

Backend = Literal["camera", "ffmpeg"]

# OpenCV takes options of FFmpeg from this variable of the whole process alone, and opens by FFmpeg one after another.
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_opening = threading.Lock()
# A camera at a computer with Linux that gives nothing for so many seconds is lost.
CAMERA_SILENCE_S = 5
# Frames in a row that cannot be decoded, as the first ones of webcams often cannot, before the source counts as lost.
_MOST_BROKEN = 30
# Frames of a stream that say no time, before it is believed that none will.
_MOST_WITHOUT_TIME = 10


def need_opencv(purpose: str) -> None:
    """Refuse to go on without OpenCV.

    Args:
        purpose: what needs it, as the subject of a sentence.

    Raises:
        MissingExtraError: it is not installed.
    """
    need_extra("opencv-python-headless", module="cv2", extra="station", purpose=purpose)


class VideoReader:
    """Something that gives frames one after another."""

    def __init__(self) -> None:
        """Nothing is open yet."""
        self._capture: cv2.VideoCapture | None = None

    def open(
        self,
        target: int | str,
        backend: Backend,
        *,
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 10.0,
        size: tuple[int, int] | None = None,
        fourcc: str = "",
        threads: int = 1,
        ffmpeg_options: str = "",
    ) -> bool:
        """Open something; whether that succeeded.

        Args:
            target: a camera's number or device, an address, or a file.
            backend: that opens it.
            open_timeout_s: after which a stream counts as not there.
            read_timeout_s: after which a stream that gives nothing is lost; a camera at this computer after
                CAMERA_SILENCE_S.
            size: height and width in pixels that a camera is asked for; it may give the nearest that it has.
            fourcc: of the coding that a camera is asked for; empty for its own choice.
            threads: that decode. Each one beyond the first delays the newest frame by one.
            ffmpeg_options: "name;value|name;value".
        """
        prepare_opencv()
        import cv2

        self.close()
        if backend == "ffmpeg":
            kind = cv2.CAP_FFMPEG
            parameters = [cv2.CAP_PROP_N_THREADS, threads]
            parameters += [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(1000 * open_timeout_s)]
            parameters += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(1000 * read_timeout_s)]
        else:
            # Linux has one interface to cameras; elsewhere OpenCV takes the system's.
            kind, parameters = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY, []
        try:
            # A camera at this computer does not wait for one in the network that does not answer.
            with _with_options(ffmpeg_options) if backend == "ffmpeg" else nullcontext():
                capture = cv2.VideoCapture(target, kind, parameters)
        except cv2.error:
            return False
        if not capture.isOpened():
            capture.release()
            return False
        if fourcc:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))
        if size is not None:
            # as parameters of opening they would let it fail where a camera does not have just this size
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[1])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[0])
        self._capture = capture
        return True

    def read(self) -> ImageArray | None:
        """The next frame, uint8 [H, W, 3]; None at the end, or where the stream was lost."""
        if self._capture is None:
            return None
        import cv2

        try:
            for _ in range(_MOST_BROKEN):
                if not self._capture.grab():
                    return None
                is_whole, image = self._capture.retrieve()
                if is_whole and image is not None:
                    rgb = image[:, :, None] if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                    return rgb.astype(np.uint8, copy=False)
        except cv2.error:  # a driver that does what drivers must not
            return None
        return None

    def drop_buffered(self, most_s: float) -> bool:
        """Pass over the frames of a stream that came while it was opened; whether there was a frame.

        They are read faster than they were taken: the first that is not ends it.

        Args:
            most_s: after which it ends anyway.
        """
        if self._capture is None:
            return False
        began = now = time.monotonic()
        position_s, without_time = 0.0, 0
        while now - began < most_s and without_time < _MOST_WITHOUT_TIME:
            if not self._capture.grab():
                return False
            before_s, position_s = position_s, self.position_s
            before, now = now, time.monotonic()
            if position_s <= before_s:  # as the first ones of H.264 are, and all of a camera that does not say
                without_time += 1
            elif now - before >= (position_s - before_s) / 2:
                break
        return True

    @property
    def position_s(self) -> float:
        """When the frame that was read last is shown, in seconds from the beginning of a file."""
        import cv2

        return 0.0 if self._capture is None else float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000

    @property
    def claimed_frames(self) -> int:
        """How many frames a file says it holds; 0 where it does not say so."""
        import cv2

        return 0 if self._capture is None else max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def close(self) -> None:
        """Close it; no error where nothing is open."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


@contextmanager
def _with_options(options: str) -> Iterator[None]:
    """What is opened within the context has these options of FFmpeg, or those that were there before."""
    with _opening:
        before = os.environ.get(_OPTIONS)
        try:
            if options:
                os.environ[_OPTIONS] = options
            yield
        finally:
            if before is not None:
                os.environ[_OPTIONS] = before
            elif options:
                del os.environ[_OPTIONS]


def prepare_opencv() -> None:
    """Let OpenCV and FFmpeg write nothing to the terminal: their lines could hold addresses with passwords.

    They read this when they are first used, as they do for how long a camera may be silent, and in no other way in all
    versions of OpenCV. Who set it before keeps it.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # the level of silence of FFmpeg
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(CAMERA_SILENCE_S))
    # A program that has imported OpenCV before: it does not read the variable again.
    imported = sys.modules.get("cv2")
    if imported is not None and os.environ["OPENCV_LOG_LEVEL"] == "SILENT":
        logging = getattr(getattr(imported, "utils", imported), "logging", None)
        quieten = getattr(logging, "setLogLevel", None) or getattr(imported, "setLogLevel", None)
        if quieten is not None:
            quieten(0)
