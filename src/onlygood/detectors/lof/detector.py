"""`lof`: vectors are compared with templates by the local outlier factor."""

from __future__ import annotations

from onlygood.detectors.pooled_detector import TemplateDetector
from onlygood.detectors.template_scores import OUTLIER_FACTOR


class LofDetector(TemplateDetector):
    """The detector of `onlygood.Lof`."""

    score = OUTLIER_FACTOR
