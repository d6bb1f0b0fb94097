"""Counts of keys, one by one, for the buckets in which most pixels lie. How `PixelTally` counts what need not be kept.

The values of a map mostly lie within a factor of ten: a few hundred buckets next to one another hold nearly all pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onlygood.pixel_codes import BUCKETS, bucket_of

ROW = 1 << 16  # keys of a bucket
_MOST_COUNT = (1 << 32) - 1  # of uint32
_BLOCK = 1 << 14  # keys that are counted at once: their places stay in the processor's nearest memory


class CountTable:
    """How many pixels have each key, in a window of buckets next to one another: 256 KiB a bucket, once it has pixels.

    Attributes:
        buckets: of the window.
    """

    def __init__(self, buckets: range) -> None:
        self.buckets = buckets
        self._first_key = (buckets.start << 16) - (1 << 31)
        self._last_key = self._first_key + len(buckets) * ROW - 1
        self._counts = np.zeros(len(buckets) * ROW, dtype=np.uint32)
        self._room = _MOST_COUNT
        self._places = np.empty(_BLOCK, dtype=np.intp)

    def add(self, keys: NDArray[np.int32]) -> NDArray[np.int32]:
        """Count the keys that are in the window. Returns the others; all, once a count might overflow."""
        others = keys[:0]
        if keys.min() < self._first_key or keys.max() > self._last_key:
            is_inside = (keys >= self._first_key) & (keys <= self._last_key)
            others = keys[~is_inside]
            keys = keys[is_inside]
        if len(keys) > self._room:
            return np.concatenate([keys, others])
        self._room -= len(keys)
        for begin in range(0, len(keys), _BLOCK):
            block = keys[begin : begin + _BLOCK]
            places = self._places[: len(block)]
            np.subtract(block, self._first_key, out=places, dtype=np.intp)
            np.add.at(self._counts, places, np.uint32(1))
        return others

    def bucket_counts(self) -> NDArray[np.int64]:
        """How many pixels have been counted in each bucket, int64 [65536]."""
        counts = np.zeros(BUCKETS, dtype=np.int64)
        counts[self.buckets.start : self.buckets.stop] = self._counts.reshape(-1, ROW).sum(axis=1, dtype=np.int64)
        return counts

    def row(self, bucket: int) -> NDArray[np.uint32]:
        """How many pixels have each key of a bucket in the window, uint32 [65536], lowest first: the table's own."""
        start = (bucket - self.buckets.start) * ROW
        return self._counts[start : start + ROW]


def densest_window(keys: Sequence[NDArray[np.int32]], length: int) -> range:
    """Of all windows of so many buckets, the one with most of the keys; of several, the middle one."""
    counts = np.zeros(BUCKETS, dtype=np.int64)
    for some in keys:
        counts += np.bincount(bucket_of(some), minlength=BUCKETS)
    up_to = np.concatenate([[0], np.cumsum(counts)])
    inside = up_to[length:] - up_to[:-length]
    best = np.flatnonzero(inside == inside.max())
    start = int(best[(len(best) - 1) // 2])
    return range(start, start + length)
