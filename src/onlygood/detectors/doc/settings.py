"""The settings of `doc`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, SkipValidation

from onlygood.architectures import DOC
from onlygood.detectors.setting_groups import MOST_STEP, TailSettings, TemplateSettings
from onlygood.errors import SettingError
from onlygood.settings import REFERENCE_WHY, Calibration

if TYPE_CHECKING:
    from onlygood.detectors.base import Detector, FitTask


class Doc(TemplateSettings, TailSettings):
    """Deep features for one-class classification: a pretrained network fine-tuned on good and on reference images.

    Example:
        >>> import onlygood
        >>> onlygood.Doc(reference="other-things", head="lof").trained_layers
        4

    Source: Perera and Patel, "Learning Deep Features for One-Class Classification", IEEE Transactions on Image
    Processing, 2019.
    """

    name: ClassVar[str] = "doc"
    summary: ClassVar[str] = "images that differ as a whole, where there are images of other things to learn from"
    trains: ClassVar[bool] = True
    updates: ClassVar[bool] = False
    extra: ClassVar[str | None] = "train"
    calibrations: ClassVar[tuple[Calibration, ...]] = ("split",)

    # What is wrong with it is said when the images are listed.
    reference: SkipValidation[str | os.PathLike[str] | Mapping[str, Sequence[Any]] | None] = Field(
        default=None,
        exclude=True,
        repr=False,
        description="images of other things: a folder with one sub-folder a class (in Python also sequences of images "
        "by class)",
    )
    head: Literal["knn", "lof"] = Field(
        default="knn", description="what scores: nearest neighbours, or the local outlier factor"
    )
    compactness_weight: float | None = Field(
        default=None,
        ge=0,
        description="weight of how close good images are to one another, beside telling reference classes apart; 1 at "
        "unit length and 0.1 as they are (--metric euclidean) unless given",
    )
    weight_decay: float = Field(default=DOC.weight_decay, ge=0, le=MOST_STEP, description="of training")

    def check(self) -> None:  # noqa: D102
        if self.reference is None:
            raise SettingError(
                f"reference must be given for method doc, got none: {REFERENCE_WHY}, so that drawing good images "
                "together does not make all images alike; knn and lof need none"
            )

    def make_detector(self, task: FitTask) -> Detector:  # noqa: D102
        from onlygood.detectors.doc.detector import DocDetector

        return DocDetector(self, task)
