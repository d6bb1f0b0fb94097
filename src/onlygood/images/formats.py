"""Formats whose files hold one image each: PNG, BMP and WebP.

Pillow decodes BMP, and PNG but for 16-bit colour, which it would reduce to 8 bits; imagecodecs does the rest.
Pillow's format classes are called directly, because `Image.open` brings its process-wide pixel limit and its warnings.
Each reader takes the whole file, and checks its size on its header before anything is decoded.
"""

import io
import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from PIL import BmpImagePlugin, Image, ImageFile, PngImagePlugin

from onlygood.errors import ImageError
from onlygood.images._quiet import quiet_decoders
from onlygood.images.in_memory import pil_pixels
from onlygood.images.limits import ReadingLimits, check_size, damaged
from onlygood.images.pixels import ImageArray, blacken, exif_orientation, split_alpha, turn

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _load(
    plugin: Callable[[BinaryIO], ImageFile.ImageFile], data: bytes, name: str, limits: ReadingLimits
) -> Image.Image:
    """The decoded image; Pillow raises on files cut short, unless the process has told it not to."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ImageError(
            f"{name} is not read while PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on, because of a file cut short Pillow "
            "would give half an image: turn it off"
        )
    image = plugin(io.BytesIO(data))
    check_size(image.width, image.height, name, limits)
    image.load()
    return image


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
        pixels = split_alpha(stored, 65535) if colour_type in (4, 6) else stored
    else:
        image = _load(PngImagePlugin.PngImageFile, stream, name, limits)
        if transparency is not None and colour_type == 3:
            image.info["transparency"] = transparency
        pixels = pil_pixels(image, name)
    if transparency is not None and colour_type in (0, 2):
        key = struct.unpack_from(">H" if colour_type == 0 else ">HHH", transparency)
        scale = 255 // (2**bits - 1) if bits < 8 else 1
        pixels = blacken(pixels, tuple(value * scale for value in key))
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


# BMP


def read_bmp(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Grey or RGB over black, of 8 bits a channel."""
    (header_size,) = struct.unpack_from("<I", data, 14)
    (bits,) = struct.unpack_from("<H", data, 24 if header_size == 12 else 28)
    image = _load(BmpImagePlugin.BmpImageFile, data, name, limits)
    if image.mode == "1" and bits != 1:
        # Pillow takes the bytes of an image with a palette of black and white for bits
        raise ImageError(f"{name} is a BMP of {bits} bits with a palette of two colours: save it as PNG")
    return pil_pixels(image, name)


# WebP


def read_webp(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Always colour: WebP knows no grey.

    imagecodecs decodes it, as Pillow's class applies its own pixel limit; size, animation and EXIF are read here, as
    imagecodecs tells none of them.
    """
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise damaged(name, "WebP", "it ends too early")
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
    colour = split_alpha(pixels, 255) if pixels.shape[2] == 4 else pixels
    return turn(colour, exif_orientation(_webp_exif(data)))


def _webp_exif(data: bytes) -> bytes:
    at = 12
    while at + 8 <= len(data):
        chunk, size = struct.unpack_from("<4sI", data, at)
        if chunk == b"EXIF":
            return data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return b""
