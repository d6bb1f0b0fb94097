"""Outlines filled on a grid of pixels, against areas and memberships that are known."""

import numpy as np
import pytest

from onlygood.images.outlines import Outline, box_corners, ellipse_corners, fill, mask_of, turned


def inside_slowly(corners: np.ndarray, height: int, width: int) -> np.ndarray:
    """By counting for each pixel's center the edges that a ray to the left crosses."""
    mask = np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            x, y, count = column + 0.5, row + 0.5, 0
            for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
                    count += 1
            mask[row, column] = count % 2
    return mask


@pytest.mark.parametrize("seed", range(20))
def test_random_polygons_also_such_that_cross_themselves_or_the_border_are_filled_by_the_even_odd_rule(
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    corners = random.uniform(-8, 30, (random.integers(3, 9), 2))
    if seed % 2:
        corners = np.rint(corners)  # corners on the borders of pixels
    if seed % 3 == 0:
        corners = np.floor(corners) + 0.5  # and on their centers
    assert np.array_equal(fill(corners, 20, 25), inside_slowly(corners, 20, 25))


def test_a_box_holds_the_pixels_whose_centers_lie_in_it() -> None:
    expected = np.zeros((10, 12), bool)
    expected[2:6, 3:8] = True
    assert np.array_equal(fill(box_corners(3, 2, 5, 4), 10, 12), expected)
    assert np.array_equal(fill(box_corners(2.6, 1.6, 5, 4), 10, 12), expected)
    assert np.array_equal(fill(box_corners(8, 6, -5, -4), 10, 12), expected)


def test_what_lies_outside_the_image_is_cut_off() -> None:
    assert fill(box_corners(-100, -100, 1000, 1000), 7, 9).all()
    assert not fill(box_corners(20, 20, 5, 5), 7, 9).any()
    assert not fill(box_corners(-20, 2, 5, 5), 7, 9).any()
    assert fill(box_corners(-5, 2, 8, 3), 7, 9).sum() == 9


def test_an_ellipse_has_its_area() -> None:
    mask = fill(ellipse_corners(200, 150, 120, 60), 300, 400)
    assert mask.sum() == pytest.approx(np.pi * 120 * 60, rel=1e-3)
    assert mask[150, 81] and not mask[150, 79]


def test_corners_are_turned_clockwise_as_it_is_seen_on_a_screen() -> None:
    corners = turned(box_corners(2, 1, 4, 2), 90, 2, 1)
    assert corners == pytest.approx(np.array([[2, 1], [2, 5], [0, 5], [0, 1]]))


def test_holes_are_left_out() -> None:
    outline = Outline(box_corners(0, 0, 8, 8), holes=[box_corners(2, 2, 3, 3)])
    assert mask_of(outline, 8, 8).sum() == 64 - 9
