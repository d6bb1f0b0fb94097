"""What patch memories keep: moments by algebra, and everything as it was written."""

import numpy as np
import pytest

from onlygood.detectors.patch.kept import (
    MOST_BATCHES,
    NUMBERS,
    Batch,
    KeptLevel,
    KeptPatches,
    chosen_to_keep,
    leverage,
    map_numbers,
    merged,
)
from onlygood.detectors.patch.scores import LevelScores
from onlygood.detectors.vector_codes import Coordinates
from onlygood.detectors.whitening import Moments, learn_whitening
from textures import Array

WIDTH = 6
MIXING = np.random.default_rng(9).standard_normal((WIDTH, WIDTH))


def rows(count: int, seed: int) -> Array:
    return (np.random.default_rng(seed).standard_normal((count, WIDTH)) @ MIXING + seed).astype(np.float32)


@pytest.fixture
def coordinates() -> Coordinates:
    return Coordinates.of_whitening(*learn_whitening(rows(500, 1), shrinkage=0.01))


def test_moments_of_batches_add_up_to_those_of_all_rows(coordinates: Coordinates) -> None:
    parts = [rows(200, 1), rows(120, 2), rows(80, 3)]
    found = [Batch.of(part, len(part) // 4, coordinates).moments(len(part), coordinates) for part in parts]
    total = found[0] + found[1] + found[2]
    everything = np.concatenate(parts).astype(np.float64)
    expected = Moments.of(np.concatenate(parts), coordinates.origin)
    np.testing.assert_allclose(total.total, expected.total, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(total.products, expected.products, rtol=1e-3, atol=0.5)
    mean, whitening = total.whitening(coordinates.origin, shrinkage=0.01)  # type: ignore[misc]
    np.testing.assert_allclose(mean, everything.mean(axis=0), rtol=1e-4, atol=1e-4)
    # The same distances as by the rows themselves, whichever coordinates they are in.
    covariance = np.cov(everything.T, bias=True)
    shrunk = covariance + 0.01 * np.trace(covariance) / WIDTH * np.eye(WIDTH)
    np.testing.assert_allclose(whitening @ whitening.T @ shrunk, np.eye(WIDTH), atol=5e-3)


def test_a_batch_less_another_is_what_is_left(coordinates: Coordinates) -> None:
    first, second = rows(300, 4), rows(200, 5)
    all_of_them = Moments.of(np.concatenate([first, second]), coordinates.origin)
    left = all_of_them - Batch.of(second, 50, coordinates).moments(200, coordinates)
    expected = Moments.of(first, coordinates.origin)
    assert left.count == 300
    np.testing.assert_allclose(left.products, expected.products, rtol=1e-3, atol=1.0)


def test_moments_about_another_origin_are_those_of_the_rows_about_it() -> None:
    those, there = rows(50, 6), np.arange(WIDTH, dtype=np.float32)
    origin = np.zeros(WIDTH, dtype=np.float32)
    moved = Moments.of(those, origin).about(there.astype(np.float64))
    expected = Moments.of(those, there)
    np.testing.assert_allclose(moved.total, expected.total, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(moved.products, expected.products, rtol=1e-4, atol=1e-2)


def test_two_batches_in_one_have_the_moments_of_the_rows_of_both(coordinates: Coordinates) -> None:
    first, second = rows(40, 7), rows(100, 8)
    both = Batch.of(first, 10, coordinates).with_others(Batch.of(second, 10, coordinates))
    expected = Batch.of(np.concatenate([first, second]), 20, coordinates)
    assert (both.rows, both.each) == (140, 7.0)
    np.testing.assert_allclose(both.mean, expected.mean, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(both.covariance, expected.covariance, rtol=1e-3, atol=1e-2)


def test_batches_beyond_the_most_share_moments(coordinates: Coordinates) -> None:
    batches = {number: Batch.of(rows(20 + number, number), 5, coordinates) for number in range(MOST_BATCHES + 6)}
    found = merged(batches)
    assert set(found) == set(batches)
    assert len(set(found.values())) == MOST_BATCHES
    assert found[MOST_BATCHES + 5] is batches[MOST_BATCHES + 5]
    assert sum(each.rows for each in set(found.values())) == sum(each.rows for each in batches.values())


def kept(coordinates: Coordinates, *, is_fine: bool = False) -> KeptPatches:
    random = np.random.default_rng(3)
    several = Batch.of(rows(60, 3), 6, coordinates)
    batches = {0: Batch.of(rows(100, 1), 10, coordinates), 2: several, 5: several}
    level = KeptLevel(
        coordinates,
        batches,
        rows(30, 4),
        random.integers(0, 9, 30),
        is_complete=True,
        is_fine=is_fine,
        deciding=rows(12, 5).reshape(4, 3, WIDTH),
    )
    numbers = random.random((4, 1, len(NUMBERS))).astype(np.float32)
    return KeptPatches([level], np.array([0, 3, 4, 8]), np.array([True, False, True, True]), numbers)


@pytest.mark.parametrize("is_fine", [False, True])
def test_what_is_kept_is_read_as_it_was_written_and_written_as_it_was_read(
    coordinates: Coordinates, is_fine: bool
) -> None:
    before = kept(coordinates, is_fine=is_fine)
    arrays = before.to_arrays()
    after = KeptPatches.from_arrays(arrays, widths=[WIDTH], count=9, numbers=[0, 2, 5])
    again = after.to_arrays()
    assert set(again) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)
    level = after.levels[0]
    assert level.batches[2] is level.batches[5]
    assert level.is_complete and level.is_fine is is_fine
    whitened = (level.rows - before.levels[0].rows) @ coordinates.forward
    assert np.abs(whitened).max() <= (0.01 if is_fine else 0.13)
    np.testing.assert_allclose(level.batches[0].covariance, before.levels[0].batches[0].covariance, atol=0.02)
    np.testing.assert_allclose(after.number("alone"), before.number("alone"), atol=1e-3)


def test_numbers_that_do_not_fit_together_are_refused(coordinates: Coordinates) -> None:
    arrays = kept(coordinates).to_arrays()
    with pytest.raises(ValueError, match="batches"):
        KeptPatches.from_arrays(arrays, widths=[WIDTH], count=9, numbers=[0, 1])
    with pytest.raises(ValueError, match="images"):
        KeptPatches.from_arrays(arrays, widths=[WIDTH], count=8, numbers=[0])
    with pytest.raises(ValueError, match="coordinates"):
        KeptPatches.from_arrays(arrays, widths=[WIDTH + 1], count=9, numbers=[0])
    with pytest.raises(ValueError, match="numbers"):
        KeptPatches.from_arrays(arrays, widths=[WIDTH, WIDTH], count=9, numbers=[0])
    del arrays["level0_rows"]
    with pytest.raises(KeyError):
        KeptPatches.from_arrays(arrays, widths=[WIDTH], count=9, numbers=[0])


def test_leverage_is_the_share_by_which_a_squared_distance_is_shortened() -> None:
    """By the formula of Sherman and Morrison: one of squared distance s by the others loses the share s / (1 + s)."""
    others = np.random.default_rng(1).standard_normal((400, 3))
    one = np.array([4.0, -2.0, 1.0])
    unseen = others.T @ others
    seen = unseen + np.outer(one, one)
    by_others, by_all = (float(one @ np.linalg.inv(each) @ one) for each in (unseen, seen))
    (found,) = leverage(LevelScores((by_others**0.5,), (), (), (by_all**0.5,)))
    assert found == pytest.approx(by_others / (1 + by_others))
    assert leverage(LevelScores((1.0, 0.0, 1.0), (), (), (1.1, 0.0, 0.0))) == [0.0, 0.0, 0.98]


def test_numbers_of_a_map_are_those_of_its_levels_and_of_the_place_of_its_peak() -> None:
    combined = np.zeros((4, 4), dtype=np.float32)
    combined[3, 0] = 1.0
    level = np.array([[1.0, 2.0], [7.0, 4.0]], dtype=np.float32)
    assert map_numbers([level, level.T], combined) == [
        (3.0, 3.5, pytest.approx(float(level.std())), 7.0),
        (3.0, 3.5, pytest.approx(float(level.std())), 2.0),
    ]


def test_of_many_images_some_can_be_scored_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onlygood.detectors.patch.kept.MOST_IMAGES", 10)
    found = chosen_to_keep(np.arange(0, 200, 2))
    assert len(found) == 10 and (np.diff(found) > 0).all() and set(found.tolist()) <= set(range(0, 200, 2))
    assert chosen_to_keep(np.arange(4)).tolist() == [0, 1, 2, 3]
