"""`lof`: vectors are compared with templates by the local outlier factor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onlygood.detectors.base import FitTask
from onlygood.detectors.lof.settings import Lof
from onlygood.detectors.pooled_detector import MAPS, PooledDetector
from onlygood.detectors.pooled_heads import PooledHeads, TemplateHeads
from onlygood.detectors.template_scores import OUTLIER_FACTOR


class LofDetector(PooledDetector):
    """The detector of `onlygood.Lof`."""

    def __init__(self, settings: Lof, task: FitTask) -> None:
        super().__init__(settings, task)
        self.templates = settings

    def heads(self, pooled: NDArray[np.float32]) -> PooledHeads:  # noqa: D102
        seed = self.task.settings.seed
        return TemplateHeads(OUTLIER_FACTOR, self.templates, pooled, seed=seed, maps=MAPS, opset=self.opset)
