"""Batch normalisation gives what PyTorch's own does: values, gradients and running statistics."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from onlygood.training.normalisation import EPS, BatchNorm  # noqa: E402


def images(offset: float = 0.0, *, n: int = 6, channels: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(n, channels, 7, 9, generator=generator) * 2.0 + offset


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("offset", [0.0, 50.0])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_equals_pytorch(layout: torch.memory_format, offset: float, momentum: float | None) -> None:
    ours, theirs = BatchNorm(5), nn.BatchNorm2d(5, eps=EPS, affine=False)
    ours.momentum = theirs.momentum = momentum
    weights = images(n=6)
    for step in range(3):
        given = (images(offset) + step).contiguous(memory_format=layout)
        first, second = given.clone().requires_grad_(), given.clone().requires_grad_()
        mine, reference = ours(first), theirs(second)
        torch.testing.assert_close(mine, reference, atol=1e-4, rtol=1e-4)
        (mine.square() * weights).sum().backward()
        (reference.square() * weights).sum().backward()
        torch.testing.assert_close(first.grad, second.grad, atol=1e-3, rtol=1e-3)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=1e-4, rtol=1e-4)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(images(offset)), theirs(images(offset)), atol=1e-4, rtol=1e-4)


def test_its_gradient_is_that_of_differences() -> None:
    layer = BatchNorm(3).double()
    given = images(channels=3, n=3).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, (given,))


def test_states_are_interchangeable() -> None:
    theirs = nn.BatchNorm2d(5, eps=EPS, affine=False)
    theirs(images(2.0))
    ours = BatchNorm(5)
    ours.load_state_dict(theirs.state_dict())
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(images()), theirs(images()))
