"""A camera in the network, by RTSP."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from onlygood.errors import SourceError
from onlygood.station.frames.frame import Frame
from onlygood.station.frames.opencv import VideoReader, need_opencv
from onlygood.station.frames.rtsp_probe import shown_address, split_address, why_not_opened
from onlygood.station.station_settings import RtspSource


class RtspFrames:
    """Frames of a stream, the ones that arrive. The address is in no message, as passwords stand in it."""

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
            # OpenCV prefers TCP by itself
            ffmpeg_options="rtsp_transport;udp" if self._settings.transport == "udp" else "",
        )
        if not is_open or not self._reader.drop_buffered(self._open_timeout_s):
            self._reader.close()
            reason = why_not_opened(self._parts, min(self._open_timeout_s, self._silence_timeout_s))
            raise SourceError(f"the camera of the source {self._settings.name} cannot be opened: {reason}")

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; the stream's own time limit holds, whatever the argument.

        Raises:
            SourceError: the stream ended or fell silent.
        """
        began = time.monotonic()
        pixels = self._reader.read()
        # after its limit FFmpeg hands out the frame that its decoder kept, before it says that nothing comes
        if pixels is None or time.monotonic() - began >= self._silence_timeout_s:
            raise SourceError(
                f"the stream of the source {self._settings.name} from {shown_address(self._parts)} ended, or sent no "
                f"image for {self._silence_timeout_s:g} s: it is opened again until the camera is back"
            )
        self._number += 1
        name = f"{self._settings.name}-{self._number:06}"
        return Frame(number=self._number, at=datetime.now(UTC), name=name, pixels=pixels)

    def close(self) -> None:
        """Disconnect; no error where it is closed already."""
        self._reader.close()
