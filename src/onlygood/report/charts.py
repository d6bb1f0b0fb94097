"""Charts as SVG that stands inside a page: no script, no reference to anything outside, no identifier twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.rates import format_rate
from onlygood.report.palette import ANOMALOUS, GOOD, INK, PAGE, RULE
from onlygood.report.svg import HALF, NARROW, WIDE, both_forms, figure_as_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

BINS = 48
NARROW_BINS = 24
# Scores beyond the shares FAR and 1 - FAR by more than the span between them are counted in the bar at the edge.
FAR = 0.02
# Of axes that are stretched near 0; points nearer to each other than this, as a share of the axis, have one label.
_STRETCHED_TICKS = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 1)
_CLOSE = 0.05
_POINTS = 600


@dataclass(frozen=True)
class Scores:
    """Scores of one kind of image, for a histogram.

    Attributes:
        label: which images.
        values: at least one, or the kind is left out.
        is_anomalous: what the images are known to be; None for as the model calls them.
    """

    label: str
    values: NDArray[np.float64]
    is_anomalous: bool | None


@dataclass(frozen=True)
class MarkedPoint:
    """A point of a curve with a label.

    Attributes:
        x: in [0, 1].
        y: in [0, 1].
        label: what it is called, such as its false-alarm rate.
        is_own: whether it is the model's own threshold.
    """

    x: float
    y: float
    label: str
    is_own: bool


def histogram(identifier: str, groups: Sequence[Scores], *, title: str, description: str) -> str:
    """Histograms of scores, one above the other on one axis, cut at the threshold, 0. In a wide and a narrow form."""
    shown = [group for group in groups if len(group.values)]
    height = 220 if len(shown) == 1 else 60 + 120 * len(shown)
    return both_forms(identifier, title, description, lambda width: (_histograms(shown, width), height))


def small_histogram(identifier: str, groups: Sequence[Scores], *, title: str, description: str) -> str:
    """The same, half a page wide and in one form, for several beside one another."""
    shown = [group for group in groups if len(group.values)]
    return figure_as_svg(identifier, title, description, _histograms(shown, HALF), HALF, 60 + 90 * len(shown))


def roc(
    identifier: str, false_alarms: ArrayLike, finds: ArrayLike, *, at: tuple[float, float], description: str
) -> str:
    """Share of anomalous images found over share of good images refused, and the model's own threshold on it."""

    def draw(figure: Figure) -> None:
        axes = _unit_square(figure, "share of good images refused", "share of anomalous images found")
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.plot(*_thinned(false_alarms, finds), color=GOOD, linewidth=2.0)
        _mark_point(axes, *at)

    return figure_as_svg(identifier, "Receiver operating characteristic", description, draw, HALF, 400)


def precision_recall(
    identifier: str, recall: ArrayLike, precision: ArrayLike, *, at: tuple[float, float] | None, description: str
) -> str:
    """Share of refused images that are anomalous over share found; the model's own threshold unless it refuses none.

    Args:
        identifier: as of all charts.
        recall: descending.
        precision: at each; it holds until the next.
        at: recall and precision at the model's own threshold.
        description: the same in words.
    """

    def draw(figure: Figure) -> None:
        axes = _unit_square(figure, "share of anomalous images found", "share anomalous among those refused")
        axes.plot(*_thinned(recall, precision), color=GOOD, linewidth=2.0, drawstyle="steps-post")
        if at is not None:
            _mark_point(axes, *at)

    return figure_as_svg(identifier, "Precision and recall", description, draw, HALF, 400)


def misses_against_false_alarms(
    identifier: str,
    false_alarms: ArrayLike,
    misses: ArrayLike,
    *,
    points: Sequence[MarkedPoint],
    title: str,
    description: str,
) -> str:
    """Share of anomalous images missed over share of good images called anomalous, over all thresholds.

    Both axes are stretched near 0, where thresholds for use lie (square roots; a curve of detection error trade-off
    takes normal deviates, which have no place for 0).

    Args:
        identifier: as of all charts.
        false_alarms: ascending, from 0 to 1.
        misses: at each; the share holds until the next.
        points: to mark.
        title: of the chart.
        description: the same in words.
    """

    def drawn(width: int) -> Callable[[Figure], None]:
        def draw(figure: Figure) -> None:
            axes = _unit_square(figure, "share of good images called anomalous", "share of anomalous images missed")
            for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
                scale("function", functions=(_signed_root, _signed_square))
                # On a phone there is no room for two labels between 0.01 and 0.25.
                ticks = [tick for tick in _STRETCHED_TICKS if tick != 0.05 or width == WIDE]
                axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
            # Limits on both sides of 0 and 1, so that marks there are whole.
            axes.set_xlim(-(0.02**2), 1.02**2)
            axes.set_ylim(-(0.02**2), 1.02**2)
            blind = np.linspace(0, 1, 101) ** 2
            axes.plot(blind, 1 - blind, color=RULE, linewidth=1.0, linestyle=(0, (4, 3)))
            axes.plot(*_thinned(false_alarms, misses), color=GOOD, linewidth=2.0, drawstyle="steps-post")
            for group in _close_points(points):
                _mark_points(axes, group, is_narrow=width == NARROW)

        return draw

    return both_forms(identifier, title, description, lambda width: (drawn(width), 400 if width == WIDE else 340))


def share_above(
    identifier: str,
    scores: NDArray[np.float64],
    shares: NDArray[np.float64],
    *,
    rate: float,
    title: str,
    description: str,
    rate_name: str = "guaranteed rate",
) -> str:
    """Share of good images above each score, on a logarithmic axis; the rate and the threshold are marked.

    Args:
        identifier: as of all charts.
        scores: ascending, 0 is the threshold.
        shares: descending, in (0, 1].
        rate: the false-alarm rate that is guaranteed.
        title: of the chart.
        description: the same in words.
        rate_name: what the rate is called.
    """

    def drawn(width: int) -> Callable[[Figure], None]:
        def draw(figure: Figure) -> None:
            axes = figure.subplots()
            axes.set_yscale("log")
            axes.plot(*_thinned(scores, shares), color=GOOD, linewidth=2.0, drawstyle="steps-post")
            axes.axhline(rate, color=ANOMALOUS, linewidth=1.2, linestyle=(0, (1, 2)))
            axes.annotate(
                f"{rate_name} {format_rate(rate)}",
                (0, rate),
                xycoords=("axes fraction", "data"),
                xytext=(4, 4),
                textcoords="offset points",
                color=ANOMALOUS,
            )
            axes.set_xlim(*_limits(scores))
            axes.set_ylim(min(rate, float(shares[-1])) / 2, 1.15)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.minorticks_off()
            _light_grid(axes)
            _mark_threshold([axes], is_narrow=width == NARROW)
            axes.set_xlabel("score")
            axes.set_ylabel("share of good images above")

        return draw

    return both_forms(identifier, title, description, lambda width: (drawn(width), 280))


def curve(identifier: str, values: Sequence[float], *, title: str, description: str) -> str:
    """One figure of a training over its epochs."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        epochs = np.arange(1, len(values) + 1)
        axes.plot(epochs, values, color=GOOD, linewidth=2.0, marker="o" if len(values) == 1 else "")
        _count_in_integers(axes.xaxis, most=8)
        axes.set_xlabel("epoch")
        _light_grid(axes)

    return figure_as_svg(identifier, title, description, draw, HALF, 260)


# Pieces of charts


def _histograms(groups: Sequence[Scores], width: int) -> Callable[[Figure], None]:
    """What draws histograms of scores one above the other, in a chart of that width."""
    edges = _edges(*_limits(np.concatenate([group.values for group in groups])), BINS if width == WIDE else NARROW_BINS)

    def draw(figure: Figure) -> None:
        rows: list[Axes] = list(figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0])
        for axes, group in zip(rows, groups, strict=True):
            _draw_histogram(axes, group, edges)
        _mark_threshold(rows, is_narrow=width != WIDE)
        rows[-1].set_xlabel("score")
        for axes in rows[:-1]:
            axes.tick_params(axis="x", length=0)
            axes.spines["bottom"].set_color(RULE)

    return draw


def _draw_histogram(axes: Axes, group: Scores, edges: NDArray[np.float64]) -> None:
    values = np.clip(group.values, edges[0], edges[-1])
    highest = 0
    for is_anomalous in (False, True) if group.is_anomalous is None else (group.is_anomalous,):
        some = values if group.is_anomalous is not None else values[(group.values > 0) == is_anomalous]
        if not len(some):
            continue
        counts, _ = np.histogram(some, bins=edges)
        highest = max(highest, counts.max())
        colour, hatch = (ANOMALOUS, "////") if is_anomalous else (GOOD, None)
        axes.stairs(counts, edges, fill=True, facecolor=colour, hatch=hatch, edgecolor=PAGE, linewidth=0)
    axes.set_ylim(0, max(1.0, 1.3 * highest))
    _count_in_integers(axes.yaxis, most=3)
    axes.set_ylabel("images")
    colour = INK if group.is_anomalous is None else ANOMALOUS if group.is_anomalous else GOOD
    axes.text(1, 0.98, group.label, transform=axes.transAxes, ha="right", va="top", color=colour, weight="bold")


def _mark_threshold(rows: Sequence[Axes], *, is_narrow: bool) -> None:
    for axes in rows:
        axes.axvline(0, color=INK, linewidth=1.2, linestyle=(0, (5, 3)))
    for text, side, align in (("good", -1, "right"), ("anomalous", 1, "left")):
        arrow = f"← {text}" if side < 0 else f"{text} →"
        said = arrow if is_narrow else (f"← called {text}" if side < 0 else f"called {text} →")
        rows[0].annotate(
            said,
            (0, 1),
            xycoords=("data", "axes fraction"),
            xytext=(6 * side, 4),
            textcoords="offset points",
            ha=align,
            va="bottom",
        )


def _unit_square(figure: Figure, x: str, y: str) -> Axes:
    axes = figure.subplots()
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    _light_grid(axes)
    return axes


def _count_in_integers(axis: Axis, *, most: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, integer=True))


def _light_grid(axes: Axes) -> None:
    axes.grid(visible=True, color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)


def _mark_point(axes: Axes, x: float, y: float) -> None:
    axes.plot([x], [y], marker="D", markersize=9, color=ANOMALOUS, markeredgecolor=PAGE, linestyle="none")
    right, above = x < 0.5, y < 0.2
    axes.annotate(
        "the model's threshold",
        (x, y),
        xytext=(12 if right else -12, 10 if above else -14),
        textcoords="offset points",
        ha="left" if right else "right",
        va="bottom" if above else "top",
        color=ANOMALOUS,
        bbox={"facecolor": PAGE, "edgecolor": "none", "pad": 1.0},
    )


def _close_points(points: Sequence[MarkedPoint]) -> list[list[MarkedPoint]]:
    """The points in groups that share a label, since they lie close to the first of them on stretched axes."""
    groups: list[list[MarkedPoint]] = []
    for point in points:
        for group in groups:
            first = group[0]
            if max(abs(point.x**0.5 - first.x**0.5), abs(point.y**0.5 - first.y**0.5)) < _CLOSE:
                group.append(point)
                break
        else:
            groups.append([point])
    return groups


def _mark_points(axes: Axes, group: Sequence[MarkedPoint], *, is_narrow: bool) -> None:
    """Marks at all points of a group, the model's own on top, and one label for all of them."""
    for point in sorted(group, key=lambda point: point.is_own):
        marker, color = ("D", ANOMALOUS) if point.is_own else ("o", INK)
        axes.plot(
            [point.x], [point.y], marker=marker, markersize=9, color=color, markeredgecolor=PAGE, linestyle="none"
        )
    first, has_own = group[0], any(point.is_own for point in group)
    text = ", ".join(
        f"the model's threshold, {point.label}" if point.is_own and not is_narrow else point.label for point in group
    )
    # The curve falls to the right, so there is room above a point to its right, unless it lies at the border. The long
    # label is a line further away, where it does not run into the next one.
    right, above = first.x < 0.35, first.y < 0.85
    away = 22 if has_own and not is_narrow else 7
    axes.annotate(
        text,
        (first.x, first.y),
        xytext=(8 if right else -8, away if above else -away),
        textcoords="offset points",
        ha="left" if right else "right",
        va="bottom" if above else "top",
        color=ANOMALOUS if has_own else INK,
        bbox={"facecolor": PAGE, "edgecolor": "none", "pad": 1.0, "alpha": 0.8},
    )


def _signed_root(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    return np.sign(numbers) * np.sqrt(np.abs(numbers))


def _signed_square(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    return np.sign(numbers) * np.square(numbers)


def _thinned(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most about _POINTS points, the ends among them: more cannot be told apart in print."""
    horizontal, vertical = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(horizontal) > _POINTS:
        kept = np.unique(np.linspace(0, len(horizontal) - 1, _POINTS).round().astype(int))
        horizontal, vertical = horizontal[kept], vertical[kept]
    return horizontal, vertical


def _limits(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Ends of the axis: around all scores and 0, but a few far away do not squeeze the others."""
    low, high = np.quantile(scores, [FAR, 1 - FAR])
    span = max(high - low, 1e-6)
    left = min(max(float(scores.min()), low - span), 0.0)
    right = max(min(float(scores.max()), high + span), 0.0)
    room = 0.02 * max(right - left, 1e-6)
    return left - room, right + room


def _edges(low: float, high: float, bins: int) -> NDArray[np.float64]:
    """Edges of equal bins, of which one is 0, so that no bar holds images of both verdicts."""
    step = (high - low) / bins
    return step * np.arange(np.floor(low / step), np.ceil(high / step) + 1)


# From figures to markup
