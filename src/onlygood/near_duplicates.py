"""Pictures of one and the same thing among the good ones: found by embedding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A pair is a near-duplicate when it is closer than this share of the distance at which either picture's ordinary
# neighbours begin. Chosen on magnetic tiles photographed at six exposures (at 0.6, 54 % of all same-tile pairs are
# found directly, most of the rest through a third picture, and 5 % of the pairs found join tiles of different numbers)
# and on solar cells, each photographed once, where it leaves most cells alone.
CLOSENESS = 0.6
# "Ordinary" is the 21st neighbour, or nearer where there are few pictures: a part is rarely photographed more often.
ORDINARY_RANK = 20
# Rows of the distance matrix that are held at once.
CHUNK = 1024


def near_duplicate_groups(descriptors: NDArray[np.float32] | None, digests: list[str]) -> list[int]:
    """One label a picture; equal labels are pictures of (nearly) the same thing.

    Two pictures belong together if their pixels are equal, or if they are much closer than ordinary neighbours are:
    `distance < CLOSENESS * min(ordinary of one, ordinary of the other)`, where a picture's ordinary distance is that
    to its neighbour of rank min(ORDINARY_RANK, n / 4), the nearest having rank 0. Relative to each picture's own
    surroundings, so that a tight cluster of similar but different parts is left alone. Groups are the connected
    components.

    Args:
        descriptors: float32 [n, d], where close means similar; None to look for equal pixels only.
        digests: n hashes of the pixels.

    Returns:
        n labels, numbered from 0 in order of first appearance.
    """
    first: dict[str, int] = {}
    labels = np.array([first.setdefault(digest, position) for position, digest in enumerate(digests)])
    # Copies would shrink what is ordinary, so ranks are counted among pictures that differ.
    distinct = np.unique(labels)
    if descriptors is not None and len(distinct) > 2:
        _link(descriptors[distinct], distinct, labels)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(int(labels[position]), len(numbers)) for position in range(len(labels))]


def _link(points: NDArray[np.float32], distinct: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
    """Give the same label, in place, to all pictures that are joined by a chain of near-duplicates."""
    count = len(points)
    rank = min(ORDINARY_RANK, max(1, count // 4))
    norms = np.einsum("nd,nd->n", points, points)
    ordinary = np.empty(count, dtype=np.float32)
    for start in range(0, count, CHUNK):
        squared = _squared_distances(points, norms, start)
        # The smallest of a row is the picture itself.
        ordinary[start : start + CHUNK] = np.partition(squared, rank + 1, axis=1)[:, rank + 1]
    limit = CLOSENESS**2 * ordinary
    for start in range(0, count, CHUNK):
        squared = _squared_distances(points, norms, start)
        close = squared < np.minimum(limit[start : start + CHUNK, None], limit[None])
        for row, near in enumerate(close):
            members = np.flatnonzero(near)
            members = members[members > start + row]
            if len(members):
                joined = np.unique(labels[distinct[np.append(members, start + row)]])
                labels[np.isin(labels, joined)] = joined[0]


def _squared_distances(points: NDArray[np.float32], norms: NDArray[np.float32], start: int) -> NDArray[np.float32]:
    """Squared distances of CHUNK points from `start` on to all, float32 [chunk, n]."""
    part = slice(start, start + CHUNK)
    squared: NDArray[np.float32] = points[part] @ points.T
    squared *= -2.0
    squared += norms[part, None]
    squared += norms
    np.maximum(squared, 0.0, out=squared)
    return squared
