"""The settings of `knn`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from onlygood.detectors.setting_groups import TemplateSettings

if TYPE_CHECKING:
    from onlygood.detectors.base import Detector, FitTask


class Knn(TemplateSettings):
    """The distance of an image's vector to the nearest templates of good images.

    Example:
        >>> import onlygood
        >>> onlygood.Knn(num_neighbors=3, metric="euclidean").bank_size
        1000
    """

    name: ClassVar[str] = "knn"
    summary: ClassVar[str] = "images that differ as a whole: another part, orientation, colour; fits in seconds"

    num_neighbors: int | None = Field(default=None, ge=1, description="templates looked at; 1 unless given")

    def make_detector(self, task: FitTask) -> Detector:  # noqa: D102
        from onlygood.detectors.knn.detector import KnnDetector

        return KnnDetector(self, task)
