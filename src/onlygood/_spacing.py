"""A few of many, evenly spaced."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly_spaced(count: int, most: int) -> NDArray[np.int64]:
    """Positions of at most so many of `count` things, ascending and distinct, the first and the last among them.

    Args:
        count: how many things there are, at least 1.
        most: how many positions, at least 2 for the last to be among them.
    """
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64))
