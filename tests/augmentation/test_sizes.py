import numpy as np
import pytest

import onlygood
from onlygood.augmentation.sizes import make_smaller, sized_sources
from onlygood.datasets.sources import Source
from onlygood.errors import SettingError
from textures import texture, textures


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_smaller_image_holds_the_means_of_what_its_pixels_cover(dtype: type[np.generic]) -> None:
    image = np.arange(6 * 4 * 3).reshape(4, 6, 3).astype(dtype) * 3
    expected = np.rint(image.reshape(2, 2, 3, 2, 3).mean(axis=(1, 3)))
    found = make_smaller(image, 3, "x")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)


def test_the_long_side_is_as_asked_and_the_aspect_ratio_stays() -> None:
    assert make_smaller(np.zeros((90, 200, 1), np.uint8), 100, "x").shape == (45, 100, 1)
    assert make_smaller(np.zeros((200, 3, 1), np.uint8), 20, "x").shape == (20, 1, 1)


def test_an_image_that_is_not_larger_is_refused() -> None:
    with pytest.raises(
        SettingError, match=r"sizes must be smaller than the good images, got 96 for a of 96 x 64 pixels"
    ):
        make_smaller(np.zeros((64, 96, 1), np.uint8), 96, "a")


def test_each_image_is_followed_by_its_copies_with_its_label() -> None:
    image = texture(1)[:, :, None]
    (first, small, smaller) = sized_sources([Source("a", "lot", lambda: image, lambda: "PNG")], [48, 24])
    assert [each.name for each in (first, small, smaller)] == ["a", "a at 48 pixels", "a at 24 pixels"]
    assert {each.label for each in (first, small, smaller)} == {"lot"}
    assert [each.file_format() for each in (first, small, smaller)] == ["PNG"] * 3
    assert [max(each.read().shape) for each in (first, small, smaller)] == [96, 48, 24]


def test_a_model_for_several_sizes_knows_them_and_calls_good_what_is_good_at_each() -> None:
    good = textures(12)
    new = [np.ascontiguousarray(make_smaller(texture(50 + seed)[:, :, None], 24, "x")) for seed in range(6)]
    settings = {"method": onlygood.Knn(input_size=96), "false_alarm_rate": 0.2, "threshold_rule": "conformal"}
    at_one = onlygood.Inspector(onlygood.fit(good, **settings))
    model = onlygood.fit(good, sizes=[24], **settings)
    assert model.notes[0].startswith(
        "Each of 12 good images is also learned, and calibrates, made smaller to a long side"
    )
    assert (model.guarantee.calibration_images, model.guarantee.groups) == (24, 12)
    at_both = onlygood.Inspector(model)
    assert sum(at_one(each).is_anomaly for each in new) == len(new)
    assert sum(at_both(each).is_anomaly for each in new) <= 2
    assert [difference.aspect for difference in at_one(new[0]).differences][:1] == ["size"]
    assert "size" not in [difference.aspect for difference in at_both(new[0]).differences]


def test_sizes_go_without_golden() -> None:
    with pytest.raises(SettingError, match="sizes must be left out with golden"):
        onlygood.fit([texture(1)], golden=True, sizes=[48])
