"""A camera in the network, by RTSP."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

from onlygood.errors import SourceError
from onlygood.station.frames.frame import Frame
from onlygood.station.frames.opencv import VideoReader, need_opencv
from onlygood.station.frames.rtsp_probe import shown_address, split_address, why_not_opened
from onlygood.station.station_settings import RtspSource

# The thread that reads waits for the camera most of the time. One that hardly waits for so long is too slow for it, so
# that its frames would come later and later.
_WATCHED_S = 10.0
_BUSY_SHARE = 0.9
_MOST_THREADS = 4


class RtspFrames:
    """Frames of a stream, the ones that arrive. The address is in no message, as passwords stand in it.

    One thread decodes, so that the newest frame waits for none after it; where that is too slow for the stream, it is
    opened again with more.
    """

    kind = "rtsp"
    is_live = True

    def __init__(self, settings: RtspSource, *, open_timeout_s: float = 10.0, silence_timeout_s: float = 5.0) -> None:
        """Nothing is connected yet.

        Args:
            settings: of the source.
            open_timeout_s: for the camera to answer and to send its first frame.
            silence_timeout_s: after which a stream that sends nothing is lost.

        Raises:
            SettingError: the address is none of RTSP.
            MissingExtraError: OpenCV is not installed.
        """
        self._parts = split_address(settings.url.get_secret_value(), settings.name)
        need_opencv("a camera in the network")
        self._settings = settings
        self._open_timeout_s, self._silence_timeout_s = open_timeout_s, silence_timeout_s
        self._reader = VideoReader()
        self._number = 0
        self._threads = 1
        self._watched_from = self._worked_from = 0.0

    def open(self) -> None:
        """Connect.

        Raises:
            SourceError: the camera is not there, refuses, or gives nothing.
        """
        self._number = 0
        is_open = self._reader.open(
            self._settings.url.get_secret_value(),
            "ffmpeg",
            open_timeout_s=self._open_timeout_s,
            read_timeout_s=self._silence_timeout_s,
            threads=self._threads,
            # OpenCV prefers TCP by itself
            ffmpeg_options="rtsp_transport;udp" if self._settings.transport == "udp" else "",
        )
        if not is_open or not self._reader.drop_buffered(self._open_timeout_s):
            self._reader.close()
            reason = why_not_opened(self._parts, min(self._open_timeout_s, self._silence_timeout_s))
            raise SourceError(f"the camera of the source {self._settings.name} cannot be opened: {reason}")
        self._watched_from, self._worked_from = time.monotonic(), time.thread_time()

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; the stream's own time limit holds, whatever the argument.

        Raises:
            SourceError: the stream ended or fell silent, or is to be decoded on more threads from now on.
        """
        began = time.monotonic()
        pixels = self._reader.read()
        # after its limit FFmpeg hands out the frame that its decoder kept, before it says that nothing comes
        if pixels is None or time.monotonic() - began >= self._silence_timeout_s:
            raise SourceError(
                f"the stream of the source {self._settings.name} from {shown_address(self._parts)} ended, or sent no "
                f"image for {self._silence_timeout_s:g} s: it is opened again until the camera is back"
            )
        self._watch_time()
        self._number += 1
        name = f"{self._settings.name}-{self._number:06}"
        return Frame(number=self._number, at=datetime.now(UTC), name=name, pixels=pixels)

    def _watch_time(self) -> None:
        """Have the stream decoded on more threads where one hardly ever waits for it.

        Raises:
            SourceError: it is to be opened again for that.
        """
        watched_s = time.monotonic() - self._watched_from
        most = min(_MOST_THREADS, os.cpu_count() or 1)
        if watched_s < _WATCHED_S or self._threads >= most:
            return
        worked_s = time.thread_time() - self._worked_from
        self._watched_from, self._worked_from = time.monotonic(), time.thread_time()
        if worked_s > _BUSY_SHARE * watched_s:
            self._threads = most
            raise SourceError(
                f"the stream of the source {self._settings.name} comes faster than one thread decodes it: it is opened "
                f"again with {most}, which delays its frames by {most - 1}"
            )

    def close(self) -> None:
        """Disconnect; no error where it is closed already."""
        self._reader.close()
