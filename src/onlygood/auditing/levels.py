"""How an image is exposed: where its levels lie, how far apart they are, and how many are clipped."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from onlygood.images.pixels import ImageArray

# So many pixels, evenly spaced, say it of an image of any size.
_LOOKED_AT = 65_536
# Few enough that a fine trace on an empty board shows its contrast, and enough that a hot pixel does not.
_LOW, _HIGH = 0.005, 0.995


@dataclass(frozen=True)
class Levels:
    """The levels of one image, as shares of the full scale, from 0 to 1.

    Attributes:
        brightness: the mean.
        contrast: from the level that 0.5 % of the pixels lie below to the one that 0.5 % lie above.
        white: share of pixels that are at the end of the scale, in any channel.
        black: share of pixels that are 0 in every channel.
        is_flat: whether all pixels of a channel have one level.
    """

    brightness: float
    contrast: float
    white: float
    black: float
    is_flat: bool


def measure_levels(image: ImageArray, full_scale: int) -> Levels:
    """The levels of an image, from at most four times _LOOKED_AT of its pixels.

    Args:
        image: [H, W, C].
        full_scale: the highest level that such an image can have: 255, or 4095 for 12 bits.
    """
    step = max(1, math.isqrt(image.shape[0] * image.shape[1] // _LOOKED_AT))
    pixels = image[::step, ::step].reshape(-1, image.shape[2])
    grey = pixels.mean(axis=1, dtype=np.float32)
    low, high = np.quantile(grey, [_LOW, _HIGH])
    return Levels(
        brightness=float(grey.mean(dtype=np.float64)) / full_scale,
        contrast=float(high - low) / full_scale,
        white=float(np.mean(pixels.max(axis=1) >= full_scale)),
        black=float(np.mean(pixels.max(axis=1) == 0)),
        is_flat=bool((image.min(axis=(0, 1)) == image.max(axis=(0, 1))).all()),
    )
