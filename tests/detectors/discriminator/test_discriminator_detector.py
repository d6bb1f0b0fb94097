"""`--method discriminator` as people use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import onlygood
from command_line import Ran
from flat import fit
from onlygood.detectors.discriminator.detector import CROSS_FIT_FOLDS
from onlygood.errors import CheckpointError, FolderError, MissingExtraError, SettingError
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join
from textures import DEFECT, FAST_DISCRIMINATOR, GOOD, SIZE, Array, as_colour, save, texture, textures, with_defect

QUICK: dict[str, Any] = {**FAST_DISCRIMINATOR, "method": "discriminator"}
CROSS_FIT: dict[str, Any] = {**QUICK, "calibration": "cross-fit"}


@pytest.fixture(scope="module")
def cross_fitted() -> onlygood.Model:
    return fit(textures(GOOD), **CROSS_FIT)


def raw_scores(model: onlygood.Model, images: list[Array]) -> Array:
    inspect = onlygood.Inspector(model)
    return np.array([inspect(image).score for image in images]) + model.calibration.threshold


def test_the_file_says_what_was_trained_on_what() -> None:
    found = fit(textures(GOOD), **QUICK, noise_std=0.5, top_fraction=0.2, calibration_fraction=0.25).metadata
    described = found.detector
    assert described["taps"] == ["stage1", "stage2", "stage4", "stage5"]
    # Of 16 images 12 are learned from, with 4 x 4 patches each, the highest 0.2 of which are 3.
    assert (described["grid"], described["top_patches"], described["patches"]) == ([4, 4], 3, 12 * 16)
    assert described["noise_std"] == 0.5
    assert found.input.input_shape == (64, 64)
    assert len(found.training.losses["discriminator"]) == QUICK["epochs"]
    assert (found.calibration.method, found.guarantee.is_exact, found.guarantee.folds) == (
        "split",
        True,
        0,
    )


def test_the_input_has_the_shape_of_the_images_and_the_embedding_the_taps_asked_for() -> None:
    images = [texture(seed, (60, 180)) for seed in range(8)]
    found = fit(images, **QUICK, taps=("stage2",)).metadata
    # 64 / sqrt(3) and 64 * sqrt(3), to the nearest multiples of stage2's eight pixels that keep to both.
    assert found.input.input_shape == (40, 112)
    assert found.detector["taps"] == ["stage2"]
    assert found.detector["grid"] == [5, 14]


def test_many_images_are_sampled_within_the_bound_on_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onlygood.detectors.on_backbone.SAMPLE_ROWS", 5 * GOOD)
    model = fit(textures(GOOD), **QUICK, calibration_fraction=0.25)
    assert model.metadata.detector["patches"] == 5 * 12


def test_the_map_is_highest_in_a_defect() -> None:
    model = fit(textures(GOOD), method="discriminator", false_alarm_rate=0.2, threshold_rule="conformal")
    found = onlygood.Inspector(model)(with_defect(texture(300)))
    assert found.is_anomaly and found.anomaly_map is not None
    row, column = np.unravel_index(found.anomaly_map.argmax(), (SIZE, SIZE))
    assert DEFECT[0].start <= row < DEFECT[0].stop
    assert DEFECT[1].start <= column < DEFECT[1].stop
    far = np.ones((SIZE, SIZE), dtype=bool)
    far[DEFECT[0].start - 16 : DEFECT[0].stop + 16, DEFECT[1].start - 16 : DEFECT[1].stop + 16] = False
    assert found.anomaly_map[DEFECT].min() > np.quantile(found.anomaly_map[far], 0.99)


def test_images_held_out_are_not_learned_from() -> None:
    """Other images in their place change the calibration and not the network."""
    images = textures(GOOD)
    model = fit(images, **QUICK, calibration_fraction=0.25)
    held = [position for position, each in enumerate(model.good_images) if each.calibrates]
    others = [texture(900 + place) if place in held else image for place, image in enumerate(images)]
    changed = fit(others, **QUICK, calibration_fraction=0.25)
    new = [texture(500), with_defect(texture(501))]
    np.testing.assert_allclose(raw_scores(changed, new), raw_scores(model, new), rtol=1e-5, atol=1e-5)
    assert not np.array_equal(changed.calibration.scores, model.calibration.scores)


def test_cross_fitting_calibrates_with_every_image_and_says_how(cross_fitted: onlygood.Model) -> None:
    guarantee = cross_fitted.guarantee
    assert (guarantee.is_exact, guarantee.folds) == (False, CROSS_FIT_FOLDS)
    assert (guarantee.calibration_images, guarantee.fitted_images) == (GOOD, GOOD)
    assert guarantee.sentences[0] == (
        "At most 0.2 of good images will be called anomalous (approximate, by cross-fitting in 5 folds over 16 good "
        "images)."
    )
    assert cross_fitted.metadata.calibration.method == "cross-fit"
    assert all(each.calibrates for each in cross_fitted.good_images)


def test_the_cross_fitted_score_of_an_image_is_by_a_network_that_was_trained_without_its_fold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same network by hand: a fit of all other images, as the training sees them."""
    from onlygood.detectors.discriminator import detector as module

    trained: list[Array] = []
    original = module.DiscriminatorDetector._train

    def train(self: Any, rows: Array, numbers: Any, stage: str, checkpoint: Any) -> Any:
        trained.append(rows)
        made = original(self, rows, numbers, stage, checkpoint)
        heads.append(made[0])
        return made

    heads: list[Any] = []
    learned: list[Any] = []
    monkeypatch.setattr(module.DiscriminatorDetector, "_train", train)
    learn = module.DiscriminatorDetector.learn

    def learn_seen(self: Any, features: Any, split: Any) -> Any:
        learned.append((features, features.samples[0], features.sample_images[0]))
        return learn(self, features, split)

    monkeypatch.setattr(module.DiscriminatorDetector, "learn", learn_seen)
    model = fit(textures(10), **CROSS_FIT)
    seen, rows, images = learned[0]
    assert len(trained) == 1 + CROSS_FIT_FOLDS
    np.testing.assert_array_equal(trained[0], rows)
    scored = 0
    for kept, head in zip(trained[1:], heads[1:], strict=True):
        # Which images are wholly missing from what this network was trained on.
        missing = [place for place in range(10) if not (rows[images == place][:, None] == kept).all(axis=2).any()]
        assert len(missing) == 2 and len(kept) == (images != missing[0]).sum() - (images == missing[1]).sum()
        whole = join(head, outputs=["raw_score", "patch_scores"])
        session = open_session(whole.SerializeToString(), threads=1)
        for place in missing:
            (raw,) = run(session, ["raw_score"], {"embedding": seen.embedding(place)[None]})
            found = model.good_images[place].score + model.calibration.threshold
            assert found == pytest.approx(float(raw[0]), abs=1e-5)
            scored += 1
    assert scored == 10


def test_the_delivered_network_is_the_one_trained_on_all_images(cross_fitted: onlygood.Model) -> None:
    """Whatever the fold of an image, the file scores it lower than the network without it, on the whole."""
    seen = raw_scores(cross_fitted, textures(GOOD))
    unseen = np.array([each.score for each in cross_fitted.good_images]) + cross_fitted.calibration.threshold
    assert np.median(unseen - seen) > 0


def test_near_duplicates_are_in_one_fold() -> None:
    images = textures(8)
    model = fit([*images, *images], **CROSS_FIT)
    assert (model.guarantee.groups, model.guarantee.calibration_images) == (8, 16)
    once, twice = model.good_images[:8], model.good_images[8:]
    np.testing.assert_allclose([each.score for each in once], [each.score for each in twice], atol=1e-5)
    assert np.median([each.score for each in once]) + model.calibration.threshold > np.median(raw_scores(model, images))


@pytest.mark.parametrize("count", [3, 4])
def test_few_images_are_cross_fitted_in_as_many_folds(count: int) -> None:
    model = fit(textures(count), **CROSS_FIT)
    assert (model.guarantee.folds, model.guarantee.stated_rate) == (count, 1 / (count + 1))


def test_too_few_images_are_refused_with_what_to_do() -> None:
    message = "fit needs good images of at least 3 independent things beside those held out, got 2 of 3: "
    with pytest.raises(FolderError, match=f"{message}add images of other parts, or calibrate with cross-fit$"):
        fit(textures(3), **QUICK)
    with pytest.raises(FolderError, match="fit needs at least 3 good images"):
        fit(textures(2), **CROSS_FIT)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"method": "discriminator", "calibration": "leave-one-out"},
            "calibration must be split or cross-fit for method discriminator, got leave-one-out: a network",
        ),
        (
            {"calibration": "cross-fit"},
            "calibration must be leave-one-out or split for method patch, got cross-fit: leave it out, or choose",
        ),
        (
            {"method": "deep-svdd", "calibration": "cross-fit"},
            "calibration must be split for method deep-svdd, got cross-fit: leave it out, or choose another method",
        ),
        ({"method": "discriminator", "noise_std": -1.0}, "noise_std must be a number above 0, got -1.0"),
        ({"method": "discriminator", "metric": "whitened"}, ", progress, got metric"),
    ],
)
def test_settings_that_it_cannot_use_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        fit(textures(8), **settings)
    assert message in str(caught.value)


def test_a_setting_of_other_methods_is_refused() -> None:
    with pytest.raises(SettingError, match=r"settings of method discriminator must be among .*, got metric$"):
        onlygood.make_method("discriminator", metric="whitened")


def test_augmentations_stay_on_their_images_side_of_a_fold() -> None:
    """One image's augmentations alone make a fold's network know it; without them it is as strange as it was."""
    model = fit(textures(6), **{**CROSS_FIT, "augment": 24})
    assert (model.guarantee.calibration_images, model.guarantee.augmentations) == (6, 18)
    unseen = np.array([each.score for each in model.good_images]) + model.calibration.threshold
    assert np.median(unseen - raw_scores(model, textures(6))) > 0


def test_without_torch_the_error_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onlygood._extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"--method discriminator needs torch.*'onlygood\[train\]'"):
        fit(textures(8), **QUICK)


def test_a_fit_that_was_interrupted_between_folds_ends_at_the_same_file(
    cross_fitted: onlygood.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onlygood.detectors.discriminator import detector as module

    place = tmp_path / "part.onnx.training"
    original = module.DiscriminatorDetector._train
    asked: list[str] = []

    def interrupt(self: Any, rows: Array, numbers: Any, stage: str, checkpoint: Any) -> Any:
        asked.append(stage)
        if stage == "fold 2":
            raise KeyboardInterrupt
        return original(self, rows, numbers, stage, checkpoint)

    with monkeypatch.context() as patch:
        patch.setattr(module.DiscriminatorDetector, "_train", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(textures(GOOD), **CROSS_FIT, checkpoint=place)
    assert asked == ["discriminator", "fold 1", "fold 2"]
    resumed = fit(textures(GOOD), **CROSS_FIT, checkpoint=place, resume=True)
    assert resumed.file.content == cross_fitted.file.content
    with pytest.raises(CheckpointError, match=r"must be of a fit with noise_std 0\.5"):
        fit(textures(GOOD), **CROSS_FIT, noise_std=0.5, checkpoint=place, resume=True)


def test_the_command_line_and_its_pages_name_the_method_and_the_folds(
    good_folder: Path, tmp_path: Path, run: Callable[..., Ran]
) -> None:
    model, page = tmp_path / "part.onnx", tmp_path / "fit.html"
    line = ("--method", "discriminator", "--epochs", "20", "--input-size", "64", "--calibration", "cross-fit")
    ran = run("fit", good_folder, "-o", model, "--report", page, *line, "--false-alarm-rate", "0.2")
    assert ran.code == 0
    assert not Path(f"{model}.training").exists()
    told = run("info", model).out
    assert "discriminator: 128 hidden units on patches (stage1 + stage2 + stage4 + stage5), 20 epochs on 256" in told
    assert "Loss, discriminator" in page.read_text(encoding="utf-8")
    labelled = tmp_path / "test"
    save(labelled, {"good/0.png": texture(50), "spot/0.png": with_defect(texture(51))})
    evaluated = run("evaluate", model, labelled, "--report", tmp_path / "test.html")
    assert evaluated.code == 0, evaluated.err
    assert "by cross-fitting, hence approximate" in evaluated.out
    assert "calibration scores are by cross-fitting" in (tmp_path / "test.html").read_text(encoding="utf-8")


def test_a_model_of_cross_fitted_scores_is_calibrated_exactly_by_new_images(cross_fitted: onlygood.Model) -> None:
    again = onlygood.calibrate(cross_fitted, false_alarm_rate=0.3)
    assert (again.guarantee.is_exact, again.guarantee.folds) == (False, CROSS_FIT_FOLDS)
    new = onlygood.calibrate(cross_fitted, textures(10, start=700), false_alarm_rate=0.2)
    assert (new.guarantee.is_exact, new.guarantee.folds) == (True, 0)
    assert "cross-fit" not in new.metadata.guarantee.statement


def test_a_grey_image_and_the_same_in_colour_get_one_score(cross_fitted: onlygood.Model) -> None:
    inspect = onlygood.Inspector(cross_fitted)
    image = texture(60)
    assert inspect(image).score == inspect(as_colour(image)).score
