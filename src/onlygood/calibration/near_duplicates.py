"""Images of one and the same thing among the good ones: found by distances, on the scale of camera noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onlygood._spacing import evenly_spaced
from onlygood._union_find import find_root, unite
from onlygood.calibration._distances import squared_distances

# A cluster is taken for one thing when no gap inside it is wider than this many noise scales. A few images may differ
# by a change of exposure as well; many must be as close as noise leaves them, as a wrong large group costs the most.
# Chosen on generated parts (tests/repeated_shots.py) and on magnetic tiles photographed at six exposures: 68 % of all
# same-tile pairs are in one group, and 5 % of the pairs in one group are of different tiles.
FEW = 6
FEW_SCALES = 1.8
MANY_SCALES = 1.2
# Consecutive files may differ by a small movement between two frames.
FRAME_SCALES = 4.0
LEAST_FRAMES = 12
FRAME_EDGES = 0.6
# The widest gap inside a cluster as a share of the gap around it; or, of at least LEAST_ROUND images, the median
# distance inside it, which noise in many dimensions leaves just below the gap, no pair being much closer than another.
SINGLE_LINK_RATIO = 0.7
MEDIAN_RATIO = 0.95
LEAST_ROUND = 4
MEDIAN_SAMPLE = 64
# What is said about clusters that are wider than noise: this pronounced, this large, and of so many images together.
NOTED_SCALES = 8.0
NOTED_RATIO = 0.5
NOTED_SIZE = 5
NOTED_SHARE = 0.5
# Beyond so many images only what is close enough to be grouped is looked at.
NOTED_IMAGES = 4096
# Nearest images of each that are remembered while trees grow.
KEPT_NEAREST = 16
# Rows of the distance matrix that are held at once, and their elements: 64 MB.
CHUNK = 1024
CHUNK_ELEMENTS = 2**24


@dataclass(frozen=True)
class _Trees:
    """Single-linkage trees. Their nodes are n images, then the joins of two nodes, each after those that it joins.

    Attributes:
        children: int64 [joins, 2], nodes.
        inside: float64 [joins], the distance between the two, which is the widest gap in the join.
        around: float64 [joins], the distance from the join to the nearest image outside; infinite if there is none.
        neighbours: int64 [joins], how many of the pairs that join it follow one another in the order of the files.
        size: int64 [joins], how many images it holds.
        images: int64 [n], positions in an order in which each join is one run.
        start: int64 [joins], where its run begins.
    """

    children: NDArray[np.int64]
    inside: NDArray[np.float64]
    around: NDArray[np.float64]
    neighbours: NDArray[np.int64]
    size: NDArray[np.int64]
    images: NDArray[np.int64]
    start: NDArray[np.int64]

    def members(self, join: int) -> NDArray[np.int64]:
        """The positions of its images."""
        return self.images[self.start[join] : self.start[join] + self.size[join]]


def near_duplicate_groups(
    descriptors: NDArray[np.float32] | None,
    digests: Sequence[str],
    *,
    noise_scale: float = 0.0,
    file_order: Sequence[int] | None = None,
) -> tuple[list[int], str | None]:
    """One label an image, equal labels for images of (nearly) the same thing; and what could not be told.

    Images with equal pixels belong together. So do those of a cluster of the single-linkage tree that is at once tight
    (its gaps are within a few noise scales), isolated (what lies around it is clearly farther away than what lies
    inside) and no more than half of all images, or a third if it is isolated by its median distance alone (else nothing
    shows how far apart different things are). Of clusters within one another the largest counts, unless smaller ones
    explain all of it better. How many images there are makes no difference.

    Frames that move slowly are further apart than noise. They are recognised by the order of the files: most pairs that
    join the cluster are neighbours in it.

    Args:
        descriptors: float32 [n, d], where close means similar; None to look for equal pixels only.
        digests: n hashes of the pixels.
        noise_scale: the distance between two images of one thing that differ by noise, exposure and compression.
        file_order: n ranks of the images in the order of their files; None if the order means nothing.

    Returns:
        n labels, numbered from 0 in order of first appearance; and a sentence about pronounced clusters that are wider
        than noise, which are not grouped, or None.
    """
    first: dict[str, int] = {}
    labels = np.array([first.setdefault(digest, position) for position, digest in enumerate(digests)], dtype=np.int64)
    distinct = np.unique(labels)
    note = None
    if descriptors is not None and noise_scale > 0 and len(distinct) > 2:
        ranks = None if file_order is None else np.argsort(np.argsort(np.asarray(file_order)[distinct]))
        grouped, note = _decide(descriptors[distinct], noise_scale, ranks)
        for members in grouped:
            together = labels[distinct[members]]
            labels[np.isin(labels, together)] = together.min()
    numbers: dict[int, int] = {}
    return [numbers.setdefault(int(label), len(numbers)) for label in labels], note


def _decide(
    points: NDArray[np.float32], noise_scale: float, ranks: NDArray[np.int64] | None
) -> tuple[list[NDArray[np.int64]], str | None]:
    """Disjoint sets of positions that belong together, and the note."""
    count = len(points)
    points = points - points.mean(axis=0, dtype=np.float64).astype(np.float32)
    reach = FRAME_SCALES if count > NOTED_IMAGES else NOTED_SCALES
    trees = _single_linkage(points, reach * noise_scale, ranks)
    is_one = _one_thing_each(trees, points, noise_scale)
    grouped = [trees.members(join) for join in _outermost(trees, is_one)]
    is_free = np.ones(count, dtype=bool)
    for members in grouped:
        is_free[members] = False
    is_noted = (trees.size >= NOTED_SIZE) & (trees.size < count) & (trees.inside <= NOTED_RATIO * trees.around)
    for join in np.flatnonzero(is_noted).tolist():
        is_noted[join] = is_free[trees.members(join)].all()
    noted = [int(trees.size[join]) for join in _outermost(trees, is_noted)]
    if len(noted) < 2 or sum(noted) < NOTED_SHARE * count:
        return grouped, None
    return grouped, (
        f"{sum(noted)} of {count} good images fall into {len(noted)} clusters of similar images that differ by more "
        f"than camera noise: each counts as an independent image; if a cluster is one part in several images, say so "
        f"with --group-by."
    )


def _one_thing_each(trees: _Trees, points: NDArray[np.float32], noise_scale: float) -> NDArray[np.bool_]:
    """Whether each join is one thing: tight and isolated, and not better explained as several things."""
    count, joins = len(trees.images), len(trees.size)
    # Of the things within a node that hold all of its images: the largest ratio and the smallest size.
    ratio = np.full(count + joins, np.inf)
    least = np.zeros(count + joins, dtype=np.int64)
    is_one = np.zeros(joins, dtype=bool)
    for join in range(joins):
        node = count + join
        own = _ratio_if_one_thing(trees, join, points, noise_scale)
        parts = trees.children[join]
        worst, smallest = float(ratio[parts].max()), int(least[parts].min())
        is_split = np.isfinite(worst) and (smallest >= LEAST_ROUND or worst < own)
        is_one[join] = np.isfinite(own) and not is_split
        ratio[node], least[node] = (own, trees.size[join]) if is_one[join] else (worst, smallest)
    return is_one


def _ratio_if_one_thing(trees: _Trees, join: int, points: NDArray[np.float32], noise_scale: float) -> float:
    """The widest gap inside a join as a share of the gap around it; infinite if it is not tight and isolated."""
    size, inside, around = int(trees.size[join]), float(trees.inside[join]), float(trees.around[join])
    if 2 * size > len(trees.images) or not inside <= min(FRAME_SCALES * noise_scale, MEDIAN_RATIO * around):
        return np.inf
    is_single_linked = inside <= SINGLE_LINK_RATIO * around
    if inside <= (FEW_SCALES if size <= FEW else MANY_SCALES) * noise_scale:
        is_one = is_single_linked or (
            LEAST_ROUND <= size <= len(trees.images) / 3
            and _median_distance(points[trees.members(join)]) <= MEDIAN_RATIO * around
        )
    else:
        is_one = is_single_linked and size >= LEAST_FRAMES and trees.neighbours[join] >= FRAME_EDGES * (size - 1)
    return inside / around if is_one and around > 0 else np.inf


def _outermost(trees: _Trees, chosen: NDArray[np.bool_]) -> list[int]:
    """The chosen joins that lie in no other chosen one."""
    count = len(trees.images)
    is_covered = np.zeros(len(chosen), dtype=bool)
    found = []
    for join in reversed(range(len(chosen))):
        if chosen[join] and not is_covered[join]:
            found.append(join)
        for node in trees.children[join]:
            if node >= count:
                is_covered[node - count] = is_covered[join] or chosen[join]
    return found


def _median_distance(points: NDArray[np.float32]) -> float:
    """The median distance between two of these points, or of MEDIAN_SAMPLE of them, evenly chosen."""
    chosen = points[evenly_spaced(len(points), MEDIAN_SAMPLE)]
    norms = np.einsum("nd,nd->n", chosen, chosen)
    squared = norms[:, None] + norms - 2 * (chosen @ chosen.T)
    return float(np.sqrt(np.maximum(np.median(squared[np.triu_indices(len(chosen), 1)]), 0)))


def _single_linkage(points: NDArray[np.float32], limit: float, ranks: NDArray[np.int64] | None) -> _Trees:
    """The trees of single linkage with gaps up to the limit."""
    edges, lengths, outward = _spanning_forest(points, limit)
    order = np.argsort(lengths, kind="stable")
    edges, lengths = edges[order], lengths[order]
    count, joins = len(points), len(edges)
    follow = np.zeros(joins, dtype=bool) if ranks is None else np.abs(ranks[edges[:, 0]] - ranks[edges[:, 1]]) == 1
    above = np.arange(count + joins)
    children = np.empty((joins, 2), dtype=np.int64)
    size = np.append(np.ones(count, dtype=np.int64), np.zeros(joins, dtype=np.int64))
    neighbours = np.zeros(count + joins, dtype=np.int64)
    around = np.full(count + joins, np.inf)
    for join, ends in enumerate(edges):
        node = count + join
        children[join] = [find_root(above, int(end)) for end in ends]
        above[children[join]] = node
        around[children[join]] = lengths[join]
        size[node] = size[children[join]].sum()
        neighbours[node] = neighbours[children[join]].sum() + follow[join]
    # What is joined to nothing begins where those before it end; within a join, the second follows the first.
    start = np.zeros(count + joins, dtype=np.int64)
    tops = np.array([find_root(above, position) for position in range(count)])
    whole = np.unique(tops)
    start[whole] = np.cumsum(size[whole]) - size[whole]
    around[tops] = outward
    for join in reversed(range(joins)):
        first, second = children[join]
        start[first] = start[count + join]
        start[second] = start[first] + size[first]
    images = np.empty(count, dtype=np.int64)
    images[start[:count]] = np.arange(count)
    return _Trees(children, lengths, around[count:], neighbours[count:], size[count:], images, start[count:])


def _spanning_forest(
    points: NDArray[np.float32], limit: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The edges up to the limit of a minimum spanning tree, by Boruvka's rounds: each tree joins its nearest tree.

    The first round computes all distances, later ones those of points whose nearest are all in their own tree. A tree
    with nothing within the limit is finished, and its rows of the distance matrix are not computed again.

    Returns:
        edges int64 [e, 2]; their lengths [e]; and for each point the distance from its tree to the nearest other tree,
        infinite where all are one.
    """
    count = len(points)
    norms = np.einsum("nd,nd->n", points, points)
    trees = np.arange(count)
    around = np.full(count, np.inf)
    active = np.ones(count, dtype=bool)
    edges: list[tuple[int, int]] = []
    lengths: list[float] = []
    # The nearest of each point outside its tree, as last looked up. As long as one of them is in another tree, the
    # first such one is the nearest outside; else all others are at least as far away as the last.
    kept = min(KEPT_NEAREST, count)
    chunk = max(1, min(CHUNK, CHUNK_ELEMENTS // count))
    nearest_kept = np.zeros((count, kept), dtype=np.int64)
    squared_kept = np.zeros((count, kept), dtype=np.float32)
    while active.any() and (trees != trees[0]).any():
        rows = np.flatnonzero(active)
        is_outside = trees[nearest_kept[rows]] != trees[rows, None]
        way = is_outside.argmax(axis=1)
        squared = np.where(is_outside.any(axis=1), squared_kept[rows, way], np.float32(np.inf))
        shortest = np.full(count, np.inf, dtype=np.float32)
        np.minimum.at(shortest, trees[rows], squared)
        is_stale = ~is_outside.any(axis=1) & (squared_kept[rows, -1] < shortest[trees[rows]])
        if (trees == np.arange(count)).all():
            is_stale[:] = True
        stale = rows[is_stale]
        for start in range(0, len(stale), chunk):
            part = stale[start : start + chunk]
            distances = squared_distances(points, norms, part)
            np.copyto(distances, np.inf, where=trees[part, None] == trees)
            found = np.argpartition(distances, kept - 1, axis=1)[:, :kept]
            order = np.take_along_axis(distances, found, axis=1).argsort(axis=1, kind="stable")
            nearest_kept[part] = np.take_along_axis(found, order, axis=1)
            squared_kept[part] = np.take_along_axis(distances, nearest_kept[part], axis=1)
        way[is_stale] = 0
        squared[is_stale] = squared_kept[stale, 0]
        nearest = nearest_kept[rows, way]
        # The shortest way out of each tree; equal ones in one order for both trees, so that no circle is closed.
        low, high = np.minimum(rows, nearest), np.maximum(rows, nearest)
        order = np.lexsort((high, low, squared))
        tree, best = np.unique(trees[rows[order]], return_index=True)
        best = order[best]
        gaps = np.sqrt(squared[best].astype(np.float64))
        outward = np.full(count, np.inf)
        outward[tree] = gaps
        around[active] = outward[trees[active]]
        active &= outward[trees] <= limit
        above = np.arange(count)
        for place in np.lexsort((high[best], low[best], gaps)):
            if gaps[place] > limit:
                break
            ends = int(low[best[place]]), int(high[best[place]])
            if unite(above, int(trees[ends[0]]), int(trees[ends[1]])):
                edges.append(ends)
                lengths.append(float(gaps[place]))
        trees = np.array([find_root(above, label) for label in range(count)])[trees]
    if (trees == trees[0]).all():
        around[:] = np.inf
    return np.array(edges, dtype=np.int64).reshape(-1, 2), np.array(lengths), around
