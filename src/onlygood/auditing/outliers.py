"""Values that lie so far out that the tail of the others does not explain them.

The tail of a measure above its median is taken for exponential, as that of scores is in `onlygood.calibration.tail`.
There each of the highest scores is set aside in turn, a hundred at most; here there may be thousands of images. So what
the highest tenth of them is does not matter: of it only the number counts (a censored sample), and what lies there
cannot hide itself.

Source: the maximum-likelihood mean of a censored exponential sample, Lawless, "Statistical Models and Methods for
Lifetime Data", 2003, section 4.1, whose predictive distribution says how rare a further value is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onlygood.calibration.tail import LEAST_ORDINARY, MOST_ODD, ODD_EXPECTED, TAIL_SHARE, Tail


def tail_limit(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The value above which fewer than ODD_EXPECTED of the independent images are expected.

    Args:
        values: float64 [n], higher is further out.
        weights: float64 [n], how many independent images each stands for: 1, or less where several show one thing.

    Returns:
        At least the median; infinite where fewer than LEAST_ORDINARY independent images say what is ordinary.
    """
    groups = float(weights.sum())
    if groups < LEAST_ORDINARY - 1e-9:
        return float("inf")
    order = np.argsort(values, kind="stable")
    ascending, shares = values[order], weights[order] / groups
    summed = np.cumsum(shares)
    middle, high = (int(np.searchsorted(summed, 1.0 - share - 1e-9)) for share in (TAIL_SHARE, MOST_ODD))
    begin, censored_at = float(ascending[middle]), float(ascending[high])
    above = ascending > begin
    ordinary = above & (ascending <= censored_at)
    observed = float(shares[ordinary].sum())
    if observed <= 0.0:  # half of the images or more are the highest of the lower nine tenths
        return begin
    total = float(np.dot(shares[above], np.minimum(ascending[above], censored_at) - begin))
    share = float(shares[above].sum())
    tail = Tail(begin=begin, share=share, count=observed * groups, mean_excess=total / observed)
    rate = ODD_EXPECTED / groups
    return begin if rate >= share else tail.threshold(rate)
