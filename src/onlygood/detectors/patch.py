"""Patch memory: how it is fitted. What it computes is in `onlygood.graph.patch_head`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from onlygood.coreset import greedy_k_center
from onlygood.detectors.whitening import Moments, learn_whitening
from onlygood.graph.patch_head import Memory, Unit
from onlygood.splits import folds_of_groups

# Most patches of one level that the statistics and the coreset see, however many images there are.
SAMPLE_ROWS = 20_000
# Added to every eigenvalue of the covariance, as a share of their mean. Regions are fewer than patches, so more is.
LOCAL_SHRINKAGE = 0.01
REGION_SHRINKAGE = 0.03


@dataclass(frozen=True)
class Rows:
    """What a memory is learned from.

    Attributes:
        vectors: float32 [n, d], embeddings of patches or regions of good images.
        owners: int64 [n], the group of images that each comes from.
        images: int64 [n], the image that each comes from.
        shrinkage: of the whitening.
    """

    vectors: NDArray[np.float32] = field(repr=False)
    owners: NDArray[np.int64] = field(repr=False)
    images: NDArray[np.int64] = field(repr=False)
    shrinkage: float


def patches_per_image(images: int, patches: int) -> int:
    """How many patches of each image enter the sample, so that it stays below SAMPLE_ROWS if it can."""
    return min(patches, max(1, SAMPLE_ROWS // images))


def fit_memory(rows: Rows, *, bank_size: int, seed: int) -> Memory:
    """A memory: whitening, then the rows that cover all others best.

    Args:
        rows: of good images.
        bank_size: most rows to keep.
        seed: of the coreset's first row.
    """
    mean, whitening = learn_whitening(rows.vectors, shrinkage=rows.shrinkage)
    whitened = np.asarray((rows.vectors - mean) @ whitening, dtype=np.float32)
    kept = greedy_k_center(whitened, bank_size, seed=seed)
    return Memory(
        mean=mean,
        whitening=whitening,
        memory_bank=whitened[kept],
        owners=rows.owners[kept],
        images=rows.images[kept],
    )


def memories_without(
    memories: Sequence[Memory], rows: Sequence[Rows], groups: NDArray[np.int64], *, seed: int
) -> Iterator[tuple[frozenset[int], list[Memory]]]:
    """The memories as they would be to groups of images that they have not seen, for a part of the groups at a time.

    The rows stay, but mean and whitening are learned without these groups. Taking out a group's rows alone is not
    enough: a whitening that has seen an image makes it look ordinary, the more so the fewer images there are for its
    many directions (with fewer images than directions it puts all of them at one distance from one another, and
    everything new much farther).

    Args:
        memories: what `fit_memory` made of `rows`, one each.
        rows: of good images.
        groups: int64 [images], of at least two groups.
        seed: of which groups go together.

    Yields:
        Groups, and the memories for them; their own rows are still in these, for `Memory.row_norms` to take out. Every
        group comes once, in at most FOLDS parts.
    """
    parts = list(folds_of_groups(groups, seed=seed))
    # Each row is in one part, so the moments of all parts cost one look at the rows, however many parts there are.
    moments = [
        [Moments.of(known.vectors[np.isin(known.owners, part)], memory.mean) for part in parts]
        for memory, known in zip(memories, rows, strict=True)
    ]
    totals = [reduce(add, of_parts) for of_parts in moments]
    for number, part in enumerate(parts):
        unseen = []
        for memory, known, of_parts, total in zip(memories, rows, moments, totals, strict=True):
            whitening = (total - of_parts[number]).whitening(memory.mean, shrinkage=known.shrinkage)
            if whitening is None:
                others = known.vectors[~np.isin(known.owners, part)]
                whitening = learn_whitening(others, shrinkage=known.shrinkage)
            unseen.append(_rewhiten(memory, *whitening))
        yield frozenset(part.tolist()), unseen


def unit_of(scores: NDArray[np.float32]) -> Unit:
    """The unit in which a bank's scores are compared with those of other banks.

    The center is the median m of good images' scores. Two scales suggest themselves: m, in which a score says how many
    times as far from all good images it is as usual, and the mean excess u of the upper half over m, in which good
    images of all banks have the same tail. In the first, banks whose scores vary much raise false alarms; in the
    second, banks that tell nothing count as much as those that tell everything. The scale is their geometric mean.
    Neither changes much where a few good images are odd.

    A unit weighs the banks against one another and guarantees nothing, so the scores are of memories without the image
    alone: without its whole group, a bank that tells parts apart would count for little.

    Args:
        scores: float32 [n], at least 0, of good images, each by a memory without that image.

    Returns:
        A scale above 0: m where nothing varies, and 1 where m is 0, too.
    """
    values = np.sort(scores.astype(np.float64))
    center = float(np.median(values))
    excess = float(np.mean(values[len(values) // 2 :])) - center
    if center > 0.0 and excess > 1e-6 * center:
        return Unit(center=center, scale=float(np.sqrt(center * excess)))
    return Unit(center=center, scale=max(center, excess) or 1.0)


def _rewhiten(memory: Memory, mean: NDArray[np.float32], whitening: NDArray[np.float32]) -> Memory:
    """The same memory with another mean and whitening."""
    # The bank is (b - old mean) @ old whitening; this change of basis is near the identity, so rounding stays small.
    change = np.linalg.solve(memory.whitening.astype(np.float64), whitening.astype(np.float64)).astype(np.float32)
    moved = memory.memory_bank @ change + (memory.mean - mean) @ whitening
    return replace(memory, mean=mean, whitening=whitening, memory_bank=np.asarray(moved, dtype=np.float32))
