"""Regions of interest and tiles, with every method."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import onlygood
from flat import fit
from onlygood.cli import main
from onlygood.errors import FolderError, SettingError
from textures import SIZE, Array, as_colour, numbered, save, texture, textures, twelve_bit, with_defect

GOOD = 12
WIDE = (128, 160)
LOCATING = pytest.mark.parametrize("method", ["patch", "mahalanobis", "discriminator"], scope="session")


def ellipse(size: tuple[int, int]) -> Array:
    rows, columns = np.mgrid[: size[0], : size[1]]
    inside: Array = ((rows / size[0] - 0.5) / 0.4) ** 2 + ((columns / size[1] - 0.45) / 0.35) ** 2 < 1
    return inside


def rectangle(size: tuple[int, int]) -> Array:
    mask = np.zeros(size, dtype=bool)
    mask[size[0] // 6 : -size[0] // 8, size[1] // 10 : -size[1] // 4] = True
    return mask


def noise_outside(image: Array, mask: Array, seed: int = 0) -> Array:
    """The image with noise wherever the mask does not look."""
    changed = image.copy()
    levels = np.iinfo(image.dtype).max
    changed[~mask] = np.random.default_rng(seed).integers(0, levels, changed[~mask].shape, endpoint=True)
    return changed


def raw_score(model: onlygood.Model, inspection: onlygood.Inspection) -> float:
    return inspection.score + model.calibration.threshold


def assert_same(model: onlygood.Model, image: Array, changed: Array) -> None:
    inspect = onlygood.Inspector(model)
    one, other = inspect(image), inspect(changed)
    assert raw_score(model, other) == pytest.approx(raw_score(model, one), rel=1e-5)
    assert one.p_value == other.p_value
    assert one.anomaly_map is not None
    assert other.anomaly_map is not None
    np.testing.assert_allclose(one.anomaly_map, other.anomaly_map, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [ellipse, rectangle])
def test_noise_outside_the_region_changes_nothing(method: str, fast: dict[str, Any], shape: Any) -> None:
    mask = shape((SIZE, SIZE))
    good = textures(GOOD)
    model = fit(good, method=method, roi=mask, **fast)
    for image in (texture(100), with_defect(texture(101))):
        assert_same(model, image, noise_outside(image, mask))
    # Neither do the good images hand anything on from there.
    again = fit([noise_outside(image, mask, 7) for image in good], method=method, roi=mask, **fast)
    assert again.calibration.scores.tolist() == model.calibration.scores.tolist()
    region = model.metadata.input.region
    assert region is not None
    assert 0 < region.looked_at <= 1


@LOCATING
def test_a_defect_is_found_where_it_is_looked_for_and_only_there(method: str, fast: dict[str, Any]) -> None:
    mask = ellipse((SIZE, SIZE))
    inspect = onlygood.Inspector(fit(textures(GOOD), method=method, roi=mask, **fast))
    inside, outside = texture(100).copy(), texture(100).copy()
    inside[40:56, 36:52] = 0
    outside[~mask] = 0
    assert inspect(inside).is_anomaly
    assert inspect(outside).score == pytest.approx(inspect(texture(100)).score, rel=1e-4, abs=1e-4)
    found = inspect(inside).anomaly_map
    assert found is not None
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert mask[row, column]
    assert len({float(level) for level in found[~mask]}) == 1


@pytest.mark.parametrize("make", [twelve_bit, lambda seed: as_colour(texture(seed))])
def test_other_kinds_of_images_have_regions_too(make: Any) -> None:
    mask = ellipse((SIZE, SIZE))
    model = onlygood.fit([make(seed) for seed in range(GOOD)], roi=mask)
    assert_same(model, make(100), noise_outside(make(100), mask))


def test_a_mask_of_another_scale_and_images_of_another_size_go_together() -> None:
    small = ellipse((SIZE // 2, SIZE // 2))
    model = onlygood.fit(textures(GOOD), roi=small)
    large = texture(100, (2 * SIZE, 2 * SIZE))
    assert_same(model, large, noise_outside(large, np.kron(small, np.ones((4, 4), dtype=bool))))


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (np.zeros((SIZE, SIZE), dtype=bool), "the region of interest must"),
        (np.ones((SIZE, 2 * SIZE), dtype=bool), "the region of interest must have the shape of the images, 96 x 96"),
    ],
)
def test_a_region_that_cannot_be_is_refused(mask: Array, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        onlygood.fit(textures(4), roi=mask)


def wide(seed: int) -> Array:
    return texture(seed, WIDE)


def in_tiles(good: list[Any], **settings: Any) -> onlygood.Model:
    """A quick fit in tiles."""
    return onlygood.fit(good, method=onlygood.Patch(input_size=64, bank_size=100), tiles=64, **settings)


def test_an_image_in_tiles_is_what_the_file_alone_says(method: str, fast: dict[str, Any], tmp_path: Path) -> None:
    model = fit([wide(seed) for seed in range(8)], method=method, tiles=(64, 16), **fast)
    path = tmp_path / "tiles.onnx"
    model.save(path)
    inspect = onlygood.Inspector(path)
    image = wide(100).copy()
    image[40:60, 100:120] = 0
    found = inspect(image)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    # Several images in one run, too.
    score, p_value, is_anomaly, anomaly_map = session.run(
        ["score", "p_value", "is_anomaly", "anomaly_map"], {"image": np.stack([wide(100), image])[..., None]}
    )
    assert score[1] == pytest.approx(found.score, rel=1e-4, abs=1e-4)
    assert (float(str(p_value[1])), bool(is_anomaly[1])) == (found.p_value, found.is_anomaly)
    np.testing.assert_allclose(anomaly_map[1], found.anomaly_map, rtol=1e-4, atol=1e-4)
    assert found.is_anomaly or method in ("doc", "deep-svdd")
    tiles = inspect.metadata.input.tiles
    assert tiles is not None
    assert (tiles.rows, tiles.columns, tiles.count, tiles.size) == (3, 3, 9, (64, 64))
    # Images of other sizes are cut in the same way.
    assert inspect(texture(7, (200, 231))).anomaly_map.shape == (200, 231)  # type: ignore[union-attr]


def test_tiles_and_a_region_go_together(method: str, fast: dict[str, Any]) -> None:
    mask = ellipse(WIDE)
    model = fit([wide(seed) for seed in range(8)], method=method, tiles="64,16", roi=mask, **fast)
    assert_same(model, wide(100), noise_outside(wide(100), mask))


@pytest.mark.parametrize("calibration", ["leave-one-out", "split"])
def test_one_image_is_one_calibration_score_however_many_tiles_it_has(calibration: Any) -> None:
    model = in_tiles([wide(seed) for seed in range(8)], calibration=calibration)
    left_out = 8 if calibration == "leave-one-out" else model.guarantee.calibration_images
    assert len(model.calibration.scores) == left_out <= 8
    assert len(model.good_images) == 8
    assert model.metadata.good_images.heights == (WIDE[0], WIDE[0])
    assert model.highest_scoring[0].patch_scores.ndim == 2


def test_a_small_defect_in_a_large_image_is_found_in_tiles() -> None:
    size = (480, 640)
    good = [texture(seed, size) for seed in range(8)]
    inspect = onlygood.Inspector(onlygood.fit(good, tiles="auto"))
    image = texture(100, size).copy()
    image[300:308, 200:208] = 0
    found = inspect(image)
    assert found.is_anomaly
    assert found.anomaly_map is not None
    row, column = np.unravel_index(found.anomaly_map.argmax(), size)
    assert abs(row - 304) < 24
    assert abs(column - 204) < 24


def test_info_and_pages_say_what_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = in_tiles([wide(seed) for seed in range(8)], roi=rectangle(WIDE))
    model.save(tmp_path / "part.onnx")
    assert main(["info", str(tmp_path / "part.onnx")]) == 0
    said = capsys.readouterr().out
    assert "looks at:  the box from 10% to 75% of the width and from 16% to 88% of the height" in said
    assert "tiles of 64 x 64 pixels of an image of 104 x 91" in said


def test_a_map_of_images_needs_a_model_of_whole_images(tmp_path: Path) -> None:
    good = [wide(seed) for seed in range(8)]
    with pytest.raises(SettingError, match="explore needs a model that looks at whole images"):
        onlygood.explore(in_tiles(good), save(tmp_path, numbered(good)))


@pytest.mark.parametrize("with_images", [False, True])
def test_another_threshold_is_one_for_whole_images(with_images: bool) -> None:
    model = in_tiles([wide(seed) for seed in range(8)])
    new = [wide(seed) for seed in range(50, 56)]
    other = onlygood.calibrate(model, new if with_images else None, false_alarm_rate=0.3)
    assert len(other.calibration.scores) == (6 if with_images else 8)
    image = wide(100)
    ours, theirs = (onlygood.Inspector(each)(image) for each in (model, other))
    assert ours.score + model.calibration.threshold == pytest.approx(
        theirs.score + other.calibration.threshold, rel=1e-5
    )


def test_images_that_need_no_tiles_are_looked_at_as_they_are() -> None:
    model = onlygood.fit(textures(8), tiles="auto")
    assert model.metadata.input.tiles is None
    assert any("are not cut into tiles" in note for note in model.notes)
    assert onlygood.fit(textures(8)).calibration.scores.tolist() == model.calibration.scores.tolist()


@pytest.mark.parametrize(
    ("tiles", "sentence"),
    [
        (400, "tiles must be smaller than what is looked at of the images, 160 x 128 pixels, got 400 pixels"),
        ("large", "tiles must be 'auto', a side such as '320', or side and overlap such as '320,40', got 'large'"),
        (16, "tiles must have sides of at least 32 pixels"),
        ((64, 60), "overlap by half of a side at most, got '64,60'"),
        (-3, "tiles must be 'auto'"),
    ],
)
def test_tiles_that_cannot_be_are_refused(tiles: Any, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        onlygood.fit([wide(seed) for seed in range(4)], tiles=tiles)


@pytest.mark.parametrize("other", [{"golden": True}, {"augment": 20}, {"rotations": 4}, {"sizes": (64,)}])
def test_tiles_go_without_changed_copies(other: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="tiles must be left out with"):
        onlygood.fit([wide(seed) for seed in range(4)], tiles=64, **other)


def test_an_unreadable_image_among_large_ones_is_named(tmp_path: Path) -> None:
    path = tmp_path / "0.png"
    path.write_bytes(b"no image")
    images = [*(wide(seed) for seed in range(6)), path]
    with pytest.raises(FolderError, match=r"0\.png"):
        in_tiles(images)
    model = in_tiles(images, skip_unreadable=True)
    assert len(model.good_images) == 6
