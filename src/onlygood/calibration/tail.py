"""The upper tail of calibration scores: a threshold beyond what their order says, and scores that stand apart.

Above their median, scores of good images fall off about exponentially. Where there are too few of them for an order
statistic, or where a few odd ones would decide it, the threshold at a rate is the predictive quantile of that tail:
the level that a further score exceeds with that probability, the uncertainty of the estimated mean included.

Source: peaks over threshold, Pickands, "Statistical inference using extreme order statistics", Annals of Statistics
1975, with a shape of 0 (an exponential tail); the predictive distribution of an exponential sample, Lawless,
"Statistical Models and Methods for Lifetime Data", 2003, section 4.1: with k excesses of sum S over a level, a further
excess is above y with probability (1 + y / S) ** -k.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The tail begins at the median: half of the scores say how it falls off.
TAIL_SHARE = 0.5
# Scores stand apart where fewer of the independent images than this are expected so high by the tail of the others.
ODD_EXPECTED = 0.05
# At most this share of the independent images, or one, can stand apart: more are a kind of their own.
MOST_ODD = 0.1
# Images that can stand apart, at most: a person is to look at each.
MOST_ODD_IMAGES = 100
# The fewest independent images that say what an ordinary tail is.
LEAST_ORDINARY = 8
RESAMPLES = 400
CONFIDENCE = 0.9


@dataclass(frozen=True)
class Tail:
    """An exponential upper tail.

    Attributes:
        begin: the level above which it holds.
        share: of independent images above that level.
        count: effective number of independent images above it, k.
        mean_excess: of their scores over that level.
    """

    begin: float
    share: float
    count: float
    mean_excess: float

    def threshold(self, rate: float) -> float:
        """The level that a further score exceeds with the probability `rate`, at most `share`."""
        times = (rate / self.share) ** (-1.0 / self.count) - 1.0
        return float(self.begin + self.count * self.mean_excess * times)

    def rate(self, level: float) -> float:
        """The probability that a further score exceeds a level, at or above `begin`."""
        if self.mean_excess <= 0.0:
            return 0.0 if level > self.begin else self.share
        excess = max(level - self.begin, 0.0) / (self.count * self.mean_excess)
        return float(self.share * (1.0 + excess) ** -self.count)


def fit_tail(scores: NDArray[np.float32], weights: NDArray[np.float64], groups: float) -> Tail:
    """The tail above the weighted median.

    Args:
        scores: float32 [n], ascending.
        weights: float64 [n], of each score, in any unit.
        groups: how many independent images all of them stand for.
    """
    shares = weights / weights.sum()
    middle = int(np.searchsorted(np.cumsum(shares), 1.0 - TAIL_SHARE - 1e-9))
    begin = float(scores[middle])
    above = scores > begin
    share = float(shares[above].sum())
    if share <= 0.0:  # half of the scores or more are the highest
        return Tail(begin=begin, share=TAIL_SHARE, count=max(1.0, TAIL_SHARE * groups), mean_excess=0.0)
    excess = float(np.dot(shares[above], scores[above].astype(np.float64) - begin) / share)
    return Tail(begin=begin, share=share, count=share * groups, mean_excess=excess)


def count_odd(scores: NDArray[np.float32], weights: NDArray[np.float64], groups: int) -> int:
    """How many of the highest scores stand apart from the others: the most that the tail of the rest cannot explain.

    Looking at the highest score alone would not do: several odd images hide one another.

    Args:
        scores: float32 [n], ascending.
        weights: float64 [n], of each score, in any unit.
        groups: how many independent images there are.
    """
    shares = weights / weights.sum()
    odd = 0
    for count in range(1, min(len(scores), MOST_ODD_IMAGES + 1)):
        set_aside = float(shares[-count:].sum())
        left = (1.0 - set_aside) * groups
        if left < LEAST_ORDINARY - 1e-9 or set_aside * groups > max(1.0, MOST_ODD * groups) + 1e-9:
            break
        tail = fit_tail(scores[:-count], weights[:-count], left)
        if groups * tail.rate(float(scores[-count])) < ODD_EXPECTED:
            odd = count
    return odd


def rate_interval(
    scores: NDArray[np.float32], weights: NDArray[np.float64], groups: int, threshold: float, *, seed: int = 0
) -> tuple[float, float]:
    """Between which rates the one at a threshold lies, by resampling the scores and fitting the tail to each sample.

    Args:
        scores: float32 [n], ascending, without those that stand apart.
        weights: float64 [n], of each score, in any unit.
        groups: how many independent images they stand for.
        threshold: at or above the median.
        seed: of the resampling.

    Returns:
        The bounds of the central CONFIDENCE of the resampled rates.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 1979 (percentile interval).
    """
    random = np.random.default_rng(seed)
    shares = weights / weights.sum()
    rates = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        drawn = np.sort(random.choice(scores, size=max(2, groups), p=shares))
        tail = fit_tail(drawn, np.ones(len(drawn)), len(drawn))
        rates[number] = tail.rate(threshold) if threshold > tail.begin else np.mean(drawn > threshold)
    low, high = np.quantile(rates, [(1.0 - CONFIDENCE) / 2, (1.0 + CONFIDENCE) / 2])
    return float(low), float(high)
