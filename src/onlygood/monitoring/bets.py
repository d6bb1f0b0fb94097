"""The bets of the drift test: densities of conformal p-values under a change, each a kind of change and how strong.

A conformal p-value u of a stable process is uniform on (0, 1), small where a score is high. A bet is a density f on (0,
1): the capital of a gambler who bets that u is distributed like f is multiplied by f(u), which in a stable process has
the mean 1, whatever f is. So f is chosen for the changes that are to be found, and its mean of 1 is tested.

The bets are fixed. A density that is learned while it bets finds more kinds of change, and also finds the small ones
that nobody wants to hear of: the scores of leave-one-out lie a little above those of new images. A bet on a shift by
delta standard deviations loses as long as the true shift is below delta / 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, get_args

Kind = Literal["higher", "lower", "tail", "narrower"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Of conformal p-values: a bet on the tail is one on more images than this share among the highest.
HIGHEST = 0.02

_NORMAL = NormalDist()
# The nearest to 1 that a float is; 1 itself has no quantile.
_BELOW_ONE = 1.0 - 2.0**-53


@dataclass(frozen=True)
class Bet:
    """A density on (0, 1) to bet with.

    Attributes:
        kind: of the change for which it is made.
        log_weight: logarithm of its share of the capital at the beginning; the shares of all bets add up to 1.
        log_density: of its density, at a p-value and at that p-value's normal score.
    """

    kind: Kind
    log_weight: float
    log_density: Callable[[float, float], float]


def normal_score(p_value: float) -> float:
    """The normal quantile whose upper tail is a p-value in (0, 1): 0 at a half, positive for high scores."""
    return -_NORMAL.inv_cdf(min(p_value, _BELOW_ONE))


def _shift(delta: float) -> Callable[[float, float], float]:
    """N(delta, 1) against N(0, 1) of the normal score: all scores move by delta standard deviations.

    What is among the highest or lowest counts as if it were at their edge: else a few images far above, which are a
    tail, would win more for a shift than for a tail.
    """
    edge = normal_score(HIGHEST)
    within = math.exp(0.5 * delta * delta) * (_NORMAL.cdf(edge - delta) - _NORMAL.cdf(-edge - delta))
    beyond = HIGHEST * (math.exp(delta * edge) + math.exp(-delta * edge))
    log_mean = math.log(within + beyond)
    return lambda _, z: delta * min(max(z, -edge), edge) - log_mean


def _tail(share: float, among: float) -> Callable[[float, float], float]:
    """A share of the images lies among the highest, where `among` of them are expected, and the others stay."""
    inside, outside = math.log(1.0 - share + share / among), math.log(1.0 - share)
    return lambda p_value, _: inside if p_value <= among else outside


def _narrower(deviation: float) -> Callable[[float, float], float]:
    """N(0, deviation^2) against N(0, 1) of the normal score: scores come near to one another."""
    slope = 0.5 * (1.0 - 1.0 / (deviation * deviation))
    return lambda _, z: slope * z * z - math.log(deviation)


_DENSITIES: dict[Kind, tuple[Callable[[float, float], float], ...]] = {
    "higher": (_shift(0.5), _shift(1.0)),
    "lower": (_shift(-0.5), _shift(-1.0)),
    "tail": (_tail(0.1, 0.1), _tail(0.05, HIGHEST), _tail(0.2, HIGHEST)),
    "narrower": (_narrower(0.5),),
}
# Each kind has the same share of the capital, and within it each bet.
BETS: tuple[Bet, ...] = tuple(
    Bet(kind, -math.log(len(_DENSITIES)) - math.log(len(densities)), density)
    for kind, densities in _DENSITIES.items()
    for density in densities
)
