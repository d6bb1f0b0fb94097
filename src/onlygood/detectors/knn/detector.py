"""`knn`: vectors are compared with templates by their nearest neighbours."""

from __future__ import annotations

from onlygood.detectors.pooled_detector import TemplateDetector
from onlygood.detectors.template_scores import NEAREST_NEIGHBORS


class KnnDetector(TemplateDetector):
    """The detector of `onlygood.Knn`."""

    score = NEAREST_NEIGHBORS
