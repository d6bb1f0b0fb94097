"""Of an image's file, by its first bytes: the ending of its name, and its media type."""

from __future__ import annotations

from onlygood.images.signatures import HEAD_BYTES, format_of

_TYPES = {
    "JPEG": (".jpg", "image/jpeg"),
    "PNG": (".png", "image/png"),
    "TIFF": (".tif", "image/tiff"),
    "BMP": (".bmp", "image/bmp"),
    "WebP": (".webp", "image/webp"),
    "GIF": (".gif", "image/gif"),
    "Netpbm": (".pnm", "image/x-portable-anymap"),
    "JPEG 2000": (".jp2", "image/jp2"),
    "JPEG XL": (".jxl", "image/jxl"),
    "AVIF": (".avif", "image/avif"),
    "DICOM": (".dcm", "application/dicom"),
    "HEIC": (".heic", "image/heic"),
}
_MEDIA_TYPES = dict(_TYPES.values())


def suffix_of(content: bytes) -> str:
    """The ending of the name of an image's file, such as ".jpg"; ".bin" where the format is not known."""
    known = _TYPES.get(format_of(content[:HEAD_BYTES]) or "")
    return known[0] if known else ".bin"


def media_type_of(suffix: str) -> str:
    """The media type of a file with an ending that `suffix_of` gave."""
    return _MEDIA_TYPES.get(suffix, "application/octet-stream")
