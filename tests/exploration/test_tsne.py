"""Vectors on a plane."""

from __future__ import annotations

import numpy as np
import pytest

from onlygood.errors import FolderError, SettingError
from onlygood.exploration.tsne import align_points, check_perplexity, lay_out
from textures import Array


def clusters(count: int = 12, dimensions: int = 70) -> Array:
    """Two far-apart groups of vectors, one after the other."""
    vectors = np.random.default_rng(3).normal(size=(2 * count, dimensions)).astype(np.float32)
    vectors[count:] += 20
    return vectors


def test_neighbours_stay_neighbours() -> None:
    points = lay_out(clusters(), perplexity=None, seed=0).points
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert ((apart.argmin(axis=1) < 12) == (np.arange(24) < 12)).all()


def test_equal_seeds_lay_out_equally() -> None:
    one, same = (lay_out(clusters(), perplexity=None, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.points, same.points)


def test_the_share_of_variance_is_that_of_the_largest_singular_values() -> None:
    vectors = clusters(40)
    layout = lay_out(vectors, perplexity=10, seed=0)
    squared = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False).astype(np.float64) ** 2
    assert layout.components == 50
    assert layout.variance_kept == pytest.approx(squared[:50].sum() / squared.sum(), rel=1e-4)


@pytest.mark.parametrize(("count", "perplexity"), [(5, 4 / 3), (31, 10.0), (200, 30.0)])
def test_the_perplexity_goes_with_the_number_of_images(count: int, perplexity: float) -> None:
    # Equal vectors: nothing is laid out, so it takes no time.
    assert lay_out(np.ones((count, 3), np.float32), perplexity=None, seed=0).perplexity == perplexity
    assert lay_out(np.ones((count, 3), np.float32), perplexity=2.5, seed=0).perplexity == 2.5


def test_equal_vectors_lie_on_one_place() -> None:
    layout = lay_out(np.full((8, 4), 0.1, np.float32), perplexity=None, seed=0)
    assert (layout.points == layout.points[0]).all()
    assert layout.variance_kept == 1


@pytest.mark.parametrize("dimensions", [1, 2, 60])
def test_few_different_vectors_in_any_number_of_dimensions_are_laid_out(dimensions: int) -> None:
    vectors = np.repeat(np.random.default_rng(0).normal(size=(2, dimensions)).astype(np.float32), 5, axis=0)
    assert np.isfinite(lay_out(vectors, perplexity=None, seed=0).points).all()


def test_turning_and_mirroring_is_undone() -> None:
    others = np.random.default_rng(1).normal(size=(20, 2))
    angle = 2.1
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for mirror in (np.diag([1.0, 1.0]), np.diag([1.0, -1.0])):
        found = align_points(others @ turn @ mirror + 7, others)
        np.testing.assert_allclose(found, others - others.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("perplexity", [0.0, 0.99, 10.0, 1e9, float("nan"), -3.0])
def test_a_perplexity_that_does_not_go_with_the_images_is_refused(perplexity: float) -> None:
    with pytest.raises(SettingError) as caught:
        check_perplexity(perplexity, 10)
    assert str(caught.value) == (
        f"perplexity must be at least 1 and below the number of images, 10, got {perplexity:g}: change it, or leave "
        "it out"
    )


def test_too_few_images_are_refused() -> None:
    with pytest.raises(FolderError, match="a map needs at least 5 images that can be read, got 4: give more of them"):
        check_perplexity(None, 4)
