"""Many small codes, grouped by bucket: in memory, or in a temporary file. How `PixelTally` keeps pixels.

A code is what is left to know of a pixel when its bucket, the upper half of its key, is known.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedRandom
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUCKETS = 1 << 16
PIECE = 1 << 17  # codes of one bucket that are looked at together; fewer than twice as many
_HEADER = 2  # int64 before each bucket in a temporary file: its number, and how many codes follow


@dataclass(frozen=True)
class Chunk:
    """Codes in memory, grouped by bucket: those of bucket first + i are codes[bounds[i] : bounds[i + 1]]."""

    first: int
    bounds: NDArray[np.int32]
    codes: NDArray[Any]

    def count(self, counts: NDArray[np.int64]) -> None:
        """Add to int64 [65536] how many codes each bucket has."""
        counts[self.first : self.first + len(self.bounds) - 1] += np.diff(self.bounds)

    def read(self, bucket: int) -> NDArray[Any]:
        """The codes of a bucket, which stay the chunk's."""
        place = bucket - self.first
        if not 0 <= place < len(self.bounds) - 1:
            return self.codes[:0]
        return self.codes[self.bounds[place] : self.bounds[place + 1]]


def chunk_of(keys: NDArray[np.int32], codes: NDArray[Any]) -> Chunk:
    """The chunk of these codes, whose keys ascend: the bucket of a key is its upper half, counted from the lowest."""
    first, last = ((keys[[0, -1]] >> 16) + BUCKETS // 2).tolist()
    lowest_keys = (np.arange(first + 1, last + 1) - BUCKETS // 2).astype(np.int32) << 16
    bounds = np.empty(last - first + 2, dtype=np.int32)
    bounds[0], bounds[1:-1], bounds[-1] = 0, np.searchsorted(keys, lowest_keys), len(keys)
    return Chunk(first, bounds, codes)


class Codes:
    """Codes of one kind by bucket: in memory, or in runs of a temporary file. Counts of all are at hand.

    Attributes:
        counts: int64 [65536], of codes in each bucket.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.counts = np.zeros(BUCKETS, dtype=np.int64)
        self._dtype = dtype
        self._chunks: list[Chunk] = []
        self._runs: list[Run] = []

    def keep(self, chunk: Chunk) -> None:
        """Take the codes of a chunk."""
        self._chunks.append(chunk)
        chunk.count(self.counts)

    def write(self, file: BufferedRandom) -> None:
        """Append what is in memory to the file, in the order of buckets, and forget it."""
        if not self._chunks:
            return
        start = file.seek(0, os.SEEK_END)
        counts = np.zeros(BUCKETS, dtype=np.int64)
        for chunk in self._chunks:
            chunk.count(counts)
        for bucket in np.flatnonzero(counts).tolist():
            file.write(np.array([bucket, counts[bucket]], dtype=np.int64).data)
            for chunk in self._chunks:
                file.write(chunk.read(bucket).data)
        file.write(np.array([BUCKETS, 0], dtype=np.int64).data)
        self._runs.append(Run(file, start, self._dtype))
        self._chunks.clear()

    def read(self, bucket: int) -> Iterator[NDArray[Any]]:
        """The codes of a bucket, in arrays of bounded length that are the caller's; no bucket before the last one."""
        parts: list[NDArray[Any]] = []
        length = 0
        for part in self._parts(bucket):
            parts.append(part)
            length += len(part)
            if length >= PIECE:
                yield np.concatenate(parts)
                parts, length = [], 0
        if length:
            yield np.concatenate(parts)

    def _parts(self, bucket: int) -> Iterator[NDArray[Any]]:
        for chunk in self._chunks:
            part = chunk.read(bucket)
            for begin in range(0, len(part), PIECE):
                yield part[begin : begin + PIECE]
        for run in self._runs:
            yield from run.read(bucket)


class Run:
    """Codes in a file, bucket after bucket with its header; read from the first to the last, so nothing is indexed."""

    def __init__(self, file: BufferedRandom, start: int, dtype: np.dtype[Any]) -> None:
        self._file = file
        self._position = start
        self._dtype = dtype

    def read(self, bucket: int) -> Iterator[NDArray[Any]]:
        """The codes of a bucket, in arrays of at most PIECE; no bucket before the last one."""
        found, count = self._load(self._position, _HEADER, np.dtype(np.int64)).tolist()
        while found < bucket:
            self._position += _HEADER * 8 + count * self._dtype.itemsize
            found, count = self._load(self._position, _HEADER, np.dtype(np.int64)).tolist()
        if found > bucket:
            return
        start = self._position + _HEADER * 8
        for begin in range(0, count, PIECE):
            yield self._load(start + begin * self._dtype.itemsize, min(PIECE, count - begin), self._dtype)

    def _load(self, position: int, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        loaded = np.empty(count, dtype=dtype)
        self._file.seek(position)
        if self._file.readinto(loaded.data) != loaded.nbytes:
            raise OSError("the temporary file with pixels of anomaly maps has become shorter")
        return loaded
