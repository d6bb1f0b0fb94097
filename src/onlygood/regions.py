"""Where an anomaly map is above its high level: connected regions, for machines that act on a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood._union_find import find_root, unite

# The regions with the highest peaks that are kept of one map.
MOST_REGIONS = 100


@dataclass(frozen=True, kw_only=True)
class Region:
    """One connected region of an anomaly map above its high level; pixels touch at edges and corners.

    Attributes:
        box: left, top, right and bottom in pixels of the image, right and bottom exclusive.
        area: how many pixels it has.
        peak: the highest value of the map in it.
        peak_at: x and y of the (first) pixel with that value.
        center: x and y, the mean of its pixels' places weighted by how far the map is above the level.
    """

    box: tuple[int, int, int, int]
    area: int
    peak: float
    peak_at: tuple[int, int]
    center: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """The region as plain JSON values."""
        return {
            "box": list(self.box),
            "area": self.area,
            "peak": self.peak,
            "peak_at": list(self.peak_at),
            "center": list(self.center),
        }


def find_regions(anomaly_map: NDArray[np.float32], level: float) -> tuple[Region, ...]:
    """The regions above a level, those with the highest peaks first, at most MOST_REGIONS.

    Args:
        anomaly_map: float32 [H, W].
        level: as the high one of `Inspector.map_levels`.
    """
    rows, columns = np.nonzero(anomaly_map > level)
    if len(rows) == 0:
        return ()
    labels = _connected(rows, columns)
    values = anomaly_map[rows, columns]
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    found = []
    for begin, end in zip(starts, [*starts[1:], len(order)], strict=True):
        of_one = order[begin:end]
        y, x, value = rows[of_one], columns[of_one], values[of_one]
        excess = value.astype(np.float64) - level
        top = int(np.argmax(value))
        found.append(
            Region(
                box=(int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1),
                area=len(of_one),
                peak=float(str(value[top])),
                peak_at=(int(x[top]), int(y[top])),
                center=(_weighted(x, excess), _weighted(y, excess)),
            )
        )
    found.sort(key=lambda region: (-region.peak, region.box))
    return tuple(found[:MOST_REGIONS])


def _connected(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """A label of its region for each pixel; pixels are in the order of rows, then columns.

    Pixels become runs along rows, and runs of neighbouring rows that touch become one region.
    """
    begins = np.flatnonzero((np.diff(rows, prepend=-1) != 0) | (np.diff(columns, prepend=-2) != 1))
    ends = np.append(begins[1:], len(rows)) - 1
    run_rows, first, last = rows[begins], columns[begins], columns[ends]
    parents = np.arange(len(begins))
    above = 0
    for run in range(len(begins)):
        while run_rows[above] < run_rows[run] - 1 or (run_rows[above] < run_rows[run] and last[above] < first[run] - 1):
            above += 1
        other = above
        while run_rows[other] == run_rows[run] - 1 and first[other] <= last[run] + 1:
            unite(parents, other, run)
            other += 1
    roots = np.array([find_root(parents, run) for run in range(len(begins))], dtype=np.int64)
    return np.repeat(roots, ends - begins + 1)


def _weighted(places: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """The weighted mean, to a tenth of a pixel."""
    return round(float(np.average(places, weights=weights)), 1)
