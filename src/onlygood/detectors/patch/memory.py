"""Patch memory: how it is fitted. What it computes is in `onlygood.detectors.patch.head`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from onlygood.detectors.coreset import extend_k_center, greedy_k_center, squared_distances_to_parts
from onlygood.detectors.patch.head import Memory, Unit
from onlygood.detectors.whitening import Moments, learn_whitening

# Added to every eigenvalue of the covariance, as a share of their mean. Regions are fewer than patches, so more is.
REGION_SHRINKAGE = 0.03
# How many times as many rows as its bank has are kept of a memory, so that the bank can be filled up where images are
# taken out, and chosen again where others come.
CANDIDATES = 3


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


@dataclass(frozen=True)
class Fitted:
    """A memory, and which of the rows that it was learned from it holds.

    Attributes:
        memory: what goes into the graph.
        kept: int64 [m], positions of the bank's rows among those that it was learned from.
        candidates: int64 [c], these and others that cover what they leave uncovered, up to CANDIDATES times as many.
    """

    memory: Memory
    kept: NDArray[np.int64] = field(repr=False)
    candidates: NDArray[np.int64] = field(repr=False)


def fit_memory(rows: Rows, *, bank_size: int, seed: int) -> Fitted:
    """A memory: whitening, then the rows that cover all others best.

    Args:
        rows: of good images.
        bank_size: most rows to keep.
        seed: of the coreset's first row.
    """
    mean, whitening = learn_whitening(rows.vectors, shrinkage=rows.shrinkage)
    return fill_memory(rows, mean, whitening, bank_size=bank_size, seed=seed)


def fill_memory(
    rows: Rows, mean: NDArray[np.float32], whitening: NDArray[np.float32], *, bank_size: int, seed: int
) -> Fitted:
    """A memory with this whitening: the rows that cover all others best."""
    whitened = whiten(rows.vectors, mean, whitening)
    kept = greedy_k_center(whitened, bank_size, seed=seed)
    candidates = extend_k_center(whitened, kept, CANDIDATES * bank_size)
    return Fitted(
        memory=Memory(mean=mean, whitening=whitening, memory_bank=whitened[kept]), kept=kept, candidates=candidates
    )


class Refillable:
    """A memory as it would be if a part of the groups of images had never been there, for each part.

    Neither bank nor whitening has seen these groups. To take their rows out of the finished bank would not be enough:
    the rows of other images that lie nearby are not in it because theirs are, so the bank would have holes where they
    were, and their scores would be too high. So the bank is filled up again with rows of others that cover best what is
    left. And a whitening that has seen an image makes it look ordinary, the more so the fewer images there are for its
    many directions (with fewer images than directions it puts all of them at one distance from one another, and
    everything new much farther).

    What the parts have in common is computed once: rows in the coordinates of the whole memory, in which the banks are
    filled up, their distances to the bank's rows of each part, and the moments of each part, of which each row is in
    one, so that a whitening by all others is a difference of sums. So what a part costs is a few rows and a whitening,
    and there can be many of them.
    """

    def __init__(
        self,
        fitted: Fitted,
        rows: Rows,
        parts: Sequence[NDArray[np.int64]],
        *,
        bank_size: int,
        seed: int,
        counted: NDArray[np.bool_] | None = None,
        total: Moments | None = None,
    ) -> None:
        """Prepare for all parts.

        Args:
            fitted: what `fit_memory` made of `rows`.
            rows: of good images.
            parts: at least two; each owner of rows is in one of them.
            bank_size: most rows to keep, as for `fit_memory`.
            seed: of a bank's first row, where none is left.
            counted: bool [n], the rows whose moments are taken away with their part; all unless given.
            total: the moments about the memory's mean that they are taken away from; those of all rows unless given.
        """
        self.memory, self.kept = fitted.memory, fitted.kept
        self.rows = rows
        self.bank_size = bank_size
        self.seed = seed
        self.whitened = whiten(rows.vectors, self.memory.mean, self.memory.whitening)
        owners = np.concatenate(parts)
        order = np.argsort(owners)
        numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])[order]
        self.part_of_row = numbers[np.searchsorted(owners[order], rows.owners)]
        part_of_counted = self.part_of_row if counted is None else np.where(counted, self.part_of_row, -1)
        self.moments = [
            Moments.of(rows.vectors[part_of_counted == number], self.memory.mean) for number in range(len(parts))
        ]
        self.total = reduce(add, self.moments) if total is None else total
        self.to_parts = squared_distances_to_parts(self.whitened, self.kept, self.part_of_row[self.kept], len(parts))

    def without(self, number: int, filled: NDArray[np.int64] | None = None) -> Memory:
        """The memory without the part of this number. Thread-safe.

        Args:
            number: of the part.
            filled: what `filled_without` gives of it, where it is there already.
        """
        filled = self.filled_without(number) if filled is None else filled
        whitening = (self.total - self.moments[number]).whitening(self.memory.mean, shrinkage=self.rows.shrinkage)
        if whitening is None:
            others = self.rows.vectors[self.part_of_row != number]
            whitening = learn_whitening(others, shrinkage=self.rows.shrinkage)
        return Memory(
            mean=whitening[0],
            whitening=whitening[1],
            memory_bank=whiten(self.rows.vectors[filled], *whitening),
        )

    def seen_without(self, number: int, filled: NDArray[np.int64] | None = None) -> Memory:
        """The memory without the rows of a part, in coordinates that have seen them; arguments of `without`."""
        filled = self.filled_without(number) if filled is None else filled
        return replace(self.memory, memory_bank=self.whitened[filled])

    def filled_without(self, number: int) -> NDArray[np.int64]:
        """The bank's rows but those of the part of this number, then others that cover best what is left.

        Returns:
            int64 [m], positions among the rows. Thread-safe.
        """
        left = self.kept[self.part_of_row[self.kept] != number]
        if len(left) == 0:
            others = np.flatnonzero(self.part_of_row != number)
            return others[greedy_k_center(self.whitened[others], self.bank_size, seed=self.seed)]
        nearest = np.delete(self.to_parts, number, axis=1).min(axis=1)
        nearest[self.part_of_row == number] = 0.0
        return greedy_k_center(self.whitened, self.bank_size, seed=self.seed, centres=left, nearest=nearest)


def whiten(
    vectors: NDArray[np.float32], mean: NDArray[np.float32], whitening: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Vectors [n, d] in the coordinates of a whitening."""
    return np.asarray((vectors - mean) @ whitening, dtype=np.float32)


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
