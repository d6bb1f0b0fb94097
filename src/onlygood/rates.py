"""False-alarm rates: which can be asked for, and how many images each needs."""

from __future__ import annotations

import math
from typing import Literal

from onlygood._plain import plain
from onlygood.errors import SettingError

# How a threshold is decided.
Rule = Literal["conformal", "estimated"]
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


def format_rate(rate: float) -> str:
    """The rate with three significant digits, rounded up: what is shown is then guaranteed, and can be asked for."""
    unit = 10.0 ** (math.floor(math.log10(rate)) - 2)
    return f"{math.ceil(rate / unit - 1e-6) * unit:.3g}"


def rate_in_short(stated_rate: float, *, is_guaranteed: bool, is_exact: bool) -> str:
    """What is said of a false-alarm rate where there is room for a few words."""
    if not is_guaranteed:
        return f"about {stated_rate:g} of good images called anomalous, estimated"
    how = "" if is_exact else " approximately"
    return f"at most {format_rate(stated_rate)} of good images called anomalous, guaranteed{how}"
