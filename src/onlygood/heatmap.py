"""Where to look: an anomaly map laid over its image."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter, ImageOps

from onlygood.images.reading import ImageArray

# Colours of the overlay, from typical to far beyond high. Distinguishable without red and green, too.
LOW, MIDDLE, HIGH = (255, 220, 0), (255, 110, 0), (190, 0, 60)
OPACITY = 0.6
CONTOUR = (255, 255, 255)
# The outline of a mask: dashes of two colours, so that it is seen on every image and told from the contour by form.
MASK_DASHES = (0, 70, 160), (110, 220, 255)
DASH = 4
GAP = 4


def draw_heatmap(
    image: ImageArray,
    anomaly_map: NDArray[np.float32],
    *,
    levels: tuple[float, float],
    window: tuple[float, float],
) -> Image.Image:
    """The image, and beside it the same with its map: clear where typical, coloured where anomalous.

    Args:
        image: [H, W, C], uint8 or uint16.
        anomaly_map: float32 [H, W].
        levels: typical and high, of the map, as `Inspector.map_levels`.
        window: the levels of black and white, as in the model's metadata.
    """
    base = to_screen(image, window)
    return side_by_side(base, overlay(base, anomaly_map, levels=levels))


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two images of one size with a gap between them, RGB."""
    sheet = Image.new("RGB", (2 * left.width + GAP, left.height), CONTOUR)
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + GAP, 0))
    return sheet


def overlay(
    base: Image.Image,
    anomaly_map: NDArray[np.float32],
    *,
    levels: tuple[float, float],
    mask: NDArray[np.bool_] | None = None,
) -> Image.Image:
    """The image with its map, RGB: clear where typical, coloured where anomalous.

    The scale is the model's own, never the image's: a good image's map stays (nearly) clear. A white line surrounds
    what is above the high level, which hardly any good image reaches anywhere.

    Args:
        base: RGB, of W x H pixels.
        anomaly_map: float32 [H, W].
        levels: typical and high, of the map, as `Inspector.map_levels`.
        mask: bool [H, W]; what it marks is surrounded by a line of blue dashes, if it is given.
    """
    typical, high = levels
    # 0 at typical, 1/2 at high, 1 as far beyond again.
    strength = np.clip((anomaly_map - typical) / max(2.0 * (high - typical), 1e-12), 0.0, 1.0)
    grey = Image.fromarray((255 * strength).astype(np.uint8))
    colours = ImageOps.colorize(grey, black=LOW, mid=MIDDLE, white=HIGH)
    # Fades in from nothing at typical to full at high, so that the ordinary unevenness of a map stays quiet.
    fade = np.minimum(2.0 * strength, 1.0) ** 2
    coloured = Image.composite(colours, base, Image.fromarray((255 * OPACITY * fade).astype(np.uint8)))
    coloured.paste(CONTOUR, mask=_line_around(anomaly_map > high, 1))
    if mask is not None:
        line = np.asarray(_line_around(mask, 2))
        rows, columns = np.indices(mask.shape)
        odd = (rows + columns) // DASH % 2
        for parity, colour in enumerate(MASK_DASHES):
            coloured.paste(colour, mask=Image.fromarray(np.where(odd == parity, line, 0).astype(np.uint8)))
    return coloured


def to_screen(image: ImageArray, window: tuple[float, float]) -> Image.Image:
    """The image as RGB for eyes: through the window, and clipped, as screens ask for."""
    black, white = window
    pixels: NDArray[Any] = image
    if (black, white) != (0, 255) or image.dtype != np.uint8:
        pixels = np.clip((image - np.float32(black)) * (255.0 / (white - black)), 0, 255).astype(np.uint8)
    return Image.fromarray(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels, mode=None)


def to_png(image: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _line_around(marked: NDArray[np.bool_], width: int) -> Image.Image:
    """255 on the pixels that surround what is marked, 0 elsewhere."""
    area = Image.fromarray(np.where(marked, 255, 0).astype(np.uint8))
    return ImageChops.difference(area.filter(ImageFilter.MaxFilter(2 * width + 1)), area)
