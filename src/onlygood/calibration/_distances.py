"""Distances of some points to all."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = TypeVar("Floats", np.float32, np.float64)


def squared_distances(
    points: NDArray[Floats], norms: NDArray[Floats], rows: NDArray[np.int64] | slice
) -> NDArray[Floats]:
    """Squared distances of some points to all, [rows, n], at least 0.

    Args:
        points: [n, d].
        norms: [n], the squared norm of each.
        rows: positions of the points whose distances are computed.
    """
    squared: NDArray[Floats] = points[rows] @ points.T
    squared *= -2.0
    squared += norms[rows, None]
    squared += norms
    np.maximum(squared, 0.0, out=squared)
    return squared
