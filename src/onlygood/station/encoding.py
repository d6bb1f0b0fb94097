"""From a frame to the bytes of an image file: what is inspected, recorded, shown and taught is the same file."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np

from onlygood.errors import ImageError
from onlygood.images.reading import ImageArray, ReadingLimits, read_image
from onlygood.station.file_types import suffix_of
from onlygood.station.frames.frame import Frame

# Without a smaller resolution of colours, so that small coloured defects stay.
JPEG_QUALITY = 95
_SUBSAMPLING = "444"
_PNG_LEVEL = 1


@dataclass(frozen=True)
class EncodedFrame:
    """A frame as an image file.

    Attributes:
        content: of the file.
        suffix: of the file, with its dot.
        width: in pixels; 0 where it is not known before the file is decoded.
        height: in pixels; 0 where it is not known before the file is decoded.
    """

    content: bytes = field(repr=False)
    suffix: str
    width: int = 0
    height: int = 0


def encode_frame(frame: Frame, limits: ReadingLimits) -> EncodedFrame:
    """The file of a frame: that which it came in, or JPEG for 8 bits and PNG for 16 bits of a camera.

    A page of a file of several becomes a file of its own, without loss.

    Args:
        frame: with pixels, or with the content of a file.
        limits: bounds on pixels and bytes.

    Raises:
        ImageError: it has neither, or a page that cannot be read.
    """
    if frame.pixels is not None:
        return encode_pixels(frame.pixels)
    if frame.content is None:
        raise ImageError(f"{frame.name} must be an image, got nothing of it: look at what the source gives")
    if frame.page is not None:
        pixels = read_image(frame.content, name=frame.name, page=frame.page, limits=limits)
        return encode_pixels(pixels, lossless=True)
    return EncodedFrame(frame.content, suffix_of(frame.content))


def encode_pixels(pixels: ImageArray, *, lossless: bool = False) -> EncodedFrame:
    """The file of an image in memory.

    Args:
        pixels: uint8 or uint16 [H, W, C], red, green, blue.
        lossless: whether 8-bit images keep every level, too.
    """
    height, width, channels = pixels.shape
    if channels not in (1, 3):
        return EncodedFrame(_as_tiff(pixels), ".tif", width, height)
    if pixels.dtype == np.uint8 and not lossless:
        import simplejpeg

        kind = "GRAY" if channels == 1 else "RGB"
        subsampling = "Gray" if channels == 1 else _SUBSAMPLING
        content = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), JPEG_QUALITY, kind, subsampling)
        return EncodedFrame(content, ".jpg", width, height)
    import imagecodecs

    squeezed = np.ascontiguousarray(pixels[:, :, 0] if channels == 1 else pixels)
    return EncodedFrame(bytes(imagecodecs.png_encode(squeezed, level=_PNG_LEVEL)), ".png", width, height)


def _as_tiff(pixels: ImageArray) -> bytes:
    """For numbers of channels that other formats do not have."""
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, photometric="minisblack", planarconfig="contig", metadata=None)
    return stream.getvalue()
