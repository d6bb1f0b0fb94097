"""How numbers and names are written on a page and in its CSV file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from onlygood._plurals import pluralize
from onlygood._printable import printable
from onlygood.rates import Notation


def visible_or_same(value: Any) -> Any:
    """Plain text made visible; markup and what is no text as it is."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def score_format(scores: Iterable[float]) -> Callable[[float], str]:
    """One form for all scores of a page: signed, with about four digits of an ordinary one, and as many decimals."""
    sizes = np.abs(np.fromiter(scores, dtype=np.float64))
    ordinary = float(np.median(sizes)) if len(sizes) else 0.0
    decimals = min(8, max(0, 3 - math.floor(math.log10(ordinary)))) if ordinary > 0 else 4

    def show(score: float) -> str:
        if score == 0:
            return "0"
        return f"{score:+.{decimals}f}".replace("-", "\N{MINUS SIGN}").replace("inf", "\N{INFINITY}")

    return show


def percent_notation(rates: Iterable[float]) -> Notation:
    """One form for all shares of a page: percent with one decimal, or as many as the rates that were asked for need.

    A share that would vanish, or seem to be all, is said to be below or above what can be shown.

    Args:
        rates: false-alarm rates that were asked for.
    """
    decimals = max((_decimals_of(rate) for rate in rates), default=1)
    unit = 10.0**-decimals

    def share(value: float, _: int = 0) -> str:
        percent = round(100 * value, decimals)
        if value > 0 and percent <= 0:
            return f"<{unit:.{decimals}f}%"
        if value < 1 and percent >= 100:
            return f">{100 - unit:.{decimals}f}%"
        return f"{percent:.{decimals}f}%"

    def at_most(value: float) -> str:
        return f"{math.ceil(100 * value / unit - 1e-6) * unit:.{decimals}f}%"

    return Notation(share=share, at_most=at_most)


def format_p_value(value: float) -> str:
    """A p-value: four decimals, or more where it would vanish."""
    return _decimals(value, 4, least=0.001)


def format_area(value: float) -> str:
    """An area under a curve, an average precision or F1: four decimals."""
    return f"{value:.4f}"


def format_count(count: int, noun: str = "") -> str:
    """A number with commas, and its noun in the singular or with an s: 1 image, 1,200 images."""
    return pluralize(count, noun) if noun else f"{count:,}"


def _decimals_of(rate: float) -> int:
    """The decimals that a rate has as percent, of three significant digits at most: 1 to 6."""
    rate = float(f"{rate:.3g}")  # one that was counted has more than anybody asks for
    return next((some for some in range(1, 6) if abs(round(100 * rate, some) - 100 * rate) < 1e-9), 6)


def _decimals(value: float, decimals: int, *, least: float) -> str:
    if 0 < value < least:
        decimals = 1 - math.floor(math.log10(value))
    return f"{value:.{decimals}f}"
