"""Regions that good images suggest: a plain background around a part is left out, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onlygood.datasets.sources import Source, list_sources
from onlygood.errors import FolderError
from onlygood.images.limits import DEFAULT_LIMITS
from onlygood.roi_proposal import _box_mean, _connected_with_border, propose_region, usual_size
from textures import Array, texture

SIZE = 160


def sources(images: list[Any]) -> list[Source]:
    return list_sources(images, group_by=None, groups=None, limits=DEFAULT_LIMITS, allow_one=True).sources


def on_background(seed: int, *, level: int = 40, noise: float = 1.0) -> Array:
    """A round textured part of a radius of 40, at about the middle, on a plain background."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    is_part = np.hypot(y - random.uniform(-4, 4), x - random.uniform(-4, 4)) < 40
    levels = np.where(is_part, texture(seed, (SIZE, SIZE)), level) + random.normal(0, noise, (SIZE, SIZE))
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("level", [0, 40, 255])
@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_a_plain_background_is_left_out_and_all_of_the_part_is_looked_at(level: int, noise: float) -> None:
    proposal = propose_region(sources([on_background(seed, level=level, noise=noise) for seed in range(12)]))
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    assert proposal.mask.shape == (SIZE, SIZE)
    assert proposal.mask[np.hypot(y, x) < 44].all()
    assert not proposal.mask[np.hypot(y, x) > 60].any()
    assert (proposal.images, proposal.note) == (12, None)
    assert proposal.looked_at == proposal.mask.mean()


def test_a_plain_surface_inside_a_part_is_looked_at() -> None:
    images = [on_background(seed) for seed in range(8)]
    for image in images:
        image[65:95, 65:95] = 120
    assert propose_region(sources(images)).mask[65:95, 65:95].all()


def test_what_changes_from_image_to_image_is_looked_at_however_plain_it_is() -> None:
    images = [on_background(seed, noise=0.0) for seed in range(10)]
    for number, image in enumerate(images):
        image[:30, :30] = 20 * number
    mask = propose_region(sources(images)).mask
    assert mask[:30, :30].all() and not mask[130:, :30].any()


@pytest.mark.parametrize(
    "images",
    [
        [texture(seed, (SIZE, SIZE)) for seed in range(8)],
        [np.full((SIZE, SIZE), 90, np.uint8)] * 4,
        [np.tile(np.linspace(0, 200, SIZE).astype(np.uint8), (SIZE, 1))] * 4,
    ],
    ids=["texture everywhere", "one level", "a ramp"],
)
def test_where_no_background_stands_out_all_is_looked_at(images: list[Array]) -> None:
    assert propose_region(sources(images)).mask.all()


def test_the_region_is_that_of_a_large_image_of_16_bits_in_colour() -> None:
    small = [on_background(seed) for seed in range(6)]
    large = [
        np.kron(image, np.ones((6, 6), np.uint8)).astype(np.uint16)[:, :, None].repeat(3, axis=2) * 257
        for image in small
    ]
    mask = propose_region(sources(large)).mask
    assert mask.shape == (6 * SIZE, 6 * SIZE)
    assert (mask[3::6, 3::6] == propose_region(sources(small)).mask).mean() > 0.97


def test_images_of_another_shape_are_left_out_and_of_another_size_are_not() -> None:
    images = [on_background(seed) for seed in range(6)]
    wide, half = texture(90, (100, 200)), images[0][::2, ::2]
    proposal = propose_region(sources([*images, wide, half]))
    assert proposal.images == 7
    assert proposal.note == "1 of 8 images were left out, as they have another shape than most"


def test_too_few_images_of_one_shape() -> None:
    with pytest.raises(FolderError, match="a region is proposed from at least 3 good images of one shape, got 2: add"):
        propose_region(sources([on_background(0), on_background(1), texture(90, (100, 200))]))
    with pytest.raises(FolderError, match="got 0: add images"):
        propose_region(sources([b"torn"] * 4))
    with pytest.raises(FolderError, match="roi needs images that can be read, got none of 4: image 0"):
        usual_size(sources([b"torn"] * 4))
    assert usual_size(sources([b"torn", texture(1, (40, 50)), texture(2, (40, 50)), texture(3)])) == (40, 50)


def test_means_around_a_place_and_what_the_border_reaches() -> None:
    plane = np.random.default_rng(0).random((9, 11)).astype(np.float32)
    padded = np.pad(plane.astype(np.float64), 2, mode="edge")
    slow = [[padded[y : y + 5, x : x + 5].mean() for x in range(11)] for y in range(9)]
    assert _box_mean(plane, 2) == pytest.approx(np.array(slow))
    maze = np.array([[1, 1, 0, 0, 0], [0, 1, 0, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]], bool)
    alone = np.pad(maze[1:3, 1:2], 3)
    assert np.array_equal(_connected_with_border(maze), maze)
    assert not _connected_with_border(alone).any()
