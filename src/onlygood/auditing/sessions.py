"""Sessions that differ from the others: by rank tests of one measure at a time, corrected for their number.

The Mann-Whitney test asks of each session and measure whether the session's images have other values than those of all
other sessions. Images of (nearly) the same thing in one session count as one, by their mean. Holm's correction bounds
the probability of naming any session wrongly by LEVEL, however many sessions and measures there are. With many images
a difference that nobody cares about is certain, so a session is named only where the difference is also large: where an
image of the session has a higher value than one of another session with a probability of at least LEAST_PROBABILITY, or
at most 1 - LEAST_PROBABILITY (the area under the curve of the two).

Source: Mann and Whitney, "On a test of whether one of two random variables is stochastically larger than the other",
1947, with the normal approximation corrected for ties and continuity; Holm, "A simple sequentially rejective multiple
test procedure", 1979.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.01
LEAST_PROBABILITY = 0.75
# Of a session and of all others: fewer independent images say nothing at this level.
LEAST_IMAGES = 5


@dataclass(frozen=True, kw_only=True)
class SessionDifference:
    """A measure in which a session differs from all others.

    Attributes:
        session: its label.
        measure: the name of the measure.
        probability: that an image of the session has a higher value than one of another session, equal ones counted
            half.
        p_value: of the rank test, multiplied by Holm's factor, at most 1.
        median: of the session.
        others: the median of all others.
        images: how many independent images of the session were compared.
    """

    session: str
    measure: str
    probability: float
    p_value: float
    median: float
    others: float
    images: int


def session_differences(
    measures: Mapping[str, NDArray[np.float64]], sessions: Sequence[str], sets: Sequence[int]
) -> tuple[list[SessionDifference], list[str]]:
    """What differs, the most certain first; and sessions with too few independent images to say so.

    Args:
        measures: float64 [n] by name; NaN where an image has no value.
        sessions: n labels.
        sets: n labels, equal for images of (nearly) the same thing.
    """
    labels = list(dict.fromkeys(sessions))
    number = {label: place for place, label in enumerate(labels)}
    units, unit_of = np.unique(
        np.array([[number[label], own] for label, own in zip(sessions, sets, strict=True)]), axis=0, return_inverse=True
    )
    unit_of = unit_of.reshape(-1)
    counts = np.bincount(units[:, 0], minlength=len(labels))
    few = [
        label
        for label, count in zip(labels, counts, strict=True)
        if count < LEAST_IMAGES or len(units) - count < LEAST_IMAGES
    ]
    found: list[SessionDifference] = []
    for name, values in measures.items():
        known = ~np.isnan(values)
        sums = np.bincount(unit_of[known], weights=values[known], minlength=len(units))
        with_value = np.bincount(unit_of[known], minlength=len(units))
        has = with_value > 0
        means, owners = sums[has] / with_value[has], units[has, 0]
        ranks, ties = _ranks(means)
        for place, label in enumerate(labels):
            own = owners == place
            few_own = int(own.sum())
            if label in few or few_own < LEAST_IMAGES or len(means) - few_own < LEAST_IMAGES:
                continue
            probability, p_value = _mann_whitney(ranks[own], len(means), ties)
            found.append(
                SessionDifference(
                    session=label,
                    measure=name,
                    probability=probability,
                    p_value=p_value,
                    median=float(np.median(means[own])),
                    others=float(np.median(means[~own])),
                    images=few_own,
                )
            )
    return _corrected(found), few


def _corrected(tests: Sequence[SessionDifference]) -> list[SessionDifference]:
    """Those that stay significant by Holm's procedure and are large."""
    named: list[SessionDifference] = []
    highest = 0.0
    for place, each in enumerate(sorted(tests, key=lambda one: one.p_value)):
        highest = max(highest, min(1.0, each.p_value * (len(tests) - place)))
        if highest > LEVEL:
            break
        if max(each.probability, 1.0 - each.probability) >= LEAST_PROBABILITY:
            named.append(replace(each, p_value=highest))
    return named


def _ranks(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Ranks from 1, the mean of ties, and the sum of t^3 - t over groups of t ties."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_ranks = last - (counts - 1) / 2.0
    return mean_ranks[inverse.reshape(-1)], float((counts.astype(np.float64) ** 3 - counts).sum())


def _mann_whitney(own: NDArray[np.float64], total: int, ties: float) -> tuple[float, float]:
    """The probability of superiority, and the two-sided p-value.

    Args:
        own: ranks of one sample among all.
        total: how many there are in both.
        ties: as `_ranks` gives it.
    """
    count = len(own)
    other = total - count
    statistic = float(own.sum()) - count * (count + 1) / 2.0
    variance = count * other / 12.0 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0.0:  # all values are equal
        return 0.5, 1.0
    excess = max(0.0, abs(statistic - count * other / 2.0) - 0.5)
    return statistic / (count * other), math.erfc(excess / math.sqrt(2.0 * variance))
