"""How near products are to an image: their scores of it, in a unit that scores of different models can be compared by.

The nearest product is the one with the lowest score, which is relative to its own threshold. So an image is called
anomalous by its nearest product only if every product calls it anomalous: a good image is so no more often than by its
own product's model alone, and an anomalous one is missed wherever any product takes it.

Scores of models with the same method and backbone have one unit, and are compared as they are: that finds the right
product more often than a unit for each product does (`benchmarks/notes/products.md`). Models of other methods, or with
networks that were trained for one product, are compared in units of the spread of their calibration scores.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from onlygood.graph.verdict import CalibrationScores
from onlygood.metadata import Metadata

# The spread of calibration scores reaches from their median to this quantile.
HIGH_QUANTILE = 0.95
# Scores that are all but equal have no spread to divide by: then it is this share of their size.
LEAST_SPREAD = 1e-3


def units(models: Sequence[tuple[Metadata, CalibrationScores]]) -> list[float]:
    """By what the score of each model is divided to be compared with the others, above 0.

    Args:
        models: the description and the calibration scores of each.

    Returns:
        The median spread of the calibration scores of all models whose scores have the same unit.
    """
    spreads: dict[Hashable, list[float]] = defaultdict(list)
    kinds = [_kind(metadata, position) for position, (metadata, _) in enumerate(models)]
    for kind, (_, scores) in zip(kinds, models, strict=True):
        spreads[kind].append(spread(scores))
    return [float(np.median(spreads[kind])) for kind in kinds]


def spread(scores: CalibrationScores) -> float:
    """How far the 0.95 quantile of calibration scores lies above their median, above 0; each group counts as one."""
    median, high = (_quantile(scores, share) for share in (0.5, HIGH_QUANTILE))
    return max(high - median, LEAST_SPREAD * abs(median), float(np.finfo(np.float32).tiny))


def _kind(metadata: Metadata, position: int) -> Hashable:
    """The same for models whose scores have the same unit."""
    if metadata.training is not None or metadata.fine_tuned is not None:
        return position
    return metadata.method, None if metadata.backbone is None else metadata.backbone.sha256


def _quantile(scores: CalibrationScores, share: float) -> float:
    """The lowest score at which this share of all weight is reached."""
    reached = np.cumsum(scores.weights)
    # Sums of weights are rounded: what is a share but for that has been reached.
    return float(scores.scores[np.searchsorted(reached, share * reached[-1] * (1.0 - 1e-12))])
