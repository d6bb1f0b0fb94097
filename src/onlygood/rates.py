"""False-alarm rates: which can be asked for, and how many images each needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from onlygood._plain import plain
from onlygood.errors import SettingError

# How a threshold is decided; "given" is one that a person named, whatever follows from it.
Rule = Literal["conformal", "estimated", "given"]
# What a fit may be asked for: one of these, or what suits the number of images.
ThresholdRule = Literal["auto", "conformal", "estimated"]
# Shares are compared with rates written as decimals; this absorbs binary rounding, nothing else.
TOLERANCE = 1e-9
# One good image in a thousand million, and all but one: nearer to 0 and 1, rounding decides.
LEAST_RATE, MOST_RATE = 1e-9, 1.0 - 1e-9


def check_false_alarm_rate(rate: float, *, name: str = "the false-alarm rate") -> float:
    """The rate as a number of Python's.

    Args:
        rate: that is asked for.
        name: what the sentence calls it.

    Raises:
        SettingError: the rate is not a number from LEAST_RATE to MOST_RATE.
    """
    rate = plain(rate)
    if isinstance(rate, bool) or not (isinstance(rate, int | float) and 0.0 < rate < 1.0):
        raise SettingError(
            f"{name} must be between 0 and 1, both excluded (0.01 is one good image in a hundred), got {rate!r}"
        )
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise SettingError(
            f"{name} must be from {LEAST_RATE:g} to {MOST_RATE:.9g}, since no number of images says anything of rates "
            f"beyond, got {rate!r}: give one that a person can check"
        )
    return float(rate)


def images_needed(rate: float) -> int:
    """The fewest independent calibration images from which `rate` can be guaranteed: ceil(1 / rate) - 1."""
    return max(1, math.ceil(1.0 / rate - TOLERANCE) - 1)


def binomial_interval(events: float, trials: int, *, confidence: float = 0.9) -> tuple[float, float]:
    """Between which shares the true one lies, exactly (Clopper and Pearson), where so many of some trials were counted.

    Here, as SciPy is not in the base installation.

    Args:
        events: of the trials; a part of one, where groups are counted by shares, widens the interval.
        trials: at least 1, independent of one another.
        confidence: of the interval.
    """
    tail = (1.0 - confidence) / 2
    fewest, most = math.floor(events + TOLERANCE), math.ceil(events - TOLERANCE)
    low = 0.0 if fewest == 0 else _solve(lambda share: 1.0 - _at_most(fewest - 1, trials, share), tail)
    high = 1.0 if most >= trials else _solve(lambda share: -_at_most(most, trials, share), -tail)
    return low, high


def _at_most(events: int, trials: int, share: float) -> float:
    """The probability of so many events, or fewer."""
    if share <= 0.0 or share >= 1.0:
        return 1.0 if share <= 0.0 or events >= trials else 0.0
    # What is further from the mean has less than 1e-17 of the probability in all, by Bernstein's inequality.
    mean = trials * share
    reach = 9.0 * math.sqrt(mean * (1.0 - share)) + 60.0
    first, last = max(0, math.floor(mean - reach)), min(events, math.ceil(mean + reach))
    if last < first:
        return 0.0
    term = math.exp(
        math.lgamma(trials + 1)
        - math.lgamma(first + 1)
        - math.lgamma(trials - first + 1)
        + first * math.log(share)
        + (trials - first) * math.log1p(-share)
    )
    odds = share / (1.0 - share)
    total = term
    for count in range(first, last):
        term *= (trials - count) / (count + 1) * odds
        total += term
    return min(1.0, total)


def _solve(rising: Callable[[float], float], wanted: float) -> float:
    """Where in [0, 1] a rising function has a value, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2


def format_rate(rate: float) -> str:
    """The rate with three significant digits, rounded up: what is shown is then guaranteed, and can be asked for."""
    unit = 10.0 ** (math.floor(math.log10(rate)) - 2)
    return f"{math.ceil(rate / unit - 1e-6) * unit:.3g}"


@dataclass(frozen=True)
class Notation:
    """How shares are written in sentences.

    Attributes:
        share: writes a share with so many significant digits at most, to the nearest.
        at_most: writes a bound, rounded up, so that it holds as it is written.
    """

    share: Callable[[float, int], str]
    at_most: Callable[[float], str]

    def stated(self, rate: float, *, is_guaranteed: bool) -> str:
        """A rate that is guaranteed, and so a bound, or estimated."""
        return self.at_most(rate) if is_guaranteed else self.share(rate, 3)


# In files, on a terminal and in what a program gives back: as it can be asked for.
DECIMAL = Notation(share=lambda value, digits: f"{value:.{digits}g}", at_most=format_rate)


def rate_in_short(stated_rate: float, *, is_guaranteed: bool, is_exact: bool) -> str:
    """What is said of a false-alarm rate where there is room for a few words."""
    if not is_guaranteed:
        return f"about {stated_rate:g} of good images called anomalous, estimated"
    how = "" if is_exact else " approximately"
    return f"at most {format_rate(stated_rate)} of good images called anomalous, guaranteed{how}"
