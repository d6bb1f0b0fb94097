"""Kept images as answers: the bytes as they came, which no browser takes for anything but an image; and thumbnails."""

from __future__ import annotations

import io

import numpy as np
from starlette.responses import Response

from onlygood.images.reading import ReadingLimits, read_image
from onlygood.station.station_settings import Limits
from onlygood.thumbnails import LONG_SIDE, draw_small

# What browsers show; all else is offered as a file.
_SHOWN = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".avif": "image/avif",
}
# An image never changes under its number.
_CACHED = {"Cache-Control": "private, max-age=86400, immutable"}
# Whatever is in the bytes, no script of it runs.
_HARMLESS = {"Content-Security-Policy": "default-src 'none'; sandbox"}
_QUALITY = 80


def image_response(content: bytes, suffix: str, number: int) -> Response:
    """The bytes of an image's file.

    Args:
        content: of the file.
        suffix: of the file, with its dot.
        number: of the inspection or the taught image, which names a download.
    """
    media_type = _SHOWN.get(suffix.casefold())
    headers = {**_CACHED, **_HARMLESS}
    if media_type is None:
        extension = "".join(each for each in suffix if each.isascii() and each.isalnum()) or "bin"
        headers["Content-Disposition"] = f'attachment; filename="{number}.{extension}"'
    return Response(content, media_type=media_type or "application/octet-stream", headers=headers)


def thumbnail_response(content: bytes, limits: Limits, *, page: int | None = None) -> Response:
    """A small JPEG of an image's file.

    Args:
        content: of the file.
        limits: on the image.
        page: of a multi-page TIFF.

    Raises:
        ImageError: it cannot be read any more.
    """
    pixels = read_image(
        content,
        name="the image",
        page=page,
        limits=ReadingLimits(max_pixels=limits.max_pixels, max_bytes=limits.max_image_bytes),
    )
    # Without a model no window says what is black and white in 16 bits: the image's own extremes.
    window = (0.0, 255.0) if pixels.dtype == np.uint8 else (float(pixels.min()), float(max(1, pixels.max())))
    small, _ = draw_small(pixels, None, levels=(0.0, 1.0), window=window, long_side=LONG_SIDE)
    buffer = io.BytesIO()
    small.convert("RGB").save(buffer, format="JPEG", quality=_QUALITY)
    return Response(buffer.getvalue(), media_type="image/jpeg", headers=_CACHED)
