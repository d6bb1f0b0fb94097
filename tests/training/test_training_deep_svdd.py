"""Deep SVDD's training: what earlier implementations get wrong, each with a test."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from onlygood.architectures import ARCHITECTURES
from onlygood.errors import TrainingError
from onlygood.training.checkpoint import Checkpoint
from onlygood.training.deep_svdd import (
    CENTER_EPS,
    HypersphereSettings,
    Trained,
    center_of,
    solve_radius,
    train_deep_svdd,
)
from onlygood.training.networks import build_autoencoder, latents, settle

MNIST = ARCHITECTURES["lenet-mnist"]
QUICK = HypersphereSettings(
    objective="one-class",
    nu=0.2,
    warmup_epochs=2,
    pretrain_epochs=2,
    epochs=5,
    batch_size=10,
    learning_rate=1e-3,
    weight_decay=5e-7,
    seed=0,
    accelerator="cpu",
)


def images(count: int = 30, size: int = 28) -> Any:
    return np.random.default_rng(3).random((count, 1, size, size), dtype=np.float32)


def squared_distances(trained: Trained) -> Any:
    embeddings = latents(trained.encoder, torch.from_numpy(images())).flatten(1)
    return (embeddings - trained.center).square().sum(dim=1)


def test_a_coordinate_of_the_center_near_zero_is_pushed_out_and_one_of_exactly_zero_too() -> None:
    mean = torch.tensor([0.0, 0.03, -0.03, -0.0, 0.5, -2.0])
    embeddings = torch.stack([mean + 1, mean - 1])
    expected = [CENTER_EPS, CENTER_EPS, -CENTER_EPS, CENTER_EPS, 0.5, -2.0]
    torch.testing.assert_close(center_of(embeddings), torch.tensor(expected))
    assert center_of(torch.zeros(5, 3)).tolist() == pytest.approx([CENTER_EPS] * 3)


def test_the_radius_is_the_quantile_of_distances() -> None:
    # Distances 0, 1, ..., 10: a tenth of the way from the top is 9.
    assert solve_radius(np.arange(11.0, dtype=np.float32) ** 2, 0.1) == pytest.approx(9.0)
    assert solve_radius(np.arange(11.0, dtype=np.float32) ** 2, 1.0) == 0.0


@pytest.mark.parametrize("objective", ["one-class", "soft-boundary"])
def test_the_trained_radius_is_of_all_good_images_in_evaluation_mode(objective: str) -> None:
    trained = train_deep_svdd(MNIST, replace(QUICK, objective=objective), images())
    expected = np.quantile(squared_distances(trained).sqrt().numpy(), 0.8)
    assert trained.radius == pytest.approx(expected, rel=1e-5)
    # By its definition: a share nu of 30 images lies outside.
    assert int((squared_distances(trained).sqrt() > trained.radius).sum()) == 6


def test_the_objectives_are_those_of_the_paper_and_the_radius_waits_for_the_end_of_the_warm_up() -> None:
    """Without a learning rate to speak of the network stays as it was, so that losses can be computed by hand."""
    still = replace(QUICK, pretrain_epochs=0, epochs=3, learning_rate=1e-12, batch_size=30, warmup_epochs=2)
    soft = train_deep_svdd(MNIST, replace(still, objective="soft-boundary"), images())
    hard = train_deep_svdd(MNIST, still, images())
    encoder = soft.encoder.train()
    squared = (encoder(torch.from_numpy(images())) - soft.center).square().sum(dim=1)
    assert hard.losses["hypersphere"][0] == pytest.approx(float(squared.detach().mean()), rel=1e-3)
    # Before the warm-up is over both are the same; then the radius comes in, solved in evaluation mode.
    assert soft.losses["hypersphere"][:2] == pytest.approx(hard.losses["hypersphere"][:2], rel=1e-6)
    assert abs(soft.losses["hypersphere"][2] - hard.losses["hypersphere"][2]) > 1e-3


def test_the_last_epoch_counts_whatever_its_loss(tmp_path: Any) -> None:
    checkpoint = Checkpoint(tmp_path / "kept", {}, resume=False)
    trained = train_deep_svdd(MNIST, replace(QUICK, objective="soft-boundary"), images(), checkpoint=checkpoint)
    losses = trained.losses["hypersphere"]
    assert losses[-1] != min(losses), "the objective changes after the warm-up, so an earlier loss is lower"
    last = Checkpoint(tmp_path / "kept", {}, resume=True).stages["hypersphere"]["module"]
    for name, value in trained.encoder.named_parameters():
        torch.testing.assert_close(value.detach(), last[name])


def test_settled_statistics_are_those_of_all_images() -> None:
    torch.manual_seed(0)
    encoder = build_autoencoder(MNIST, channels=1).encoder
    shown = torch.from_numpy(images(20))
    settle(encoder, shown, [(0, 10), (10, 20)])
    norm = encoder[1]
    assert isinstance(norm, torch.nn.BatchNorm2d) and norm.running_mean is not None and norm.momentum == 0.1
    with torch.no_grad():
        seen = encoder[0](shown)
    torch.testing.assert_close(norm.running_mean, seen.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-6)


def test_an_image_has_one_score_whatever_lies_beside_it() -> None:
    trained = train_deep_svdd(MNIST, QUICK, images())
    one = torch.from_numpy(images()[:1])
    beside = torch.cat([one, 50 * torch.ones(9, 1, 28, 28)])
    torch.testing.assert_close(latents(trained.encoder, one)[0], latents(trained.encoder, beside)[0])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_encoder_can_add_a_constant(name: str) -> None:
    architecture = ARCHITECTURES[name]
    channels = architecture.channels or 1
    encoder = build_autoencoder(architecture, channels=channels).encoder
    assert not [key for key, _ in encoder.named_parameters() if not key.endswith("weight")]
    norms = [layer for layer in encoder if isinstance(layer, torch.nn.BatchNorm2d)]
    assert norms and not any(layer.affine for layer in norms)
    nothing = torch.zeros(2, channels, architecture.input_size, architecture.input_size)
    assert not latents(encoder, nothing).any()


@pytest.mark.parametrize(("name", "latent"), [("lenet-mnist", 32), ("lenet-cifar10", 128), ("conv-128", 512)])
def test_latents_and_reconstructions_have_the_papers_sizes(name: str, latent: int) -> None:
    architecture = ARCHITECTURES[name]
    channels = architecture.channels or 3
    networks = build_autoencoder(architecture, channels=channels)
    shown = torch.rand(2, channels, architecture.input_size, architecture.input_size)
    found = networks.encoder(shown)
    assert found.flatten(1).shape == (2, latent)
    rebuilt = networks.decoder(found)
    assert rebuilt.shape == shown.shape
    assert 0 <= float(rebuilt.detach().min()) <= float(rebuilt.detach().max()) <= 1


def test_a_network_that_collapses_is_an_error() -> None:
    # Bias terms let the network put everything at the centre, and strong weight decay takes all else away.
    collapsing = replace(QUICK, pretrain_epochs=0, epochs=100, learning_rate=1e-2, weight_decay=1.0, batch_size=8)
    architecture = replace(ARCHITECTURES["conv-128"], milestone=1.0)
    with pytest.raises(TrainingError, match=r"must not collapse to a point.*the variance of embeddings"):
        train_deep_svdd(architecture, collapsing, images(32, size=32), with_bias=True)


def test_equal_images_are_an_error() -> None:
    with pytest.raises(TrainingError, match="good images must differ, and an untrained network tells none of 20 apart"):
        train_deep_svdd(MNIST, QUICK, np.repeat(images(1), 20, axis=0))


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(TrainingError, match=r"the loss of the hypersphere must stay finite, got (nan|inf) in epoch"):
        train_deep_svdd(MNIST, replace(QUICK, pretrain_epochs=0, learning_rate=1e30), images())


def test_one_seed_gives_one_network_and_another_seed_another() -> None:
    one, again, other = (train_deep_svdd(MNIST, replace(QUICK, seed=seed), images()) for seed in (4, 4, 5))
    assert one.losses == again.losses
    assert torch.equal(squared_distances(one), squared_distances(again))
    assert not torch.equal(squared_distances(one), squared_distances(other))
