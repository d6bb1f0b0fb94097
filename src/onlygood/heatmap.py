"""Where to look: an anomaly map laid over its image."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood.images.reading import ImageArray

# Colours of the map at typical, at high, and at each doubling beyond: ever darker, from yellow over red to violet, so
# that the order is seen without red and green, and in grey, too.
COLOURS = ((255, 220, 0), (255, 122, 0), (212, 34, 66), (136, 16, 114), (62, 8, 104), (12, 4, 46))
OCTAVES = len(COLOURS) - 2
# Their opacity at high, and where the scale ends.
OPACITY, MOST_OPAQUE = 0.6, 0.85
# Of high, a line at each; those beyond the first are fainter. They go on where colours end.
CONTOURS = tuple(2.0 ** (step / 2) for step in range(13))
CONTOUR, HALO = (255, 255, 255), (40, 20, 30)
FAINTNESS = 0.5
# The outline of a mask: dashes of two colours, so that it is seen on every image and told from the contour by form.
MASK_DASHES = (0, 70, 160), (110, 220, 255)
DASH = 4
GAP = 4
_STEPS = 256


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

    The scale is the model's own, never the image's: a good image's map stays nearly clear. From typical to high, colour
    fades in; beyond high the scale is logarithmic, and its colours end at 16 times as far from typical. A white line
    surrounds what is above the high level, which hardly any good image reaches anywhere, and a fainter one each level
    that is further from typical by the square root of 2, up to 64 times as far.

    Args:
        base: RGB, of W x H pixels.
        anomaly_map: float32 [H, W].
        levels: typical and high, of the map, as `Inspector.map_levels`.
        mask: bool [H, W]; what it marks is surrounded by a line of blue dashes, if it is given.
    """
    typical, high = levels
    strength = (anomaly_map - np.float32(typical)) / np.float32(max(high - typical, 1e-12))
    colours, opacity = _tables()
    position = _position(strength)
    coloured = Image.composite(Image.fromarray(colours[position]), base, Image.fromarray(opacity[position]))
    above = anomaly_map > high
    if above.any():
        line = _line_around(above, 1)
        # A shade outside the white line, so that it is seen on a white part, too.
        coloured.paste(HALO, mask=_as_mask(_line_around(above, 2) & ~line, FAINTNESS))
        coloured.paste(CONTOUR, mask=_as_mask(line, 1.0))
        within = np.zeros_like(above)
        for level in CONTOURS[1:]:
            beyond = strength > level
            if not beyond.any():
                break
            within |= _line_around(beyond, 1)
        coloured.paste(CONTOUR, mask=_as_mask(within & ~line, FAINTNESS))
    if mask is not None:
        dashed = _line_around(mask, 2)
        rows, columns = np.indices(mask.shape)
        odd = (rows + columns) // DASH % 2
        for parity, colour in enumerate(MASK_DASHES):
            coloured.paste(colour, mask=_as_mask(dashed & (odd == parity), 1.0))
    return coloured


def scale_colours(positions: NDArray[np.float64]) -> NDArray[np.uint8]:
    """What the overlay makes of a mid-grey image, for a legend: RGB, uint8 [n, 3].

    Args:
        positions: [n], from 0 at typical over 1 at high, and on by 1 a doubling.
    """
    colours, opacity = _tables()
    at = np.rint(np.clip(positions / (OCTAVES + 1), 0, 1) * (len(colours) - 1)).astype(int)
    share = opacity[at, None] / 255
    mixed: NDArray[np.uint8] = np.rint(share * colours[at] + (1 - share) * 128).astype(np.uint8)
    return mixed


def scale_table() -> NDArray[np.uint8]:
    """The overlay's colours and opacities, for who draws it elsewhere: uint8 [256, 4], red, green, blue, alpha.

    The rows are the positions of `scale_positions`.
    """
    colours, opacity = _tables()
    return np.concatenate([colours, opacity[:, None]], axis=1)


def scale_positions(anomaly_map: NDArray[np.float32], levels: tuple[float, float]) -> NDArray[np.uint8]:
    """Where each pixel of a map is on the overlay's scale, uint8 of its shape.

    0 is typical or below, 51 the high level, and each 51 more a doubling of the distance from typical, up to 255.

    Args:
        anomaly_map: float32 of any shape.
        levels: typical and high, of the map, as `Inspector.map_levels`.
    """
    typical, high = levels
    return _position((anomaly_map - np.float32(typical)) / np.float32(max(high - typical, 1e-12)))


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


def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Colour, uint8 [n, 3], and opacity, uint8 [n], along the scale from typical to its end."""
    along = np.linspace(0, OCTAVES + 1, _STEPS)
    marks = np.arange(len(COLOURS))
    colours = np.stack([np.interp(along, marks, channel) for channel in zip(*COLOURS, strict=True)], axis=1)
    # Colour fades in late, so that the ordinary unevenness of a map stays quiet.
    fading = OPACITY * np.minimum(along, 1.0) ** 3
    opacity = fading + (MOST_OPAQUE - OPACITY) * np.maximum(along - 1.0, 0.0) / OCTAVES
    return np.rint(colours).astype(np.uint8), np.rint(255 * opacity).astype(np.uint8)


def _position(strength: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Where on the scale: in proportion from 0 to 1, where high is, and beyond it by the logarithm."""
    along = np.clip(strength, 0, 2**OCTAVES)
    beyond = along > 1
    along[beyond] = 1 + np.log2(along[beyond])
    position: NDArray[np.uint8] = np.rint(along * ((_STEPS - 1) / (OCTAVES + 1))).astype(np.uint8)
    return position


def _line_around(marked: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The pixels that surround what is marked."""
    grown = marked
    for _ in range(width):
        # By one pixel up and down, then to the left and right: a square, as a maximum filter grows it, but faster.
        taller = grown.copy()
        taller[1:] |= grown[:-1]
        taller[:-1] |= grown[1:]
        grown = taller.copy()
        grown[:, 1:] |= taller[:, :-1]
        grown[:, :-1] |= taller[:, 1:]
    line: NDArray[np.bool_] = grown & ~marked
    return line


def _as_mask(marked: NDArray[np.bool_], opacity: float) -> Image.Image:
    """What Pillow pastes through: this opacity where marked, none elsewhere."""
    return Image.fromarray(marked.view(np.uint8) * np.uint8(round(255 * opacity)))
