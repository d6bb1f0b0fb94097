"""AVIF: a still image, decoded by libavif through imagecodecs, turned as its properties say.

Boxes are read here as far as they tell the size before anything is decoded, and the orientation, which imagecodecs
leaves to its caller.
"""

import struct

import numpy as np

from onlygood.errors import ImageError
from onlygood.images._codecs import need_codec
from onlygood.images._isobmff import Box, boxes
from onlygood.images._quiet import quiet_decoders
from onlygood.images.limits import ReadingLimits, check_no_zeros, check_size, damaged
from onlygood.images.pixels import ImageArray, split_alpha

_KIND = "AVIF"
_ZEROS = 128


def read_avif(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Grey or RGB over black, upright: 8 bits a channel, 10 and 12 stay as they are."""
    top = list(boxes(data, 0, len(data), name, _KIND))
    if data[8:12] == b"avis" or any(box.kind == b"moov" for box in top):
        raise ImageError(f"{name} is an animation, and one still image is required: save its frames as files")
    meta = next((box for box in top if box.kind == b"meta"), None)
    if meta is None:
        raise damaged(name, _KIND, "it has no description of its image")
    inside = {box.kind: box for box in boxes(data, meta.start + 4, meta.end, name, _KIND)}
    parts = inside.get(b"iprp")
    described = {box.kind: box for box in boxes(data, parts.start, parts.end, name, _KIND)} if parts else {}
    if b"pitm" not in inside or b"ipco" not in described or b"ipma" not in described:
        raise damaged(name, _KIND, "it has no description of its image")
    container = described[b"ipco"]
    properties = list(boxes(data, container.start, container.end, name, _KIND))
    for box in properties:
        if box.kind == b"ispe":
            width, height = struct.unpack_from(">4xII", data, box.start)
            check_size(width, height, name, limits)
    own = [properties[index - 1] for index in _associated(data, inside[b"pitm"], described[b"ipma"])]
    if any(box.kind == b"clap" for box in own):
        raise ImageError(f"{name} is an AVIF image that shows a part of its pixels: save it as PNG")
    need_codec("AVIF", _KIND, name)
    import imagecodecs

    with quiet_decoders():
        pixels: ImageArray = imagecodecs.avif_decode(data)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    shape = next(struct.unpack_from(">4xII", data, box.start) for box in own if box.kind == b"ispe")
    if pixels.ndim != 3 or (pixels.shape[1], pixels.shape[0]) != shape:
        raise damaged(name, _KIND, "its pixels are not of the size that it says")
    if pixels.shape[2] in (2, 4):
        # AV1CodecConfigurationRecord: more than 8 bits, and 12
        flags = max((data[box.start + 2] & 0x60 for box in properties if box.kind == b"av1C"), default=0)
        pixels = split_alpha(pixels, {0x40: 1023, 0x60: 4095}.get(flags, 255), limits)
    if b"Exif" not in data[meta.start : meta.end]:  # such a block has zeros of its own
        check_no_zeros(data, meta.end, len(data), _ZEROS, name, _KIND)
    return _upright(pixels, data, own)


def _associated(data: bytes, primary: Box, associations: Box) -> list[int]:
    """Numbers, from 1, of the properties of the image that is meant to be shown, in their order."""
    wanted = struct.unpack_from(">I" if data[primary.start] else ">H", data, primary.start + 4)[0]
    version, has_long_numbers = data[associations.start], data[associations.start + 3] & 1
    (entries,) = struct.unpack_from(">I", data, associations.start + 4)
    at = associations.start + 8
    for _ in range(min(entries, associations.end - at)):
        item = struct.unpack_from(">I" if version else ">H", data, at)[0]
        at += 4 if version else 2
        count = data[at]
        at += 1
        width = 2 if has_long_numbers else 1
        numbers = [
            int.from_bytes(data[place : place + width], "big") & (0x7FFF if has_long_numbers else 0x7F)
            for place in range(at, at + width * count, width)
        ]
        at += width * count
        if item == wanted:
            return [number for number in numbers if number]
    return []


def _upright(pixels: ImageArray, data: bytes, properties: list[Box]) -> ImageArray:
    """The pixels turned counterclockwise and mirrored, as the properties say in this order; EXIF only repeats them."""
    for box in properties:
        if box.kind == b"irot":
            pixels = np.rot90(pixels, data[box.start] & 3)
        elif box.kind == b"imir":
            pixels = pixels[:, ::-1] if data[box.start] & 1 else pixels[::-1]
    return pixels
