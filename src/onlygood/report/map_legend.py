"""The scale of the maps, as a legend shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onlygood.heatmap import CONTOURS, OCTAVES, scale_colours

_STOPS = 25


@dataclass(frozen=True)
class MapLegend:
    """A bar with the colours of the maps, lines and ticks on it; places are percent of its length.

    Attributes:
        gradient: the colour stops of a CSS gradient.
        lines: where the maps have lines, the first one at the high level.
        ticks: places and their names.
    """

    gradient: str
    lines: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...]


def map_legend() -> MapLegend:
    """The legend of all maps: every model's scale has the same form."""
    length = OCTAVES + 1
    positions = np.linspace(0, length, _STOPS)
    stops = (
        f"rgb({red} {green} {blue}) {100 * position / length:.1f}%"
        for (red, green, blue), position in zip(scale_colours(positions).tolist(), positions, strict=True)
    )
    names = ["typical", "high", *(f"{2**octave}\N{MULTIPLICATION SIGN}" for octave in range(1, OCTAVES + 1))]
    return MapLegend(
        gradient=", ".join(stops),
        lines=tuple(round(100 * (1 + float(np.log2(level))) / length, 2) for level in CONTOURS),
        ticks=tuple((round(100 * place / length, 2), name) for place, name in enumerate(names)),
    )
