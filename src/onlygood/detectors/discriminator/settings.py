"""The settings of `discriminator`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from onlygood.architectures import DISCRIMINATOR
from onlygood.detectors.setting_groups import MOST_STEP, BackboneSettings, TrainingSettings
from onlygood.settings import Calibration

if TYPE_CHECKING:
    from onlygood.detectors.base import Detector, FitTask


class Discriminator(BackboneSettings, TrainingSettings):
    """A small network that tells patches of good images from the same with noise added to their features.

    Example:
        >>> import onlygood
        >>> onlygood.Discriminator(noise_std=0.5).top_fraction
        0.01

    Source: Liu et al., "SimpleNet: A Simple Network for Image Anomaly Detection and Localization", CVPR 2023.
    """

    name: ClassVar[str] = "discriminator"
    summary: ClassVar[str] = "small defects on textures that vary; trains a small network in seconds"
    trains: ClassVar[bool] = True
    extra: ClassVar[str | None] = "train"
    calibrations: ClassVar[tuple[Calibration, ...]] = ("split", "cross-fit")

    top_fraction: float = Field(
        default=0.01, gt=0, lt=1, description="share of an image's patches, the highest, whose mean is its score"
    )
    noise_std: float = Field(
        default=1.0,
        gt=0,
        description="standard deviation of the noise that makes anomalies of good patches, beside that of good patches "
        "themselves; each patch has a third of it to three times as much",
    )
    weight_decay: float = Field(default=DISCRIMINATOR.weight_decay, ge=0, le=MOST_STEP, description="of training")

    def make_detector(self, task: FitTask) -> Detector:  # noqa: D102
        from onlygood.detectors.discriminator.detector import DiscriminatorDetector

        return DiscriminatorDetector(self, task)
