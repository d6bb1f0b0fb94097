"""Charts of shares and of a training, as SVG that stands inside a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.report.labels import Label, place_labels
from onlygood.report.palette import ANOMALOUS, GOOD, INK, PAGE, RULE
from onlygood.report.svg import HALF, NARROW, WIDE, both_forms, figure_as_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Of axes that are stretched near 0; points nearer to each other than this, as a share of the axis, have one label.
_STRETCHED_TICKS = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 1)
_CLOSE = 0.05
_POINTS = 600


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


def roc(
    identifier: str, false_alarms: ArrayLike, finds: ArrayLike, *, at: tuple[float, float], description: str
) -> str:
    """Share of anomalous images found over share of good images refused, and the model's own threshold on it."""

    def draw(figure: Figure) -> None:
        axes = _unit_square(figure, "share of good images refused", "share of anomalous images found")
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1.0, linestyle=(0, (4, 3)))
        x, y = thinned(false_alarms, finds)
        axes.plot(x, y, color=GOOD, linewidth=2.0)
        _mark_point(axes, *at, line=np.stack([x, y], axis=1))

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
        x, y = thinned(recall, precision)
        axes.plot(x, y, color=GOOD, linewidth=2.0, drawstyle="steps-post")
        if at is not None:
            _mark_point(axes, *at, line=_steps(x, y))

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
                axis.set_ticks(ticks, [percent_tick(tick) for tick in ticks])
            axes.minorticks_off()
            # Limits on both sides of 0 and 1, so that marks there are whole.
            axes.set_xlim(-(0.02**2), 1.02**2)
            axes.set_ylim(-(0.02**2), 1.02**2)
            blind = np.linspace(0, 1, 101) ** 2
            axes.plot(blind, 1 - blind, color=RULE, linewidth=1.0, linestyle=(0, (4, 3)))
            x, y = thinned(false_alarms, misses)
            axes.plot(x, y, color=GOOD, linewidth=2.0, drawstyle="steps-post")
            _mark_points(axes, points, line=_steps(x, y), is_narrow=width == NARROW)

        return draw

    return both_forms(identifier, title, description, lambda width: (drawn(width), 400 if width == WIDE else 340))


def curve(identifier: str, values: Sequence[float], *, title: str, description: str) -> str:
    """One figure of a training over its epochs."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        epochs = np.arange(1, len(values) + 1)
        axes.plot(epochs, values, color=GOOD, linewidth=2.0, marker="o" if len(values) == 1 else "")
        count_in_integers(axes.xaxis, most=8)
        axes.set_xlabel("epoch")
        light_grid(axes)

    return figure_as_svg(identifier, title, description, draw, HALF, 260)


# Pieces of charts


def _unit_square(figure: Figure, x: str, y: str) -> Axes:
    axes = figure.subplots()
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(percent_tick)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    light_grid(axes)
    return axes


def count_in_integers(axis: Axis, *, most: int) -> None:
    """Ticks at whole numbers, about so many."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, integer=True))


def light_grid(axes: Axes) -> None:
    """Thin lines below everything else."""
    axes.grid(visible=True, color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)


def _mark_point(axes: Axes, x: float, y: float, *, line: NDArray[np.float64]) -> None:
    axes.plot([x], [y], marker="D", markersize=9, color=ANOMALOUS, markeredgecolor=PAGE, linestyle="none")
    place_labels(axes, [Label(x, y, "the model's threshold", ANOMALOUS)], marks=np.array([[x, y]]), line=line)


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


def _mark_points(axes: Axes, points: Sequence[MarkedPoint], *, line: NDArray[np.float64], is_narrow: bool) -> None:
    """Marks at all points, the model's own on top, and one label for those in one place."""
    for point in sorted(points, key=lambda point: point.is_own):
        marker, color = ("D", ANOMALOUS) if point.is_own else ("o", INK)
        axes.plot(
            [point.x], [point.y], marker=marker, markersize=9, color=color, markeredgecolor=PAGE, linestyle="none"
        )
    labels = []
    for group in _close_points(points):
        text = ", ".join(
            f"the model's threshold, {point.label}" if point.is_own and not is_narrow else point.label
            for point in group
        )
        has_own = any(point.is_own for point in group)
        labels.append((not has_own, Label(group[0].x, group[0].y, text, ANOMALOUS if has_own else INK)))
    labels.sort(key=lambda pair: pair[0])
    marks = np.array([[point.x, point.y] for point in points])
    place_labels(axes, [label for _, label in labels], marks=marks, line=line)


def _steps(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """The corners of a line whose values hold until the next, [n, 2]."""
    horizontal, vertical = (np.repeat(np.asarray(values, dtype=np.float64), 2) for values in (x, y))
    return np.stack([horizontal[1:], vertical[:-1]], axis=1)


def percent_tick(value: float, _: object = None) -> str:
    """A share on an axis, as percent."""
    return f"{100 * value:.6g}%"


def _signed_root(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    return np.sign(numbers) * np.sqrt(np.abs(numbers))


def _signed_square(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    return np.sign(numbers) * np.square(numbers)


def thinned(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most about _POINTS points, the ends among them: more cannot be told apart in print."""
    horizontal, vertical = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(horizontal) > _POINTS:
        kept = np.unique(np.linspace(0, len(horizontal) - 1, _POINTS).round().astype(int))
        horizontal, vertical = horizontal[kept], vertical[kept]
    return horizontal, vertical
