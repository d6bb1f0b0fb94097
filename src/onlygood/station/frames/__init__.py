"""Where images come from: cameras, streams, video files and folders.

`make_source` makes a source from its settings, and a `Capture` reads it on a thread of its own. What reads what:

- `camera`, `rtsp`, `video`: OpenCV, through `opencv`; `rtsp_probe` says why a camera in the network gives nothing.
- `genicam`: machine-vision cameras, through the GenTL producer of their maker.
- `folder`: files that other programs write, through `listing`, `folder_events` and `image_file`.
- `capture`: `hand_over` keeps frames for the inspection, `backoff` the pauses, `mqtt_trigger` listens for triggers.
"""

from onlygood.station.frames.camera import FoundCamera, list_cameras
from onlygood.station.frames.capture import Capture
from onlygood.station.frames.frame import EndOfSource, Frame, FrameSource
from onlygood.station.frames.seen import Seen
from onlygood.station.frames.sources import make_source

__all__ = [
    "Capture",
    "EndOfSource",
    "FoundCamera",
    "Frame",
    "FrameSource",
    "Seen",
    "list_cameras",
    "make_source",
]
