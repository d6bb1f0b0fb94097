"""Vectors written as small whole numbers: rounded where they vary, in coordinates in which all directions vary equally.

The coordinates are chosen once, from the first vectors, and stay: so a vector that was written, read and written again
is the same, however often. What is lost is as small for a distance after whitening as the step says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of the rounding, in units of a standard deviation: its error, 0.07 of one, adds half a hundredth to a squared
# coordinate, whose mean is about 1.
STEP = 0.25
# Where vectors are few, directions in which one of them varies alone decide, and rounding must not fill them. A power
# of two times as fine, so that what is rounded at this step and then at the other is as if at the other alone.
FINE_STEP = STEP / 16
_MOST = np.iinfo(np.int16).max
# Numbers of vectors and coordinates of a file beyond these are of no network, and their squares might be none.
_MOST_VALUE, _MOST_FACTOR, _MOST_CONDITION = 1e6, 1e8, 1e8


@dataclass(frozen=True)
class Coordinates:
    """Coordinates in which vectors are rounded.

    Attributes:
        origin: float32 [d].
        basis: float16 [d, d], each column a share of its `stretch`.
        stretch: float32 [d], above 0.
    """

    origin: NDArray[np.float32]
    basis: NDArray[np.float16]
    stretch: NDArray[np.float32]

    @classmethod
    def of_whitening(cls, mean: NDArray[np.float32], whitening: NDArray[np.float32]) -> Coordinates:
        """Those of a whitening [d, d], as `learn_whitening` gives it."""
        stretch = np.maximum(np.abs(whitening).max(axis=0), np.finfo(np.float32).tiny)
        return cls(mean, (whitening / stretch).astype(np.float16), stretch.astype(np.float32))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Coordinates:
        """Those that were written with `to_arrays`; ValueError where they are none."""
        origin, basis, stretch = (arrays[f"{prefix}{name}"] for name in ("origin", "basis", "stretch"))
        width = len(origin)
        if origin.shape != (width,) or stretch.shape != (width,) or basis.shape != (width, width):
            raise ValueError("coordinates of several widths")
        if not ((stretch > 0) & (stretch < _MOST_FACTOR)).all() or (np.abs(origin) > _MOST_VALUE).any():
            raise ValueError("coordinates without a stretch or an origin that can be")
        found = cls(origin.astype(np.float32), basis.astype(np.float16), stretch.astype(np.float32))
        condition = float(np.abs(found.forward).max()) * float(np.abs(found.backward).max())
        if not condition < _MOST_CONDITION or float(np.abs(found.backward).max()) > _MOST_VALUE:
            raise ValueError("coordinates without an inverse")
        return found

    def to_arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Arrays under names that begin with `prefix`."""
        return {f"{prefix}origin": self.origin, f"{prefix}basis": self.basis, f"{prefix}stretch": self.stretch}

    @cached_property
    def forward(self) -> NDArray[np.float64]:
        """From a vector without the origin to its coordinates, [d, d]."""
        return np.asarray(self.basis.astype(np.float64) * self.stretch, dtype=np.float64)

    @cached_property
    def backward(self) -> NDArray[np.float64]:
        """From coordinates to a vector without the origin, [d, d]; ValueError where there is no way back."""
        try:
            inverse = np.asarray(np.linalg.inv(self.forward), dtype=np.float64)
        except np.linalg.LinAlgError as error:
            raise ValueError("coordinates without an inverse") from error
        if not np.isfinite(inverse).all():
            raise ValueError("coordinates without an inverse")
        return inverse

    def encode(self, vectors: NDArray[np.float32], step: float = STEP) -> NDArray[Any]:
        """Vectors [n, d] as whole numbers of as few bits as hold them.

        Args:
            vectors: float32.
            step: of the rounding.
        """
        units = ((vectors - self.origin) @ self.forward.astype(np.float32)) / np.float32(step)
        codes = np.clip(np.rint(units), -_MOST, _MOST).astype(np.int16)
        is_small = not len(codes) or int(np.abs(codes).max()) <= np.iinfo(np.int8).max
        return np.asarray(codes.astype(np.int8) if is_small else codes)

    def decode(self, codes: NDArray[Any], step: float = STEP) -> NDArray[np.float32]:
        """Vectors, float32 [n, d], from what `encode` made of them; ValueError where they are of no network."""
        units = codes.astype(np.float32) * np.float32(step)
        vectors = np.asarray(units @ self.backward.astype(np.float32) + self.origin, dtype=np.float32)
        if not (np.abs(vectors) <= _MOST_VALUE).all():
            raise ValueError("vectors that are none of a network")
        return vectors
