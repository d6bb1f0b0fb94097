from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onlygood.datasets.sources import Source
from onlygood.features.noise_scale import PROBES, noise_scale, sensor_noise
from onlygood.images.window import FULL_8_BIT, Window
from repeated_shots import part, shot

Array = NDArray[Any]


def sources(images: list[Array]) -> list[Source]:
    return [Source(str(number), "", lambda image=image: image) for number, image in enumerate(images)]  # type: ignore[misc]


def cells(image: Array) -> NDArray[np.float32]:
    """A descriptor: means of 8 x 8 cells."""
    height, width = (size // 8 * 8 for size in image.shape[:2])
    means = image[:height, :width].reshape(height // 8, 8, width // 8, 8, -1).mean(axis=(1, 3))
    return (means / np.iinfo(image.dtype).max).astype(np.float32).ravel()


@pytest.mark.parametrize("noise", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_noise_is_estimated_beside_edges_and_shading(noise: float, channels: int) -> None:
    scene = part(0, size=128, variation=0)[:, :, :channels]
    image = np.clip(np.rint(scene + np.random.default_rng(0).normal(0, noise, scene.shape)), 0, 255).astype(np.uint8)
    assert sensor_noise(image) == pytest.approx(noise, rel=0.3)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 9, 3), (3, 3, 1), (9, 9, 3)])
def test_images_without_room_for_a_block_are_measured_as_far_as_they_go(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 7, np.uint8)
    assert sensor_noise(image) == 0.0
    assert np.isfinite(noise_scale(sources([image]), lambda found: found.ravel() / np.float32(255), FULL_8_BIT, seed=0))


@pytest.mark.parametrize("noise", [0.0, 2.0, 5.0])
def test_the_scale_bounds_how_far_two_shots_of_one_part_are_apart_and_not_by_much(noise: float) -> None:
    scenes = [part(seed) for seed in range(8)]
    first = [shot(scene, 2 * seed, noise=noise) for seed, scene in enumerate(scenes)]
    second = [shot(scene, 2 * seed + 1, noise=noise) for seed, scene in enumerate(scenes)]
    apart = np.median([np.linalg.norm(cells(one) - cells(other)) for one, other in zip(first, second, strict=True)])
    scale = noise_scale(sources(first), cells, FULL_8_BIT, seed=0)
    assert apart < 1.2 * scale
    assert scale < 4 * apart


def test_the_same_levels_in_16_bits_have_the_same_scale() -> None:
    images = [shot(part(seed), seed) for seed in range(4)]
    deep = [image.astype(np.uint16) * 16 for image in images]

    def twelve_bit(image: Array) -> NDArray[np.float32]:
        return cells(image) * np.float32(65535 / 4080)

    eight = noise_scale(sources(images), cells, FULL_8_BIT, seed=0)
    assert noise_scale(sources(deep), twelve_bit, Window(0, 4080), seed=0) == pytest.approx(eight, rel=0.1)


def test_it_costs_two_embeddings_for_each_of_a_few_images_and_the_seed_decides_which() -> None:
    images = sources([shot(part(0), seed) for seed in range(40)])
    calls = 0

    def counted(image: Array) -> NDArray[np.float32]:
        nonlocal calls
        calls += 1
        return cells(image)

    first = noise_scale(images, counted, FULL_8_BIT, seed=1)
    assert calls == 2 * PROBES <= 16
    assert noise_scale(images, cells, FULL_8_BIT, seed=1) == first
    assert noise_scale(images, cells, FULL_8_BIT, seed=2) != first
