"""How unusual an image is for a product, in a unit that products can be compared by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onlygood.graph.verdict import CalibrationScores

# The spread of a product's good images reaches from the median of their scores to this quantile. Chosen on good images,
# as they are and with planted defects (`benchmarks/notes/products.md`).
HIGH_QUANTILE = 0.95
# Scores that are all but equal have no spread to divide by: then it is this share of their size.
LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class OwnScores:
    """Where a product's own good images lie.

    Attributes:
        median: of its calibration scores.
        spread: how far their 0.95 quantile lies above it, above 0.
        threshold: of the raw score, which `score` is relative to.
    """

    median: float
    spread: float
    threshold: float

    @classmethod
    def of(cls, scores: CalibrationScores, *, threshold: float) -> OwnScores:
        """Those of a model file.

        Args:
            scores: its calibration scores, of groups that count as one each.
            threshold: of the model as it is used, which may be another than the one in its file.
        """
        raw = scores.scores.astype(np.float64)
        median, high = _quantile(raw, scores.weights, 0.5), _quantile(raw, scores.weights, HIGH_QUANTILE)
        least = LEAST_SPREAD * max(abs(median), float(np.finfo(np.float32).tiny))
        return cls(median, max(high - median, least), threshold)

    def deviation(self, score: float) -> float:
        """How far an image lies above the product's typical good image, in units of their spread.

        Args:
            score: of the image, relative to the threshold.
        """
        return (score + self.threshold - self.median) / self.spread


def _quantile(ascending: NDArray[np.float64], weights: NDArray[np.float64], share: float) -> float:
    """The value at which this share of all weight is reached."""
    reached = np.cumsum(weights)
    return float(ascending[np.searchsorted(reached, share * reached[-1] * (1.0 - 1e-12))])
