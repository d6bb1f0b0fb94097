import numpy as np
import pytest

from onlygood.regions import MOST_REGIONS, Region, find_regions


def test_regions_have_boxes_areas_peaks_and_centres() -> None:
    anomaly_map = np.zeros((8, 10), np.float32)
    anomaly_map[1:3, 2:5] = 2.0
    anomaly_map[2, 4] = 5.0
    anomaly_map[6, 9] = 9.0
    anomaly_map[4, 0] = 1.0  # not above
    assert find_regions(anomaly_map, 1.0) == (
        Region(box=(9, 6, 10, 7), area=1, peak=9.0, peak_at=(9, 6), center=(9.0, 6.0)),
        # weights: 1 for five pixels, 4 for one at (4, 2)
        Region(box=(2, 1, 5, 3), area=6, peak=5.0, peak_at=(4, 2), center=(3.3, 1.7)),
    )
    assert find_regions(anomaly_map, 9.0) == ()


def test_pixels_touch_at_corners() -> None:
    anomaly_map = np.eye(5, dtype=np.float32) + np.eye(5, dtype=np.float32)[::-1]
    (region,) = find_regions(anomaly_map, 0.5)
    assert (region.box, region.area, region.peak_at) == ((0, 0, 5, 5), 9, (2, 2))


@pytest.mark.parametrize("seed", range(20))
def test_regions_are_those_of_an_independent_labelling(seed: int) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    random = np.random.default_rng(seed)
    anomaly_map = random.random((random.integers(1, 40), random.integers(1, 40))).astype(np.float32)
    level = float(random.random())
    labels, count = ndimage.label(anomaly_map > level, structure=np.ones((3, 3)))
    expected = sorted(
        (columns.start, rows.start, columns.stop, rows.stop, int((labels == number + 1).sum()))
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels))
    )
    found = find_regions(anomaly_map, level)
    if count <= MOST_REGIONS:
        assert sorted((*region.box, region.area) for region in found) == expected
    assert [region.peak for region in found] == sorted((region.peak for region in found), reverse=True)


def test_only_the_highest_of_very_many_are_kept() -> None:
    anomaly_map = np.zeros((60, 60), np.float32)
    anomaly_map[::2, ::2] = np.arange(900, dtype=np.float32).reshape(30, 30) + 1
    found = find_regions(anomaly_map, 0.5)
    assert [region.peak for region in found] == [900.0 - number for number in range(MOST_REGIONS)]
