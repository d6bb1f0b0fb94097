"""A discriminator of good patches and the same patches with noise.

Source: Liu et al., "SimpleNet: A Simple Network for Image Anomaly Detection and Localization", CVPR 2023: Gaussian
noise on features of good patches stands for anomalies, and a network with one hidden layer tells the two apart, trained
with a truncated L1 loss. Rolih et al., "SuperSimpleNet", ICPR 2024, put the noise on regions; here the network sees one
patch at a time, so whether its neighbours have noise says nothing to it. Three departures: features are whitened, in
place of a learned linear adaptor; noise has several strengths, since one number suits either faint or plain defects;
and the last epoch counts, none is picked by test images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from onlygood.training.checkpoint import Checkpoint
from onlygood.training.loop import Stage, TrainingSettings, train

# Of the truncated L1 loss: an output that is this far on its own side of 0 costs nothing more.
MARGIN = 0.5
# The noise of a patch has from 1 / NOISE_SPAN to NOISE_SPAN times the standard deviation asked for.
NOISE_SPAN = 3.0


@dataclass(frozen=True, kw_only=True)
class DiscriminatorSettings(TrainingSettings):
    """The numbers of a training.

    Attributes:
        hidden: units of the hidden layer.
        noise_std: standard deviation of the noise on each whitened coordinate, the geometric middle of those drawn.
        slope: of the leaky ReLU.
    """

    hidden: int
    noise_std: float
    slope: float


@dataclass(frozen=True, kw_only=True)
class Layers:
    """What training leaves: LeakyReLU(x @ weight.T + bias) @ output + offset, higher for noise.

    Attributes:
        weight: float32 [q, d].
        bias: float32 [q].
        output: float32 [q].
        offset: of the output.
        losses: of each epoch.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    output: NDArray[np.float32]
    offset: float
    losses: list[float]


def train_discriminator(
    rows: NDArray[np.float32],
    settings: DiscriminatorSettings,
    *,
    stage: str = "discriminator",
    checkpoint: Checkpoint | None = None,
    show: Callable[[str], None] | None = None,
) -> Layers:
    """Train on whitened good patches.

    Args:
        rows: float32 [n, d], at least two.
        settings: of the training.
        stage: its name, in progress lines and checkpoints.
        checkpoint: to go on from, and to keep what is done.
        show: takes lines on the progress.

    Raises:
        TrainingError: a loss that is not finite, hardware that is not there.
    """
    torch.manual_seed(settings.seed)
    hidden = nn.Linear(rows.shape[1], settings.hidden)
    last = nn.Linear(settings.hidden, 1)
    network = nn.Sequential(nn.Flatten(), hidden, nn.LeakyReLU(settings.slope), last)
    against = _AgainstNoise(settings)
    losses = train(
        settings.plan(stage),
        Stage(network, against.loss, against.after_epoch, against.state),
        # The loop's images have four axes.
        torch.from_numpy(rows)[:, :, None, None],
        accelerator=settings.accelerator,
        checkpoint=checkpoint,
        show=show,
    )
    return Layers(
        weight=_numpy(hidden.weight),
        bias=_numpy(hidden.bias),
        output=_numpy(last.weight)[0],
        offset=float(last.bias.detach()[0]),
        losses=losses,
    )


class _AgainstNoise:
    """The loss of a batch of good patches beside the same patches with noise."""

    def __init__(self, settings: DiscriminatorSettings) -> None:
        self.settings = settings
        self.state: dict[str, Any] = {"epochs": 0}
        self._epoch: int | None = None
        self._random = torch.Generator()

    def loss(self, network: nn.Module, good: Tensor) -> Tensor:
        """The truncated L1 loss of SimpleNet, with the sign reversed: an output is to be high for noise."""
        noisy = good + self._noise(good).to(good.device)
        outputs = network(torch.cat([good, noisy]))[:, 0]
        of_good, of_noisy = outputs[: len(good)], outputs[len(good) :]
        loss: Tensor = (MARGIN + of_good).clamp(min=0.0).mean() + (MARGIN - of_noisy).clamp(min=0.0).mean()
        return loss

    def after_epoch(self, done: int, _loss: float) -> bool:
        """Note how many epochs are done; none is the last before its time."""
        self.state["epochs"] = done
        return False

    def _noise(self, like: Tensor) -> Tensor:
        """Gaussian noise, of another strength for each patch; drawn from seed and epoch alone, as the order of patches
        is, so that a run that was resumed sees the noise of one that was not.
        """
        if self._epoch != self.state["epochs"]:
            self._epoch = self.state["epochs"]
            drawn = np.random.default_rng([self.settings.seed, self.state["epochs"], 2]).integers(2**63)
            self._random.manual_seed(int(drawn))
        exponents = 2.0 * torch.rand(len(like), 1, 1, 1, generator=self._random) - 1.0
        std = self.settings.noise_std * torch.exp(exponents * math.log(NOISE_SPAN))
        noise: Tensor = std * torch.randn(like.shape, generator=self._random)
        return noise


def _numpy(parameter: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = parameter.detach().float().cpu().numpy()
    return found
