"""Batch normalisation without a learned scale or offset, faster on a CPU.

PyTorch's own is written for many channels: with the 4 to 64 of our networks and channels last in memory it takes half
of a training step. Here a row of pixels with all its channels is one long vector, and everything is done on those.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

EPS = 1e-4  # as the authors of Deep SVDD have it


class BatchNorm(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d`, with the same results, state and momentum.

    Args:
        channels: of its input, float32 [n, channels, h, w].
        affine: learn a scale and an offset.
    """

    def __init__(self, channels: int, *, affine: bool = False) -> None:
        super().__init__(channels, eps=EPS, affine=affine)

    def forward(self, values: Tensor) -> Tensor:  # noqa: D102
        if not self.training or self.affine or values.device.type != "cpu":
            return super().forward(values)
        normalised, mean, variance = _Normalise.apply(values, self.eps)  # type: ignore[no-untyped-call]
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        with torch.no_grad():
            self.num_batches_tracked += 1
            weight = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            count = values.numel() // values.shape[1]
            self.running_mean.lerp_(mean, weight)
            self.running_var.lerp_(variance * (count / (count - 1)), weight)
        result: Tensor = normalised
        return result


class _Normalise(torch.autograd.Function):
    """Normalised values, and each channel's mean and (biased) variance, through which no gradient is asked for."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        _, channels, _, width = ctx.shape = values.shape
        rows = _rows(values)
        mean = _per_channel(rows.mean(dim=0), channels)
        normalised = rows - mean.repeat(width)
        # Of the differences from the mean, not of the squares less the squared mean: those cancel.
        variance = _per_channel(torch.linalg.vector_norm(normalised, dim=0).square() / len(rows), channels)
        gain = (variance + eps).rsqrt()
        normalised.mul_(gain.repeat(width))
        ctx.save_for_backward(normalised, gain)
        ctx.mark_non_differentiable(mean, variance)
        return _images(normalised, ctx.shape), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        normalised, gain = ctx.saved_tensors
        _, channels, _, width = ctx.shape
        gradient = _rows(gradients[0])
        common = _per_channel(gradient.mean(dim=0), channels)
        # In one piece of memory: what a fresh one costs is more than the arithmetic.
        result = gradient * normalised
        along = _per_channel(result.mean(dim=0), channels)
        torch.mul(normalised, along.repeat(width), out=result)
        result.add_(common.repeat(width))
        torch.sub(gradient, result, out=result)
        result.mul_(gain.repeat(width))
        return _images(result, ctx.shape), None


def _rows(values: Tensor) -> Tensor:
    """[n, c, h, w] as [n h, w c]; no copy where channels are last in memory."""
    n, channels, height, width = values.shape
    return values.permute(0, 2, 3, 1).reshape(n * height, width * channels)


def _images(rows: Tensor, shape: torch.Size) -> Tensor:
    n, channels, height, width = shape
    return rows.view(n, height, width, channels).permute(0, 3, 1, 2)


def _per_channel(of_row: Tensor, channels: int) -> Tensor:
    """Means over the pixels of a row, [w c], to means of channels, [c]."""
    return of_row.view(-1, channels).mean(dim=0)
