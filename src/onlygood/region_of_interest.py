"""The region of interest of a fit: from what a person gives to what is cut out of the images."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import SettingError
from onlygood.graph.view import Region
from onlygood.images.roi import RoiSource, read_roi
from onlygood.metadata import RegionFacts

# Height over width of region and images may differ by so much, as masks are drawn on scaled images.
MOST_SKEWED = 1.02
# Sides of the mask that a file holds are no longer, so that it takes 4 MB at most.
MOST_SIDE = 2048


def region_for(roi: RoiSource, size: tuple[int, int]) -> Region:
    """The region of interest of images of this size.

    Args:
        roi: as `onlygood.fit` takes it.
        size: height and width of the images, in pixels.

    Raises:
        SettingError: it cannot be read, leaves nothing to look at, or has another shape than the images.
    """
    mask = read_roi(roi, size=size)
    skew = (mask.shape[0] * size[1]) / (mask.shape[1] * size[0])
    if not 1 / MOST_SKEWED <= skew <= MOST_SKEWED:
        raise SettingError(
            f"the region of interest must have the shape of the images, {size[1]} x {size[0]} pixels, at any scale, "
            f"got {mask.shape[1]} x {mask.shape[0]}: draw it on one of these images"
        )
    return Region(_reduced(mask))


def _reduced(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask with sides of at most MOST_SIDE: a pixel is looked at where all are that it stands for."""
    times = -(-max(mask.shape) // MOST_SIDE)
    if times == 1:
        return mask
    height, width = (side // times for side in mask.shape)
    blocks = mask[: height * times, : width * times].reshape(height, times, width, times)
    reduced = np.asarray(blocks.all(axis=(1, 3)))
    if not reduced.any():
        raise SettingError(
            f"the region of interest must have places of at least {times} x {times} pixels where parts are looked at, "
            "got none: draw it larger"
        )
    return reduced


def region_facts(region: Region) -> RegionFacts:
    """What the metadata say of a region."""
    top, left, bottom, right = region.box
    height, width = region.mask.shape
    return RegionFacts(
        box=(top / height, left / width, bottom / height, right / width),
        looked_at=region.looked_at,
        sha256=hashlib.sha256(repr(region.mask.shape).encode() + region.mask.tobytes()).hexdigest(),
    )
