from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onlygood.detectors import coreset
from onlygood.detectors.coreset import (
    CANDIDATES,
    CHUNK,
    cluster_means,
    greedy_k_center,
    k_means,
    squared_distances_to_parts,
)
from onlygood.errors import SettingError


def textbook(points: NDArray[Any], size: int, first: int) -> list[int]:
    """Greedy k-center as it is written in books, in float64, from the point `first` on."""
    points = points.astype(np.float64)
    picked = [first]
    nearest = ((points - points[first]) ** 2).sum(axis=1)
    while len(picked) < size and nearest.max() > 0:
        picked.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((points - points[picked[-1]]) ** 2).sum(axis=1))
    return picked


def radius(points: NDArray[Any], centres: Any) -> float:
    distances = np.linalg.norm(points[:, None].astype(np.float64) - points[None, centres], axis=2)
    return float(distances.min(axis=1).max())


def normal(n: int, d: int, *, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("n", [1, 2, 50, CANDIDATES - 1, CANDIDATES, CANDIDATES + 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_picks_are_the_textbooks(n: int) -> None:
    points = normal(n, 6)
    picked = greedy_k_center(points, 60, seed=3)
    assert picked.dtype == np.int64
    assert picked.tolist() == textbook(points, 60, int(picked[0]))


@pytest.mark.parametrize("n", [300, CANDIDATES + 900, CHUNK + 1])
def test_ties_go_to_the_first_to_come(n: int) -> None:
    # Whole numbers this small are exact in float32, so ties, of which there are many, are ties in both.
    points = np.random.default_rng(1).integers(-3, 4, size=(n, 4)).astype(np.float32)
    picked = greedy_k_center(points, 120, seed=0)
    assert picked.tolist() == textbook(points, 120, int(picked[0]))


@settings(deadline=None)
@given(
    n=st.integers(1, 40),
    size=st.integers(1, 45),
    candidates=st.integers(1, 12),
    chunk=st.integers(1, 12),
    seed=st.integers(0, 2**16),
)
def test_candidates_and_chunks_decide_the_speed_alone(
    n: int, size: int, candidates: int, chunk: int, seed: int
) -> None:
    points = np.random.default_rng(seed).integers(-3, 4, size=(n, 3)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coreset, "CANDIDATES", candidates)
        patch.setattr(coreset, "CHUNK", chunk)
        picked = greedy_k_center(points, size, seed=seed)
    assert picked.tolist() == textbook(points, size, int(picked[0]))


@pytest.mark.parametrize("d", [2, 40, 152, 600, 2064])
@pytest.mark.parametrize("offset", [0, 1, 5])
def test_duplicates_are_never_picked_twice(d: int, offset: int) -> None:
    distinct = normal(40, d) + np.float32(offset)
    owners = np.random.default_rng(2).permutation(np.repeat(np.arange(40), 8))
    picked = greedy_k_center(distinct[owners], 300, seed=0)
    assert sorted(owners[picked].tolist()) == list(range(40))


def test_duplicates_among_more_points_than_candidates_are_never_picked_twice() -> None:
    distinct = normal(1500, 20)
    owners = np.random.default_rng(3).permutation(np.repeat(np.arange(1500), 4))
    picked = greedy_k_center(distinct[owners], 5000, seed=0)
    assert sorted(owners[picked].tolist()) == list(range(1500))


@pytest.mark.parametrize("value", [0.0, 0.1, -1e4])
@pytest.mark.parametrize("n", [1, 100, CANDIDATES + 1])
def test_constant_points_need_one_row(value: float, n: int) -> None:
    assert len(greedy_k_center(np.full((n, 7), value, dtype=np.float32), 50, seed=0)) == 1


def test_all_points_are_picked_where_there_are_fewer_than_asked_for() -> None:
    assert sorted(greedy_k_center(normal(30, 5), 31, seed=0).tolist()) == list(range(30))
    assert sorted(greedy_k_center(normal(30, 5), 30, seed=0).tolist()) == list(range(30))


def test_the_seed_draws_the_first_row_and_nothing_else() -> None:
    points = normal(200, 5)
    firsts = set()
    for seed in range(20):
        picked = greedy_k_center(points, 20, seed=seed)
        np.testing.assert_array_equal(picked, greedy_k_center(points.copy(), 20, seed=seed))
        assert picked.tolist() == textbook(points, 20, int(picked[0]))
        firsts.add(int(picked[0]))
        assert greedy_k_center(points, 1, seed=seed).tolist() == [picked[0]]
    # Twenty draws out of two hundred: all equal, or only a handful, has no chance.
    assert len(firsts) > 10


def test_a_smaller_coreset_is_the_beginning_of_a_larger_one() -> None:
    points = normal(CANDIDATES + 500, 4)
    large = greedy_k_center(points, 90, seed=1)
    for size in (1, 2, 30, 89):
        np.testing.assert_array_equal(greedy_k_center(points, size, seed=1), large[:size])


def test_the_covering_radius_never_grows() -> None:
    points = normal(400, 3)
    picked = greedy_k_center(points, 80, seed=0)
    radii = [radius(points, picked[:size]) for size in range(1, 81)]
    assert all(after <= before for before, after in pairwise(radii))
    # Each centre is as far from those before it as the radius that they covered with.
    for size in range(1, 80):
        gap = np.linalg.norm(points[picked[:size]].astype(np.float64) - points[picked[size]], axis=1).min()
        assert gap == pytest.approx(radii[size - 1], rel=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_the_radius_is_at_most_twice_the_best_possible(seed: int) -> None:
    # Gonzalez 1985, theorem 2.1, by trying all sets of centres.
    points = normal(11, 2, seed=seed)
    best = min(radius(points, list(centres)) for centres in combinations(range(11), 3))
    assert radius(points, greedy_k_center(points, 3, seed=seed)) <= 2 * best * (1 + 1e-9)


def test_points_are_left_as_they_were() -> None:
    points = normal(50, 3)
    before = points.copy()
    greedy_k_center(points, 10, seed=0)
    np.testing.assert_array_equal(points, before)


@pytest.mark.parametrize("shape", [(0, 4), (5,), (2, 3, 4)])
def test_points_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match=r"points of shape \[n, d\] with n at least 1, got shape"):
        greedy_k_center(np.zeros(shape, dtype=np.float32), 3, seed=0)


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_below_one_is_refused(size: int) -> None:
    with pytest.raises(SettingError, match=f"size must be at least 1, got {size}"):
        greedy_k_center(normal(5, 2), size, seed=0)


def lloyd(points: NDArray[Any], means: NDArray[Any], rounds: int) -> list[int]:
    """K-means as it is written in books, in float64."""
    points, means = points.astype(np.float64), means.astype(np.float64).copy()
    nearest: list[int] = []
    for _ in range(rounds):
        nearest = [int(((means - point) ** 2).sum(axis=1).argmin()) for point in points]
        for number in set(nearest):
            means[number] = points[[place for place, near in enumerate(nearest) if near == number]].mean(axis=0)
    return nearest


def test_clusters_are_those_of_the_textbook() -> None:
    points = np.random.default_rng(3).normal(size=(60, 4)).astype(np.float32)
    first = points[np.random.default_rng(7).permutation(60)[:8]]
    expected = lloyd(points, first, coreset.ROUNDS)
    found = k_means(points, 8, seed=7)
    assert len(set(found)) == len(set(expected))
    # The same clusters, whatever their numbers.
    assert len(set(zip(found.tolist(), expected, strict=True))) == len(set(expected))


def test_where_there_are_few_points_each_is_a_cluster_with_its_copies() -> None:
    points = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    found = k_means(np.concatenate([points, points[::-1]]), 5, seed=0)
    assert sorted(found[:5]) == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(found[5:], found[:5][::-1])


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 3), st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_no_cluster_is_empty_and_there_are_no_more_than_asked_for(n: int, size: int, values: int, seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, values + 1, size=(n, 2)).astype(np.float32)
    found = k_means(points, size, seed=seed)
    assert set(found) == set(range(len(set(found))))
    assert len(set(found)) <= min(size, len(np.unique(points, axis=0)))
    assert found.tolist() == k_means(points, size, seed=seed).tolist()


def test_means_of_clusters_are_counted_by_hand() -> None:
    points = np.array([[1, 1], [3, 5], [10, 0]], np.float32)
    means = cluster_means(points, np.array([2, 2, 0]), 4)
    np.testing.assert_array_equal(means, [[10, 0], [0, 0], [2, 3], [0, 0]])


@pytest.mark.parametrize(("points", "size"), [(np.empty((0, 3), np.float32), 2), (np.ones((3, 2), np.float32), 0)])
def test_clusters_of_nothing_are_refused(points: NDArray[Any], size: int) -> None:
    with pytest.raises(SettingError, match=r"clusters need points of shape|number of clusters must be at least 1"):
        k_means(points, size, seed=0)


def test_it_goes_on_from_centres_that_are_there() -> None:
    points = normal(6000, 4)
    whole = greedy_k_center(points, 60, seed=1)
    np.testing.assert_array_equal(greedy_k_center(points, 60, seed=99, centres=whole[:25]), whole)
    # From any others, each further one is the farthest from all before it.
    centres = np.array([5, 17, 300])
    found = greedy_k_center(points, 12, seed=0, centres=centres)
    assert found[:3].tolist() == [5, 17, 300]
    for number in range(3, 12):
        distances = np.linalg.norm(points[:, None] - points[found[:number]][None], axis=2).min(axis=1)
        assert distances.argmax() == found[number]


def test_it_goes_on_from_distances_that_are_known() -> None:
    points = normal(6000, 4)
    whole = greedy_k_center(points, 60, seed=1)
    squared = squared_distances_to_parts(points, whole[:25], np.zeros(25, dtype=np.int64), 1)[:, 0]
    found = greedy_k_center(points, 60, seed=99, centres=whole[:25], nearest=squared)
    np.testing.assert_array_equal(found, whole)
    # What is said to lie at a centre is not picked.
    squared[whole[25:30]] = 0.0
    before = squared.copy()
    others = greedy_k_center(points, 60, seed=99, centres=whole[:25], nearest=squared)
    assert not set(others[25:]) & set(whole[25:30])
    np.testing.assert_array_equal(squared, before)


def test_distances_to_parts_are_those_of_their_nearest_centres() -> None:
    points = normal(9000, 3)  # more than one chunk
    centres, parts = np.array([8999, 4, 70, 1, 200]), np.array([2, 0, 2, 0, 3])
    found = squared_distances_to_parts(points, centres, parts, 5)
    assert found.shape == (9000, 5)
    for number in range(5):
        theirs = points[centres[parts == number]].astype(np.float64)
        if len(theirs) == 0:
            assert np.isinf(found[:, number]).all()
            continue
        expected = np.square(points[:, None] - theirs[None]).sum(axis=2).min(axis=1)
        np.testing.assert_allclose(found[:, number], expected, rtol=1e-4, atol=1e-5)
    assert (found[centres, parts] == 0).all()
