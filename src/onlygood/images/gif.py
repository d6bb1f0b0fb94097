"""GIF: a still image of a palette; animations are refused."""

from PIL import GifImagePlugin

from onlygood.errors import ImageError
from onlygood.images.in_memory import load_by_pillow, pil_pixels
from onlygood.images.limits import ReadingLimits, check_size, damaged
from onlygood.images.pixels import ImageArray, blacken

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B
# the code that ends the pixels and what fills its byte up have 19 bits at most
_TAIL = 4


def read_gif(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Grey if all colours of the palette are, else RGB; transparent pixels are black."""
    width, height = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    check_size(width, height, name, limits)
    start, end, coded = _only_image(data, width, height, name)
    stream = data[:end] + bytes([_TRAILER])
    image = load_by_pillow(GifImagePlugin.GifImageFile, stream, name)
    if _decodes_without_its_end(data[: start + 1], coded, name):
        raise damaged(name, "GIF", "its pixels end before its data do")
    pixels = pil_pixels(image, name, limits)
    key = image.info.get("transparency")
    return blacken(pixels, key, limits) if key is not None and image.mode == "L" else pixels


def _only_image(data: bytes, width: int, height: int, name: str) -> tuple[int, int, bytes]:
    """Where the coded pixels of the one image begin and end, and these without the lengths of their blocks."""
    at = 13 + _palette_size(data[10])
    found: tuple[int, int, bytes] | None = None
    while True:
        if at >= len(data):
            raise damaged(name, "GIF", "it ends too early")
        block = data[at]
        if block == _TRAILER:
            break
        if block == _IMAGE:
            if found is not None:
                raise ImageError(f"{name} is an animation, and one still image is required: save its frames as files")
            left, top, columns, rows = (
                int.from_bytes(data[at + place : at + place + 2], "little") for place in (1, 3, 5, 7)
            )
            if (left, top, columns, rows) != (0, 0, width, height):
                raise ImageError(
                    f"{name} has an image of {columns} x {rows} pixels on a canvas of {width} x {height}: save it as "
                    "PNG"
                )
            start = at + 10 + _palette_size(data[at + 9])
            coded, at = _blocks(data, start + 1, name)
            found = (start, at, coded)
        elif block == _EXTENSION:
            _, at = _blocks(data, at + 2, name)
        else:
            raise damaged(name, "GIF", "its blocks cannot be read")
    if found is None:
        raise damaged(name, "GIF", "it has no pixels")
    return found


def _palette_size(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(data: bytes, at: int, name: str) -> tuple[bytes, int]:
    """What a chain of blocks holds, and where it ends."""
    parts = []
    while at < len(data) and (size := data[at]):
        parts.append(data[at + 1 : at + 1 + size])
        at += 1 + size
    if at >= len(data):
        raise damaged(name, "GIF", "it ends too early")
    return b"".join(parts), at + 1


def _decodes_without_its_end(head: bytes, coded: bytes, name: str) -> bool:
    """Whether the pixels come out although the last bytes are missing: these belong to no pixels then.

    The format has no checksum, and a decoder stops when it has all pixels, whatever follows.
    """
    if len(coded) <= 2 * _TAIL:
        return False
    shorter = coded[:-_TAIL]
    blocks = (shorter[at : at + 255] for at in range(0, len(shorter), 255))
    stream = head + b"".join(bytes([len(block)]) + block for block in blocks) + bytes([0, _TRAILER])
    try:
        load_by_pillow(GifImagePlugin.GifImageFile, stream, name)
    except Exception:  # whatever it is: the data were needed
        return False
    return True
