"""Labels beside points of a chart, placed so that they cover no other label, no mark and, if it can be, no line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onlygood.report.palette import MUTED, PAGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# left, bottom, right, top, in pixels
Box: TypeAlias = tuple[float, float, float, float]

SIZE = 12
MARK = 6.0
_AWAY = (9.0, 16.0, 26.0, 40.0, 60.0, 85.0, 115.0, 150.0)
# Right and above first, where curves that fall leave room.
_DIRECTIONS = ((1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0))
# A label further from its point than this has a line to it.
_LEADER = 24.0
# What it costs to lie on a line, and on a label or a mark, in pixels further away.
_ON_A_LINE, _COVERS = 40.0, 1000.0


@dataclass(frozen=True)
class Label:
    """What a point is called.

    Attributes:
        x: of the point, as data.
        y: of the point, as data.
        text: of the label.
        colour: of the text.
    """

    x: float
    y: float
    text: str
    colour: str


def place_labels(
    axes: Axes, labels: Sequence[Label], *, marks: NDArray[np.float64], line: NDArray[np.float64] | None
) -> None:
    """Draw the labels. The layout of the figure is settled by this, so nothing else may be added that changes it.

    Args:
        axes: where.
        labels: those that matter most first.
        marks: points that no label may cover, as data, [n, 2].
        line: corners of a line that labels keep away from, as data, [n, 2].
    """
    figure = axes.get_figure()
    assert figure is not None  # axes of a figure
    figure.draw_without_rendering()  # type: ignore[union-attr]
    left, bottom, right, top = axes.bbox.extents
    taken = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in axes.transData.transform(marks)]
    on_line = np.empty((0, 2)) if line is None else _points_along(axes.transData.transform(line))
    for label in labels:
        at = axes.transData.transform((label.x, label.y))
        width, height = text_size(label.text)
        best: tuple[float, Box] | None = None
        for box, away in _candidates(float(at[0]), float(at[1]), width, height):
            right_by = max(0.0, left - box[0]) - max(0.0, box[2] - right)
            up_by = max(0.0, bottom - box[1]) - max(0.0, box[3] - top)
            box = (box[0] + right_by, box[1] + up_by, box[2] + right_by, box[3] + up_by)
            covered = sum(_overlap(box, other) for other in taken)
            inside = (on_line >= (box[0] - 2, box[1] - 2)).all(axis=1) & (on_line <= (box[2] + 2, box[3] + 2)).all(
                axis=1
            )
            cost = away + _COVERS * covered + (_ON_A_LINE + float(inside.sum()) if inside.any() else 0.0)
            if best is None or cost < best[0]:
                best = cost, box
        assert best is not None  # there are candidates
        box = best[1]
        taken.append(box)
        near = (min(max(at[0], box[0]), box[2]), min(max(at[1], box[1]), box[3]))
        is_far = math.dist(near, at) > _LEADER
        axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(box[0] - at[0], box[1] - at[1] + 2),
            textcoords="offset pixels",
            ha="left",
            va="bottom",
            color=label.colour,
            bbox={"facecolor": PAGE, "edgecolor": "none", "pad": 1.0, "alpha": 0.8},
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.8, "shrinkB": 5} if is_far else None,
        ).set_in_layout(False)


def text_size(text: str) -> tuple[float, float]:
    """Width and height in pixels, in the font of matplotlib, which is as wide as any that pages are read in."""
    from matplotlib.textpath import TextPath

    return float(TextPath((0, 0), text, size=SIZE).get_extents().width) + 4.0, SIZE * 1.3


def _candidates(x: float, y: float, width: float, height: float) -> Iterator[tuple[Box, float]]:
    """Places for a label beside a point, and how far from it they are."""
    for away in _AWAY:
        for order, (right, up) in enumerate(_DIRECTIONS):
            sideways = away if right and not up else away * 0.8 if right else 0.0
            left = x + sideways if right > 0 else x - sideways - width if right < 0 else x - width / 2
            bottom = y + away * 0.8 if up > 0 else y - away * 0.8 - height if up < 0 else y - height / 2
            yield (left, bottom, left + width, bottom + height), away + order / 10


def _points_along(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on a line, three pixels apart."""
    pieces = []
    for start, end in pairwise(corners):
        steps = max(2, int(np.hypot(*(end - start)) / 3) + 1)
        pieces.append(start + np.linspace(0, 1, steps)[:, None] * (end - start))
    return np.concatenate(pieces) if pieces else corners


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
