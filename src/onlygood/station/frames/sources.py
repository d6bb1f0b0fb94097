"""From the settings of a source to the source: one registry of all kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onlygood.images.limits import DEFAULT_LIMITS, ReadingLimits
from onlygood.station.frames.camera import CameraFrames
from onlygood.station.frames.folder import FolderFrames
from onlygood.station.frames.frame import FrameSource
from onlygood.station.frames.genicam import GenicamFrames
from onlygood.station.frames.rtsp import RtspFrames
from onlygood.station.frames.seen import Seen
from onlygood.station.frames.video import VideoFrames
from onlygood.station.station_settings import SourceSettings


@dataclass(frozen=True)
class _Surroundings:
    """What some sources need beside their settings."""

    seen: Seen | None
    limits: ReadingLimits


_SOURCES: dict[str, Callable[[Any, _Surroundings], FrameSource]] = {
    "camera": lambda settings, _: CameraFrames(settings),
    "rtsp": lambda settings, _: RtspFrames(settings),
    "video": lambda settings, _: VideoFrames(settings),
    "genicam": lambda settings, _: GenicamFrames(settings),
    "folder": lambda settings, around: FolderFrames(settings, seen=around.seen, limits=around.limits),
}


def make_source(
    settings: SourceSettings, *, seen: Seen | None = None, limits: ReadingLimits = DEFAULT_LIMITS
) -> FrameSource:
    """The source that the settings describe, not opened yet.

    Args:
        settings: of any kind.
        seen: which images of a folder were inspected before.
        limits: bounds on the bytes and the pixels of image files.

    Raises:
        SettingError: the settings cannot be right: an empty path, an address that is none of RTSP.
        MissingExtraError: the library that reads this kind is not installed.
    """
    return _SOURCES[settings.kind](settings, _Surroundings(seen, limits))
