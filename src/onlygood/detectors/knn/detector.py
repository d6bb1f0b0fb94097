"""`knn`: vectors are compared with templates by their nearest neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onlygood.detectors.base import FitTask
from onlygood.detectors.knn.settings import Knn
from onlygood.detectors.pooled_detector import MAPS, PooledDetector
from onlygood.detectors.pooled_heads import PooledHeads, TemplateHeads
from onlygood.detectors.template_scores import NEAREST_NEIGHBORS


class KnnDetector(PooledDetector):
    """The detector of `onlygood.Knn`."""

    def __init__(self, settings: Knn, task: FitTask) -> None:
        super().__init__(settings, task)
        self.templates = settings

    def heads(self, pooled: NDArray[np.float32]) -> PooledHeads:  # noqa: D102
        seed = self.task.settings.seed
        return TemplateHeads(NEAREST_NEIGHBORS, self.templates, pooled, seed=seed, maps=MAPS, opset=self.opset)
