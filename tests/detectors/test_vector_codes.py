"""Vectors as small whole numbers."""

import numpy as np
import pytest

from onlygood.detectors.vector_codes import FINE_STEP, STEP, Coordinates
from onlygood.detectors.whitening import learn_whitening
from textures import Array

RANDOM = np.random.default_rng(0)
WIDTH = 12
VECTORS: Array = (RANDOM.standard_normal((400, WIDTH)) * np.geomspace(0.01, 10, WIDTH) + 3).astype(np.float32)


@pytest.fixture
def whitening() -> tuple[Array, Array]:
    return learn_whitening(VECTORS, shrinkage=0.01)


@pytest.fixture
def coordinates(whitening: tuple[Array, Array]) -> Coordinates:
    return Coordinates.of_whitening(*whitening)


@pytest.mark.parametrize("step", [STEP, FINE_STEP])
def test_what_is_lost_is_at_most_half_a_step_of_each_whitened_coordinate(
    coordinates: Coordinates, whitening: tuple[Array, Array], step: float
) -> None:
    read = coordinates.decode(coordinates.encode(VECTORS, step), step)
    # The basis is the whitening to three digits.
    lost = np.abs((read - VECTORS) @ whitening[1])
    assert lost.max() <= 0.5 * step * 1.02
    assert lost.mean() > 0.2 * step


def test_what_was_written_once_stays_the_same_however_often(coordinates: Coordinates) -> None:
    codes = coordinates.encode(VECTORS)
    read = coordinates.decode(codes)
    for _ in range(10):
        again = coordinates.encode(read)
        np.testing.assert_array_equal(again, codes)
        read = coordinates.decode(again)


def test_what_was_rounded_finely_can_be_rounded_as_if_it_had_not_been(coordinates: Coordinates) -> None:
    finely = coordinates.decode(coordinates.encode(VECTORS, FINE_STEP), FINE_STEP)
    differ = coordinates.encode(finely) != coordinates.encode(VECTORS)
    # But where the finer number lies on the border between two.
    assert differ.mean() < 2 * FINE_STEP / STEP


def test_small_numbers_take_one_byte_each_and_large_ones_two(coordinates: Coordinates) -> None:
    assert coordinates.encode(VECTORS).dtype == np.int8
    far = VECTORS.copy()
    far[0] *= 1000
    codes = coordinates.encode(far)
    assert codes.dtype == np.int16
    assert int(np.abs(codes.astype(int)).max()) <= 32_767


def test_coordinates_are_read_as_they_were_written(coordinates: Coordinates) -> None:
    arrays = coordinates.to_arrays("a_")
    assert set(arrays) == {"a_origin", "a_basis", "a_stretch"}
    again = Coordinates.from_arrays(arrays, "a_")
    np.testing.assert_array_equal(again.encode(VECTORS), coordinates.encode(VECTORS))
    assert len(coordinates.encode(VECTORS[:0])) == 0


BAD = {
    "basis": lambda a: np.zeros_like(a),
    "stretch": lambda a: np.zeros_like(a),
    "origin": lambda a: a[:-1],
}


@pytest.mark.parametrize("name", BAD)
def test_coordinates_that_are_none_are_refused(coordinates: Coordinates, name: str) -> None:
    arrays = coordinates.to_arrays("")
    with pytest.raises(ValueError, match="coordinates"):
        Coordinates.from_arrays({**arrays, name: BAD[name](arrays[name])}, "")
    singular = {**arrays, "basis": np.ones_like(arrays["basis"])}
    with pytest.raises(ValueError, match="without an inverse"):
        Coordinates.from_arrays(singular, "")
