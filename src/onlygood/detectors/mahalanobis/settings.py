"""The settings of `mahalanobis`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from onlygood.detectors.setting_groups import PooledSettings

if TYPE_CHECKING:
    from onlygood.detectors.base import Detector, FitTask


class Mahalanobis(PooledSettings):
    """The Mahalanobis distance of an image's vector to the mean of good images.

    Example:
        >>> import onlygood
        >>> onlygood.Mahalanobis(metric="euclidean").backbone
        'lite0'

    Source: Rippel et al., "Modeling the Distribution of Normal Data in Pre-Trained Deep Features for Anomaly
    Detection", ICPR 2020.
    """

    name: ClassVar[str] = "mahalanobis"
    summary: ClassVar[str] = "images that differ as a whole, where all good ones are of one kind; the smallest file"

    def make_detector(self, task: FitTask) -> Detector:  # noqa: D102
        from onlygood.detectors.mahalanobis.detector import MahalanobisDetector

        return MahalanobisDetector(self, task)
