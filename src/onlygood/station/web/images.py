"""Kept images as answers: the bytes as they came, which no browser takes for anything but an image; and thumbnails."""

from __future__ import annotations

from starlette.responses import Response

# What browsers show; all else is offered as a file.
_SHOWN = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/avif")
# What a kept image may be answered as.
IMAGE_TYPES = (*_SHOWN, "image/*", "application/dicom", "application/octet-stream")
# An image never changes under its number.
CACHED = "private, max-age=86400, immutable"
# Whatever is in the bytes, no script of it runs.
_HARMLESS = {"Cache-Control": CACHED, "Content-Security-Policy": "default-src 'none'; sandbox"}


def image_response(content: bytes, media_type: str, number: int) -> Response:
    """The bytes of an image's file.

    Args:
        content: of the file.
        media_type: as its first bytes say.
        number: of the inspection or the taught image, which names a download.
    """
    headers = dict(_HARMLESS)
    if media_type not in _SHOWN:
        headers["Content-Disposition"] = f'attachment; filename="{number}.{media_type.rpartition("/")[2]}"'
    return Response(content, media_type=media_type, headers=headers)


def thumbnail_response(content: bytes) -> Response:
    """A small JPEG."""
    return Response(content, media_type="image/jpeg", headers=_HARMLESS)
