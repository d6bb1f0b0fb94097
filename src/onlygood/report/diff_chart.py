"""A chart of two models' scores against each other, in the unit that they have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onlygood.report.palette import ANOMALOUS, INK, MUTED, PANEL, RULE
from onlygood.report.svg import NARROW, both_forms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from onlygood.model_diff.diff_result import DiffedImage

# Points of images whose verdict does not change: more cannot be told apart, and make the page heavy.
_POINTS = 1500
# Relative scores are drawn evenly from -EVEN to EVEN, and beyond by their logarithm.
_EVEN = 2.0


def relative_scores(identifier: str, images: Sequence[DiffedImage], *, title: str, description: str) -> str:
    """Relative scores by the new model over those by the old one; flips are marked, and where they lie is shaded.

    Args:
        identifier: as of all charts.
        images: each with relative scores.
        title: of the chart.
        description: the same in words.
    """
    flips = _points([each for each in images if each.flips])
    same = _points([each for each in images if not each.flips])
    same = (
        same[np.unique(np.linspace(0, max(len(same) - 1, 0), min(len(same), _POINTS)).astype(int))]
        if len(same)
        else same
    )

    def drawn(width: int) -> Callable[[Figure], None]:
        def draw(figure: Figure) -> None:
            axes = figure.subplots()
            points = np.concatenate([flips, same])
            low, high = _limits(points)
            for scale in (axes.set_xscale, axes.set_yscale):
                scale("function", functions=(_even_then_logarithmic, _back))
            axes.set_xlim(low, high)
            axes.set_ylim(low, high)
            ticks = _ticks(low, high, 5 if width == NARROW else 9)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_ticks(ticks, [f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
            axes.minorticks_off()
            axes.fill_between([low, 0], 0, high, facecolor=PANEL, linewidth=0)
            axes.fill_between([0, high], low, 0, facecolor=PANEL, linewidth=0)
            axes.axvline(0, color=INK, linewidth=1.2, linestyle=(0, (5, 3)))
            axes.axhline(0, color=INK, linewidth=1.2, linestyle=(0, (5, 3)))
            axes.plot([low, high], [low, high], color=RULE, linewidth=1.0, linestyle=(0, (4, 3)))
            axes.plot(*same.T, linestyle="none", marker="o", markersize=4, color=MUTED, markeredgewidth=0)
            axes.plot(*flips.T, linestyle="none", marker="D", markersize=6, color=ANOMALOUS, markeredgewidth=0)
            axes.set_xlabel("relative score, old model")
            axes.set_ylabel("relative score, new model")

        return draw

    return both_forms(identifier, title, description, lambda width: (drawn(width), 330 if width == NARROW else 440))


def _points(images: Sequence[DiffedImage]) -> NDArray[np.float64]:
    """Relative scores by the old and the new model, [n, 2]."""
    pairs = [(each.old.relative_score, each.new.relative_score) for each in images]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def _limits(points: NDArray[np.float64]) -> tuple[float, float]:
    """One range for both axes, with room beyond the outermost points."""
    low, high = min(float(points.min()), -1.2), max(float(points.max()), 1.0)
    ends: NDArray[np.float64] = _back(_even_then_logarithmic(np.array([low, high])) + np.array([-0.15, 0.15]))
    return float(ends[0]), float(ends[1])


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers within the range, thinned where there are many."""
    candidates = [
        0.0,
        *(sign * value for value in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1e3, 1e4) for sign in (-1, 1)),
    ]
    within = sorted(each for each in candidates if low <= each <= high)
    if len(within) <= most:
        return within
    return [each for each in within if abs(each) in (0.0, 1.0, 10.0, 100.0, 1e3, 1e4)]


def _even_then_logarithmic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    sizes = np.abs(numbers)
    beyond = _EVEN * (1.0 + np.log(np.maximum(sizes, _EVEN) / _EVEN))
    return np.sign(numbers) * np.where(sizes <= _EVEN, sizes, beyond)


def _back(values: NDArray[np.float64]) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    sizes = np.abs(numbers)
    beyond = _EVEN * np.exp(np.maximum(sizes, _EVEN) / _EVEN - 1.0)
    return np.sign(numbers) * np.where(sizes <= _EVEN, sizes, beyond)
