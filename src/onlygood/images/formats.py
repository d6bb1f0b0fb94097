"""PNG and WebP.

Pillow decodes PNG but for 16-bit colour, which it would reduce to 8 bits; imagecodecs does the rest.
Each reader takes the whole file, and checks its size on its header before anything is decoded.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import PngImagePlugin

from onlygood.errors import ImageError
from onlygood.images._quiet import quiet_decoders
from onlygood.images.in_memory import load_by_pillow, pil_pixels
from onlygood.images.limits import ReadingLimits, check_size, damaged
from onlygood.images.pixels import ImageArray, blacken, exif_orientation, split_alpha, turn

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_WEBP_TAIL = 8


# PNG


def read_png(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Grey or RGB, upright and over black: fewer than 8 bits become 8, 16 stay."""
    chunks = _png_chunks(data, name)
    width, height, bits, colour_type = struct.unpack(">IIBB", chunks[b"IHDR"][0][8:18])
    check_size(width, height, name, limits)
    if b"acTL" in chunks and int.from_bytes(chunks[b"acTL"][0][8:12], "big") > 1:
        raise ImageError(f"{name} is an animation, and one still image is required: save its frames as files")
    if b"IDAT" not in chunks:
        raise damaged(name, "PNG", "it has no pixels")
    # only what the pixels depend on: text and profiles are work for a decoder, and ways to upset it
    stream = b"".join(
        [PNG_SIGNATURE, chunks[b"IHDR"][0], *chunks.get(b"PLTE", [])[:1], *chunks[b"IDAT"], *chunks[b"IEND"]]
    )
    transparency = bytes(chunks[b"tRNS"][0][8:-4]) if b"tRNS" in chunks else None
    pixels: ImageArray
    if bits == 16 and colour_type != 0:
        import imagecodecs

        # Of an interlaced image libpng warns that it should have been told so before, and decodes it all the same.
        with quiet_decoders():
            stored = imagecodecs.png_decode(stream)
        if stored.dtype != np.uint16 or stored.shape[:2] != (height, width):
            raise damaged(name, "PNG", "its pixels are not of the kind that its header says")
        pixels = split_alpha(stored, 65535, limits) if colour_type in (4, 6) else stored
    else:
        image = load_by_pillow(PngImagePlugin.PngImageFile, stream, name)
        if transparency is not None and colour_type == 3:
            image.info["transparency"] = transparency
        pixels = pil_pixels(image, name, limits)
    if transparency is not None and colour_type in (0, 2):
        key = struct.unpack_from(">H" if colour_type == 0 else ">HHH", transparency)
        scale = 255 // (2**bits - 1) if bits < 8 else 1
        pixels = blacken(pixels, tuple(value * scale for value in key), limits)
    exif = bytes(chunks[b"eXIf"][0][8:-4]) if b"eXIf" in chunks else b""
    return turn(pixels, exif_orientation(exif))


def _png_chunks(data: bytes, name: str) -> dict[bytes, list[memoryview]]:
    """Whole chunks (length, type, body, checksum) by type, with the checksums of those that matter verified.

    The check finds files cut short or damaged in the pixels; decoders skip the checksums of the pixel data.
    """
    view = memoryview(data)
    chunks: dict[bytes, list[memoryview]] = {}
    at = 8
    while b"IEND" not in chunks:
        if at + 12 > len(data):
            raise damaged(name, "PNG", "it ends too early")
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise damaged(name, "PNG", "it ends too early")
        is_critical = not kind[0] & 0x20
        if is_critical and kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            raise damaged(name, "PNG", "it has parts that are not in the PNG standard")
        if is_critical or kind in (b"tRNS", b"eXIf", b"acTL"):
            body = view[at + 4 : at + 8 + length]
            if zlib.crc32(body) != int.from_bytes(view[at + 8 + length : at + 12 + length], "big"):
                raise damaged(name, "PNG", f"the checksum of its {kind.decode('latin-1')} part is wrong")
            chunks.setdefault(kind, []).append(view[at : at + 12 + length])
        at += 12 + length
    if b"IHDR" not in chunks or len(chunks[b"IHDR"][0]) != 25:
        raise damaged(name, "PNG", "it has no header")
    return chunks


# WebP


def read_webp(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Always colour: WebP knows no grey.

    imagecodecs decodes it, as Pillow's class applies its own pixel limit; size, animation and EXIF are read here, as
    imagecodecs tells none of them.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if not end <= len(data) <= end + end % 2:
        raise damaged(name, "WebP", f"it says that it has {end:,} bytes, and has {len(data):,}")
    chunk, body = data[12:16], data[20:30]
    if chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = (value & 0x3FFF for value in struct.unpack("<HH", body[6:10]))
    elif chunk == b"VP8L" and body[:1] == b"\x2f":
        packed = int.from_bytes(body[1:5], "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    elif chunk == b"VP8X" and len(body) == 10:
        if body[0] & 0x02:
            raise ImageError(f"{name} is an animation, and one still image is required: save its frames as files")
        width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
    else:
        raise damaged(name, "WebP", "its header cannot be read")
    check_size(width, height, name, limits)
    import imagecodecs

    pixels: ImageArray = imagecodecs.webp_decode(data)
    if pixels.shape[:2] != (height, width):
        raise damaged(name, "WebP", "its pixels are not of the size that its header says")
    chunks = list(_webp_chunks(data))
    for kind, at, size in chunks:
        is_coded = kind in (b"VP8 ", b"VP8L") or (kind == b"ALPH" and data[at + 8] & 3)
        if is_coded and _decodes_without_its_end(chunks, data, at, size):
            raise damaged(name, "WebP", "its pixels end before its data do")
    colour = split_alpha(pixels, 255, limits) if pixels.shape[2] == 4 else pixels
    exif = next((data[at + 8 : at + 8 + size] for kind, at, size in chunks if kind == b"EXIF"), b"")
    return turn(colour, exif_orientation(exif))


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, place and size of the body of each chunk."""
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        yield kind, at, size
        at += 8 + size + size % 2


def _decodes_without_its_end(chunks: list[tuple[bytes, int, int]], data: bytes, cut: int, cut_size: int) -> bool:
    """Whether the pixels come out although a chunk lacks its last bytes, which it does not need then.

    The format has no checksum. But its entropy coders use up their data to the last byte if they are whole, and damage
    rarely leaves them at the same place: libwebp's encoder never leaves more than 3 bytes.
    """
    import imagecodecs

    if cut_size <= 2 * _WEBP_TAIL:
        return False
    parts = []
    for kind, at, size in chunks:
        body = data[at + 8 : at + 8 + size]
        body = body[:-_WEBP_TAIL] if at == cut else body
        parts.append(struct.pack("<4sI", kind, len(body)) + body + bytes(len(body) % 2))
    stream = b"WEBP" + b"".join(parts)
    try:
        imagecodecs.webp_decode(b"RIFF" + struct.pack("<I", len(stream)) + stream)
    except Exception:  # whatever it is: the data were needed
        return False
    return True
