"""The settings of `patch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from onlygood.detectors.setting_groups import BackboneSettings

if TYPE_CHECKING:
    from onlygood.detectors.base import Detector, FitTask


class Patch(BackboneSettings):
    """Memories of the patches of good images, at several levels of a pretrained network; the distance to them.

    Example:
        >>> import onlygood
        >>> onlygood.Patch(bank_size=1000).top_fraction
        0.01

    Source: Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022; the departures are in the
    method's page of the documentation.
    """

    name: ClassVar[str] = "patch"
    summary: ClassVar[str] = "small defects anywhere on a part, with a map of where; the default"
    updates: ClassVar[bool] = True

    bank_size: int = Field(
        default=500, ge=1, description="most rows of the memory bank at each level (regions have four times as many)"
    )
    top_fraction: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="share of an image's patches, the highest, whose mean is its score at each level",
    )

    def make_detector(self, task: FitTask) -> Detector:  # noqa: D102
        from onlygood.detectors.patch.detector import PatchDetector

        return PatchDetector(self, task)
