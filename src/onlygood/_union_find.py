"""Disjoint sets as a forest: each member points to another of its set, and the root of a set to itself.

SciPy's `connected_components` is no help to those who import this: SciPy is not in the base installation.

Source: Tarjan, "Efficiency of a good but not linear set union algorithm", Journal of the ACM 22, 1975; paths are halved
as they are followed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def find_root(parents: NDArray[np.int64], member: int) -> int:
    """The root of the member's set; the path to it is shortened, in place, to be found faster next time."""
    while parents[member] != member:
        parents[member] = parents[parents[member]]
        member = int(parents[member])
    return member


def unite(parents: NDArray[np.int64], one: int, other: int) -> bool:
    """Make one set of those of two members, in place, with the lower root. False if they were in one set before."""
    low, high = sorted((find_root(parents, one), find_root(parents, other)))
    parents[high] = low
    return low != high
