"""A region of interest proposed from good images: all but a plain background that is the same in each of them.

Background is what shows next to nothing and never changes. Of each place of the image two spreads are measured, in
levels: over the good images, and around the place within one of them. The larger one is how much happens there. Where
places fall into two kinds, of which one has at least RATIO times as much happening as the other, those of the quiet
kind that are connected with the border of the image are left out; a quiet surface inside a part is not. A margin around
what is left keeps its edges.

It is a proposal: a plain part that reaches the border of the image looks like a background.

Source: Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on Systems, Man, and
Cybernetics 1979, for the two kinds, on a logarithmic scale.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood._parallel import map_in_order
from onlygood._progress import track
from onlygood._spacing import evenly_spaced
from onlygood.datasets.sources import Source
from onlygood.errors import FolderError, ImageError
from onlygood.images.pixels import ImageArray

LEAST_IMAGES = 3
# Images that are looked at, evenly spaced, and their long side in pixels.
MOST_IMAGES = 64
LONG_SIDE = 384
# Images whose sizes are looked at.
MOST_SIZED = 16
# Images have one shape where height over width differs by less than this factor.
MOST_SKEWED = 1.02
# Between the typical spreads of both kinds of places.
RATIO = 3.0
# A spread below one level says nothing: levels are whole numbers, and compression moves them.
LEAST_SPREAD = 1.0 / 255.0
# As shares of the long side: the place around which levels are compared, and the margin around what is left.
PLACE = 0.012
MARGIN = 0.02
# Less background than this share of the image is not worth a region.
LEAST_BACKGROUND = 0.02


@dataclass(frozen=True)
class Proposal:
    """A region of interest, and what to say of it.

    Attributes:
        mask: bool [H, W], where parts are looked at; true everywhere where no background was found.
        images: how many images it was made of.
        note: what else is to be known.
    """

    mask: NDArray[np.bool_]
    images: int
    note: str | None = None

    @property
    def looked_at(self) -> float:
        """The share of the image that is looked at, in (0, 1]."""
        return float(self.mask.mean())


def propose_region(sources: Sequence[Source], *, threads: int = 0, show_progress: bool = False) -> Proposal:
    """The region of interest that good images suggest, at the size that most of them have.

    Args:
        sources: the good images.
        threads: images worked on at once; 0 for one a core.
        show_progress: draw a bar if stderr is a terminal.

    Raises:
        FolderError: fewer than LEAST_IMAGES can be read and have one shape.
    """
    planes, size, left_out = _planes(sources, threads=threads, show_progress=show_progress)
    if len(planes) < LEAST_IMAGES:
        raise FolderError(
            f"a region is proposed from at least {LEAST_IMAGES} good images of one shape, got {len(planes)}: add "
            "images, or draw it with --page"
        )
    looked_at = _without_background(np.stack(planes))
    note = None
    if left_out:
        note = f"{left_out} of {len(planes) + left_out} images were left out, as they have another shape than most"
    if looked_at is None:
        return Proposal(np.ones(size, dtype=np.bool_), len(planes), note)
    rows = np.arange(size[0]) * looked_at.shape[0] // size[0]
    columns = np.arange(size[1]) * looked_at.shape[1] // size[1]
    return Proposal(looked_at[rows[:, None], columns], len(planes), note)


def usual_size(sources: Sequence[Source], *, threads: int = 0) -> tuple[int, int]:
    """Height and width that most of some images have, evenly spaced among all.

    Args:
        sources: the images, at least one.
        threads: images worked on at once; 0 for one a core.

    Raises:
        FolderError: none of them can be read.
    """
    chosen = [sources[position] for position in evenly_spaced(len(sources), MOST_SIZED)]
    problems: list[str] = []

    def size_of(source: Source) -> tuple[int, int] | None:
        try:
            height, width = source.read().shape[:2]
        except ImageError as error:
            problems.append(str(error))
            return None
        return height, width

    sizes = Counter(size for size in map_in_order(size_of, chosen, threads=threads) if size is not None)
    if not sizes:
        raise FolderError(f"roi needs images that can be read, got none of {len(chosen)}: {problems[0]}")
    return sizes.most_common(1)[0][0]


def _planes(
    sources: Sequence[Source], *, threads: int, show_progress: bool
) -> tuple[list[NDArray[np.float32]], tuple[int, int], int]:
    """Grey images at one small size, as shares of the full scale; the size that most have, and how many do not."""
    chosen = [sources[position] for position in evenly_spaced(len(sources), MOST_IMAGES)] if sources else []

    def read(source: Source) -> tuple[NDArray[np.float32], tuple[int, int]] | None:
        try:
            return _small(source.read())
        except ImageError:
            return None

    results = map_in_order(read, chosen, threads=threads)
    found = [each for each in track(results, total=len(chosen), description="looking", show=show_progress) if each]
    if not found:
        return [], (1, 1), 0
    size = Counter(size for _, size in found).most_common(1)[0][0]
    ratio = size[0] / size[1]
    alike = [plane for plane, other in found if 1 / MOST_SKEWED <= other[0] / other[1] / ratio <= MOST_SKEWED]
    height, width = _fit(size)
    return [_resized(plane, height, width) for plane in alike], size, len(found) - len(alike)


def _small(image: ImageArray) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """The image in grey, at most LONG_SIDE long, and its own size."""
    size = image.shape[0], image.shape[1]
    step = max(1, max(size) // (4 * LONG_SIDE))
    plane = image[::step, ::step].mean(axis=2, dtype=np.float32) / np.iinfo(image.dtype).max
    return _resized(plane, *_fit(size)), size


def _fit(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, LONG_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resized(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    if plane.shape == (height, width):
        return plane
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BOX), dtype=np.float32)


def _without_background(planes: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Where parts are looked at; None where no background stands out.

    Args:
        planes: float32 [n, h, w].
    """
    side = max(planes.shape[1:])
    radius = max(1, round(PLACE * side))
    smooth = np.stack([_box_mean(plane, radius) for plane in planes])
    low, high = np.quantile(smooth, [0.1, 0.9], axis=0)
    within = np.sqrt(
        np.maximum(
            np.median([_box_mean(plane * plane, radius) for plane in planes], axis=0) - np.median(smooth, axis=0) ** 2,
            0,
        )
    )
    happening = np.maximum(np.maximum(high - low, within), LEAST_SPREAD)
    levels = np.log(happening)
    threshold = _otsu(levels)
    if threshold is None:
        return None
    quiet, busy = levels <= threshold, levels > threshold
    if np.median(levels[busy]) - np.median(levels[quiet]) < math.log(RATIO):
        return None
    # What happens around a place is seen next to it as well, by as much as a place is large.
    margin = max(1, round(MARGIN * side))
    background = _connected_with_border(~_widened(busy, margin))
    if background.mean() < LEAST_BACKGROUND or background.all():
        return None
    return ~background


def _otsu(values: NDArray[np.float64]) -> float | None:
    """The value that divides values so that the variance between both kinds is largest; None if all are equal."""
    counts, edges = np.histogram(values, bins=256)
    if edges[0] == edges[-1] or (counts > 0).sum() < 2:
        return None
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * middles)
    means_below = sums[:-1] / np.maximum(below, 1)
    means_above = (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below * above * (means_above - means_below) ** 2)])


def _box_mean(plane: NDArray[np.float32], radius: int) -> NDArray[np.float64]:
    """The mean around each place, float64 [h, w], over a square of 2 radius + 1 pixels; the border is repeated."""
    means = np.pad(plane.astype(np.float64), radius, mode="edge")
    width = 2 * radius + 1
    for axis in (0, 1):
        summed = np.cumsum(means, axis=axis)
        summed = np.insert(summed, 0, 0.0, axis=axis)
        size = means.shape[axis]
        means = (np.take(summed, range(width, size + 1), axis) - np.take(summed, range(size - width + 1), axis)) / width
    return means


def _widened(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """The mask and what lies within so many pixels of it, to the sides and diagonally."""
    return np.asarray(_box_mean(mask.astype(np.float32), radius) > 1e-9)


def _connected_with_border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The parts of a mask that reach the border of the image."""
    reached = np.zeros_like(mask)
    for side in ((0, slice(None)), (-1, slice(None)), (slice(None), 0), (slice(None), -1)):
        reached[side] = mask[side]
    while True:
        before = reached.sum()
        for axis in (0, 1):
            for step in (1, -1):
                _spread(reached, mask, axis, step)
        if reached.sum() == before:
            return reached


def _spread(reached: NDArray[np.bool_], mask: NDArray[np.bool_], axis: int, step: int) -> None:
    """Go on from what is reached, in one direction, as far as the mask allows; in place."""
    rows, allowed = np.moveaxis(reached, axis, 0)[::step], np.moveaxis(mask, axis, 0)[::step]
    for place in range(1, len(rows)):
        rows[place] |= rows[place - 1] & allowed[place]
