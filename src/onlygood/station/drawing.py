"""Images for people: small copies, and the anomaly map over the image."""

from __future__ import annotations

import io

from PIL import Image

from onlygood.heatmap import overlay, to_png, to_screen
from onlygood.images.reading import ReadingLimits, read_image
from onlygood.results import Inspection
from onlygood.thumbnails import draw_small

# The long side of a thumbnail, in pixels, and the quality of its JPEG.
THUMBNAIL_SIDE = 256
_QUALITY = 85


def map_png(inspection: Inspection) -> bytes:
    """The anomaly map over the image, as a PNG file.

    Args:
        inspection: with its map and pixels.
    """
    if inspection.anomaly_map is None or inspection.pixels is None:
        raise ValueError("a map is drawn of an inspection that has one")
    pixels = inspection.pixels
    return to_png(overlay(to_screen(pixels.image, pixels.window), inspection.anomaly_map, levels=pixels.levels))


def thumbnail_jpeg(content: bytes, *, name: str, limits: ReadingLimits, long_side: int = THUMBNAIL_SIDE) -> bytes:
    """A small JPEG of an image.

    Args:
        content: the bytes of the image's file.
        name: what errors call it.
        limits: on pixels and bytes.
        long_side: in pixels.

    Raises:
        ImageError: it cannot be read.
    """
    pixels = read_image(content, name=name, limits=limits)
    most = float(pixels.max()) if pixels.dtype.itemsize > 1 else 255.0
    small, _ = draw_small(pixels, None, levels=(0.0, 1.0), window=(0.0, max(most, 1.0)), long_side=long_side)
    return _jpeg(small)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()
