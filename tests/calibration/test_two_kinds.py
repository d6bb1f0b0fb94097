"""Good images that are of two kinds, and such that are not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from flat import fit
from onlygood.calibration.two_kinds import MOST_IMAGES, _silhouette, two_kinds
from textures import FAST, textures


def cloud(count: int, *, at: float = 0.0, seed: int = 0) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal((count, 20))
    drawn[:, 3] += at
    return drawn.astype(np.float32)


def test_one_cloud_and_a_long_row_are_one_kind() -> None:
    assert two_kinds(cloud(60)) is None
    row = cloud(200, seed=1) * 0.05
    row[:, 0] += np.linspace(-5, 5, 200)
    assert two_kinds(row) is None
    assert two_kinds(np.zeros((10, 4), np.float32)) is None


@pytest.mark.parametrize("second", [5, 30])
def test_two_clouds_are_two_kinds(second: int) -> None:
    points = np.concatenate([cloud(second, at=30.0, seed=2), cloud(40)])
    kinds = two_kinds(points)
    assert kinds is not None
    assert kinds[1].tolist() == list(range(second))
    assert kinds[0].tolist() == list(range(second, second + 40))


def test_a_few_odd_ones_are_no_kind() -> None:
    assert two_kinds(np.concatenate([cloud(4, at=30.0, seed=2), cloud(40)])) is None


def test_of_many_images_some_are_looked_at() -> None:
    points = np.concatenate([cloud(2000), cloud(1000, at=40.0, seed=2)])
    kinds = two_kinds(points)
    assert kinds is not None
    assert sum(map(len, kinds)) == MOST_IMAGES
    assert kinds[0].max() < 2000 <= kinds[1].min()


def test_the_silhouette_is_that_of_its_definition() -> None:
    points = cloud(9).astype(np.float64)
    is_second = np.arange(9) < 4
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    expected = []
    for number in range(9):
        same = [distances[number, other] for other in range(9) if other != number and (other < 4) == (number < 4)]
        others = [distances[number, other] for other in range(9) if (other < 4) != (number < 4)]
        a, b = np.mean(same), np.mean(others)
        expected.append((b - a) / max(a, b))
    np.fill_diagonal(distances, np.inf)
    assert _silhouette(distances, is_second) == pytest.approx(np.mean(expected))


def disc(seed: int) -> NDArray[np.uint8]:
    """Another part: a dark disc on a bright ground, with noise."""
    rows, columns = np.mgrid[:96, :96]
    levels = np.where(np.hypot(rows - 48, columns - 48) < 30, 60.0, 220.0)
    levels += np.random.default_rng(seed).normal(0.0, 6.0, levels.shape)
    return levels.clip(0, 255).astype(np.uint8)


def test_a_fit_to_two_parts_says_so_and_names_one_of_each() -> None:
    images = textures(20)
    mixed = fit([*images, *map(disc, range(10))], near_duplicates="ignore", **FAST)
    note = next(each for each in mixed.notes if "two kinds" in each)
    assert "two kinds, 20 and 10, such as image 0 and image 20:" in note
    assert not any("two kinds" in each for each in fit(images, **FAST).notes)
