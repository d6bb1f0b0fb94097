"""The encoder's piece of graph against torch, and the hypersphere's against NumPy."""

from typing import Any

import numpy as np
import pytest
import torch

from onlygood.architectures import ARCHITECTURES
from onlygood.detectors.deep_svdd.head import hypersphere, image_embedding, network_input
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join
from onlygood.images.window import Window
from onlygood.training.export import encoder_subgraph
from onlygood.training.networks import build_autoencoder, latents


def run_piece(piece: Any, outputs: list[str], **feeds: Any) -> list[Any]:
    return run(open_session(join(piece, outputs=outputs).SerializeToString()), outputs, feeds)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_graph_gives_what_the_network_gives_in_evaluation_mode(name: str, with_bias: bool) -> None:
    architecture = ARCHITECTURES[name]
    channels, size = architecture.channels or 3, architecture.input_size
    torch.manual_seed(0)
    encoder = build_autoencoder(architecture, channels=channels, with_bias=with_bias).encoder
    for layer in encoder:
        if isinstance(layer, torch.nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            torch.nn.init.normal_(layer.running_mean)
            torch.nn.init.uniform_(layer.running_var, 0.3, 3.0)
            if with_bias:
                torch.nn.init.normal_(layer.weight)
                torch.nn.init.normal_(layer.bias)
    shown = torch.randn(3, channels, size, size)
    rank = 4 if architecture.has_places else 2
    piece = encoder_subgraph(encoder, source="shown", result="latent", rank=rank)
    (found,) = run_piece(piece, ["latent"], shown=shown.numpy())
    expected = latents(encoder, shown).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * float(np.abs(expected).max()))


def test_a_layer_that_the_graph_cannot_express_is_refused() -> None:
    with pytest.raises(TypeError, match="got Tanh"):
        encoder_subgraph(torch.nn.Sequential(torch.nn.Tanh()), source="x", result="y", rank=2)


@pytest.mark.parametrize("shape", [(5,), (3, 2, 4)])
def test_scores_are_squared_distances_and_places_share_them(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    latent = rng.normal(size=(6, *shape)).astype(np.float32)
    center = rng.normal(size=shape).astype(np.float32)
    raw, patches = run_piece(hypersphere(center), ["raw_score", "patch_scores"], latent=latent)
    squares = (latent.astype(np.float64) - center) ** 2
    np.testing.assert_allclose(raw, squares.reshape(6, -1).sum(axis=1), rtol=1e-5)
    expected = squares.sum(axis=1) if len(shape) == 3 else squares.sum(axis=1)[:, None, None]
    np.testing.assert_allclose(patches, expected, rtol=1e-5)
    np.testing.assert_allclose(patches.sum(axis=(1, 2)), raw, rtol=1e-5)


def test_levels_become_0_to_1_and_contrast_is_normalised() -> None:
    image = np.random.default_rng(2).integers(0, 4096, (1, 32, 32, 3)).astype(np.uint16)
    given = {"input_size": 32, "channels": 3, "dtype": np.dtype(np.uint16), "window": Window(96.0, 4000.0)}
    (plain,) = run_piece(image_embedding(contrast_normalised=False, **given), ["embedding"], image=image)
    expected = (image.astype(np.float64) - 96) / (4000 - 96)
    np.testing.assert_allclose(plain, expected, atol=1e-5)
    (normalised,) = run_piece(image_embedding(contrast_normalised=True, **given), ["embedding"], image=image)
    centred = expected - expected.mean()
    np.testing.assert_allclose(normalised, centred / np.abs(centred).mean(), atol=1e-4)


def test_an_image_of_one_level_has_no_contrast_to_normalise() -> None:
    piece = image_embedding(
        input_size=28, channels=1, contrast_normalised=True, dtype=np.dtype(np.uint8), window=Window(0.0, 255.0)
    )
    flat = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None, None], 28 * 28, axis=1).reshape(256, 28, 28, 1)
    (found,) = run_piece(piece, ["embedding"], image=flat)
    # Their means are rounded, so that differences are not all zero.
    assert np.isfinite(found).all() and np.abs(found).max() < 2e-3


def test_colours_are_averaged_for_a_network_of_one_channel_and_grey_fills_three() -> None:
    colour = np.random.default_rng(3).integers(0, 256, (1, 28, 28, 3)).astype(np.uint8)
    given = {
        "input_size": 28,
        "contrast_normalised": False,
        "dtype": np.dtype(np.uint8),
        "window": Window(0.0, 255.0),
    }
    (one,) = run_piece(image_embedding(channels=1, **given), ["embedding"], image=colour)
    np.testing.assert_allclose(one[..., 0], colour.mean(axis=3) / 255, atol=1e-6)
    (three,) = run_piece(image_embedding(channels=3, **given), ["embedding"], image=colour[..., :1])
    np.testing.assert_allclose(three, np.repeat(colour[..., :1], 3, axis=3) / 255, atol=1e-6)


def test_the_network_sees_the_first_channels_scaled_and_channels_first() -> None:
    embedding = np.random.default_rng(4).normal(size=(2, 4, 5, 3)).astype(np.float32)
    (found,) = run_piece(network_input(channels=2, low=-1.0, high=3.0), ["network_input"], embedding=embedding)
    np.testing.assert_allclose(found, (embedding[..., :2].transpose(0, 3, 1, 2) + 1) / 4, rtol=1e-5, atol=1e-6)
