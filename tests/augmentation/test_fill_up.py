"""Few images, filled up with augmentations of them: these are learned from, and the guarantee is about images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onlygood
from command_line import left, one_sentence
from flat import POOLED_METHODS, fit, settings_of
from learned import Learned
from onlygood.augmentation.drawing import augment
from onlygood.augmentation.sources import fill_up
from onlygood.augmentation_settings import AugmentationSettings
from onlygood.datasets.sources import Source, list_sources
from onlygood.errors import FolderError, ImageError, SettingError
from onlygood.images.reading import ReadingLimits
from onlygood.images.window import FULL_8_BIT, Window
from onlygood.report.contact_sheet import augmentation_sheet
from textures import FAST, FAST_POOLED, GOOD, Array, numbered, save, texture, textures, twelve_bit

TEN = 10
FILLED = 30
# Augmentations that are copies.
STILL: dict[str, Any] = {
    **dict.fromkeys(("augment_brightness", "augment_contrast", "augment_gamma", "augment_noise", "augment_blur"), 0.0),
    **dict.fromkeys(("augment_shift", "augment_rotation", "augment_scale"), 0.0),
    "augment_jpeg": 0,
}
REMEMBERING = pytest.mark.parametrize("method", ["patch", *POOLED_METHODS], scope="session")


def score(model: onlygood.Model, image: Array) -> float:
    return onlygood.Inspector(model, with_map=False)(image).score


# Sides


@pytest.mark.parametrize("calibration", ["leave-one-out", "split"])
@pytest.mark.parametrize("method", ["patch", "knn"])
def test_an_augmentation_is_in_the_group_of_its_image_and_of_none_that_is_held_out(
    learned: Learned, method: str, calibration: str
) -> None:
    labels = [str(number // 2) for number in range(TEN)]
    settings = {**FAST, "taps": ("stage4",)} if method == "knn" else FAST
    fit(textures(TEN), groups=labels, method=method, calibration=calibration, augment=FILLED, **settings)
    seen, originals = learned.seen, learned.originals
    assert (seen.given, len(seen.sources), len(learned.groups), len(learned.held_out)) == (TEN, FILLED, FILLED, FILLED)
    assert list(learned.groups[:TEN]) == [number // 2 for number in range(TEN)]
    assert list(learned.groups[TEN:]) == [learned.groups[original] for original in originals]
    assert not learned.held_out[TEN:].any()
    assert not learned.held_out[originals].any()
    assert learned.held_out.sum() == (2 if calibration == "split" else 0)
    # Each image that is learned from has about as many augmentations as the next.
    counts = np.bincount(originals, minlength=TEN)[~learned.held_out[:TEN]]
    assert counts.max() - counts.min() <= 1


def test_a_method_that_trains_learns_from_augmentations_of_what_is_not_held_out(learned: Learned) -> None:
    pytest.importorskip("torch")
    settings: dict[str, Any] = {"pretrain_epochs": 0, "epochs": 1, "batch_size": 4, "false_alarm_rate": 0.25}
    model = fit(textures(TEN), method="deep-svdd", augment=16, **settings)
    assert not learned.held_out[learned.originals].any()
    # A checkpoint of other augmentations is no checkpoint of this training.
    assert len(set(learned.seen.digests)) == 16
    assert (model.guarantee.fitted_images, model.guarantee.augmentations) == (7, 6)
    assert (model.guarantee.calibration_images, model.guarantee.is_exact) == (3, True)


def test_whoever_scores_an_image_has_seen_none_of_its_augmentations(learned: Learned, left_out: list[Array]) -> None:
    labels = [str(number // 2) for number in range(24)]
    fit(textures(24), groups=labels, method="knn", augment=60, **FAST_POOLED)
    assert sorted(np.concatenate(left_out).tolist()) == list(range(60))
    groups = np.array(learned.groups)
    for unseen in left_out:
        assert not set(groups[unseen]) & set(np.delete(groups, unseen))


@REMEMBERING
def test_copies_as_augmentations_change_no_score_of_an_image_left_out(
    good_images: list[Array], method: str, fast: dict[str, Any]
) -> None:
    """With a copy of it left in the memory, each would be next to nothing."""
    alone = fit(good_images, method=method, **fast)
    filled = fit(good_images, method=method, augment=2 * GOOD, **STILL, **fast)
    assert filled.guarantee.augmentations == GOOD
    assert filled.calibration.threshold == pytest.approx(alone.calibration.threshold, rel=0.15)
    assert not any("near-duplicates" in note for note in filled.notes)


# The guarantee


@pytest.fixture(scope="module")
def filled() -> onlygood.Model:
    return fit(textures(TEN), augment=FILLED, **FAST)


def test_the_guarantee_is_about_images_and_rests_on_them_alone(filled: onlygood.Model) -> None:
    guarantee = filled.guarantee
    assert (guarantee.calibration_images, guarantee.groups) == (TEN, TEN)
    assert (guarantee.fitted_images, guarantee.augmentations, guarantee.golden_images) == (TEN, FILLED - TEN, 0)
    assert guarantee.sentences == [
        "At most 0.1 of good images will be called anomalous (approximate, by leave-one-out over 10 good images).",
        "This holds for images taken as these were; a new session, lens or lamp asks for a new fit.",
    ]
    assert guarantee.learned_from == "10 good images and 20 augmentations of them"
    assert len(filled.calibration.scores) == TEN


def test_augmentations_do_not_make_a_finer_rate_possible() -> None:
    guarantee = fit(textures(TEN), augment=120, **{**FAST, "false_alarm_rate": 0.01}).guarantee
    assert guarantee.stated_rate == 1 / 11
    assert "got 10: the threshold is the highest calibration score; add images (augmentations do not" in "".join(
        guarantee.sentences
    )


def test_what_is_found_of_good_images_is_about_images_and_not_augmentations(filled: onlygood.Model) -> None:
    names = [f"image {number}" for number in range(TEN)]
    assert [each.name for each in filled.good_images] == names
    assert all(each.calibrates for each in filled.good_images)
    assert sorted(each.image.name for each in filled.highest_scoring) == names
    plain = fit(textures(TEN), **FAST).metadata
    assert filled.metadata.good_images == plain.good_images
    assert filled.metadata.guarantee.augmentations == FILLED - TEN
    assert plain.guarantee.augmentations == 0
    assert filled.metadata.settings["augmentation"] == AugmentationSettings().to_dict()


def test_split_calibrates_with_the_images_held_out_and_makes_nothing_of_them() -> None:
    guarantee = fit(textures(TEN), augment=FILLED, calibration="split", **FAST).guarantee
    assert (guarantee.calibration_images, guarantee.fitted_images, guarantee.augmentations) == (3, 7, 20)
    assert guarantee.is_exact


@pytest.mark.parametrize(("method", "settings"), [("patch", FAST), ("knn", FAST_POOLED)])
def test_the_guarantee_holds_with_augmentations(method: str, settings: dict[str, Any]) -> None:
    rates = []
    for start in range(0, 400, 40):
        model = fit(textures(6, start=start), method=method, augment=12, **settings)
        inspect = onlygood.Inspector(model, with_map=False)
        rates.append(np.mean([inspect(image).is_anomaly for image in textures(20, start=start + 20)]))
        guaranteed = model.guarantee.stated_rate
    # Refits differ widely where there are few images: what counts is their mean, to three of its standard errors.
    assert guaranteed == 1 / 7
    assert np.mean(rates) <= guaranteed + 3 * np.std(rates) / np.sqrt(len(rates))


# The same file


@pytest.mark.parametrize(("method", "settings"), [("patch", FAST), ("lof", FAST_POOLED)])
def test_equal_fits_are_equal_files_however_many_threads_and_whatever_is_kept(
    method: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refit(**others: Any) -> onlygood.Model:
        return fit(textures(5), method=method, augment=12, seed=3, **settings, **others)

    one = refit()
    assert refit().file.content == one.file.content
    alone = refit(threads=1)
    np.testing.assert_array_equal(alone.calibration.scores, one.calibration.scores)
    assert score(alone, texture(100)) == score(one, texture(100))
    monkeypatch.setattr("onlygood.features.extraction.KEPT_BYTES", 0)
    assert refit().file.content == one.file.content


def test_as_many_as_there_are_adds_nothing() -> None:
    full, plain = (fit(textures(5), **FAST, **extra) for extra in ({"augment": 5}, {}))
    np.testing.assert_array_equal(full.calibration.scores, plain.calibration.scores)
    assert score(full, texture(100)) == score(plain, texture(100))
    assert full.guarantee == plain.guarantee


# Making them


def test_an_augmentation_is_made_of_its_image_when_it_is_read() -> None:
    reads: list[int] = []

    def source(number: int) -> Source:
        def read() -> Array:
            reads.append(number)
            return texture(number)[:, :, None]

        return Source(f"{number}.png", f"lot {number}", read)

    settings = settings_of(augment=8, augment_shift=0.1, seed=5)
    made = fill_up([source(0), source(1), source(2)], 5, settings, [FULL_8_BIT])
    assert reads == []
    assert [original for original, _ in made] == [0, 1, 2, 0, 1]
    assert [each.label for _, each in made] == ["lot 0", "lot 1", "lot 2", "lot 0", "lot 1"]
    assert made[3][1].name == "0.png augmented 6"
    for number, (original, each) in enumerate(made, 3):
        expected = augment(texture(original)[:, :, None], AugmentationSettings(shift=0.1), seed=5, number=number)
        np.testing.assert_array_equal(each.read(), expected)
    assert reads == [0, 1, 2, 0, 1]


def test_all_sixteen_bit_images_are_augmented_through_the_window_of_the_fit(
    learned: Learned, sixteen_bit_model: onlygood.Model
) -> None:
    model = fit([twelve_bit(seed) for seed in range(GOOD)], augment=GOOD + 2, **FAST)
    black, white = model.metadata.input.window
    assert (black, white) == sixteen_bit_model.metadata.input.window
    expected = augment(
        twelve_bit(1)[:, :, None], AugmentationSettings(), seed=0, number=GOOD + 1, window=(black, white)
    )
    np.testing.assert_array_equal(learned.seen.sources[-1].read(), expected)
    assert Window(black, white) != Window(0, 65_535)


def test_images_that_cannot_be_read_are_skipped_and_not_augmented(tmp_path: Path) -> None:
    folder = save(tmp_path, numbered(textures(6)))
    (folder / "03.png").write_bytes(b"no image")
    with pytest.raises(FolderError, match="got 1 of 6 that cannot be read"):
        fit(folder, augment=12, **FAST)
    model = fit(folder, augment=12, skip_unreadable=True, **FAST)
    assert (model.guarantee.fitted_images, model.guarantee.augmentations) == (5, 7)
    assert len([note for note in model.notes if "not readable" in note]) == 1
    assert fit(folder, augment=5, skip_unreadable=True, **FAST).guarantee.augmentations == 0
    with pytest.raises(SettingError, match="augment must be at least 5, as many as there are good images, got 4"):
        fit(folder, augment=4, skip_unreadable=True, **FAST)
    sources = list_sources(folder, group_by=None, groups=None, limits=ReadingLimits()).sources
    with pytest.raises(ImageError, match=r"03\.png"):
        augmentation_sheet(sources, settings_of(augment=12))
    assert augmentation_sheet(sources, settings_of(augment=12, skip_unreadable=True)).width == 1240


def test_fewer_than_there_are_is_refused() -> None:
    expected = "augment must be at least 5, as many as there are good images, got 4: raise it, or leave it out"
    with pytest.raises(SettingError, match=expected):
        fit(textures(5), augment=4, **FAST)


def test_two_images_are_too_few_whatever_is_made_of_them() -> None:
    with pytest.raises(FolderError, match=r"fit needs at least 3 good images, .* got 2"):
        fit(textures(2), augment=50, **FAST)


def test_copies_of_one_image_are_one_thing_whatever_is_made_of_them() -> None:
    with pytest.raises(FolderError, match="at least 3 independent things, got 4 images in 2 groups"):
        fit([*textures(2), *textures(2)], augment=50, **FAST)


def test_the_command_line_says_what_was_learned_from_and_shows_it(run: Any, tmp_path: Path) -> None:
    good = save(tmp_path / "good", numbered(textures(5)))
    model, sheet = tmp_path / "part.onnx", tmp_path / "sheet.png"
    options = ("--augment", 12, "--augment-shift", 0.03, "--augment-border", "constant", "--input-size", 64)
    ran = run("fit", good, "-o", model, *options, "--show-augmentations", sheet, "--report", tmp_path / "fit.html")
    assert ran.code == 0, ran.err
    assert "learned from 5 good images and 7 augmentations of them" in ran.out
    assert "Learned from 5 good images and 7 augmentations of them." in (tmp_path / "fit.html").read_text()
    assert len((tmp_path / "fit.csv").read_text().splitlines()) == 1 + 5
    shown = run("info", model).out
    assert "made from: 5 good images, 96 x 96 pixels" in shown
    assert ", and 7 augmentations of them\n" in shown
    assert [name for name in left(tmp_path) if "good" not in name] == ["fit.csv", "fit.html", "part.onnx", "sheet.png"]
    with Image.open(sheet) as drawn:
        assert drawn.width == 1240
    sentence = one_sentence(run("fit", good, "-o", model, "--augment", 4, "--show-augmentations", sheet))
    assert sentence.startswith("augment must be at least 5, as many as there are good images, got 4")
