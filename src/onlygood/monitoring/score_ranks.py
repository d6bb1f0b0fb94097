"""Conformal p-values of one score after another, among all that came before it, in bounded memory.

What is kept is how many scores there were in each bin. Scores of one bin count as equal, and a random place among equal
scores changes no distribution; near the median of the calibration scores a bin holds at most about one in a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Scores fall into bins: near the center so many in one unit of scale, further out ever wider ones.
BINS_PER_SCALE = 64
# Bins on each side of the center: the last ones hold whatever lies beyond 2e21 units of scale.
MOST_BINS = 3200
# Beyond what the numbers of a model file give; so that squares of it can be added up.
_FARTHEST = 1e60


class ScoreRanks:
    """How many scores there were in each bin, and from that the p-value of the next one.

    Args:
        center: of the bins, in units of the scores.
        scale: of the bins, above 0.
    """

    def __init__(self, center: float, scale: float) -> None:
        self.center, self.scale = center, scale
        self.total = 0.0
        self._weights: NDArray[np.float64] = np.zeros(2 * MOST_BINS + 1)

    def standardized(self, score: float) -> float:
        """A score in units of scale from the center, at most 1e60 of them."""
        return min(max((score - self.center) / self.scale, -_FARTHEST), _FARTHEST)

    def _bin(self, score: float) -> int:
        at = round(BINS_PER_SCALE * math.asinh(self.standardized(score)))
        return min(max(at, -MOST_BINS), MOST_BINS) + MOST_BINS

    def add(self, score: float, weight: float = 1.0) -> None:
        """Put a score among those that later ones are compared with."""
        self._weights[self._bin(score)] += weight
        self.total += weight

    def p_value(self, score: float, draw: float) -> float:
        """The share of scores at least as high, in (0, 1), the new one counted and ties broken at random.

        Where this score and all before it are exchangeable, p-values are independent of one another and uniform,
        however many there are: that holds of ranks among all before, not of those among a fixed calibration set.

        Args:
            score: not yet added.
            draw: in (0, 1), a new one each time: the place among scores of the same bin.

        Source: Vovk, Nouretdinov and Gammerman, "Testing exchangeability on-line", 2003 (smoothed p-values).
        """
        at = self._bin(score)
        above = float(self._weights[at + 1 :].sum())
        return (above + draw * (float(self._weights[at]) + 1.0)) / (self.total + 1.0)

    def to_pairs(self) -> list[tuple[int, float]]:
        """The bins that are not empty: how far from the center, and the weight in them."""
        return [(int(at) - MOST_BINS, float(self._weights[at])) for at in np.flatnonzero(self._weights)]

    def add_pairs(self, pairs: Sequence[tuple[int, float]]) -> None:
        """Put back what `to_pairs` gave.

        Args:
            pairs: bins within MOST_BINS of the center.
        """
        for at, weight in pairs:
            self._weights[at + MOST_BINS] += weight
        self.total = float(self._weights.sum())


def uniform_draw(seed: int, number: int) -> float:
    """A number in (0, 1) that follows from a seed and a place, as if drawn: no generator has to be kept in a state.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014 (SplitMix64).
    """
    mask = 2**64 - 1
    mixed = (_mixed(seed & mask) + (number + 1) * 0x9E3779B97F4A7C15) & mask
    return ((_mixed(mixed) >> 12) + 0.5) * 2.0**-52


def _mixed(state: int) -> int:
    mask = 2**64 - 1
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return state ^ (state >> 31)
