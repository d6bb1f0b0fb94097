"""Networks for Deep SVDD: encoders without bias terms, and decoders for pretraining.

No layer of an encoder can add a constant of its own: convolutions and linear maps have no bias, batch normalisation no
learned offset, and the activation is unbounded. Otherwise weights of zero and an offset at the centre would make a
perfect and useless hypersphere.

Source: Ruff et al., "Deep One-Class Classification", ICML 2018, section 3.3, Propositions 1 to 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from onlygood.architectures import Architecture

_SLOPE = 0.01  # of the leaky ReLU
_EPS = 1e-4  # of batch normalisation, as the authors of Deep SVDD have it


@dataclass(frozen=True)
class Autoencoder:
    """An encoder, [n, c, H, W] to its latent space, and a decoder back to images in [0, 1]."""

    encoder: nn.Sequential
    decoder: nn.Sequential


def build_autoencoder(architecture: Architecture, *, channels: int, with_bias: bool = False) -> Autoencoder:
    """The networks of an architecture, with random weights.

    Args:
        architecture: which.
        channels: of the images.
        with_bias: let the encoder have bias terms: a hypersphere of such a network can collapse to a point. For tests
            of just that.
    """
    # The authors start their network for MNIST as PyTorch does, and the one for CIFAR-10 by Glorot's rule.
    stages = _Stages(with_bias, by_glorot=architecture.name != "lenet-mnist")
    if architecture.name == "lenet-mnist":
        encoder = [*stages.pooled(channels, 8, 5), *stages.pooled(8, 4, 5), nn.Flatten(), stages.linear(4 * 49, 32)]
        decoder = [
            nn.Unflatten(1, (2, 4, 4)),
            *stages.enlarged(2, 4),
            *stages.enlarged(4, 8, padding=3),  # 16 x 16 to 14 x 14
            *stages.last(8, channels),
        ]
    elif architecture.name == "lenet-cifar10":
        encoder = [
            *stages.pooled(channels, 32, 5),
            *stages.pooled(32, 64, 5),
            *stages.pooled(64, 128, 5),
            nn.Flatten(),
            stages.linear(128 * 16, 128),
        ]
        decoder = [
            nn.BatchNorm1d(128, eps=_EPS, affine=False),
            nn.Unflatten(1, (8, 4, 4)),
            nn.LeakyReLU(_SLOPE),
            nn.ConvTranspose2d(8, 128, 5, padding=2, bias=False),
            nn.BatchNorm2d(128, eps=_EPS, affine=False),
            *stages.enlarged(128, 64),
            *stages.enlarged(64, 32),
            *stages.last(32, channels),
        ]
    else:
        encoder = [
            *stages.pooled(channels, 8, 3),
            *stages.pooled(8, 16, 3),
            *stages.pooled(16, 32, 3),
            *stages.pooled(32, 64, 3),
            stages.convolution(64, 32, 3),
            nn.AvgPool2d(2),
        ]
        decoder = [
            *stages.enlarged(32, 64, kernel=3, padding=1),
            *stages.enlarged(64, 32, kernel=3, padding=1),
            *stages.enlarged(32, 16, kernel=3, padding=1),
            *stages.enlarged(16, 8, kernel=3, padding=1),
            *stages.last(8, channels, kernel=3, padding=1),
        ]
    return Autoencoder(nn.Sequential(*encoder), nn.Sequential(*decoder))


class _Stages:
    """The stages that the encoders and decoders are made of."""

    def __init__(self, with_bias: bool, *, by_glorot: bool) -> None:
        self.with_bias = with_bias
        self.by_glorot = by_glorot

    def convolution(self, before: int, after: int, kernel: int) -> nn.Conv2d:
        layer = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=self.with_bias)
        self._start(layer)
        return layer

    def linear(self, before: int, after: int) -> nn.Linear:
        return nn.Linear(before, after, bias=self.with_bias)

    def pooled(self, before: int, after: int, kernel: int) -> list[nn.Module]:
        """Half the size."""
        # Of two monotone steps the cheaper comes last: pooling first leaves a quarter to activate, and nothing else.
        return [
            self.convolution(before, after, kernel),
            nn.BatchNorm2d(after, eps=_EPS, affine=self.with_bias),
            nn.MaxPool2d(2),
            nn.LeakyReLU(_SLOPE, inplace=True),
        ]

    def enlarged(self, before: int, after: int, *, kernel: int = 5, padding: int = 2) -> list[nn.Module]:
        """Twice the size."""
        transposed = nn.ConvTranspose2d(before, after, kernel, padding=padding, bias=False)
        self._start(transposed)
        return [
            nn.LeakyReLU(_SLOPE),
            nn.Upsample(scale_factor=2),
            transposed,
            nn.BatchNorm2d(after, eps=_EPS, affine=False),
        ]

    def last(self, before: int, after: int, *, kernel: int = 5, padding: int = 2) -> list[nn.Module]:
        """Twice the size, and levels in [0, 1]."""
        return [*self.enlarged(before, after, kernel=kernel, padding=padding)[:-1], nn.Sigmoid()]

    def _start(self, layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
        if self.by_glorot:
            nn.init.xavier_uniform_(layer.weight, gain=nn.init.calculate_gain("leaky_relu", _SLOPE))


def settle(encoder: nn.Module, images: Tensor, batches: Sequence[tuple[int, int]]) -> None:
    """Take the statistics of batch normalisation again, as the mean over batches of all images.

    The running ones lag behind the weights: after a few steps they are still those of an untrained network, in part,
    and all that the network then makes of images in evaluation mode is off by the same amount.
    """
    norms = [layer for layer in encoder.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in norms]
    was_training = encoder.training
    encoder.train()
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # the mean of all that it sees
    with torch.no_grad():
        for begin, end in batches:
            encoder(images[begin:end])
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    encoder.train(was_training)


def latents(encoder: nn.Module, images: Tensor, *, at_once: int = 500) -> Tensor:
    """What the encoder makes of the images in evaluation mode, [n, d] or [n, c, h, w], without gradients.

    In evaluation mode an image's latent does not depend on the images beside it.
    """
    was_training = encoder.training
    encoder.eval()
    try:
        with torch.no_grad():
            device = next(encoder.parameters()).device
            return torch.cat([encoder(part.to(device)) for part in torch.split(images, at_once)])
    finally:
        encoder.train(was_training)
