"""16-bit images keep their 16 bits, through one window for good and new ones."""

from pathlib import Path

import numpy as np
import pytest

import onlygood
from flat import fit
from onlygood.errors import FolderError, ImageFormatError, SettingError
from onlygood.heatmap import draw_heatmap
from textures import FAST, GOOD, save, texture, textures, twelve_bit, with_defect


@pytest.fixture(scope="module")
def inspect(sixteen_bit_model: onlygood.Model) -> onlygood.Inspector:
    return onlygood.Inspector(sixteen_bit_model)


def test_the_window_holds_the_good_levels_and_is_stored(sixteen_bit_model: onlygood.Model) -> None:
    kind = sixteen_bit_model.metadata.input
    black, white = kind.window
    levels = np.stack([twelve_bit(seed) for seed in range(GOOD)])
    assert kind.dtype == "uint16"
    assert (levels < black).mean() < 0.001
    assert (levels > white).mean() < 0.001
    assert white - black < np.ptp(levels)
    assert onlygood.Inspector(sixteen_bit_model).window == (black, white)


def test_16_bit_files_give_what_16_bit_arrays_give(sixteen_bit_model: onlygood.Model, tmp_path: Path) -> None:
    save(tmp_path, {f"{seed:02}.{'tif' if seed % 2 else 'png'}": twelve_bit(seed) for seed in range(GOOD)})
    from_files = fit(tmp_path, **FAST)
    np.testing.assert_array_equal(from_files.calibration.scores, sixteen_bit_model.calibration.scores)


def test_differences_below_one_level_in_256_are_seen(inspect: onlygood.Inspector) -> None:
    image = twelve_bit(100)
    changed = image.copy()
    changed[10:60, 10:60] += 6  # 6 of 65,536 levels: nothing is left of it in 8 bits
    assert ((changed >> 8) == (image >> 8)).mean() > 0.97
    assert inspect(changed).score != pytest.approx(inspect(image).score, abs=1e-4)


def test_a_window_given_is_the_one_that_is_stored() -> None:
    images = [twelve_bit(seed) for seed in range(4)]
    model = fit(images, window=(100, 4095), **FAST)
    assert model.metadata.input.window == (100, 4095)
    assert model.metadata.settings["window"] == [100, 4095]


def test_the_window_makes_16_bits_what_8_bits_were() -> None:
    settings = {**FAST, "bank_size": 300}
    eight = onlygood.Inspector(fit(textures(6), **settings))
    wide = [image.astype(np.uint16) * 100 + 1000 for image in textures(6)]
    sixteen = onlygood.Inspector(fit(wide, window=(1000, 1000 + 255 * 100), **settings))
    for image in (texture(100), with_defect(texture(101))):
        ours = sixteen(image.astype(np.uint16) * 100 + 1000)
        assert ours.score == pytest.approx(eight(image).score, rel=1e-3, abs=1e-3)


def test_what_is_brighter_than_the_window_is_not_cut_off(inspect: onlygood.Inspector) -> None:
    white = int(inspect.window[1])
    glares = []
    for level in (white, 2 * white, 4 * white, 65_535):
        image = with_defect(twelve_bit(100), level)
        result = inspect(image)
        assert result.is_anomaly
        glares.append(result.score)
    assert glares == sorted(glares)
    assert glares[-1] > glares[0] * 1.3


def test_an_8_bit_image_is_refused_by_a_16_bit_model(inspect: onlygood.Inspector) -> None:
    with pytest.raises(ImageFormatError, match=r"^a\.png has 8 bits a channel, the model takes 16: save it in the dep"):
        inspect(texture(100), name="a.png")


def test_a_16_bit_image_is_refused_by_an_8_bit_model(model: onlygood.Model) -> None:
    with pytest.raises(ImageFormatError, match="has 16 bits a channel, the model takes 8"):
        onlygood.Inspector(model)(twelve_bit(100))


def test_good_images_of_two_depths_are_refused_with_the_name_of_the_first_that_differs() -> None:
    images = [twelve_bit(0), twelve_bit(1), texture(2), texture(3)]
    with pytest.raises(FolderError, match="must all have one bit depth, got image 2 with 8 bits a channel among"):
        fit(images, threads=1, **FAST)


@pytest.mark.parametrize("window", [(5, 5), (9, 3), (-1, 255), (0, 70_000)])
def test_a_window_that_is_none_is_refused(window: tuple[float, float]) -> None:
    with pytest.raises(SettingError, match="a window must be two levels with black < white"):
        fit(textures(3), window=window, **FAST)


def test_a_heat_map_shows_a_16_bit_image_through_its_window(sixteen_bit_model: onlygood.Model) -> None:
    inspect = onlygood.Inspector(sixteen_bit_model)
    image = twelve_bit(100)[:, :, None]
    result = inspect(image)
    assert result.anomaly_map is not None
    sheet = np.asarray(draw_heatmap(image, result.anomaly_map, levels=inspect.map_levels, window=inspect.window))
    black, white = inspect.window
    expected = np.clip((image - black) * 255 / (white - black), 0, 255)
    np.testing.assert_allclose(sheet[:96, :96], np.repeat(expected, 3, axis=2), atol=1)
