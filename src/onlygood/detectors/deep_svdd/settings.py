"""The settings of `deep-svdd`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from onlygood.architectures import ARCHITECTURES, PRETRAINED
from onlygood.detectors.setting_groups import MOST_STEP, TailSettings
from onlygood.errors import SettingError
from onlygood.settings import Calibration
from onlygood.validation import one_of

if TYPE_CHECKING:
    from onlygood.detectors.base import Detector, FitTask


class DeepSvdd(TailSettings):
    """Deep support vector data description: a network trained to draw good images to the centre of a hypersphere.

    Example:
        >>> import onlygood
        >>> onlygood.DeepSvdd(objective="soft-boundary", nu=0.05).network
        'conv-128'

    Source: Ruff et al., "Deep One-Class Classification", ICML 2018; with network="pretrained" Reiss et al., "PANDA:
    Adapting Pretrained Features for Anomaly Detection and Segmentation", CVPR 2021.
    """

    name: ClassVar[str] = "deep-svdd"
    summary: ClassVar[str] = "a network of its own for images unlike photographs, or a pretrained one fine-tuned"
    trains: ClassVar[bool] = True
    extra: ClassVar[str | None] = "train"
    calibrations: ClassVar[tuple[Calibration, ...]] = ("split",)

    network: Literal["conv-128", "lenet-mnist", "lenet-cifar10", "pretrained"] = Field(
        default="conv-128", description="what is trained: a network of its own, or the end of the pretrained backbone"
    )
    objective: Literal["one-class", "soft-boundary"] = Field(
        default="one-class",
        description="the mean squared distance to the centre, or a radius outside of which a share nu may lie",
    )
    nu: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="share of good images that may lie outside while training, above 0 and at most 1",
    )
    pretrain_epochs: int | None = Field(
        default=None, ge=0, description="of the autoencoder; the network's own number unless given"
    )
    warmup_epochs: int | None = Field(
        default=None,
        ge=1,
        description="of soft-boundary: epochs before the radius is first solved, fewer than there are; the network's "
        "own number, at most half of the epochs, unless given",
    )
    weight_decay: float = Field(default=PRETRAINED.weight_decay, ge=0, le=MOST_STEP, description="of the second stage")

    def check(self) -> None:  # noqa: D102
        if self.network == PRETRAINED.name:
            self._refuse(("pretrain_epochs",), f"network {one_of(tuple(ARCHITECTURES))}", self.network)
        else:
            self._refuse(("backbone", "taps", "trained_layers"), f"network {PRETRAINED.name}", self.network)
        if self.objective != "soft-boundary":
            self._refuse(("warmup_epochs",), "objective soft-boundary", self.objective)
        elif self.epochs is not None:
            check_warmup(self.warmup_epochs or 1, self.epochs)

    def make_detector(self, task: FitTask) -> Detector:  # noqa: D102
        from onlygood.detectors.deep_svdd.detector import DeepSvddDetector
        from onlygood.detectors.deep_svdd.pretrained import PretrainedSvddDetector

        return (PretrainedSvddDetector if self.network == PRETRAINED.name else DeepSvddDetector)(self, task)

    def _refuse(self, names: tuple[str, ...], required: str, got: str) -> None:
        """Refuse settings that nothing reads."""
        for name in names:
            if self.is_given(name):
                raise SettingError(
                    f"{name} goes with {required}, got it with {got}: leave {name} out, or choose such a "
                    f"{required.split()[0]}"
                )


def check_warmup(warmup_epochs: int, epochs: int) -> None:
    """Refuse a warm-up after which nothing comes: a soft boundary would be trained as one-class, and called soft.

    Raises:
        SettingError: it is not shorter than the training.
    """
    if warmup_epochs >= epochs:
        advice = "lower it, or raise epochs" if epochs > 1 else "raise epochs to at least 2"
        raise SettingError(
            f"warmup_epochs must be below epochs, so that soft-boundary has a radius to train with, got "
            f"{warmup_epochs} of {epochs}: {advice}"
        )
