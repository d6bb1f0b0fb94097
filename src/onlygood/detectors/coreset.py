"""A small set of rows in place of a large one: those that cover all others (greedy k-center), or means (k-means)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import SettingError

# How many of the farthest points compete between two full updates. Speed alone depends on it, never the result.
CANDIDATES = 4096
# Rows whose distances are updated at once: bounds the temporary array to CHUNK * picks floats.
CHUNK = 8192
# Points that are picked at once where the order need not be the greedy's.
ROUND = 128
# Rounds of k-means at most: after a few, the means hardly move.
ROUNDS = 10


def greedy_k_center(
    points: NDArray[np.float32],
    size: int,
    *,
    seed: int,
    centres: NDArray[np.int64] | None = None,
    nearest: NDArray[np.float32] | None = None,
) -> NDArray[np.int64]:
    """Indices of `size` points, in the order in which they were picked, each the farthest from all before it.

    The result is that of the textbook's greedy (the next centre is the point whose distance to its nearest centre is
    largest; the first to come wins a tie), but most of the work is done in matrix products. Distances only ever shrink,
    so as long as the best of the `CANDIDATES` farthest points is farther than every other point was at the last full
    update, it is the farthest of all, and only the candidates need to know of each new centre at once.

    Args:
        points: float32 [n, d].
        size: how many to pick, at least 1.
        seed: of the first centre, which is drawn uniformly.
        centres: int64 [k], distinct, k from 1 to size: indices that are picked already; none unless given.
        nearest: float32 [n], the squared distance of each point to its nearest centre, where `centres` are given and it
            is known. A point with 0 is never picked.

    Returns:
        int64 [m], beginning with `centres`, m = min(size, number of distinct points): nothing is picked twice,
        duplicates neither. Points whose distance is lost in the rounding of float32, as seen from the origin, count as
        duplicates.

    Raises:
        SettingError: no points, or size below 1.

    Source: Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985; for memory banks: Roth et al.,
    "Towards Total Recall in Industrial Anomaly Detection" (PatchCore), CVPR 2022, algorithm 1, without its random
    projection, which this does not need.
    """
    if points.ndim != 2 or len(points) == 0:
        raise SettingError(f"a coreset needs points of shape [n, d] with n at least 1, got shape {points.shape}")
    if size < 1:
        raise SettingError(f"a coreset's size must be at least 1, got {size}")
    n = len(points)
    norms = np.einsum("nd,nd->n", points, points)
    picked = [int(np.random.default_rng(seed).integers(n))] if centres is None else centres.tolist()
    # Centres that the squared distances to the nearest centre, as of the last full update, know nothing of.
    pending = picked.copy() if nearest is None else []
    nearest = np.full(n, np.inf, dtype=np.float32) if nearest is None else nearest.copy()
    # Below this, a squared distance may be the rounding error of the products of d terms that it was computed with.
    floor = 2 * (points.shape[1] + 4) * float(np.finfo(np.float32).eps) * float(norms.max())
    while len(picked) < size:
        if pending:
            _lower(nearest, points, norms, pending)
            nearest[pending] = 0.0
            pending = []
        if n > CANDIDATES:
            candidates = np.sort(np.argpartition(nearest, n - CANDIDATES)[n - CANDIDATES :])
            outside = np.ones(n, dtype=bool)
            outside[candidates] = False
            bound = float(nearest[outside].max())
        else:
            candidates, bound = np.arange(n), -1.0
        competing = points[candidates]
        competing_norms = norms[candidates]
        distance = nearest[candidates].copy()
        while len(picked) < size:
            best = int(distance.argmax())
            if distance[best] <= max(bound, floor):
                break
            centre = competing[best]
            picked.append(int(candidates[best]))
            pending.append(picked[-1])
            np.minimum(distance, competing_norms + (competing_norms[best] - 2.0 * (competing @ centre)), out=distance)
            distance[best] = 0.0
        if not pending:
            if float(distance.max()) <= floor:
                break
            # A tie between the best candidate and a point outside: settle it by index, as the textbook would.
            picked.append(int(nearest.argmax()))
            pending.append(picked[-1])
    return np.array(picked, dtype=np.int64)


def extend_k_center(points: NDArray[np.float32], centres: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The centres and further points, up to `size` in all, that cover what these leave uncovered.

    As the greedy would go on, but ROUND points at a time, each the farthest from all before its round: what is only
    kept in reserve need not be the best there is, and so costs a few matrix products.

    Args:
        points: float32 [n, d].
        centres: int64 [k], distinct, at least one.
        size: how many in all; fewer where no others differ from these.
    """
    if len(centres) >= min(size, len(points)):
        return centres
    norms = np.einsum("nd,nd->n", points, points)
    floor = 2 * (points.shape[1] + 4) * float(np.finfo(np.float32).eps) * float(norms.max())
    nearest = np.full(len(points), np.inf, dtype=np.float32)
    picked = latest = centres.tolist()
    while len(picked) < size:
        _lower(nearest, points, norms, latest)
        nearest[latest] = 0.0
        farthest = np.argsort(-nearest, kind="stable")[: min(ROUND, size - len(picked))]
        latest = farthest[nearest[farthest] > floor].tolist()
        if not latest:
            break
        picked = [*picked, *latest]
    return np.array(picked, dtype=np.int64)


def squared_distances_to_parts(
    points: NDArray[np.float32], centres: NDArray[np.int64], parts: NDArray[np.int64], count: int
) -> NDArray[np.float32]:
    """The squared distance of each point to the nearest centre of each part.

    Args:
        points: float32 [n, d].
        centres: int64 [k], indices of points.
        parts: int64 [k], which part each centre is in, from 0.
        count: of parts.

    Returns:
        float32 [n, count], infinite for a part without a centre; 0 of a centre to its own part.
    """
    order = np.argsort(parts, kind="stable")
    numbers, starts = np.unique(parts[order], return_index=True)
    norms = np.einsum("nd,nd->n", points, points)
    squared = np.full((len(points), count), np.inf, dtype=np.float32)
    for chunk, distances in _less_own_norms(points, norms, centres[order]):
        squared[chunk, numbers] = np.minimum.reduceat(distances, starts, axis=1) + norms[chunk, None]
    squared[centres, parts] = 0.0
    return squared


def _lower(
    nearest: NDArray[np.float32], points: NDArray[np.float32], norms: NDArray[np.float32], centres: list[int]
) -> None:
    """Lower `nearest` in place to the squared distance to the closest of `centres`, where that is smaller."""
    for chunk, distances in _less_own_norms(points, norms, centres):
        np.minimum(nearest[chunk], distances.min(axis=1) + norms[chunk], out=nearest[chunk])


def _less_own_norms(
    points: NDArray[np.float32], norms: NDArray[np.float32], centres: NDArray[np.int64] | list[int]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """For CHUNK points at a time: which, and their squared distances to all centres, [chunk, k], without the squared
    norms of the points themselves, which decide nothing between centres.
    """
    rows = points[centres].T
    for start in range(0, len(points), CHUNK):
        chunk = slice(start, start + CHUNK)
        distances = points[chunk] @ rows
        distances *= -2.0
        distances += norms[centres]
        yield chunk, distances


def k_means(points: NDArray[np.float32], size: int, *, seed: int) -> NDArray[np.int64]:
    """Which of at most `size` clusters each point belongs to: Lloyd's algorithm, at most ROUNDS rounds.

    Args:
        points: float32 [n, d].
        size: most clusters, at least 1.
        seed: of the first means, which are distinct points drawn at random.

    Returns:
        int64 [n], clusters numbered from 0, none of them empty. Where there are no more distinct points than `size`,
        each is a cluster of its own, with its copies.

    Raises:
        SettingError: no points, or size below 1.

    Source: Lloyd, "Least squares quantization in PCM", 1982.
    """
    if points.ndim != 2 or len(points) == 0:
        raise SettingError(f"clusters need points of shape [n, d] with n at least 1, got shape {points.shape}")
    if size < 1:
        raise SettingError(f"the number of clusters must be at least 1, got {size}")
    _, first, membership = np.unique(points, axis=0, return_index=True, return_inverse=True)
    membership = membership.reshape(-1)
    if len(first) > size:
        # In the order in which they come: the order of values would follow no reason.
        means = points[np.sort(first)[np.random.default_rng(seed).permutation(len(first))[:size]]]
        for _ in range(ROUNDS):
            before, membership = membership, _nearest(points, means)
            if np.array_equal(before, membership):
                break
            means = np.where(
                np.bincount(membership, minlength=size)[:, None] > 0, cluster_means(points, membership, size), means
            )
    return np.unique(membership, return_inverse=True)[1].reshape(-1).astype(np.int64)


def cluster_means(points: NDArray[np.float32], membership: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """The means of clusters, float32 [count, d]; zero for those that are empty.

    Args:
        points: float32 [n, d].
        membership: int64 [n], which cluster each point belongs to, from 0.
        count: of clusters.
    """
    order = np.argsort(membership, kind="stable")
    numbers, starts, sizes = np.unique(membership[order], return_index=True, return_counts=True)
    means = np.zeros((count, points.shape[1]), dtype=np.float32)
    means[numbers] = np.add.reduceat(points[order], starts, axis=0, dtype=np.float64) / sizes[:, None]
    return means


def _nearest(points: NDArray[np.float32], means: NDArray[np.float32]) -> NDArray[np.int64]:
    norms = np.einsum("md,md->m", means, means)
    parts = (points[start : start + CHUNK] for start in range(0, len(points), CHUNK))
    return np.concatenate([(norms - 2.0 * (part @ means.T)).argmin(axis=1) for part in parts])
