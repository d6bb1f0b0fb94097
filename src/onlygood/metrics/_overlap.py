"""How much of each region is found, as the threshold falls: what AUPRO adds up."""

from __future__ import annotations

import math
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Overlap:
    """The area under the per-region overlap, from integers for each size of region: equal sizes weigh equally.

    Takes pixels from several threads: all sums are of integers, so their order does not matter.

    Args:
        sizes: that regions have, each once.
        regions: how many there are.
        limit: how many normal pixels are looked at.
    """

    def __init__(self, sizes: list[int], regions: int, limit: float) -> None:
        self.limit = limit
        self._regions = regions
        self._sizes = np.array(sizes)
        self._inside = np.zeros(len(sizes), dtype=np.int64)
        self._doubled_above = np.zeros(len(sizes), dtype=np.int64)
        # The one value, at most, at which the curve crosses the limit: pixels that have it, and their area.
        self._crossing = np.zeros(len(sizes), dtype=np.int64)
        self._crossing_area = 0.0
        self._lock = Lock()

    def add(
        self, value: NDArray[Any], size: NDArray[np.uint32], before: NDArray[np.int64], at: NDArray[np.int64]
    ) -> None:
        """Take anomalous pixels.

        Args:
            value: of each, by its place in `before` and `at`.
            size: of the region of each, by its place among the sizes.
            before: normal pixels above each value, the highest value first.
            at: normal pixels at or above each value.
        """
        is_crossing = (before < self.limit) & (at > self.limit)
        crossing = None
        if at[-1] > self.limit:
            if is_crossing.any():
                crossing = np.bincount(size[is_crossing[value]], minlength=len(self._sizes))
            is_inside = (at <= self.limit)[value]
            value, size = value[is_inside], size[is_inside]
        inside = np.bincount(size, minlength=len(self._sizes))
        doubled_above = np.zeros(len(self._sizes), dtype=np.int64)
        np.add.at(doubled_above, size, (before + at)[value])
        with self._lock:
            self._inside += inside
            self._doubled_above += doubled_above
            if crossing is not None:
                self._crossing += crossing
                a, b = before[is_crossing].item(), at[is_crossing].item()
                self._crossing_area = (self.limit - a) ** 2 / (2 * (b - a))

    def area(self) -> float:
        """The mean over regions, in normal pixels: from 0 to the limit."""
        areas = self._inside * self.limit - self._doubled_above / 2 + self._crossing * self._crossing_area
        return math.fsum(areas / self._sizes) / self._regions
