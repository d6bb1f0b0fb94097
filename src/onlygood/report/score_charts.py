"""Charts over the axis of scores: histograms, and the share of good images above each score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onlygood.report.charts import count_in_integers, light_grid, percent_tick, thinned
from onlygood.report.palette import ANOMALOUS, GOOD, INK, PAGE, PANEL, RULE
from onlygood.report.score_axis import ScoreAxis
from onlygood.report.svg import HALF, NARROW, WIDE, both_forms, figure_as_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 48
NARROW_BINS = 24
# Ticks of the axis of scores, in a wide and in a narrow chart.
TICKS = 10
NARROW_TICKS = 6
# Above the axes: words beside the threshold, and a line higher what is shown.
_FIRST_LINE, _SECOND_LINE = 4, 20


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


def histogram(identifier: str, groups: Sequence[Scores], *, title: str, description: str) -> str:
    """Histograms of scores, one above the other on one axis, cut at the threshold, 0. In a wide and a narrow form."""
    shown = [group for group in groups if len(group.values)]
    height = 230 if len(shown) == 1 else 60 + 130 * len(shown)
    return both_forms(identifier, title, description, lambda width: (_histograms(shown, width), height))


def small_histogram(identifier: str, groups: Sequence[Scores], *, title: str, description: str) -> str:
    """The same, half a page wide and in one form, for several beside one another."""
    shown = [group for group in groups if len(group.values)]
    return figure_as_svg(identifier, title, description, _histograms(shown, HALF), HALF, 70 + 100 * len(shown))


def share_above(
    identifier: str,
    scores: NDArray[np.float64],
    shares: NDArray[np.float64],
    *,
    rate: float,
    title: str,
    description: str,
    rate_name: str,
) -> str:
    """Share of good images above each score, on a logarithmic axis; the rate and the threshold are marked.

    Args:
        identifier: as of all charts.
        scores: ascending, 0 is the threshold.
        shares: descending, in (0, 1].
        rate: the false-alarm rate that is guaranteed.
        title: of the chart.
        description: the same in words.
        rate_name: what the rate is called, and how large it is.
    """
    axis = ScoreAxis.around(scores)

    def drawn(width: int) -> Callable[[Figure], None]:
        def draw(figure: Figure) -> None:
            axes = figure.subplots()
            axes.set_yscale("log")
            _scale(axes, axis, is_narrow=width == NARROW)
            axes.plot(*thinned(scores, shares), color=GOOD, linewidth=2.0, drawstyle="steps-post")
            axes.axhline(rate, color=ANOMALOUS, linewidth=1.2, linestyle=(0, (1, 2)))
            _write_above(axes, f"dotted: {rate_name}", ANOMALOUS, line=_SECOND_LINE)
            axes.set_ylim(min(rate, float(shares[-1])) / 2, 1.15)
            axes.yaxis.set_major_formatter(percent_tick)
            axes.minorticks_off()
            light_grid(axes)
            _mark_threshold([axes], is_narrow=width == NARROW)
            axes.set_xlabel(_axis_name(axis))
            axes.set_ylabel("share of good images above")

        return draw

    return both_forms(identifier, title, description, lambda width: (drawn(width), 300))


def _histograms(groups: Sequence[Scores], width: int) -> Callable[[Figure], None]:
    """What draws histograms of scores one above the other, in a chart of that width."""
    axis = ScoreAxis.around(np.concatenate([group.values for group in groups]))
    edges = axis.edges(BINS if width == WIDE else NARROW_BINS)

    def draw(figure: Figure) -> None:
        rows: list[Axes] = list(figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0])
        for number, (axes, group) in enumerate(zip(rows, groups, strict=True)):
            _scale(axes, axis, is_narrow=width != WIDE)
            axes.set_xlim(edges[0], edges[-1])
            _draw_histogram(axes, group, edges, line=_FIRST_LINE if number else _SECOND_LINE)
        _mark_threshold(rows, is_narrow=width != WIDE)
        rows[-1].set_xlabel(_axis_name(axis))
        for axes in rows[:-1]:
            axes.tick_params(axis="x", length=0)
            axes.spines["bottom"].set_color(RULE)

    return draw


def _draw_histogram(axes: Axes, group: Scores, edges: NDArray[np.float64], *, line: float) -> None:
    highest = 0
    for is_anomalous in (False, True) if group.is_anomalous is None else (group.is_anomalous,):
        values = group.values
        if group.is_anomalous is None:
            values = values[(values > 0) == is_anomalous]
        if not len(values):
            continue
        counts, _ = np.histogram(values, bins=edges)
        highest = max(highest, counts.max())
        colour, hatch = (ANOMALOUS, "////") if is_anomalous else (GOOD, None)
        axes.stairs(counts, edges, fill=True, facecolor=colour, hatch=hatch, edgecolor=PAGE, linewidth=0)
    axes.set_ylim(0, max(1.0, 1.1 * highest))
    count_in_integers(axes.yaxis, most=3)
    axes.set_ylabel("images")
    colour = INK if group.is_anomalous is None else ANOMALOUS if group.is_anomalous else GOOD
    _write_above(axes, group.label, colour, line=line, weight="bold")


def _scale(axes: Axes, axis: ScoreAxis, *, is_narrow: bool) -> None:
    """Give axes that axis of scores, with its ticks and a ground where it is logarithmic."""
    axes.set_xscale("function", functions=(axis.forward, axis.inverse))
    axes.set_xlim(axis.low, axis.high)
    ticks = axis.ticks(NARROW_TICKS if is_narrow else TICKS)
    axes.set_xticks(ticks, [f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    axes.minorticks_off()
    for start, end in axis.stretched:
        axes.axvspan(start, end, facecolor=PANEL, linewidth=0, zorder=0)


def _axis_name(axis: ScoreAxis) -> str:
    return "score" if axis.is_even else "score (on shaded ground: logarithmic)"


def _write_above(axes: Axes, text: str, colour: str, *, line: float, weight: str = "normal") -> None:
    axes.annotate(
        text,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, line),
        textcoords="offset points",
        ha="left",
        va="bottom",
        color=colour,
        weight=weight,
    )


def _mark_threshold(rows: Sequence[Axes], *, is_narrow: bool) -> None:
    """A line through all rows, and above the first one what lies on both of its sides."""
    for axes in rows:
        axes.axvline(0, color=INK, linewidth=1.2, linestyle=(0, (5, 3)))
    called = "" if is_narrow else "called "
    for text, side in ((f"\N{LEFTWARDS ARROW} {called}good", -1), (f"{called}anomalous \N{RIGHTWARDS ARROW}", 1)):
        rows[0].annotate(
            text,
            (0, 1),
            xycoords=("data", "axes fraction"),
            xytext=(6 * side, _FIRST_LINE),
            textcoords="offset points",
            ha="right" if side < 0 else "left",
            va="bottom",
        )
