"""How numbers and names are written on a page and in its CSV file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from onlygood._plurals import pluralize
from onlygood._printable import printable


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


def format_share(value: float) -> str:
    """A share in [0, 1]: three decimals, or more where it would vanish."""
    return _decimals(value, 3, least=0.01)


def format_p_value(value: float) -> str:
    """A p-value: four decimals, or more where it would vanish."""
    return _decimals(value, 4, least=0.001)


def format_area(value: float) -> str:
    """An area under a curve, an average precision or F1: four decimals."""
    return f"{value:.4f}"


def format_count(count: int, noun: str = "") -> str:
    """A number with commas, and its noun in the singular or with an s: 1 image, 1,200 images."""
    return pluralize(count, noun) if noun else f"{count:,}"


def _decimals(value: float, decimals: int, *, least: float) -> str:
    if 0 < value < least:
        decimals = 1 - math.floor(math.log10(value))
    return f"{value:.{decimals}f}"
