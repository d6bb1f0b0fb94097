"""One live message in bytes: a header, an image and an anomaly map."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

from onlygood.errors import OnlygoodError
from onlygood.heatmap import scale_positions, to_screen
from onlygood.images.reading import ReadingLimits
from onlygood.results import Inspection
from onlygood.station.drawing import thumbnail_jpeg
from onlygood.station.live_feed import LiveFrame
from onlygood.station.schemas import ModelVersion
from onlygood.thumbnails import shrink_map

# A map in a message has at most so many places on its long side: more cannot be told apart under an interpolation.
MAP_SIDE = 160
# Where a PNG file has the bits of a channel.
_PNG_DEPTH = 24
# Of images that are drawn for screens.
_QUALITY, _LONG_SIDE = 90, 1280
MEDIA_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


def pack(header: dict[str, Any], image: bytes = b"", map_bytes: bytes = b"") -> bytes:
    """The bytes of a message: the length of the header (4 bytes, little-endian), the header as JSON, image, map."""
    head = json.dumps(header, allow_nan=False, separators=(",", ":")).encode("utf-8")
    return struct.pack("<I", len(head)) + head + image + map_bytes


def unpack(message: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    """Header, image and map of a message that `pack` made."""
    (length,) = struct.unpack_from("<I", message)
    header: dict[str, Any] = json.loads(message[4 : 4 + length])
    image_end = 4 + length + (header.get("image") or {"bytes": 0})["bytes"]
    return header, message[4 + length : image_end], message[image_end:]


def small_map(inspection: Inspection) -> tuple[dict[str, Any] | None, bytes]:
    """The `map` entry of a header, and the map's bytes: uint8, row by row, on the scale of `scale_positions`."""
    if inspection.anomaly_map is None or inspection.pixels is None:
        return None, b""
    shrunk = shrink_map(inspection.anomaly_map, long_side=MAP_SIDE)
    typical, high = inspection.pixels.levels
    height, width = shrunk.shape
    entry = {"h": height, "w": width, "typical": typical, "high": high}
    return entry, scale_positions(shrunk, (typical, high)).tobytes()


def verdict_entries(inspection: Inspection) -> dict[str, Any]:
    """What a header says of an inspection."""
    regions = inspection.regions or ()
    return {
        "verdict": "anomalous" if inspection.is_anomaly else "good",
        "score": inspection.score,
        "p_value": inspection.p_value,
        "latency_ms": inspection.latency_ms,
        "regions": [each.to_dict() for each in regions],
        "notes": [each.sentence for each in inspection.differences],
    }


def model_entries(name: str | None, version: ModelVersion | None) -> dict[str, Any]:
    """What a header says of the model."""
    return {
        "model": name,
        "version": None if version is None else version.number,
        "model_sha256": None if version is None else version.sha256,
    }


def frame_message(frame: LiveFrame, *, skipped: int) -> bytes:
    """The message for one frame of a source.

    Args:
        frame: which.
        skipped: how many frames this receiver did not get, since it began.
    """
    try:
        image, media_type = _for_screens(frame)
    except OnlygoodError:  # a damaged file: the frame says why it was not inspected
        image, media_type = b"", "image/jpeg"
    header: dict[str, Any] = {
        "kind": "frame",
        "seq": frame.sequence,
        "at": frame.at.isoformat(),
        "name": frame.name,
        "width": frame.width,
        "height": frame.height,
        "id": None if frame.record is None else frame.record.id,
        "average": frame.average,
        "anomalous": frame.anomalous,
        "of": frame.of,
        "is_alarmed": frame.is_alarmed,
        "problem": frame.problem,
        "skipped": skipped,
        "image": {"bytes": len(image), "type": media_type},
        "map": None,
    } | model_entries(frame.model, frame.version)
    map_bytes = b""
    if frame.inspection is not None:
        header |= verdict_entries(frame.inspection)
        header["map"], map_bytes = small_map(frame.inspection)
    return pack(header, image, map_bytes)


def _for_screens(frame: LiveFrame) -> tuple[bytes, str]:
    """The image of a frame as browsers show it, and its media type: its own file unless they do not know that kind.

    Of 16 bits they show the upper eight, which of a camera with 12 bits are nearly black.
    """
    known = MEDIA_TYPES.get(frame.suffix.lower())
    if known is not None and not (known == "image/png" and frame.content[_PNG_DEPTH : _PNG_DEPTH + 1] == b"\x10"):
        return frame.content, known
    pixels = None if frame.inspection is None else frame.inspection.pixels
    if pixels is not None:
        buffer = io.BytesIO()
        to_screen(pixels.image, pixels.window).save(buffer, format="JPEG", quality=_QUALITY)
        return buffer.getvalue(), "image/jpeg"
    limits = ReadingLimits()
    return thumbnail_jpeg(frame.content, name=frame.name, limits=limits, long_side=_LONG_SIDE), "image/jpeg"
