"""Calibrate: another threshold for a fitted model. Everything else in the file stays as it is."""

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import onlygood
from flat import fit
from onlygood.calibration.threshold import Calibration
from onlygood.errors import FolderError, ModelFormatError, SettingError, VerificationError
from onlygood.graph.model_file import FORMAT, pack, read_model_file, unpack
from onlygood.graph.verdict import replace_calibration
from onlygood.guarantee import Guarantee
from onlygood.rates import format_rate
from textures import FAST, GOOD, Array, numbered, save, texture, textures, twelve_bit, with_defect

OLD = Path(__file__).parents[0] / "models" / "format-1.onnx"
NEW = textures(25, start=900)


def graph_of(model: onlygood.CalibratedModel) -> onnx.ModelProto:
    return onnx.load_model_from_string(model.file.content)


def initializers(model: onlygood.CalibratedModel) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph_of(model).graph.initializer}


def raw_scores(model: onlygood.CalibratedModel, images: list[Array]) -> Array:
    """The value `raw_score` of the file's graph, by ONNX Runtime alone, float32 [n]."""
    changed = graph_of(model)
    changed.graph.output.append(onnx.helper.make_tensor_value_info("raw_score", onnx.TensorProto.FLOAT, ["N"]))
    session = onnxruntime.InferenceSession(changed.SerializeToString(), providers=["CPUExecutionProvider"])
    batches = [session.run(["raw_score"], {"image": image[None, :, :, None]})[0] for image in images]
    return np.concatenate(batches)


def order_statistic(scores: Array, rate: str) -> float:
    """The k-th smallest score, k = ceil((n + 1)(1 - alpha)), or the largest where there is no such one."""
    k = math.ceil((len(scores) + 1) * (1 - Fraction(rate)))
    return float(np.sort(scores)[min(k, len(scores)) - 1])


@pytest.fixture(scope="module")
def calibrated(model: onlygood.Model) -> onlygood.CalibratedModel:
    return onlygood.calibrate(model, NEW, false_alarm_rate=0.2)


# From the scores in the file


@pytest.mark.parametrize("rate", ["0.06", "0.1", "0.2", "0.5", "0.9"])
def test_the_threshold_is_the_order_statistic_of_the_scores_in_the_file(model: onlygood.Model, rate: str) -> None:
    found = onlygood.calibrate(model, false_alarm_rate=float(rate))
    assert found.calibration.threshold == order_statistic(model.calibration.scores, rate)
    assert initializers(found)["threshold"] == np.float32(found.calibration.threshold)
    assert found.metadata.calibration.threshold == found.calibration.threshold
    assert found.metadata.settings["false_alarm_rate"] == found.guarantee.stated_rate == float(rate)


def test_a_verdict_moves_with_the_threshold_and_nothing_else_does(model: onlygood.Model) -> None:
    found = onlygood.calibrate(model, false_alarm_rate=0.3)
    moved = model.calibration.threshold - found.calibration.threshold
    assert moved > 0
    before, after = onlygood.Inspector(model), onlygood.Inspector(found)
    images = [*textures(6, start=300), with_defect(texture(310))]
    pairs = [(before(image), after(image)) for image in images]
    for one, other in pairs:
        assert other.score == pytest.approx(one.score + moved, rel=1e-5)
        assert other.is_anomaly == (other.score > 0)
        assert other.p_value == one.p_value
        np.testing.assert_array_equal(one.anomaly_map, other.anomaly_map)
    assert before.map_levels == after.map_levels


def test_the_rate_that_the_model_has_gives_the_same_graph_and_no_note(model: onlygood.Model) -> None:
    found = onlygood.calibrate(model, false_alarm_rate=model.guarantee.requested_rate)
    assert graph_of(found).graph == graph_of(model).graph
    assert (found.guarantee, found.notes) == (model.guarantee, ())


def test_there_and_back_is_the_same_graph(model: onlygood.Model) -> None:
    there = onlygood.calibrate(model, false_alarm_rate=0.4)
    back = onlygood.calibrate(there, false_alarm_rate=0.1)
    assert graph_of(there).graph != graph_of(model).graph
    assert graph_of(back).graph == graph_of(model).graph
    assert [record.requested_rate_before for record in back.metadata.recalibrations] == [0.1, 0.4]


@pytest.mark.parametrize("rate", [0.01, 0.001, 1e-9])
def test_a_rate_that_needs_more_images_is_answered_in_the_words_of_fit(model: onlygood.Model, rate: float) -> None:
    found = onlygood.calibrate(model, false_alarm_rate=rate)
    expected = model.guarantee.replaced(requested_rate=rate, stated_rate=1 / (GOOD + 1))
    assert found.guarantee.sentences == expected.sentences
    assert "add images, or ask for 0.0589" in found.guarantee.sentences[1]
    assert found.metadata.guarantee == expected
    assert found.metadata.guarantee.to_dict() == expected.to_dict()
    assert found.calibration.threshold == model.calibration.scores.max()


def test_scores_in_groups_keep_their_weights(tmp_path: Path) -> None:
    lots = save(tmp_path, {f"{number % 4}/{number}.png": texture(number) for number in range(GOOD)})
    model = fit(lots, group_by="folder", **FAST)
    found = onlygood.calibrate(model, false_alarm_rate=0.5)
    # Four groups of four: each score has the weight 1/20, and 10 of 16 scores are needed for a half.
    assert found.calibration.groups == 4
    assert found.calibration.threshold == np.sort(model.calibration.scores)[9]
    assert "in 4 independent groups" in found.guarantee.sentences[0]


def test_the_map_keeps_its_levels_and_a_note_says_so(model: onlygood.Model) -> None:
    found = onlygood.calibrate(model, false_alarm_rate=0.3)
    assert found.metadata.map_levels == model.metadata.map_levels
    (note,) = found.notes
    assert note.startswith("The levels of the anomaly map are those of the false-alarm rate that the model had before")
    assert found.metadata.recalibrations[0].notes == (note,)


# From new good images


@pytest.mark.parametrize("rate", ["0.04", "0.1", "0.5"])
def test_the_threshold_is_the_order_statistic_of_the_new_images_scores(model: onlygood.Model, rate: str) -> None:
    found = onlygood.calibrate(model, NEW, false_alarm_rate=float(rate))
    raw = raw_scores(model, NEW)
    np.testing.assert_allclose(found.calibration.scores, np.sort(raw), rtol=1e-6)
    assert found.calibration.threshold == pytest.approx(order_statistic(raw, rate), rel=1e-6)
    judged = [onlygood.Inspector(found)(image) for image in NEW]
    assert sum(each.is_anomaly for each in judged) == 25 - math.ceil(26 * (1 - Fraction(rate)))


def test_p_values_come_from_the_new_scores(calibrated: onlygood.CalibratedModel) -> None:
    inspect = onlygood.Inspector(calibrated)
    descending = sorted((inspect(image) for image in NEW), key=lambda each: -each.score)
    expected = [(1 + rank) / 26 for rank in range(1, 26)]
    assert [each.p_value for each in descending] == pytest.approx(expected, abs=1e-6)
    assert inspect(with_defect(texture(1000))).p_value == pytest.approx(1 / 26, abs=1e-6)


def test_the_guarantee_is_exact_and_about_the_new_images(
    model: onlygood.Model, calibrated: onlygood.CalibratedModel
) -> None:
    assert not model.guarantee.is_exact
    assert calibrated.guarantee == Guarantee(
        requested_rate=0.2, stated_rate=0.2, is_exact=True, calibration_images=25, groups=25, fitted_images=GOOD
    )
    assert calibrated.metadata.guarantee == calibrated.guarantee
    assert calibrated.metadata.guarantee.to_dict() == calibrated.guarantee.to_dict()
    assert calibrated.metadata.calibration.method == "split"


def test_too_few_new_images_are_answered_in_the_words_of_fit(model: onlygood.Model) -> None:
    found = onlygood.calibrate(model, NEW[:4], false_alarm_rate=0.1)
    assert found.guarantee.stated_rate == 0.2
    assert found.guarantee.sentences[1].startswith("The rate asked for, 0.1, needs at least 9 images to calibrate with")


def test_without_a_rate_it_is_the_one_of_before(model: onlygood.Model) -> None:
    assert onlygood.calibrate(model, NEW).guarantee.requested_rate == model.guarantee.requested_rate == 0.1


def test_the_levels_of_the_map_are_computed_again(model: onlygood.Model, calibrated: onlygood.CalibratedModel) -> None:
    session = onnxruntime.InferenceSession(model.file.content, providers=["CPUExecutionProvider"])
    patches = [session.run(["patch_scores"], {"image": image[None, :, :, None]})[0] for image in NEW]
    levels = calibrated.metadata.map_levels
    assert levels.typical == pytest.approx(np.median([np.median(each) for each in patches]), rel=1e-5)
    highest = np.array([each.max() for each in patches])
    assert levels.high == pytest.approx(order_statistic(highest, "0.2"), rel=1e-5)


def exact_threshold(scores: Array, labels: list[int], rate: Fraction) -> float:
    sizes = Counter(labels)
    order, weight = np.argsort(scores), Fraction(0)
    for position in order:
        weight += Fraction(1, (len(sizes) + 1) * sizes[labels[position]])
        if weight >= 1 - rate:
            return float(scores[position])
    return float(scores[order[-1]])


def test_images_of_one_folder_are_one_group(model: onlygood.Model, tmp_path: Path) -> None:
    labels = [0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 3, 3]
    names = {f"{label}/{number:02}.png": NEW[number] for number, label in enumerate(labels)}
    found = onlygood.calibrate(model, save(tmp_path, names), false_alarm_rate=0.4, group_by="folder")
    expected = exact_threshold(raw_scores(model, NEW[:12]), labels, Fraction("0.4"))
    assert found.calibration.threshold == pytest.approx(expected, rel=1e-6)
    assert (found.guarantee.groups, found.guarantee.calibration_images) == (4, 12)
    given = onlygood.calibrate(model, NEW[:12], false_alarm_rate=0.4, groups=[str(label) for label in labels])
    assert given.file.content == found.file.content


def test_images_of_equal_pixels_count_as_one_and_are_mentioned(model: onlygood.Model) -> None:
    found = onlygood.calibrate(model, [*NEW[:9], NEW[0], NEW[0], NEW[1]], false_alarm_rate=0.1)
    assert (found.guarantee.groups, found.guarantee.calibration_images) == (9, 12)
    assert found.calibration.weights.sum() == pytest.approx(9 / 10)
    assert found.notes[0] == (
        "5 of 12 calibration images have the pixels of another one, in 2 sets: each set counts as one."
    )


def test_a_note_says_what_the_threshold_of_before_makes_of_the_new_images(model: onlygood.Model) -> None:
    above = int((raw_scores(model, NEW) > model.calibration.threshold).sum())
    dark = [(image // 2).astype(np.uint8) for image in NEW]
    for images, expected in ((NEW, above), (dark, 25)):
        note = onlygood.calibrate(model, images).notes[-1]
        assert note == (
            "The threshold that the model had before, with at most 0.1 of good images guaranteed to be called "
            f"anomalous, calls {expected} of these 25 anomalous."
        )


def test_the_note_calls_an_estimate_no_guarantee(model: onlygood.Model) -> None:
    estimated = onlygood.calibrate(model, threshold=0.5)
    rate = format_rate(estimated.guarantee.stated_rate)
    note = onlygood.calibrate(estimated, NEW).notes[-1]
    assert note.startswith(
        f"The threshold that the model had before, with about {rate} of good images expected to be called anomalous,"
    )


def test_folders_and_images_of_several_places_stay_apart(model: onlygood.Model, tmp_path: Path) -> None:
    one = save(tmp_path / "one", {"lot/a.png": NEW[0], "lot/b.png": NEW[1]})
    two = save(tmp_path / "two", {"lot/a.png": NEW[2], "c.png": NEW[3]})
    found = onlygood.calibrate(model, [one, two / "lot", two / "c.png"], group_by="folder")
    assert (found.guarantee.calibration_images, found.guarantee.groups) == (4, 3)
    alone = onlygood.calibrate(model, two / "c.png")
    assert (alone.guarantee.calibration_images, alone.guarantee.stated_rate) == (1, 0.5)


def test_a_golden_samples_guarantee_becomes_one_about_parts() -> None:
    golden = fit(texture(0), golden=True, augment=12, input_size=64, bank_size=300, false_alarm_rate=0.2)
    assert golden.guarantee.golden_images == 1
    again = onlygood.calibrate(golden, false_alarm_rate=0.5)
    assert "augmentations of a golden image" in again.guarantee.sentences[0]
    found = onlygood.calibrate(golden, NEW)
    assert found.guarantee.sentences[0] == (
        "At most 0.2 of good images will be called anomalous (exact, by split conformal calibration on 25 good "
        "images that the detector has not seen)."
    )


# The file


def test_the_record_says_from_what(model: onlygood.Model, calibrated: onlygood.CalibratedModel) -> None:
    again = onlygood.calibrate(calibrated, false_alarm_rate=0.3)
    first, second = again.metadata.recalibrations
    assert calibrated.metadata.recalibrations == (first,)
    assert (first.source, first.images, first.groups) == ("new good images", 25, 25)
    assert (first.requested_rate, first.requested_rate_before) == (0.2, 0.1)
    assert first.threshold_before == model.calibration.threshold
    assert first.model_sha256 == model.metadata.content_sha256
    assert (second.source, second.images) == ("calibration scores", 25)
    assert second.model_sha256 == calibrated.metadata.content_sha256 != model.metadata.content_sha256


def test_the_rest_of_the_metadata_stays(model: onlygood.Model, calibrated: onlygood.CalibratedModel) -> None:
    changed = {"calibration", "settings", "guarantee", "map_levels", "recalibrations", "content_sha256"}
    one, other = model.metadata.to_dict(), calibrated.metadata.to_dict()
    # What was kept for updates knows nothing of the new images.
    assert set(other) == set(one) - {"kept"} and one["recalibrations"] == []
    for key in set(one) - changed - {"kept"}:
        assert other[key] == one[key], key
    assert {**other["settings"], "false_alarm_rate": 0.1} == one["settings"]
    before, after = graph_of(model), graph_of(calibrated)
    assert before.graph.node == after.graph.node
    names = [tensor.name for tensor in after.graph.initializer]
    assert names == [tensor.name for tensor in before.graph.initializer]
    differ = {
        name for name, a, b in zip(names, before.graph.initializer, after.graph.initializer, strict=True) if a != b
    }
    assert differ == {"threshold", "calibration_scores", "calibration_weights", "own_weight"}


def test_the_same_call_gives_the_same_bytes_on_any_number_of_threads(
    model: onlygood.Model, calibrated: onlygood.CalibratedModel, tmp_path: Path
) -> None:
    folder = save(tmp_path / "new", numbered(NEW))
    for threads in (1, 3):
        found = onlygood.calibrate(model, folder, false_alarm_rate=0.2, threads=threads)
        assert found.file.content == calibrated.file.content
    model.save(tmp_path / "part.onnx")
    one, two = (onlygood.calibrate(given, false_alarm_rate=0.3) for given in (model, tmp_path / "part.onnx"))
    assert one.file.content == two.file.content
    assert (tmp_path / "part.onnx").read_bytes() == model.file.content


def test_what_is_saved_is_read_again(calibrated: onlygood.CalibratedModel, tmp_path: Path) -> None:
    calibrated.save(tmp_path / "new.onnx")
    read = read_model_file(tmp_path / "new.onnx")
    assert read.content == calibrated.file.content
    assert read.metadata == calibrated.metadata
    assert read.metadata.to_dict() == json.loads(json.dumps(calibrated.metadata.to_dict()))
    assert read.calibration_scores is not None
    np.testing.assert_array_equal(read.calibration_scores.scores, calibrated.calibration.scores)
    assert onlygood.Inspector(tmp_path / "new.onnx")(NEW[3]).score == onlygood.Inspector(calibrated)(NEW[3]).score


def test_files_of_the_first_format_are_calibrated_and_get_the_newest() -> None:
    scores = read_model_file(OLD).calibration_scores
    assert scores is not None
    by_scores = onlygood.calibrate(OLD, false_alarm_rate=0.25)
    assert by_scores.calibration.threshold == order_statistic(scores.scores, "0.25")
    by_images = onlygood.calibrate(OLD, NEW, false_alarm_rate=0.25)
    raw = raw_scores(by_scores, NEW)
    assert by_images.calibration.threshold == pytest.approx(order_statistic(raw, "0.25"), rel=1e-6)
    for found in (by_scores, by_images):
        assert found.metadata.format == FORMAT
        assert found.guarantee.augmentations == 0
        assert onlygood.Inspector(found)(with_defect(texture(501))).is_anomaly


# An inspector at another rate


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.4])
def test_an_inspector_at_a_rate_is_one_of_the_model_calibrated_at_it(model_path: Path, rate: float) -> None:
    content = model_path.read_bytes()
    at_rate = onlygood.Inspector(model_path, false_alarm_rate=rate)
    calibrated = onlygood.Inspector(onlygood.calibrate(model_path, false_alarm_rate=rate))
    assert at_rate.metadata == calibrated.metadata
    for image in (texture(400), with_defect(texture(401))):
        one, other = at_rate(image), calibrated(image)
        assert (one.score, one.p_value, one.is_anomaly) == (other.score, other.p_value, other.is_anomaly)
    assert model_path.read_bytes() == content


def test_maps_by_occlusion_end_at_the_threshold_in_use(model: onlygood.Model) -> None:
    inspector = onlygood.Inspector(model, by_occlusion=True, false_alarm_rate=0.4)
    assert inspector.map_levels == (0.0, onlygood.calibrate(model, false_alarm_rate=0.4).calibration.threshold)


# What is refused


@pytest.mark.parametrize("rate", [0, 1, 0.0, 1.0, -0.1, float("nan"), float("inf"), "0.1"])
def test_rates_that_cannot_be_used_are_refused(model: onlygood.Model, rate: Any) -> None:
    for attempt in (
        lambda: onlygood.calibrate(model, false_alarm_rate=rate),
        lambda: onlygood.calibrate(model, NEW[:3], false_alarm_rate=rate),
        lambda: onlygood.Inspector(model, false_alarm_rate=rate),
    ):
        with pytest.raises(SettingError, match="the false-alarm rate must be between 0 and 1, both excluded"):
            attempt()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, SettingError, "calibrate needs a false-alarm rate, a threshold or new good images, got none"),
        (
            {"false_alarm_rate": 0.1, "group_by": "folder"},
            SettingError,
            "group_by and groups go with images, got none",
        ),
        ({"images": []}, FolderError, "calibrate needs good images, got an empty sequence"),
        ({"images": 7}, FolderError, "calibrate needs a folder or a sequence of good images, got int"),
        ({"images": NEW[:2], "groups": ["a"]}, SettingError, "groups must have one label an image, got 1 for 2"),
        ({"images": NEW[:2], "group_by": "folder"}, SettingError, "group_by needs paths"),
        ({"images": "none"}, FolderError, "none does not exist"),
        ({"images": NEW[:2], "threads": -1}, SettingError, "threads must be 0"),
        ({"images": NEW[:2], "provider": "abacus"}, SettingError, "the provider must be one that"),
        (
            {"images": [NEW[0], b"no image", b""]},
            FolderError,
            "calibration needs good images that this model can inspect, got 2 of 3 that it cannot .*, the first: "
            "image 1 is",
        ),
        ({"images": [twelve_bit(1)]}, FolderError, "got 1 of 1 that it cannot .*16"),
        ({"images": [NEW[0]], "max_pixels": 9000}, FolderError, "9,216 pixels, and at most 9,000"),
    ],
)
def test_what_cannot_be_calibrated_with_is_one_sentence(
    model: onlygood.Model, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        onlygood.calibrate(model, **arguments)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_is_refused(model: onlygood.Model, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="is empty: put images into it"):
        onlygood.calibrate(model, tmp_path)


@pytest.mark.parametrize("order", [1, -1])
def test_the_images_that_the_model_was_fitted_with_are_refused(
    model: onlygood.Model, good_images: list[Array], order: int
) -> None:
    with pytest.raises(FolderError, match="calibration needs good images that the model has not seen, got the 16"):
        onlygood.calibrate(model, good_images[::order])
    # Some of them are not recognised.
    assert onlygood.calibrate(model, good_images[:-1]).guarantee.calibration_images == 15


def without(model: onlygood.Model, edit: Callable[[onnx.ModelProto], None]) -> onlygood.CalibratedModel:
    """The model with another graph, sealed again."""
    graph = graph_of(model)
    edit(graph)
    kept = {entry.name: getattr(model, entry.name) for entry in fields(onlygood.CalibratedModel)}
    return onlygood.CalibratedModel(**{**kept, "file": pack(graph, model.metadata)})


def renamed(name: str) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            tensor.name = "other" if tensor.name == name else tensor.name
        for node in model.graph.node:
            node.input[:] = ["other" if value == name else value for value in node.input]
            node.output[:] = ["other" if value == name else value for value in node.output]

    return edit


def filled(name: str, array: Array) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(array, name))

    return edit


def torn(model: onnx.ModelProto) -> None:
    """Fewer bytes than the shape of the calibration scores asks for."""
    for tensor in model.graph.initializer:
        if tensor.name == "calibration_scores":
            tensor.raw_data = tensor.raw_data[:7]


def of_text(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.name == "calibration_scores":
            tensor.CopyFrom(onnx.helper.make_tensor(tensor.name, onnx.TensorProto.STRING, [16], [b"7"] * 16))


@pytest.mark.parametrize(
    "edit",
    [
        *map(renamed, ("threshold", "calibration_scores", "calibration_weights", "own_weight")),
        filled("calibration_scores", np.full(16, np.nan, np.float32)),
        filled("calibration_scores", np.arange(16, 0, -1).astype(np.float32)),
        filled("calibration_weights", np.zeros(16)),
        filled("own_weight", np.array([0.0])),
    ],
)
def test_a_model_without_usable_calibration_scores_is_refused_in_one_sentence(
    model: onlygood.Model, edit: Callable[[onnx.ModelProto], None]
) -> None:
    bare = without(model, edit)
    assert bare.file.calibration_scores is None
    assert unpack(bare.file.content, "x").calibration_scores is None
    for attempt in (
        lambda: onlygood.calibrate(bare, false_alarm_rate=0.2),
        lambda: onlygood.calibrate(bare, NEW[:3]),
        lambda: onlygood.Inspector(bare, false_alarm_rate=0.2),
    ):
        with pytest.raises(ModelFormatError) as caught:
            attempt()
        assert str(caught.value) == (
            "the model in memory must hold its calibration scores to be given another threshold (the initializers "
            "threshold, calibration_scores, calibration_weights, own_weight), got a file without them: fit it again"
        )


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (torn, "got 7 bytes for 64 as 'calibration_scores'"),
        (of_text, "got type 8 as 'calibration_scores'"),
        (filled("calibration_scores", np.zeros(3, np.float32)), "whose parts fit together, got: .*Incompatible dim"),
        (filled("calibration_weights", np.ones(16, np.float32)), "whose parts fit together, got: .*inconsistent type"),
        (filled("threshold", np.zeros(2, np.float32)), "must give score in the type and shape of every model file"),
    ],
)
def test_a_model_whose_calibration_scores_do_not_fit_its_graph_cannot_be_written(
    model: onlygood.Model, edit: Callable[[onnx.ModelProto], None], message: str
) -> None:
    with pytest.raises(ModelFormatError, match=message):
        without(model, edit)


def test_a_model_without_a_raw_score_is_refused_with_images_alone(model: onlygood.Model) -> None:
    bare = without(model, renamed("raw_score"))
    assert onlygood.calibrate(bare, false_alarm_rate=0.2).guarantee.requested_rate == 0.2
    with pytest.raises(ModelFormatError, match="must have the value raw_score in its graph to be calibrated with"):
        onlygood.calibrate(bare, NEW[:3])


def test_a_file_that_gives_other_scores_is_not_handed_over(
    model: onlygood.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(model: onnx.ModelProto, calibration: Calibration) -> None:
        replace_calibration(model, calibration)
        for tensor in model.graph.initializer:
            if tensor.name.endswith("_memory_bank"):
                filled(tensor.name, numpy_helper.to_array(tensor) + 1)(model)

    monkeypatch.setattr("onlygood.another_threshold.replace_calibration", replace)
    with pytest.raises(VerificationError, match=r"must give image 0 the raw score .*: nothing was written"):
        onlygood.calibrate(model, NEW, false_alarm_rate=0.5)
