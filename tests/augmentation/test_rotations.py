"""Good images learned at many angles: copies are of their image's group, never calibrate, and find turned parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from command_line import left, one_sentence
from flat import POOLED_METHODS, fit, settings_of
from learned import Learned
from onlygood.augmentation.changes import turn_image
from onlygood.augmentation.sources import turned_sources
from onlygood.datasets.sources import Source
from onlygood.errors import SettingError
from onlygood.settings import FitSettings
from textures import FAST, FAST_POOLED, GOOD, SIZE, Array, numbered, save, texture, textures, twelve_bit

TEN = 10


def part(seed: int, degrees: float, *, is_chipped: bool = False) -> Array:
    """A bar with a hole near one end, drawn at an angle (clockwise) and not turned; uint8 [SIZE, SIZE]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    u, v = cos * x + sin * y, cos * y - sin * x

    def inside(distance: Array) -> Array:
        return np.clip(0.5 - distance, 0, 1)

    bar = inside(np.maximum(np.abs(u) - 30, np.abs(v) - 12)) * (1 - inside(np.hypot(u - 18, v) - 6))
    if is_chipped:
        bar = bar * (1 - inside(np.maximum(np.abs(u + 12) - 3, np.abs(v - 9) - 8)))
    levels = 190 - 110 * bar * random.uniform(0.97, 1.03) + random.normal(0, 2, u.shape)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


# Turning


@pytest.mark.parametrize("image", [texture(0)[:, :, None], twelve_bit(0)[:95, :95, None], np.dstack(textures(3))])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3, 4, -1])
def test_a_square_turned_by_a_quarter_keeps_every_pixel(image: Array, quarters: int) -> None:
    turned = turn_image(image, 90.0 * quarters, border="mirror")
    size = len(image)
    expected = np.empty_like(image)
    for row in range(size):
        for column in range(size):
            place = row, column
            for _ in range(quarters % 4):  # clockwise, what is at the top goes to the right
                place = place[1], size - 1 - place[0]
            expected[place] = image[row, column]
    np.testing.assert_array_equal(turned, expected)
    assert turned.dtype == image.dtype


def test_any_image_turned_by_a_half_keeps_every_pixel() -> None:
    image = texture(0, (40, 70))[:, :, None]
    np.testing.assert_array_equal(turn_image(image, 180.0, border="mirror"), image[::-1, ::-1])


@pytest.mark.parametrize("degrees", [10.0, 45.0, 90.0, 137.0, 270.0, 359.0])
def test_an_oblong_image_keeps_its_frame_and_its_part_turns_in_it(degrees: float) -> None:
    """The frame is cut out of a square that shows the same part, and the part comes to lie where it is drawn."""
    rows = slice(12, SIZE - 12)
    turned = turn_image(part(0, 0.0)[rows, :, None], degrees, border="mirror")
    drawn = part(1, degrees)[rows, :, None]
    assert turned.shape == drawn.shape
    # Other noise and brightness, and edges that were resampled: by far less than a part at another angle differs.
    difference = np.abs(turned.astype(float) - drawn).mean()
    other = np.abs(turned.astype(float) - part(1, degrees + 20)[rows, :, None]).mean()
    assert difference < 4 < 8 < other


def test_turning_clockwise_is_turning_clockwise() -> None:
    image = np.zeros((41, 41, 1), np.uint8)
    image[3:6, 19:22] = 255  # at twelve o'clock
    rows, columns = np.nonzero(turn_image(image, 45.0, border="mirror")[:, :, 0])
    assert rows.mean() < 15 and columns.mean() > 25  # at half past one


# What is made


def test_copies_are_evenly_spaced_and_those_of_each_image_begin_at_an_angle_of_its_own() -> None:
    images = [Source(f"{number}.png", f"lot {number}", lambda: texture(0)[:, :, None]) for number in range(3)]
    made = turned_sources(images, 8, [0, 2], seed=5)
    assert [source.label for source in made] == ["lot 0", "lot 1", "lot 2", *["lot 0", "lot 2"] * 7]
    angles = [float(source.name.split(" turned ")[1].removesuffix("°")) for source in made]
    assert all(0 <= angle < 45 for angle in angles[:3])
    assert len(set(angles[:3])) == 3
    for first, column in ((angles[0], angles[3::2]), (angles[2], angles[4::2])):
        np.testing.assert_allclose(column, first + 45 * np.arange(1, 8), atol=0.11)
    assert [source.name for source in turned_sources(images, 8, [0, 2], seed=5)] == [each.name for each in made]
    assert turned_sources(images, 8, [0, 2], seed=6)[0].name != made[0].name


@pytest.mark.parametrize("rotations", [2, 4])
def test_two_and_four_positions_are_those_of_the_images_themselves(rotations: int) -> None:
    image = texture(0)[:, :, None]
    made = turned_sources([Source("a.png", "a", lambda: image)], rotations, [0], seed=0)
    assert len(made) == rotations
    for number, source in enumerate(made):
        np.testing.assert_array_equal(source.read(), np.rot90(image, -number * 4 // rotations))


# Groups


@pytest.mark.parametrize("calibration", ["leave-one-out", "split"])
@pytest.mark.parametrize(("method", "settings"), [("patch", FAST), ("knn", FAST_POOLED)])
def test_a_copy_is_in_the_group_of_its_image_and_none_is_learned_of_one_that_is_held_out(
    learned: Learned, method: str, settings: dict[str, Any], calibration: str
) -> None:
    labels = [str(number // 2) for number in range(TEN)]
    fit(textures(TEN), groups=labels, method=method, calibration=calibration, rotations=3, **settings)
    names = [f"image {number}" for number in range(TEN)]
    originals = [names.index(source.name.split(" turned ")[0]) for source in learned.seen.sources]
    fitted = [name for name, held in enumerate(learned.held_out[:TEN]) if not held]
    assert originals == [*range(TEN), *fitted, *fitted]
    assert list(learned.groups) == [original // 2 for original in originals]
    assert not learned.held_out[TEN:].any()
    assert learned.held_out.sum() == (2 if calibration == "split" else 0)


@pytest.mark.parametrize("method", POOLED_METHODS, scope="session")
def test_whoever_scores_an_image_has_seen_none_of_its_copies(
    learned: Learned, method: str, left_out: list[Array]
) -> None:
    labels = [str(number // 2) for number in range(24)]
    fit(textures(24), groups=labels, method=method, rotations=3, **FAST_POOLED)
    assert sorted(np.concatenate(left_out).tolist()) == list(range(72))
    groups = np.array(learned.groups)
    for unseen in left_out:
        assert not set(groups[unseen]) & set(np.delete(groups, unseen))


@pytest.mark.parametrize(("method", "settings"), [("patch", FAST), *((name, FAST_POOLED) for name in POOLED_METHODS)])
def test_a_symmetric_copy_does_not_vouch_for_its_image(method: str, settings: dict[str, Any]) -> None:
    """Images that a half turn leaves as they are: with a copy left in, each would be next to nothing."""
    images = [np.maximum(each, each[::-1, ::-1]) for each in textures(GOOD)]
    alone = fit(images, method=method, **settings)
    turned = fit(images, method=method, rotations=2, **settings)
    assert turned.calibration.threshold == pytest.approx(alone.calibration.threshold, rel=0.15)


# The guarantee


@pytest.fixture(scope="module")
def turned() -> onlygood.Model:
    return fit(textures(TEN), rotations=8, **FAST)


def test_the_guarantee_rests_on_the_images_as_they_were_taken(turned: onlygood.Model) -> None:
    guarantee = turned.guarantee
    assert (guarantee.calibration_images, guarantee.groups, guarantee.fitted_images) == (TEN, TEN, TEN)
    assert (guarantee.rotations, guarantee.augmentations) == (8, 0)
    assert guarantee.learned_from == "10 good images at 8 angles each"
    assert [each.name for each in turned.good_images] == [f"image {number}" for number in range(TEN)]
    assert sorted(each.source.name for each in turned.highest_scoring) == sorted(
        each.name for each in turned.good_images
    )
    assert [note for note in turned.notes if "angles" in note] == [
        "Learned each of 10 good images at 8 angles, 45 degrees apart, the first drawn for each image; the "
        "threshold comes from the images as they were taken."
    ]


def test_the_file_says_at_how_many_angles(turned: onlygood.Model) -> None:
    plain = fit(textures(TEN), **FAST).metadata
    assert turned.metadata.settings["rotations"] == turned.metadata.guarantee.rotations == 8
    assert plain.settings["rotations"] == plain.guarantee.rotations == 1
    assert turned.metadata.good_images == plain.good_images


def test_recalibrated_it_still_says_what_it_learned_from(turned: onlygood.Model) -> None:
    assert onlygood.calibrate(turned, false_alarm_rate=0.2).guarantee.learned_from == turned.guarantee.learned_from


def test_the_command_line_report_and_info_say_at_how_many_angles(run: Any, tmp_path: Path) -> None:
    good = save(tmp_path / "good", numbered(textures(5)))
    model = tmp_path / "part.onnx"
    ran = run("fit", good, "-o", model, "--rotations", 6, "--input-size", 64, "--report", tmp_path / "fit.html")
    assert ran.code == 0, ran.err
    assert "learned from 5 good images at 6 angles each" in ran.out
    assert "note: Learned each of 5 good images at 6 angles, 60 degrees apart" in ran.err
    assert ", each at 6 angles" in (tmp_path / "fit.html").read_text()
    assert len((tmp_path / "fit.csv").read_text().splitlines()) == 1 + 5
    assert ", each at 6 angles\n" in run("info", model).out


# The same file


@pytest.mark.parametrize(("method", "settings"), [("patch", FAST), ("lof", FAST_POOLED)])
def test_equal_fits_are_equal_files_however_many_threads_and_whatever_is_kept(
    method: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refit(**others: Any) -> onlygood.Model:
        return fit(textures(6), method=method, rotations=3, **{"seed": 3, **settings, **others})

    one = refit()
    assert refit().file.content == one.file.content
    np.testing.assert_array_equal(refit(threads=1).calibration.scores, one.calibration.scores)
    assert (refit(seed=4).calibration.scores != one.calibration.scores).any()
    monkeypatch.setattr("onlygood.features.extraction.KEPT_BYTES", 0)
    assert refit().file.content == one.file.content


def test_one_angle_is_no_rotation() -> None:
    one, plain = (fit(textures(5), **FAST, **extra) for extra in ({"rotations": 1}, {}))
    assert one.file.content == plain.file.content
    assert one.guarantee == plain.guarantee


def test_sixteen_bit_images_are_turned_too() -> None:
    model = fit([twelve_bit(seed) for seed in range(6)], rotations=3, **FAST)
    assert model.metadata.input.dtype == "uint16"


def test_a_method_that_trains_learns_from_copies_of_what_is_not_held_out(learned: Learned) -> None:
    pytest.importorskip("torch")
    settings: dict[str, Any] = {"pretrain_epochs": 0, "epochs": 1, "batch_size": 4, "false_alarm_rate": 0.25}
    model = fit(textures(TEN), method="deep-svdd", rotations=2, **settings)
    assert (model.guarantee.fitted_images, model.guarantee.calibration_images) == (7, 3)
    assert len(learned.seen.sources) == TEN + 7
    assert model.guarantee.learned_from == "7 good images at 2 angles each"


# Parts at any angle


@pytest.mark.parametrize(("method", "settings"), [("patch", FAST), ("mahalanobis", FAST_POOLED)])
def test_parts_learned_at_one_angle_are_inspected_at_any(method: str, settings: dict[str, Any]) -> None:
    angles = 7.5 + 15 * np.arange(24)
    good = [part(seed, 0.0) for seed in range(20)]
    new = [part(100 + number, angle) for number, angle in enumerate(angles)]
    chipped = [part(200 + number, angle, is_chipped=True) for number, angle in enumerate(angles)]

    def above(model: onlygood.Model | onlygood.CalibratedModel, images: Sequence[Array]) -> float:
        inspect = onlygood.Inspector(model, with_map=False)
        return float(np.mean([inspect(image).is_anomaly for image in images]))

    upright = fit(good, method=method, **settings)
    assert above(upright, new) == 1.0
    turned = fit(good, method=method, rotations=12, **settings)
    # Good images at one angle calibrate for that angle: most others are inside, but not at the rate asked for.
    assert above(turned, new) <= 0.6
    assert above(turned, chipped) > 0.9
    # Good images at one angle say little of the others: 20 at any angle give the rate asked for, 0.1.
    anywhere = [part(300 + number, 18.0 * number + 3) for number in range(20)]
    calibrated = onlygood.calibrate(turned, anywhere)
    # Of 24, at the second highest of 20 scores, 6 or fewer are above in 96 of 100 draws (beta-binomial).
    assert above(calibrated, new) <= 6 / 24
    assert above(calibrated, chipped) > 0.8


def test_parts_taken_at_any_angle_are_guaranteed_at_any_angle() -> None:
    rates, found = [], []
    for start in range(0, 3000, 1000):
        random = np.random.default_rng(start)
        good = [part(start + seed, random.uniform(0, 360)) for seed in range(20)]
        inspect = onlygood.Inspector(fit(good, rotations=8, seed=start, **FAST), with_map=False)
        new = [part(start + 100 + seed, random.uniform(0, 360)) for seed in range(20)]
        chipped = [part(start + 200 + seed, random.uniform(0, 360), is_chipped=True) for seed in range(20)]
        rates.append(np.mean([inspect(image).is_anomaly for image in new]))
        found.append(np.mean([inspect(image).is_anomaly for image in chipped]))
    assert np.mean(rates) <= 0.1 + 3 * np.sqrt(0.1 * 0.9 * (1 / 20 + 1 / 20) / 3)
    assert np.mean(found) > 0.9


# What is refused


@pytest.mark.parametrize("rotations", [0, -1, 73, 2.5, "8", True, None])
def test_a_number_that_is_none_is_refused_in_one_sentence(rotations: Any) -> None:
    with pytest.raises(SettingError) as caught:
        FitSettings(rotations=rotations)
    assert str(caught.value) == f"rotations must be a whole number from 1 to 72, got {rotations!r}"


@pytest.mark.parametrize("other", [{"augment": 30}, {"golden": True}])
def test_augmentations_are_turned_by_their_own_setting(other: dict[str, Any]) -> None:
    (name,) = other
    with pytest.raises(SettingError) as caught:
        FitSettings(rotations=8, **other)
    assert str(caught.value) == (
        f"rotations must be left out with {name}, got 8: set the rotation of augmentations to 180 instead, which "
        "turns them by any angle"
    )
    assert settings_of(rotations=1, **other).augmentation is not None


def test_the_command_line_refuses_in_one_sentence_and_writes_nothing(
    run: Any, good_folder: Path, tmp_path: Path
) -> None:
    for number in (0, -3, 100):
        ran = run("fit", good_folder, "-o", tmp_path / "part.onnx", "--rotations", number)
        assert one_sentence(ran) == f"rotations must be a whole number from 1 to 72, got {number}"
    assert "argument --rotations: invalid int value: '2.5'" in run("fit", "x", "-o", "y", "--rotations", "2.5").err
    assert left(tmp_path) == []
