import numpy as np
from PIL import Image

from onlygood.heatmap import CONTOUR, DASH, MASK_DASHES, overlay, to_screen
from textures import Array, texture

LEVELS = (1.0, 3.0)


def over_grey(anomaly_map: Array, mask: Array | None = None) -> Array:
    base = Image.new("RGB", anomaly_map.shape[::-1], (100, 100, 100))
    return np.asarray(overlay(base, anomaly_map.astype(np.float32), levels=LEVELS, mask=mask))


def test_a_line_of_dashes_two_pixels_wide_surrounds_what_a_mask_marks_and_nothing_else() -> None:
    mask = np.zeros((40, 50), bool)
    mask[10:20, 15:30] = True
    drawn = over_grey(np.zeros(mask.shape), mask)
    expected = np.zeros_like(mask)
    expected[8:22, 13:32] = True
    expected[10:20, 15:30] = False
    np.testing.assert_array_equal((drawn != 100).any(axis=2), expected)
    for row, column in np.argwhere(expected):
        assert tuple(drawn[row, column]) == MASK_DASHES[(row + column) // DASH % 2]


def test_a_mask_of_one_pixel_is_surrounded_by_dashes_of_both_colours() -> None:
    mask = np.zeros((20, 20), bool)
    mask[9, 9] = True
    drawn = over_grey(np.zeros(mask.shape), mask)
    assert {tuple(colour) for colour in drawn.reshape(-1, 3).tolist()} == {(100, 100, 100), *MASK_DASHES}


def test_a_mask_everywhere_or_nowhere_has_no_line() -> None:
    for mask in (np.ones((12, 9), bool), np.zeros((12, 9), bool)):
        assert (over_grey(np.zeros(mask.shape), mask) == 100).all()


def test_the_masks_line_lies_over_the_contour() -> None:
    anomaly_map = np.zeros((30, 30))
    anomaly_map[10:20, 10:20] = 9.0
    drawn = over_grey(anomaly_map, anomaly_map > 3)
    assert not (drawn == CONTOUR).all(axis=2).any()


def test_the_base_is_not_changed() -> None:
    base = to_screen(texture(0, (20, 30))[:, :, None], (0.0, 255.0))
    before = np.asarray(base).copy()
    overlay(base, np.full((20, 30), 9.0, np.float32), levels=LEVELS, mask=np.eye(20, 30, dtype=bool))
    np.testing.assert_array_equal(np.asarray(base), before)
