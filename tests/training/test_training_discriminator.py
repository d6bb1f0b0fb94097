"""What is trained on good patches and the same patches with noise."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from onlygood.errors import TrainingError
from onlygood.training.checkpoint import Checkpoint
from onlygood.training.discriminator import (
    MARGIN,
    NOISE_SPAN,
    DiscriminatorSettings,
    Layers,
    _AgainstNoise,
    train_discriminator,
)
from textures import Array

QUICK = DiscriminatorSettings(
    slope=0.2,
    epochs=30,
    batch_size=64,
    learning_rate=3e-3,
    weight_decay=0.0,
    seed=0,
    accelerator="cpu",
    hidden=32,
    noise_std=1.0,
)
D = 6


def rows(count: int = 400, *, seed: int = 0) -> Array:
    """Good patches that vary in three of the coordinates alone."""
    values = np.random.default_rng(seed).normal(size=(count, D)).astype(np.float32)
    values[:, 3:] *= 0.05
    return values


def outputs(layers: Layers, values: Array) -> Array:
    hidden = values @ layers.weight.T + layers.bias
    found: Array = np.where(hidden > 0, hidden, 0.2 * hidden) @ layers.output + layers.offset
    return found


def same(one: Layers, other: Layers) -> bool:
    arrays = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("weight", "bias", "output"))
    return arrays and one.offset == other.offset and one.losses == other.losses


def test_what_good_patches_never_do_scores_above_new_good_patches() -> None:
    layers = train_discriminator(rows(), QUICK)
    good, odd = rows(300, seed=1), rows(300, seed=2)
    odd[:, 4] = np.random.default_rng(3).choice([-1.5, 1.5], size=300)
    assert np.mean(outputs(layers, odd) > np.quantile(outputs(layers, good), 0.95)) > 0.95
    assert layers.losses[-1] < 0.5 * layers.losses[0]


def test_the_loss_is_truncated_at_the_margin_on_either_side() -> None:
    class Fixed(torch.nn.Module):
        """Gives half a batch one output and the other half another."""

        def __init__(self, good: float, noisy: float) -> None:
            super().__init__()
            self.levels = good, noisy

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            half = len(batch) // 2
            return torch.tensor([[self.levels[0]]] * half + [[self.levels[1]]] * half)

    def loss(good: float, noisy: float) -> float:
        return float(_AgainstNoise(QUICK).loss(Fixed(good, noisy), torch.zeros(4, D, 1, 1)))

    assert loss(-MARGIN, MARGIN) == loss(-9.0, 9.0) == 0.0
    assert loss(0.0, MARGIN) == pytest.approx(MARGIN)
    assert loss(-MARGIN, -2.0) == pytest.approx(MARGIN + 2.0)


def test_noise_has_the_standard_deviations_asked_for() -> None:
    noise = _AgainstNoise(replace(QUICK, noise_std=0.4))._noise(torch.zeros(2000, 500, 1, 1))
    deviations = noise.flatten(1).std(dim=1)
    assert float(deviations.min()) == pytest.approx(0.4 / NOISE_SPAN, rel=0.15)
    assert float(deviations.max()) == pytest.approx(0.4 * NOISE_SPAN, rel=0.15)
    assert float(deviations.median()) == pytest.approx(0.4, rel=0.1)


def test_one_seed_gives_one_network_and_another_seed_another() -> None:
    one, again, other = (train_discriminator(rows(), replace(QUICK, seed=seed)) for seed in (4, 4, 5))
    assert same(one, again) and not same(one, other)


@pytest.mark.parametrize("after", [1, 17, 29])
def test_a_resumed_training_ends_where_one_without_interruption_does(after: int, tmp_path: Path) -> None:
    place = tmp_path / "part.onnx.training"

    def interrupting() -> Callable[[str], None]:
        left = [after]

        def show(_line: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

        return show

    with pytest.raises(KeyboardInterrupt):
        train_discriminator(rows(), QUICK, checkpoint=Checkpoint(place, {"fit": 1}, resume=False), show=interrupting())
    lines: list[str] = []
    checkpoint = Checkpoint(place, {"fit": 1}, resume=True)
    resumed = train_discriminator(rows(), QUICK, checkpoint=checkpoint, show=lines.append)
    assert len(lines) == QUICK.epochs - after
    assert same(resumed, train_discriminator(rows(), QUICK))


@pytest.mark.parametrize("changes", [{"learning_rate": 1e30}])
def test_a_loss_that_is_not_finite_is_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match="the loss of the discriminator must stay finite"):
        train_discriminator(rows(), replace(QUICK, **changes))
