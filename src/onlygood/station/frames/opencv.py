"""Cameras, streams and video files through OpenCV: opening within a time, and pixels in the order red, green, blue.

OpenCV says whether it could open something and never why not, and writes what its libraries say to the terminal. Here
it is kept silent, and who opens something says what is wrong with it.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Literal

import numpy as np

from onlygood._extras import need_extra
from onlygood.images.reading import ImageArray

if TYPE_CHECKING:
    import cv2

Backend = Literal["camera", "ffmpeg"]

# OpenCV takes options of FFmpeg from this variable of the whole process alone, when something is opened.
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_opening = threading.Lock()
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
        open_timeout_s: float,
        read_timeout_s: float,
        size: tuple[int, int] | None = None,
        threads: int = 1,
        ffmpeg_options: str = "",
    ) -> bool:
        """Open something; whether that succeeded.

        Args:
            target: a camera's number or device, an address, or a file.
            backend: that opens it.
            open_timeout_s: after which it counts as not there; streams alone.
            read_timeout_s: after which a stream or camera that gives nothing is lost.
            size: height and width in pixels that a camera is asked for; it may give the nearest that it has.
            threads: that decode. Each one beyond the first delays the newest frame by one.
            ffmpeg_options: "name;value|name;value".
        """
        silence_opencv()
        import cv2

        self.close()
        if backend == "ffmpeg":
            kind = cv2.CAP_FFMPEG
            parameters = [cv2.CAP_PROP_N_THREADS, threads]
            parameters += [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(1000 * open_timeout_s)]
            parameters += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(1000 * read_timeout_s)]
        else:
            # Linux has one interface to cameras; elsewhere OpenCV takes the system's.
            kind = cv2.CAP_V4L2 if os.name == "posix" and os.uname().sysname == "Linux" else cv2.CAP_ANY
            parameters = []
            if kind == cv2.CAP_V4L2:
                parameters += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(1000 * read_timeout_s)]
        if size is not None:
            parameters += [cv2.CAP_PROP_FRAME_WIDTH, size[1], cv2.CAP_PROP_FRAME_HEIGHT, size[0]]
        with _opening:
            before = os.environ.get(_OPTIONS)
            try:
                if ffmpeg_options:
                    os.environ[_OPTIONS] = ffmpeg_options
                capture = cv2.VideoCapture(target, kind, parameters)
            except cv2.error:
                return False
            finally:
                if before is not None:
                    os.environ[_OPTIONS] = before
                elif ffmpeg_options:
                    del os.environ[_OPTIONS]
        if not capture.isOpened():
            capture.release()
            return False
        self._capture = capture
        return True

    def read(self) -> ImageArray | None:
        """The next frame, uint8 [H, W, 3]; None at the end, or where the stream was lost."""
        if self._capture is None:
            return None
        import cv2

        is_read, image = self._capture.read()
        if not is_read or image is None:
            return None
        if image.ndim == 2:
            return image[:, :, None].astype(np.uint8, copy=False)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)

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


def silence_opencv() -> None:
    """Let OpenCV and FFmpeg write nothing to the terminal: their lines could hold addresses with passwords.

    They read this when they are first used, and in no other way in all versions of OpenCV. Who set it before keeps it.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # the level of silence of FFmpeg
