"""`mahalanobis`: vectors are compared with the mean of good images, in coordinates in which these vary equally."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onlygood.detectors.pooled_detector import MAPS, PooledDetector
from onlygood.detectors.pooled_heads import PooledHead, PooledHeads
from onlygood.detectors.whitening import WHOLE_SHRINKAGE, learn_whitening, precision_of
from onlygood.graph.pooled import squared_mahalanobis


class MahalanobisDetector(PooledDetector):
    """The detector of `onlygood.Mahalanobis`."""

    def heads(self, pooled: NDArray[np.float32]) -> PooledHeads:  # noqa: D102
        return MahalanobisHeads(pooled, self.settings.metric, maps=MAPS, opset=self.opset)


class MahalanobisHeads(PooledHeads):
    """Heads that remember a mean and a precision matrix, and no templates."""

    def templates(self, learned: NDArray[np.bool_]) -> int:  # noqa: D102
        return 0

    def neighbors(self, fewest: int, *, when: str = "") -> int:  # noqa: D102
        return 0

    def make(self, learned: NDArray[np.bool_], neighbors: int) -> PooledHead:  # noqa: D102
        mean, basis = learn_whitening(self.vectors[learned], shrinkage=WHOLE_SHRINKAGE)
        scoring = squared_mahalanobis(self.source, mean, precision_of(basis), opset=self.opset)
        return self.assemble([scoring], has_basis=False, templates=0)
