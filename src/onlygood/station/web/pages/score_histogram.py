"""How the calibration scores of a model are spread, as bars for a page."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from onlygood.graph.verdict import CalibrationScores

WIDTH, HEIGHT = 640, 160
MOST_BARS = 40


@dataclass(frozen=True)
class Bar:
    """One bar, in units of WIDTH and HEIGHT from the top left."""

    x: float
    y: float
    width: float
    height: float
    is_above: bool


@dataclass(frozen=True)
class Histogram:
    """Calibration scores relative to the threshold.

    Attributes:
        bars: from the lowest to the highest.
        threshold: where the threshold is.
        lowest: score.
        highest: score.
        count: how many scores there are.
        above: how many of them are above the threshold.
    """

    bars: tuple[Bar, ...]
    threshold: float
    lowest: float
    highest: float
    count: int
    above: int


def histogram(calibration: CalibrationScores) -> Histogram:
    """The bars for calibration scores, which are shown relative to the threshold, as all scores are."""
    scores = calibration.scores.astype(np.float64) - calibration.threshold
    span = max(float(scores.max()), 0.0) - min(float(scores.min()), 0.0) or 1.0
    step = span / min(MOST_BARS, max(8, 2 * round(len(scores) ** 0.5)))
    # The threshold is between two bars, so that each is wholly on one side of it.
    first, last = (
        math.floor(min(float(scores.min()), 0.0) / step) - 0.5,
        math.floor(max(float(scores.max()), 0.0) / step) + 1.5,
    )
    low, high = first * step, last * step
    places = np.floor(scores / step).astype(int)
    least = int(places.min())
    counts = np.bincount(places - least)
    edges = step * (least + np.arange(len(counts) + 1))
    scale = WIDTH / (high - low)
    tallest = max(int(counts.max()), 1)
    drawn = [
        Bar(
            round((left - low) * scale + 1, 1),
            round(HEIGHT * (1 - count / tallest), 1),
            round((right - left) * scale - 2, 1),
            round(HEIGHT * count / tallest, 1),
            bool(left >= 0),
        )
        for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if count
    ]
    return Histogram(
        bars=tuple(drawn),
        threshold=round(-low * scale, 1),
        lowest=float(scores.min()),
        highest=float(scores.max()),
        count=len(scores),
        above=int((scores > 0).sum()),
    )
