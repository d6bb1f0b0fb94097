"""False-alarm rates: which can be asked for, and how many images each needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from onlygood.errors import SettingError

# How a threshold is decided.
Rule = Literal["conformal", "estimated"]
# What a fit may be asked for: one of these, or what suits the number of images.
ThresholdRule = Literal["auto", "conformal", "estimated"]
# Shares are compared with rates written as decimals; this absorbs binary rounding, nothing else.
TOLERANCE = 1e-9


def check_false_alarm_rate(rate: float) -> None:
    """Refuse a rate outside (0, 1).

    Raises:
        SettingError: the rate is not a number between 0 and 1, both excluded.
    """
    if not (isinstance(rate, int | float) and math.isfinite(rate) and 0.0 < rate < 1.0):
        raise SettingError(
            f"the false-alarm rate must be between 0 and 1, both excluded (0.01 is one good image in a hundred), "
            f"got {rate!r}"
        )


def images_needed(rate: float) -> int:
    """The fewest independent calibration images from which `rate` can be guaranteed: ceil(1 / rate) - 1."""
    return max(1, math.ceil(1.0 / rate - TOLERANCE) - 1)


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
        return self.at_most(rate) if is_guaranteed else self.share(rate, 6)


# In files, on a terminal and in what a program gives back: as it can be asked for.
DECIMAL = Notation(share=lambda value, digits: f"{value:.{digits}g}", at_most=format_rate)


def rate_in_short(stated_rate: float, *, is_guaranteed: bool, is_exact: bool) -> str:
    """What is said of a false-alarm rate where there is room for a few words."""
    if not is_guaranteed:
        return f"about {stated_rate:g} of good images called anomalous, estimated"
    how = "" if is_exact else " approximately"
    return f"at most {format_rate(stated_rate)} of good images called anomalous, guaranteed{how}"
