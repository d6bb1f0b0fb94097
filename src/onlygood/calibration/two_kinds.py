"""Whether good images are of two kinds, such as two different parts in one folder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onlygood._spacing import evenly_spaced
from onlygood.calibration._distances import squared_distances

# The mean silhouette from which images are of two kinds, and the width of the gap between these in units of the
# distance that nearly all images have to their nearest. Good images of one part, nine sets of them, reach 0.29, and two
# sets in one folder 0.31 to 0.68 (`benchmarks/notes/sets.md`).
LEAST_SILHOUETTE = 0.4
LEAST_GAP = 1.1
NEARLY_ALL = 0.95
# Fewer images than this are odd ones, if anything.
LEAST_IMAGES = 5
# The images that are looked at, evenly spaced among all.
MOST_IMAGES = 512
ROUNDS = 20


def two_kinds_note(descriptors: NDArray[np.float32], names: Sequence[str]) -> str | None:
    """What a person should know of images of two kinds; None where they are of one.

    Args:
        descriptors: float32 [n, d], where close means similar.
        names: of the n images.
    """
    kinds = two_kinds(descriptors)
    if kinds is None:
        return None
    more, fewer = kinds
    of = "" if len(more) + len(fewer) == len(names) else f" of {len(more) + len(fewer)} looked at"
    return (
        f"The good images are of two kinds, {len(more)} and {len(fewer)}{of}, such as {names[more[0]]} and "
        f"{names[fewer[0]]}: one model learns both, and calls good what looks like either. If one kind is another "
        "part, leave it out with --exclude, or fit a model to each."
    )


def two_kinds(descriptors: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """The positions of images of the more and of the less frequent kind, among those looked at; None if one kind.

    Two means divide the images, and the mean silhouette says how well. A gap between both is asked for as well: a long
    row of images, such as from dark to bright, has none.

    Args:
        descriptors: float32 [n, d], where close means similar.

    Source: Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", 1987.
    """
    looked_at = evenly_spaced(len(descriptors), MOST_IMAGES)
    points = descriptors[looked_at].astype(np.float64)
    points -= points.mean(axis=0)
    is_second = _two_means(points)
    sizes = int((~is_second).sum()), int(is_second.sum())
    if min(sizes) < LEAST_IMAGES:
        return None
    distances = np.sqrt(squared_distances(points, np.einsum("nd,nd->n", points, points), slice(None)))
    np.fill_diagonal(distances, np.inf)
    nearest = distances.min(axis=1)
    gap = distances[is_second][:, ~is_second].min()
    if gap <= LEAST_GAP * np.quantile(nearest, NEARLY_ALL) or _silhouette(distances, is_second) < LEAST_SILHOUETTE:
        return None
    kinds = looked_at[~is_second], looked_at[is_second]
    return kinds if sizes[0] >= sizes[1] else kinds[::-1]


def _two_means(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of two clusters each point belongs to, from the sides of the widest direction on."""
    _, _, directions = np.linalg.svd(points, full_matrices=False)
    is_second: NDArray[np.bool_] = points @ directions[0] > 0.0
    for _ in range(ROUNDS):
        if is_second.all() or not is_second.any():
            break
        first, second = points[~is_second].mean(axis=0), points[is_second].mean(axis=0)
        now = points @ (second - first) > (second @ second - first @ first) / 2.0
        if np.array_equal(now, is_second):
            break
        is_second = now
    return is_second


def _silhouette(distances: NDArray[np.float64], is_second: NDArray[np.bool_]) -> float:
    """The mean over images of (b - a) / max(a, b): a the mean distance within its kind, b to the other kind."""
    finite = np.where(np.isfinite(distances), distances, 0.0)
    to_first, to_second = finite[:, ~is_second].sum(axis=1), finite[:, is_second].sum(axis=1)
    first, second = int((~is_second).sum()), int(is_second.sum())
    own = np.where(is_second, to_second / (second - 1), to_first / (first - 1))
    other = np.where(is_second, to_first / first, to_second / second)
    return float(np.mean((other - own) / np.maximum(np.maximum(own, other), np.finfo(float).tiny)))
