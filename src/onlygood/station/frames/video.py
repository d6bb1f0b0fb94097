"""A video file, at its own speed or as fast as it can be inspected."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from onlygood._paths import given_path, missing
from onlygood.errors import SourceError
from onlygood.station.frames.frame import EndOfSource, Frame
from onlygood.station.frames.opencv import VideoReader, need_opencv
from onlygood.station.station_settings import VideoSource

_TIMEOUT_S = 10.0
# Of the frames that a file claims, the share that it must give. Containers count some that are not shown.
_LEAST_SHARE = 0.95


class VideoFrames:
    """Frames of a file: each one, or, at its own speed, those for which there is time.

    Frames of a file have no keys: a station that is started again begins with the first.
    """

    kind = "video"

    def __init__(self, settings: VideoSource) -> None:
        """Nothing is opened yet.

        Args:
            settings: of the source.

        Raises:
            SettingError: the path is empty.
            MissingExtraError: OpenCV is not installed.
        """
        need_opencv("a video file")
        self.is_live = settings.is_realtime
        self._path = given_path(settings.path)
        self._settings = settings
        self._reader = VideoReader()
        self._number = self._read_of_round = 0
        self._began_at = 0.0
        self._next: Frame | None = None
        self._due_at = 0.0

    def open(self) -> None:
        """Open the file at its beginning.

        Raises:
            SourceError: there is none, it cannot be read, or it is no video.
        """
        self._number, self._next = 0, None
        self._rewind()

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; at the file's own speed, None where it is not due within the time.

        Raises:
            SourceError: the file, which is repeated, is not there any more.
            EndOfSource: it has no more frames and is not repeated, or is damaged.
        """
        if self._next is None:
            self._next = self._decode()
        if self.is_live:
            wait_s = self._due_at - time.monotonic()
            time.sleep(max(0.0, min(wait_s, timeout_s)))
            if wait_s > timeout_s:
                return None
        frame, self._next = self._next, None
        return frame

    def close(self) -> None:
        """Close the file; no error where it is closed already."""
        self._reader.close()

    def _rewind(self) -> None:
        path, name = self._path, self._settings.name
        what = f"the video of the source {name}"
        try:
            with path.open("rb") as file:
                is_empty = not file.read(1)
        except FileNotFoundError as error:
            raise SourceError(f"{what} cannot be opened: {missing(str(path))}") from error
        except IsADirectoryError as error:
            raise SourceError(f"{what} must be a file, and {path} is a folder: give one file") from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SourceError(f"{what} cannot be opened: {path} cannot be read ({reason}): check its rights") from error
        is_open = not is_empty and self._reader.open(
            # a name such as http:x.mp4 or image%03d.png is a file's name here, never an address or a pattern
            "file:" + str(path.absolute()),
            "ffmpeg",
            open_timeout_s=_TIMEOUT_S,
            read_timeout_s=_TIMEOUT_S,
        )
        if not is_open:
            got = "is empty" if is_empty else "is none that can be read"
            raise SourceError(f"{what} must be a video file, and {path} {got}: save it as MP4 with H.264")
        self._read_of_round = 0
        self._began_at = time.monotonic()

    def _decode(self) -> Frame:
        pixels = self._reader.read()
        if pixels is None:
            claimed = self._reader.claimed_frames
            if self._read_of_round < int(_LEAST_SHARE * claimed) or self._read_of_round == 0:
                # no error: opened again, it would give the same frames again
                raise EndOfSource(
                    f"the video {self._path} of the source {self._settings.name} must have the {claimed} frames that "
                    f"it claims, and ended after {self._read_of_round}: save it again, as it is damaged"
                )
            if not self._settings.repeats:
                raise EndOfSource
            self._rewind()
            return self._decode()
        self._read_of_round += 1
        self._number += 1
        self._due_at = self._began_at + self._reader.position_s
        name = f"{Path(self._path).name}-{self._number:06}"
        return Frame(number=self._number, at=datetime.now(UTC), name=name, pixels=pixels)
