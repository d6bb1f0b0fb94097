from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from onlygood.backbones.backbone import Card, load_backbone
from onlygood.graph.preprocess import preprocess
from onlygood.graph.subgraph import in_trunk, join
from onlygood.images.window import FULL_8_BIT, Window
from reference import evaluate, resize

LITE0 = load_backbone("lite0").card
PLAIN = replace(LITE0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
SIZES = [(300, 200), (64, 64), (20, 30), (1, 1), (1, 500), (480, 640), (65, 63), (1000, 33)]


def prepared(
    images: NDArray[Any], *, shape: tuple[int, int] = (64, 64), card: Card = PLAIN, window: Window = FULL_8_BIT
) -> NDArray[np.float32]:
    """The backbone's input for images [N, H, W, C]."""
    piece = preprocess(card, input_shape=shape, dtype=images.dtype, window=window)
    name = in_trunk(card.input)
    (values,) = evaluate(join(piece, outputs=[name]), {"image": images}).values()
    return np.asarray(values)


def noise(*shape: int, dtype: type = np.uint8, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, size=shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_pillows_with_antialiasing(size: tuple[int, int]) -> None:
    image = noise(*size, 3)
    values = prepared(image[None])
    assert values.shape == (1, 3, 64, 64)
    for channel in range(3):
        plane = Image.fromarray(image[..., channel].astype(np.float32))
        expected = np.asarray(plane.resize((64, 64), Image.Resampling.BILINEAR))
        # Grey levels of 0 to 255: both compute in float32 and better.
        np.testing.assert_allclose(values[0, channel], expected, atol=1e-2)


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_a_triangle_filter_as_wide_as_the_reduction(size: tuple[int, int]) -> None:
    image = noise(*size, 1, dtype=np.uint16, seed=1)
    values = prepared(image[None], window=Window(0, 65_535))
    expected = resize(image[..., 0], 64, 64, edge_goes_on=False) * 255 / 65_535
    np.testing.assert_allclose(values[0, 0], expected, atol=1e-2)


def test_a_large_image_does_not_alias() -> None:
    # Black and white pixels in turn: without the filter, some rows would come out black, others white.
    board = np.indices((512, 512)).sum(axis=0) % 2 * 255
    values = prepared(board.astype(np.uint8)[None, ..., None])
    np.testing.assert_allclose(values[..., 1:-1, 1:-1], 127.5, atol=1e-3)
    # At the edge the filter is cut off, so that black and white no longer have quite the same weight.
    np.testing.assert_allclose(values, 127.5, atol=127.5 * 0.05)


def test_means_and_deviations_of_the_card_apply_to_their_channels() -> None:
    card = replace(LITE0, mean=(10.0, 20.0, 40.0), std=(2.0, 4.0, 8.0))
    image = noise(64, 64, 3)
    expected = (image - np.float64([10, 20, 40])) / [2, 4, 8]
    # Nothing to resize and powers of two: exact.
    np.testing.assert_array_equal(prepared(image[None], card=card)[0], expected.transpose(2, 0, 1))


def test_lite0_sees_levels_from_minus_one_to_one() -> None:
    image = np.arange(256, dtype=np.uint8).repeat(16).reshape(1, 64, 64, 1)
    expected = (np.arange(256) - 127.0).repeat(16).reshape(64, 64) / 128
    np.testing.assert_array_equal(prepared(image, card=LITE0)[0], np.broadcast_to(expected, (3, 64, 64)))


def test_the_window_is_exact_for_every_level_of_16_bits() -> None:
    levels = np.arange(65_536, dtype=np.uint16).reshape(1, 256, 256, 1)
    # White - black is 255 * 16, so all steps are powers of two: 1 / 16 grey level, 1 / 2048 of the input.
    window = Window(1000, 1000 + 255 * 16)
    expected = ((levels[0, ..., 0] - 1000.0) / 16 - 127) / 128
    values = prepared(levels, shape=(256, 256), card=LITE0, window=window)
    np.testing.assert_array_equal(values, np.broadcast_to(expected, (1, 3, 256, 256)))


def test_black_becomes_0_white_255_and_nothing_is_clipped() -> None:
    window = Window(300, 4211)
    for level, expected in ((300, 0.0), (4211, 255.0), (0, -300 * 255 / 3911), (65_535, 65_235 * 255 / 3911)):
        image = np.full((1, 64, 64, 1), level, dtype=np.uint16)
        np.testing.assert_allclose(prepared(image, window=window), expected, rtol=1e-6, atol=1e-4)


def test_a_16_bit_image_of_257_times_the_levels_is_the_8_bit_image() -> None:
    image = noise(90, 70, 3)
    wide = image.astype(np.uint16) * 257
    np.testing.assert_allclose(
        prepared(wide[None], window=Window(0, 65_535)), prepared(image[None]), rtol=1e-5, atol=1e-3
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_is_colour_with_three_equal_channels(dtype: type) -> None:
    image = noise(100, 80, 1, dtype=dtype)
    grey = prepared(image[None], card=LITE0)
    colour = prepared(image.repeat(3, axis=2)[None], card=LITE0)
    np.testing.assert_array_equal(grey, colour)


def test_channels_are_not_exchanged() -> None:
    image = np.zeros((1, 50, 50, 3), dtype=np.uint8)
    image[..., 0], image[..., 1] = 200, 100
    np.testing.assert_allclose(prepared(image)[0].mean(axis=(1, 2)), [200, 100, 0], rtol=1e-6)


def test_an_image_is_the_same_alone_and_in_a_batch() -> None:
    images = noise(5, 120, 90, 3)
    batch = prepared(images, card=LITE0)
    for position, image in enumerate(images):
        np.testing.assert_array_equal(batch[position], prepared(image[None], card=LITE0)[0])


def test_height_and_width_are_not_exchanged() -> None:
    image = np.zeros((1, 200, 100, 1), dtype=np.uint8)
    image[:, :100] = 255
    values = prepared(image)[0, 0]
    np.testing.assert_allclose(values[:31], 255, rtol=1e-6)
    np.testing.assert_allclose(values[33:], 0)


@pytest.mark.parametrize("shape", [(32, 96), (96, 32), (64, 224), (1, 7)])
@pytest.mark.parametrize("size", [(300, 200), (20, 30), (1, 500), (96, 32)])
def test_height_and_width_of_the_input_are_reached_each_on_its_own(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    image = noise(*size, 3)
    values = prepared(image[None], shape=shape)
    assert values.shape == (1, 3, *shape)
    expected = resize(image.transpose(2, 0, 1), *shape, edge_goes_on=False)
    np.testing.assert_allclose(values[0], expected, atol=1e-2)


def test_an_input_that_is_no_square_is_the_same_alone_and_in_a_batch() -> None:
    images = noise(4, 70, 110, 1)
    batch = prepared(images, shape=(32, 64), card=LITE0)
    for position, image in enumerate(images):
        np.testing.assert_array_equal(batch[position], prepared(image[None], shape=(32, 64), card=LITE0)[0])
