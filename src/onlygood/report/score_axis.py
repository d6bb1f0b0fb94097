"""The axis of scores: even where most of them lie, and logarithmic beyond, so that an outlier stands where it lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The even part holds all scores up to so many interquartile ranges beyond the quartiles.
_FENCE = 4.0
# It holds all others, too, unless they would make it longer by more than this factor.
_WORTH_IT = 2.0
# Each logarithmic part is this long, as a share of the even one.
_SHARE = 0.3
_ROOM = 0.02
# A logarithmic part ends beyond its outermost score by this factor, so that the bar there is whole.
_BEYOND = 1.15
_NICE = (1.0, 2.0, 5.0)


@dataclass(frozen=True)
class ScoreAxis:
    """Where scores stand on a chart.

    Attributes:
        low: where the axis begins.
        high: where it ends.
        core_low: where its even part begins.
        core_high: where that ends.
    """

    low: float
    high: float
    core_low: float
    core_high: float

    @classmethod
    def around(cls, scores: NDArray[np.float64]) -> ScoreAxis:
        """The axis that holds all of these scores and 0, and on which a few far away do not squeeze the others."""
        least, most = min(float(scores.min()), 0.0), max(float(scores.max()), 0.0)
        # Of a few scores the quartiles nearer to the middle: one of four does not stretch the spread.
        quartiles = np.quantile(scores, 0.25, method="higher"), np.quantile(scores, 0.75, method="lower")
        first, third = float(min(quartiles)), float(max(quartiles))
        spread = max(third - first, 0.02 * (most - least), 1e-9)
        ordinary = scores[(scores >= first - _FENCE * spread) & (scores <= third + _FENCE * spread)]
        core_low, core_high = min(float(ordinary.min()), 0.0), max(float(ordinary.max()), 0.0)
        length = core_high - core_low
        if most - core_high <= (_WORTH_IT - 1) * length:
            core_high = most
        if core_low - least <= (_WORTH_IT - 1) * length:
            core_low = least
        room = _ROOM * max(core_high - core_low, 1e-6)
        core_low, core_high = core_low - room, core_high + room
        return cls(
            low=core_low if core_low <= least else core_low - _BEYOND * (core_low - least),
            high=core_high if core_high >= most else core_high + _BEYOND * (most - core_high),
            core_low=core_low,
            core_high=core_high,
        )

    @property
    def is_even(self) -> bool:
        """Whether no part is logarithmic."""
        return (self.low, self.high) == (self.core_low, self.core_high)

    @property
    def stretched(self) -> list[tuple[float, float]]:
        """The logarithmic parts."""
        parts = ((self.low, self.core_low), (self.core_high, self.high))
        return [part for part in parts if part[0] < part[1]]

    def forward(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Places on the chart: the scores themselves in the even part."""
        values = np.asarray(scores, dtype=np.float64)
        length = self.core_high - self.core_low
        placed = np.clip(values, self.core_low, self.core_high)
        for beyond, end, sign in self._beyond(values):
            if end > 0:
                growth = np.log1p(np.maximum(beyond, 0.0) / length) / np.log1p(end / length)
                placed = placed + sign * _SHARE * length * growth
            else:
                placed = placed + sign * np.maximum(beyond, 0.0)
        return placed

    def inverse(self, places: ArrayLike) -> NDArray[np.float64]:
        """The scores at these places."""
        values = np.asarray(places, dtype=np.float64)
        length = self.core_high - self.core_low
        scores = np.clip(values, self.core_low, self.core_high)
        for beyond, end, sign in self._beyond(values):
            if end > 0:
                growth = np.maximum(beyond, 0.0) / (_SHARE * length)
                scores = scores + sign * length * np.expm1(growth * np.log1p(end / length))
            else:
                scores = scores + sign * np.maximum(beyond, 0.0)
        return scores

    def _beyond(self, values: NDArray[np.float64]) -> list[tuple[NDArray[np.float64], float, float]]:
        """Above and below the even part: how far values are beyond it, how far the axis goes, in which direction."""
        return [
            (values - self.core_high, self.high - self.core_high, 1.0),
            (self.core_low - values, self.core_low - self.low, -1.0),
        ]

    def edges(self, bins: int) -> NDArray[np.float64]:
        """Edges of bins that are equally wide on the chart, of which one is 0: no bar holds images of both verdicts."""
        low, high = self.forward([self.low, self.high])
        step = (high - low) / bins
        places = step * np.arange(np.floor(low / step), np.ceil(high / step) + 1)
        return self.inverse(places)

    def ticks(self, most: int) -> list[float]:
        """Round scores to name on the axis, about so many; those of the logarithmic parts are 1, 2 or 5 times 10^n."""
        from matplotlib.ticker import MaxNLocator

        low, high = self.forward([self.low, self.high])
        apart = (high - low) / most
        even = MaxNLocator(nbins=max(2, most - 2 * len(self.stretched)), steps=[1, 2, 2.5, 5, 10])
        chosen = [
            float(tick)
            for tick in even.tick_values(self.core_low, self.core_high)
            if self.core_low <= tick <= self.core_high
        ]
        for start, end in self.stretched:
            outermost = max(abs(start), abs(end))
            powers = range(int(np.floor(np.log10(outermost))) - 3, int(np.floor(np.log10(outermost))) + 1)
            sign = 1.0 if end > 0 else -1.0
            # The outermost score first: it says how far away the outlier lies.
            candidates = [sign * nice * 10.0**power for power in powers for nice in _NICE]
            for tick in [self._outermost(sign), *sorted(candidates, key=lambda tick: -abs(tick))]:
                place = self.forward(tick)
                if start < tick < end and all(abs(place - self.forward(other)) >= apart for other in chosen):
                    chosen.append(tick)
        return sorted(chosen)

    def _outermost(self, sign: float) -> float:
        """The score furthest from 0 on one side of the even part, with three digits."""
        end, core = (self.high, self.core_high) if sign > 0 else (self.low, self.core_low)
        return float(f"{core + (end - core) / _BEYOND:.3g}")
