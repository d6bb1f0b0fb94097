"""The settings of `lof`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from onlygood.detectors.setting_groups import TemplateSettings

if TYPE_CHECKING:
    from onlygood.detectors.base import Detector, FitTask


class Lof(TemplateSettings):
    """The local outlier factor of an image's vector among templates of good images.

    Example:
        >>> import onlygood
        >>> onlygood.Lof(num_neighbors=10).metric
        'cosine'

    Source: Breunig et al., "LOF: Identifying Density-Based Local Outliers", SIGMOD 2000.
    """

    name: ClassVar[str] = "lof"
    summary: ClassVar[str] = "as knn, where some kinds of good image vary more than others"

    num_neighbors: int | None = Field(
        default=None, ge=1, description="templates looked at; 5, or as many as there are, unless given"
    )

    def make_detector(self, task: FitTask) -> Detector:  # noqa: D102
        from onlygood.detectors.lof.detector import LofDetector

        return LofDetector(self, task)
