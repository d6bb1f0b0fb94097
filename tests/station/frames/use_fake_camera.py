"""A program that reads the camera of fake_v4l2.c and says what it got as JSON: FAULT_FILE RESULT."""

import json
import sys
from pathlib import Path
from typing import Any

from onlygood.errors import SourceError
from onlygood.station.frames import Capture, list_cameras
from onlygood.station.frames import camera as camera_module
from onlygood.station.frames.backoff import Backoff
from onlygood.station.frames.camera import CameraFrames
from onlygood.station.station_settings import CameraSource
from rtsp_server import number_of
from scripted import DEADLINE_S, wait_until

DEVICE = "/dev/video7"


def read(source: CameraFrames, count: int) -> list[dict[str, Any]]:
    frames = [frame for frame in (source.read(DEADLINE_S) for _ in range(count)) if frame is not None]
    return [
        {
            "number": frame.number,
            "shown": number_of(frame.pixels),
            "shape": frame.pixels.shape,
            "corner": frame.pixels[-1, -1].tolist(),
        }
        for frame in frames
        if frame.pixels is not None
    ]


def sizes() -> list[Any]:
    found = []
    for width, height in ((640, 480), (320, 240), (1280, 720), (600, 400)):
        source = CameraFrames(CameraSource(name="bench", device=7, width=width, height=height))
        source.open()
        found.append(read(source, 1)[0]["shape"])
        source.close()
    return found


def until_it_fails(source: CameraFrames) -> str:
    try:
        while True:
            source.read(DEADLINE_S)
    except SourceError as error:
        return str(error)


def main(fault: Path) -> dict[str, Any]:
    result: dict[str, Any] = {"sizes": sizes()}
    # a coding that it does not have, so that it gives what it has
    source = CameraFrames(CameraSource(name="bench", device=DEVICE, fourcc="MJPG"))
    source.open()
    result["frames"] = read(source, 5)
    for kind in ("silent", "unplugged"):
        fault.write_text(kind)
        result[kind] = until_it_fails(source)
        source.close()
        fault.unlink()
        source.open()
        result[f"after {kind}"] = read(source, 1)[0]["number"]
    source.close()
    for kind in ("unplugged", "busy"):
        fault.write_text(kind)
        try:
            source.open()
        except SourceError as error:
            result[f"opened while {kind}"] = str(error)
        fault.unlink()
    listed = fault.with_name("video4linux")
    (listed / "video7").mkdir(parents=True)
    (listed / "video7" / "name").write_text("A camera of the tests\n")
    camera_module._LINUX_CAMERAS = listed
    result["cameras"] = [(found.device, found.name) for found in list_cameras()]
    settings = CameraSource(name="bench", device=7)
    with Capture(CameraFrames(settings), settings, backoff=Backoff(0.01, 0.02)) as capture:
        assert capture.next(DEADLINE_S) is not None
        fault.write_text("unplugged")
        wait_until(lambda: "there is none" in (capture.status.problem or ""), "it says that the camera is gone")
        fault.unlink()
        wait_until(lambda: capture.status.problem is None, "it is back")
        capture.next(0.0)
        result["captured again"] = capture.next(DEADLINE_S) is not None
        result["reconnects"] = capture.status.reconnects
    return result


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(Path(sys.argv[1]))))
