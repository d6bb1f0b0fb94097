"""How an image is exposed, by levels that are known."""

import numpy as np
import pytest

from onlygood.auditing.levels import measure_levels


def test_of_two_levels_and_clipped_ends() -> None:
    image = np.full((100, 100, 1), 51, np.uint8)
    image[:50] = 153
    image[0, :, 0] = 255
    image[99, :50, 0] = 0
    levels = measure_levels(image, 255)
    assert levels.brightness == pytest.approx((4950 * 51 + 4900 * 153 + 100 * 255) / 10_000 / 255, abs=1e-6)
    assert (levels.white, levels.black, levels.is_flat) == (0.01, 0.005, False)
    # Between the level that half a percent of the pixels lie below, of which it has just so many at 0, and 255.
    assert levels.contrast == pytest.approx(1.0 - 51 / 255, abs=0.002)


def test_any_channel_at_the_end_of_the_scale_is_clipped_and_all_must_be_black() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    image[:4, :, 0] = 255
    levels = measure_levels(image, 255)
    assert (levels.white, levels.black) == (0.4, 0.6)
    assert levels.brightness == pytest.approx(0.4 / 3)


def test_the_scale_of_16_bits_is_what_their_camera_has() -> None:
    image = np.full((10, 10, 1), 4095, np.uint16)
    assert measure_levels(image, 4095).white == 1.0
    assert measure_levels(image, 65535).white == 0.0
    assert measure_levels(image, 4095).is_flat


def test_one_pixel_of_a_large_image_is_enough_not_to_be_of_one_level() -> None:
    image = np.zeros((1500, 1500, 1), np.uint8)
    image[701, 701] = 1
    assert not measure_levels(image, 255).is_flat
