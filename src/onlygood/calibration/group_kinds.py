"""Whether the groups that a person told apart, such as sessions, look like different products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onlygood._spacing import evenly_spaced
from onlygood.calibration._distances import squared_distances

# The mean silhouette of groups from which these are said to be products. Sessions of one part, at six exposures or in
# a row of images, reach 0.09, and five different parts 0.45 (`benchmarks/notes/products.md`).
LEAST_SILHOUETTE = 0.25
# Groups of fewer images are single parts, if anything, and are not looked at.
LEAST_IMAGES = 5
# The images that are looked at, evenly spaced among all of those groups.
MOST_IMAGES = 512


def group_kinds_note(descriptors: NDArray[np.float32], labels: Sequence[str], names: Sequence[str]) -> str | None:
    """What a person should know of groups that look like products; None where they do not, or are too small.

    Args:
        descriptors: float32 [n, d], where close means similar; of images of nearly the same thing, one.
        labels: of the group of each.
        names: of the images.
    """
    found, counts = np.unique(np.array(labels, dtype=object).astype(str), return_counts=True)
    large = set(found[counts >= LEAST_IMAGES].tolist())
    own = [position for position, label in enumerate(labels) if label in large]
    if len(large) < 2:
        return None
    chosen = np.array(own)[evenly_spaced(len(own), MOST_IMAGES)]
    looked_at = [labels[position] for position in chosen.tolist()]
    if group_silhouette(descriptors[chosen], looked_at) < LEAST_SILHOUETTE:
        return None
    first, second = sorted(large)[:2]
    of = {label: name for name, label in zip(reversed(names), reversed(labels), strict=True)}
    example = of[first], of[second]
    return (
        f"The {len(large)} groups that are kept together look like different products, such as {example[0]} and "
        f"{example[1]}: one model learns all of them, calls good what looks like any, and misses more. If they are "
        "products, fit a model to each with --product-by instead of --group-by."
    )


def group_silhouette(descriptors: NDArray[np.float32], labels: Sequence[str]) -> float:
    """The mean silhouette of images in their groups, in [-1, 1]; each group counts as much as any other.

    Of an image it is (b - a) / max(a, b): a its mean distance to the others of its group, b that to the nearest other
    group.

    Args:
        descriptors: float32 [n, d].
        labels: of the group of each; at least two groups. An image that is alone in its group counts 0.

    Source: Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", 1987.
    """
    points = descriptors.astype(np.float64)
    points -= points.mean(axis=0)
    distances = np.sqrt(squared_distances(points, np.einsum("nd,nd->n", points, points), slice(None)))
    np.fill_diagonal(distances, 0.0)
    groups, own = np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True)
    is_of = own[:, None] == np.arange(len(groups))
    counts = is_of.sum(axis=0)
    totals = distances @ is_of.astype(np.float64)
    rows = np.arange(len(own))
    within = totals[rows, own] / np.maximum(counts[own] - 1, 1)
    others = totals / counts
    others[rows, own] = np.inf
    nearest = others.min(axis=1)
    silhouettes = (nearest - within) / np.maximum(np.maximum(nearest, within), np.finfo(float).tiny)
    silhouettes[counts[own] == 1] = 0.0
    return float(np.mean([silhouettes[own == group].mean() for group in range(len(groups))]))
