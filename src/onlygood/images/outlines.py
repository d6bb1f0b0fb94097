"""Outlines in pixels, and the mask of what lies inside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Corners that stand for a circle or an ellipse: in 10,000 pixels they miss it by less than a pixel.
_ROUND_CORNERS = 512


@dataclass(frozen=True)
class Outline:
    """What is drawn around a place.

    Attributes:
        corners: float64 [n, 2], x and y of each in pixels; 0, 0 is the upper left corner of the upper left pixel.
        holes: outlines of what is left out of it.
        shown: what errors call it.
    """

    corners: NDArray[np.float64] = field(repr=False)
    holes: Sequence[NDArray[np.float64]] = field(default=(), repr=False)
    shown: str = "the outline"


def box_corners(left: float, top: float, width: float, height: float) -> NDArray[np.float64]:
    """The corners of a box, float64 [4, 2]."""
    return np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])


def ellipse_corners(x: float, y: float, radius_x: float, radius_y: float) -> NDArray[np.float64]:
    """Corners of an ellipse about x, y, float64 [n, 2]."""
    angles = 2 * np.pi * np.arange(_ROUND_CORNERS) / _ROUND_CORNERS
    return np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=1)


def turned(corners: NDArray[np.float64], degrees: float, x: float, y: float) -> NDArray[np.float64]:
    """The corners, turned clockwise about x, y."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    result: NDArray[np.float64] = (corners - (x, y)) @ np.array([[cosine, sine], [-sine, cosine]]) + (x, y)
    return result


def fill(corners: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
    """Which pixels have their centers inside, bool [H, W]; where an outline crosses itself, by the even-odd rule.

    Args:
        corners: float64 [n, 2], x and y in pixels; what lies outside the image is cut off.
        height: of the image.
        width: of the image.
    """
    crossed = np.zeros((height, width + 1), dtype=np.uint8)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        low, high = min(y0, y1), max(y0, y1)
        # Rows whose centers lie between both ends, the lower end included: a corner belongs to one of its edges.
        rows = np.arange(max(0, math.ceil(low - 0.5)), max(0, min(height, math.ceil(high - 0.5))))
        if not len(rows):
            continue
        at = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        # All pixels whose centers lie to the right of the edge are on its other side.
        columns = np.clip(np.ceil(at - 0.5), 0, width).astype(np.int64)
        crossed[rows, columns] ^= 1
    inside: NDArray[np.bool_] = np.bitwise_xor.accumulate(crossed, axis=1)[:, :width].astype(np.bool_)
    return inside


def mask_of(outline: Outline, height: int, width: int) -> NDArray[np.bool_]:
    """Which pixels lie inside an outline and in none of its holes, bool [H, W]."""
    mask = fill(outline.corners, height, width)
    for hole in outline.holes:
        mask &= ~fill(hole, height, width)
    return mask
