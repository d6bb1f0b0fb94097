"""A camera at this computer, by its number or its device; and which there are."""

from __future__ import annotations

import errno
import os
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from onlygood.errors import SettingError, SourceError
from onlygood.station.frames.frame import Frame
from onlygood.station.frames.opencv import VideoReader, need_opencv
from onlygood.station.station_settings import CameraSource

_LINUX_CAMERAS = Path("/sys/class/video4linux")
_CAPABILITIES = 0x80685600  # VIDIOC_QUERYCAP
_CAPTURES, _CAPTURES_PLANES = 0x1, 0x1000
_REASONS = {
    errno.ENOENT: "there is none: plug it in, or choose another number",
    errno.ENODEV: "there is none: plug it in, or choose another number",
    errno.EACCES: "this user may not use it: add the user to the group video",
    errno.EPERM: "this user may not use it: add the user to the group video",
    errno.EBUSY: "another program uses it: end that program",
}


@dataclass(frozen=True)
class FoundCamera:
    """A camera at this computer.

    Attributes:
        device: for `CameraSource.device`: a path that stays the same when cameras are plugged in elsewhere, where the
            system has one.
        name: that it says of itself.
    """

    device: str
    name: str


def list_cameras() -> tuple[FoundCamera, ...]:
    """The cameras at this computer that give images, by their numbers; none where the system is not Linux.

    On Windows and macOS cameras are asked for by number: 0 is the first.
    """
    if not _LINUX_CAMERAS.is_dir():
        return ()
    stable = _stable_names()
    found = []
    for entry in sorted(_LINUX_CAMERAS.iterdir(), key=lambda entry: _number_in(entry.name)):
        device = f"/dev/{entry.name}"
        if _gives_images(device):
            try:
                name = (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
            except OSError:
                name = entry.name
            found.append(FoundCamera(stable.get(device, device), name))
    return tuple(found)


class CameraFrames:
    """Frames of a camera, the ones that arrive."""

    kind = "camera"
    is_live = True

    def __init__(self, settings: CameraSource) -> None:
        """Nothing is opened yet.

        Args:
            settings: of the source.

        Raises:
            SettingError: the device is a number below 0 or an empty path.
            MissingExtraError: OpenCV is not installed.
        """
        device = settings.device
        if isinstance(device, str) and re.fullmatch(r"[0-9]+", device):
            device = int(device)
        if device == "" or (isinstance(device, int) and device < 0):
            raise SettingError(
                f"the device of the source {settings.name} must be a number from 0 or a path, got {device!r}: "
                "0 is the first camera"
            )
        need_opencv("a camera")
        self._device = device
        self._settings = settings
        self._reader = VideoReader()
        self._number = 0

    def open(self) -> None:
        """Open the device.

        Raises:
            SourceError: it is not there, in use, or no camera.
        """
        self._number = 0
        reason = _why_not(self._device)
        if not reason:
            size = (self._settings.height, self._settings.width)
            is_open = self._reader.open(self._device, "camera", size=size, fourcc=self._settings.fourcc)
            reason = "" if is_open else "another program uses it, or it is no camera that gives images"
        if reason:
            raise SourceError(
                f"the camera {self._device} of the source {self._settings.name} cannot be opened: {reason}"
            )

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; the camera's own time limit holds, whatever the argument.

        Raises:
            SourceError: the camera was unplugged, or gives no images.
        """
        pixels = self._reader.read()
        if pixels is None:
            raise SourceError(
                f"the camera {self._device} of the source {self._settings.name} was lost, or gives no more images: it "
                "is opened again until it is back"
            )
        self._number += 1
        name = f"{self._settings.name}-{self._number:06}"
        return Frame(number=self._number, at=datetime.now(UTC), name=name, pixels=pixels)

    def close(self) -> None:
        """Close the device; no error where it is closed already."""
        self._reader.close()


def _why_not(device: int | str) -> str:
    """Why a device cannot be opened, as the end of a sentence with what to do; empty where nothing is known."""
    if sys.platform != "linux":
        return ""
    path = f"/dev/video{device}" if isinstance(device, int) else device
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.EISDIR:
            return "it is a folder: give the path of a device"
        return _REASONS.get(error.errno or 0, f"it fails ({error.strerror}): choose another one")
    try:
        return "" if _captures(handle) else "it is no camera: choose another one"
    finally:
        os.close(handle)


def _gives_images(device: str) -> bool:
    try:
        handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except PermissionError:
        return True  # it is there, and opening it says what is wrong
    except OSError:
        return False
    try:
        return _captures(handle)
    finally:
        os.close(handle)


def _captures(handle: int) -> bool:
    """Whether an open device says that it captures video, as one of the several devices of a camera does."""
    import fcntl

    answer = bytearray(104)
    try:
        fcntl.ioctl(handle, _CAPABILITIES, answer)
    except OSError:
        return False
    of_all, of_this = (int.from_bytes(answer[at : at + 4], sys.byteorder) for at in (84, 88))
    capabilities = of_this if of_all & 0x80000000 else of_all
    return bool(capabilities & (_CAPTURES | _CAPTURES_PLANES))


def _stable_names() -> dict[str, str]:
    """For each device its path that names the camera, where the system keeps such."""
    found: dict[str, str] = {}
    folder = Path("/dev/v4l/by-id")
    for link in sorted(folder.iterdir()) if folder.is_dir() else ():
        found.setdefault(str(link.resolve()), str(link))
    return found


def _number_in(name: str) -> int:
    digits = re.search(r"[0-9]+", name)
    return int(digits[0]) if digits else 0
