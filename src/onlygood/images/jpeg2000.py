"""JPEG 2000: a file of boxes (JP2) or a bare codestream, of grey or RGB, decoded by OpenJPEG through imagecodecs."""

import struct
from dataclasses import dataclass

from onlygood.errors import ImageError
from onlygood.images._codecs import need_codec
from onlygood.images._isobmff import boxes
from onlygood.images._quiet import quiet_decoders
from onlygood.images.limits import RESCALE, ReadingLimits, check_no_zeros, check_size, damaged
from onlygood.images.pixels import ImageArray, split_alpha, stretch

_KIND = "JPEG 2000"
_START, _END = b"\xff\x4f\xff\x51", b"\xff\xd9"
_TILE_PART, _CODING = 0xFF90, 0xFF52
_ZEROS = 160
_RGB, _GREY = 16, 17


@dataclass(frozen=True)
class _Colours:
    """What the boxes say: enumerated colour space or None, and whether the last channel is alpha."""

    space: int | None
    has_alpha: bool


def read_jpeg_2000(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Grey or RGB over black: fewer than 8 bits become 8, 9 to 16 stay as they are."""
    start, end, colours = _codestream(data, name)
    width, height, channels, bits = _size(data, start, name, limits)
    check_size(width, height, name, limits)
    if channels - colours.has_alpha not in (1, 3):
        raise ImageError(
            f"{name} has {channels} channels that the file does not declare as grey or RGB, with or without alpha: "
            "save it as grey or RGB"
        )
    _check_tile_parts(data, start, end, name)
    need_codec("JPEG2K", _KIND, name)
    import imagecodecs

    with quiet_decoders():
        pixels: ImageArray = imagecodecs.jpeg2k_decode(data)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if pixels.shape != (height, width, channels) or pixels.dtype.kind != "u":
        raise damaged(name, _KIND, "its pixels are not of the kind that its header says")
    pixels = stretch(pixels, 2**bits - 1)
    return split_alpha(pixels, max(255, 2**bits - 1), limits) if colours.has_alpha else pixels


def _codestream(data: bytes, name: str) -> tuple[int, int, _Colours]:
    """Where the codestream begins and ends, and what the boxes around it say of its channels."""
    if data.startswith(_START):
        return 0, len(data), _Colours(None, has_alpha=False)
    found: list[tuple[int, int]] = []
    colours = _Colours(None, has_alpha=False)
    for box in boxes(data, 0, len(data), name, _KIND):
        if box.kind == b"jp2c":
            found.append((box.start, box.end))
        elif box.kind == b"jp2h":
            colours = _colours(data, box.start, box.end, name)
    if len(found) != 1:
        raise ImageError(f"{name} holds {len(found)} JPEG 2000 images where one is meant: save them as files")
    return *found[0], colours


def _colours(data: bytes, start: int, end: int, name: str) -> _Colours:
    space: int | None = None
    has_alpha = False
    for box in boxes(data, start, end, name, _KIND):
        body = data[box.start : box.end]
        if box.kind == b"pclr":
            raise ImageError(f"{name} is a JPEG 2000 image with a palette: save it as RGB")
        if box.kind == b"colr" and body[:1] == b"\x01" and space is None:
            (space,) = struct.unpack_from(">I", body, 3)
            if space not in (_RGB, _GREY):
                raise ImageError(
                    f"{name} holds JPEG 2000 colour of a kind that is not read (colour space {space}): save it as RGB"
                )
        if box.kind == b"cdef":
            definitions = list(struct.iter_unpack(">HHH", body[2:]))
            others = [index for index, what, _ in definitions if what != 0]
            kinds = {what for _, what, _ in definitions if what != 0}
            last = max(index for index, _, _ in definitions)
            in_order = all(to == index + 1 for index, what, to in definitions if what == 0)
            if kinds - {1} or others not in ([], [last]) or not in_order:
                raise ImageError(
                    f"{name} has channels other than grey or R, G, B and alpha in this order: save it as RGB"
                )
            has_alpha = bool(others)
    return _Colours(space, has_alpha)


def _size(data: bytes, start: int, name: str, limits: ReadingLimits) -> tuple[int, int, int, int]:
    """Width, height, channels and bits of the codestream, all channels alike."""
    if data[start : start + 4] != _START:
        raise damaged(name, _KIND, "it has no codestream")
    x1, y1, x0, y0, tile_width, tile_height = struct.unpack_from(">6I", data, start + 8)
    (channels,) = struct.unpack_from(">H", data, start + 40)
    check_size(x1 - x0, y1 - y0, name, limits)
    tiles = -(-x1 // max(tile_width, 1)) * -(-y1 // max(tile_height, 1))
    if tiles > 65535:
        raise damaged(name, _KIND, f"it has {tiles:,} tiles, and at most 65,535 are possible")
    components = [data[start + 42 + 3 * index : start + 45 + 3 * index] for index in range(channels)]
    depths = {component[0] for component in components if len(component) == 3}
    if any(component[1:] != b"\x01\x01" for component in components):
        raise ImageError(f"{name} is a JPEG 2000 image with channels of different sizes: save it as RGB")
    depth = depths.pop() if len(depths) == 1 else -1
    if not 0 <= depth <= 15:
        what = "signed or of different bits" if depth < 0 or depth & 0x80 else f"of {depth + 1} bits"
        raise ImageError(
            f"{name} is a JPEG 2000 image whose values are {what}, and unsigned ones of up to 16 bits are read: "
            f"{RESCALE}"
        )
    return x1 - x0, y1 - y0, channels, depth + 1


def _check_tile_parts(data: bytes, start: int, end: int, name: str) -> None:
    """Raises unless the tile-parts follow one another up to the end marker."""
    at = start + 2
    while at + 12 <= end:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == _CODING and not data[at + 4] & 1 and data[at + 6 : at + 8] == b"\0\1":
            # an empty packet is a byte of 0: one each of 33 resolutions of 4 channels, more with layers or precincts
            check_no_zeros(data, start, end, _ZEROS, name, _KIND)
        if marker != _TILE_PART:
            at += 2 + max(length, 2)
            continue
        (part,) = struct.unpack_from(">I", data, at + 6)
        at = end - 2 if part == 0 else at + max(part, 12)
    if data[at:end] != _END or at + 2 != end:
        raise damaged(name, _KIND, "it does not end where its parts do")
