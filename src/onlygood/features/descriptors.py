"""Descriptors of whole images, by which near-duplicates and kinds are found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# An image's descriptor, by which near-duplicates are found: its embedding, averaged on so many cells a side, which
# forgives small shifts, then randomly projected (Johnson and Lindenstrauss) to so many numbers.
DESCRIPTOR_CELLS = 7
DESCRIPTOR_SIZE = 256


class Projector:
    """Random projection of vectors that come one at a time, a batch at a time: one matrix product instead of many."""

    BATCH = 256

    def __init__(self, *, seed: int) -> None:
        self.seed = seed
        self.matrix: NDArray[np.float32] | None = None
        self.waiting: list[NDArray[np.float32]] = []
        self.projected: list[NDArray[np.float32]] = []

    def add(self, vector: NDArray[np.float32]) -> None:
        """One more vector, float32 [d]; all have one length."""
        self.waiting.append(vector)
        if len(self.waiting) == self.BATCH:
            self._project()

    def result(self) -> NDArray[np.float32]:
        """All vectors projected, float32 [n, DESCRIPTOR_SIZE]."""
        if self.waiting:
            self._project()
        return np.concatenate(self.projected)

    def _project(self) -> None:
        vectors = np.stack(self.waiting)
        if self.matrix is None:
            generator = np.random.default_rng(self.seed)
            self.matrix = generator.standard_normal((vectors.shape[1], DESCRIPTOR_SIZE), dtype=np.float32)
        self.projected.append(vectors @ self.matrix)
        self.waiting = []


def cell_means(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """The embedding averaged on DESCRIPTOR_CELLS x DESCRIPTOR_CELLS cells (fewer on a smaller grid), as a vector."""
    means = embedding
    for axis in (0, 1):
        size = means.shape[axis]
        starts = np.unique(np.linspace(0, size, DESCRIPTOR_CELLS, endpoint=False).astype(np.int64))
        widths = np.diff(np.append(starts, size)).astype(np.float32)
        sums = np.add.reduceat(means, starts, axis=axis)
        means = (sums / np.expand_dims(widths, (1, 2) if axis == 0 else (0, 2))).astype(np.float32)
    return means.ravel()
