"""What holds of every method."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import onlygood
from flat import POOLED_METHODS, fit
from onlygood.datasets.splits import FOLDS
from onlygood.errors import FolderError
from textures import DEFECT, GOOD, SIZE, Array, as_colour, numbered, save, texture, textures, with_defect

NEW = [texture(100), with_defect(texture(101)), texture(102), with_defect(texture(103), 255), texture(104)]

# Of methods that remember images, and so can leave each out in turn.
REMEMBERING = pytest.mark.parametrize("method", ["patch", *POOLED_METHODS], scope="session")
# Of methods that find a defect that is plain to see, whatever their training.
FINDING = pytest.mark.parametrize("method", ["patch", *POOLED_METHODS, "discriminator"], scope="session")
# Of methods that remember patches.
LOCATING = pytest.mark.parametrize("method", ["patch"], scope="session")


def scores(model: onlygood.Model, images: list[Array]) -> list[float]:
    inspect = onlygood.Inspector(model)
    return [inspect(image).score for image in images]


def run_batch(model: onlygood.Model, images: list[Array]) -> dict[str, Array]:
    session = onnxruntime.InferenceSession(model.file.content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    batch = np.stack(images)[:, :, :, None]
    return dict(zip(names, session.run(names, {"image": batch}), strict=True))


def test_several_images_in_one_run_give_what_each_gives_alone(
    fitted: onlygood.Model, inspect: onlygood.Inspector
) -> None:
    together = run_batch(fitted, NEW)
    alone = [inspect(image) for image in NEW]
    np.testing.assert_allclose(together["score"], [one.score for one in alone], rtol=1e-4, atol=1e-4)
    assert [float(str(value)) for value in together["p_value"]] == [one.p_value for one in alone]
    assert together["is_anomaly"].tolist() == [one.is_anomaly for one in alone]
    for row, one in zip(together["anomaly_map"], alone, strict=True):
        np.testing.assert_allclose(row, one.anomaly_map, rtol=1e-4, atol=1e-4)


def test_the_order_of_the_images_in_a_run_does_not_matter(fitted: onlygood.Model) -> None:
    forward, backward = run_batch(fitted, NEW), run_batch(fitted, NEW[::-1])
    for name, values in forward.items():
        np.testing.assert_allclose(values, backward[name][::-1], rtol=1e-4, atol=1e-4, err_msg=name)


def test_an_inspection_does_not_depend_on_those_before_it(inspect: onlygood.Inspector) -> None:
    first = inspect(NEW[0])
    for other in (texture(7, (33, 140)), as_colour(NEW[1])):
        inspect(other)
    again = inspect(NEW[0])
    assert (again.score, again.p_value) == (first.score, first.p_value)
    np.testing.assert_array_equal(again.anomaly_map, first.anomaly_map)


def test_one_seed_gives_one_file_byte_for_byte(
    fitted: onlygood.Model, good_folder: Path, method: str, fast: dict[str, Any]
) -> None:
    again = fit(good_folder, method=method, **fast)
    assert again.file.content == fitted.file.content
    assert scores(again, NEW) == scores(fitted, NEW)
    np.testing.assert_array_equal(again.calibration.scores, fitted.calibration.scores)


@LOCATING
def test_one_seed_draws_one_sample_where_not_all_patches_can_be_looked_at(
    fitted: onlygood.Model, good_folder: Path, method: str, monkeypatch: pytest.MonkeyPatch, fast: dict[str, Any]
) -> None:
    monkeypatch.setattr("onlygood.detectors.on_backbone.SAMPLE_ROWS", 5 * GOOD)
    one, again = (fit(good_folder, method=method, **fast) for _ in range(2))
    assert one.file.content == again.file.content
    assert one.file.content != fitted.file.content


def test_the_number_of_threads_does_not_matter(
    fitted: onlygood.Model, good_folder: Path, method: str, fast: dict[str, Any]
) -> None:
    alone = fit(good_folder, method=method, threads=1, **fast)
    np.testing.assert_array_equal(alone.calibration.scores, fitted.calibration.scores)
    assert scores(alone, NEW) == scores(fitted, NEW)


def test_embeddings_that_are_not_kept_are_computed_again(
    fitted: onlygood.Model, good_folder: Path, method: str, monkeypatch: pytest.MonkeyPatch, fast: dict[str, Any]
) -> None:
    monkeypatch.setattr("onlygood.features.extraction.KEPT_BYTES", 0)
    assert fit(good_folder, method=method, **fast).file.content == fitted.file.content


def test_another_seed_is_in_the_file_and_may_choose_otherwise(
    good_folder: Path, method: str, fast: dict[str, Any]
) -> None:
    settings = fast if method in ("mahalanobis", "deep-svdd", "discriminator") else {**fast, "bank_size": 20}
    one, other = (fit(good_folder, method=method, seed=seed, **settings) for seed in (1, 2))
    assert (one.metadata.settings["seed"], other.metadata.settings["seed"]) == (1, 2)
    assert scores(one, NEW) != scores(other, NEW)


def test_the_order_in_which_files_were_made_does_not_matter(
    fitted: onlygood.Model, good_images: list[Array], method: str, tmp_path: Path, fast: dict[str, Any]
) -> None:
    backward = dict(reversed(numbered(good_images).items()))
    assert fit(save(tmp_path, backward), method=method, **fast).file.content == fitted.file.content


@LOCATING
def test_the_order_of_good_images_does_not_matter_where_all_is_remembered(
    good_images: list[Array], method: str, fast: dict[str, Any]
) -> None:
    # As many as there are folds: each is scored by a detector without it alone, in whatever order they come.
    images = good_images[:FOLDS]
    settings = {**fast, "bank_size": FOLDS * 8 * 8}  # each image has 8 x 8 patches on the finest level
    forward = fit(images, method=method, **settings)
    backward = fit(images[::-1], method=method, **settings)
    assert forward.metadata.good_images == backward.metadata.good_images
    ours, theirs = run_batch(forward, NEW)["patch_scores"], run_batch(backward, NEW)["patch_scores"]
    # Around 0, relative to what patch scores vary by.
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * float(np.std(theirs)))


def test_saved_is_what_was_in_memory(fitted: onlygood.Model, inspect: onlygood.Inspector, tmp_path: Path) -> None:
    path = tmp_path / "part.onnx"
    fitted.save(path)
    assert path.read_bytes() == fitted.file.content
    loaded = onlygood.Inspector(path)
    assert loaded.metadata == fitted.metadata
    for image in NEW:
        saved, ours = loaded(image), inspect(image)
        assert (saved.score, saved.p_value, saved.is_anomaly) == (ours.score, ours.p_value, ours.is_anomaly)
        np.testing.assert_array_equal(saved.anomaly_map, ours.anomaly_map)


def test_a_score_above_zero_is_an_anomaly_and_has_a_p_value_of_at_most_the_guaranteed_rate(
    fitted: onlygood.Model, inspect: onlygood.Inspector
) -> None:
    rate = np.float32(fitted.guarantee.stated_rate)
    # From good to bad in small steps, so that some fall close to the threshold.
    base, dark = texture(105).astype(float), with_defect(texture(105)).astype(float)
    steps = [((1 - share) * base + share * dark).astype(np.uint8) for share in np.linspace(0, 1, 25)]
    results = [inspect(image) for image in [*steps, *NEW]]
    assert {result.is_anomaly for result in results} == {True, False}
    for result in results:
        assert result.is_anomaly == (result.score > 0) == (np.float32(result.p_value) <= rate)
        assert 0 < result.p_value <= 1


def test_p_values_fall_as_scores_rise(
    fitted: onlygood.Model, inspect: onlygood.Inspector, good_images: list[Array]
) -> None:
    results = [inspect(image) for image in [*good_images, *NEW]]
    ordered = sorted(results, key=lambda result: result.score)
    p_values = [result.p_value for result in ordered]
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[0] == 1
    assert p_values[-1] == pytest.approx(1 / (fitted.guarantee.groups + 1))


@FINDING
@pytest.mark.parametrize("level", [0, 255])
def test_a_planted_defect_scores_above_every_good_image(inspect: onlygood.Inspector, level: int) -> None:
    good = [inspect(texture(seed)).score for seed in range(200, 220)]
    bad = [inspect(with_defect(texture(seed), level)) for seed in range(220, 225)]
    assert min(one.score for one in bad) > max(good)
    assert all(one.is_anomaly for one in bad)


@LOCATING
@pytest.mark.parametrize("size", [(96, 96), (61, 130), (300, 200)])
def test_the_map_has_the_images_own_size_and_its_peak_in_the_defect(
    inspect: onlygood.Inspector, size: tuple[int, int]
) -> None:
    rows, columns = (slice(s.start * n // SIZE, s.stop * n // SIZE) for s, n in zip(DEFECT, size, strict=True))
    image = np.asarray(Image.fromarray(texture(110)).resize(size[::-1], Image.Resampling.BICUBIC)).copy()
    image[rows, columns] = 0
    anomaly_map = inspect(image).anomaly_map
    assert anomaly_map is not None
    assert anomaly_map.shape == size
    assert anomaly_map.dtype == np.float32
    assert np.isfinite(anomaly_map).all()
    row, column = np.unravel_index(anomaly_map.argmax(), size)
    # As near as a grid of 4 x 4 patches can say: to half a patch.
    assert rows.start - size[0] / 8 <= row < rows.stop + size[0] / 8
    assert columns.start - size[1] / 8 <= column < columns.stop + size[1] / 8
    assert anomaly_map.max() > inspect.map_levels[1]


def test_without_a_map_the_verdict_is_the_same(inspect: onlygood.Inspector, fitted: onlygood.Model) -> None:
    with_map, without = inspect(NEW[1]), onlygood.Inspector(fitted, with_map=False)(NEW[1])
    assert without.anomaly_map is None
    assert (with_map.score, with_map.p_value) == (without.score, without.p_value)


def test_a_grey_image_and_the_same_in_colour_get_one_verdict(
    inspect: onlygood.Inspector, good_images: list[Array], method: str, fast: dict[str, Any]
) -> None:
    colour = onlygood.Inspector(fit([as_colour(image) for image in good_images], method=method, **fast))
    assert (inspect.metadata.input.channels, colour.metadata.input.channels) == (1, 3)
    for image in NEW:
        of_grey_model = [inspect(image).score, inspect(as_colour(image)).score]
        of_colour_model = [colour(image).score, colour(as_colour(image)).score]
        assert of_grey_model[0] == of_grey_model[1]
        assert of_colour_model[0] == of_colour_model[1]
        if method == "patch":  # a network for three channels has other weights
            assert of_grey_model[0] == pytest.approx(of_colour_model[0], abs=1e-2)


def test_a_coloured_image_is_refused_by_a_grey_model(inspect: onlygood.Inspector) -> None:
    red = as_colour(NEW[0]).copy()
    red[:, :, 1] = 0
    with pytest.raises(onlygood.ImageFormatError, match=r"red\.png is a colour image"):
        inspect(red, name="red.png")


def test_images_of_many_sizes_and_modes_make_one_model(method: str, tmp_path: Path, fast: dict[str, Any]) -> None:
    sizes = [(96, 96), (64, 128), (200, 90), (96, 97), (31, 33), (128, 128)]
    modes = ["L", "RGB", "RGBA", "P", "LA", "CMYK"]
    for number, (size, mode) in enumerate(zip(sizes, modes, strict=True)):
        suffix = "tif" if mode == "CMYK" else "png"
        Image.fromarray(texture(number, size)).convert(mode).save(tmp_path / f"{number}.{suffix}")
    model = fit(tmp_path, method=method, **fast)
    found = model.metadata.good_images
    assert (found.count, found.heights, found.widths) == (6, (31, 200), (33, 128))
    assert model.metadata.input.channels == 3
    assert any("grey, the others colour" in note for note in model.notes)
    inspect = onlygood.Inspector(model)
    assert [inspect(tmp_path / f"{number}.png").name for number in range(5)] == [
        str(tmp_path / f"{number}.png") for number in range(5)
    ]


@REMEMBERING
@pytest.mark.parametrize("count", [3, 4])
def test_few_images_make_a_model_that_guarantees_what_they_can(count: int, method: str, fast: dict[str, Any]) -> None:
    model = fit(textures(count), method=method, **fast)
    assert model.guarantee.stated_rate == 1 / (count + 1)
    assert model.metadata.guarantee.stated_rate == 1 / (count + 1)
    results = [onlygood.Inspector(model)(image) for image in NEW]
    assert all(np.isfinite(result.score) and 0 < result.p_value <= 1 for result in results)
    assert results[1].score > results[0].score


@REMEMBERING
@pytest.mark.parametrize("count", [3, 5, 8])
def test_the_guarantee_of_few_images_holds(count: int, method: str, fast: dict[str, Any]) -> None:
    rates = []
    for start in range(0, 800, 40):
        model = fit(textures(count, start=start), method=method, **fast)
        inspect = onlygood.Inspector(model, with_map=False)
        rates.append(np.mean([inspect(image).is_anomaly for image in textures(20, start=start + 20)]))
        guaranteed = model.guarantee.stated_rate
    # Refits differ widely where there are few images: what counts is their mean, to three of its standard errors.
    assert np.mean(rates) <= guaranteed + 3 * np.std(rates) / np.sqrt(len(rates))


@REMEMBERING
def test_copies_among_good_images_count_once(good_images: list[Array], method: str, fast: dict[str, Any]) -> None:
    once = fit(good_images, method=method, **fast)
    twice = fit([*good_images, *good_images], method=method, **fast)
    assert twice.guarantee.calibration_images == 2 * GOOD
    assert twice.guarantee.groups == once.guarantee.groups == GOOD
    assert any("near-duplicates" in note and f"{2 * GOOD} of {2 * GOOD}" in note for note in twice.notes)
    # No copy stands in for its original, so the scores are those of images that were not seen.
    assert twice.calibration.threshold == pytest.approx(once.calibration.threshold, rel=0.15)


BAD_SETS: dict[str, tuple[list[Array], str]] = {
    "none": ([], "fit needs good images, got an empty sequence"),
    "one": (
        textures(1),
        "fit needs at least 3 good images, so that what good images have in common can be told without",
    ),
    "identical": (textures(1) * 5, "calibration needs good images of at least 3 independent things, got 5 images"),
    "constant": ([np.full((SIZE, SIZE), 90, np.uint8)] * 3, "good images must show something, got 3 in which every"),
    "constant, each another": (
        [np.full((SIZE, SIZE), level, np.uint8) for level in (10, 90, 200)],
        "good images must show something, got 3 in which every",
    ),
}


@pytest.mark.parametrize("kind", BAD_SETS)
def test_images_from_which_nothing_can_be_learned_are_refused(kind: str, method: str, fast: dict[str, Any]) -> None:
    images, message = BAD_SETS[kind]
    with pytest.raises(FolderError) as caught:
        fit(images, method=method, **fast)
    assert str(caught.value).startswith(message)


def test_one_constant_image_among_many_is_noted(good_images: list[Array], method: str, fast: dict[str, Any]) -> None:
    model = fit([*good_images, np.zeros((SIZE, SIZE), np.uint8)], method=method, **fast)
    assert [note for note in model.notes if "one level" in note] == [
        f"1 image is of one level only, among the good ones: image {GOOD}."
    ]


def test_the_smallest_images_can_be_inspected(inspect: onlygood.Inspector) -> None:
    for size in ((1, 1), (2, 1), (1, 300)):
        result = inspect(np.full(size, 128, np.uint8))
        assert result.anomaly_map is not None
        assert result.anomaly_map.shape == size
        assert np.isfinite(result.score)


def test_an_inspector_may_be_shared_between_threads(inspect: onlygood.Inspector) -> None:
    expected = [inspect(image).score for image in NEW] * 4
    with ThreadPoolExecutor(4) as pool:
        found: list[Any] = list(pool.map(lambda image: inspect(image).score, NEW * 4))
    assert found == expected


def test_a_model_is_calibrated_with_new_images_by_its_own_raw_scores(fitted: onlygood.Model) -> None:
    images = [texture(seed) for seed in range(700, 709)]
    found = onlygood.calibrate(fitted, images, false_alarm_rate=0.2)
    before = np.array(scores(fitted, images), dtype=np.float64) + fitted.calibration.threshold
    scale = max(1.0, float(np.abs(before).max()))
    # Nine scores and a rate of 0.2: the eighth smallest, k = ceil(10 * 0.8).
    assert found.calibration.threshold == pytest.approx(np.sort(before)[7], abs=1e-5 * scale)
    np.testing.assert_allclose(scores(found, images), before - np.sort(before)[7], atol=1e-5 * scale)
    assert sum(onlygood.Inspector(found)(image).is_anomaly for image in images) == 1


def test_calibrated_at_its_own_rate_a_model_keeps_its_threshold(fitted: onlygood.Model) -> None:
    found = onlygood.calibrate(fitted, false_alarm_rate=fitted.guarantee.requested_rate)
    assert found.calibration.threshold == fitted.calibration.threshold
    assert found.guarantee == fitted.guarantee
    assert scores(found, NEW) == scores(fitted, NEW)
