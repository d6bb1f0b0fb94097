"""Two models on the same images: flips, units that compare, labels, refused images, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import onlygood
from flat import fit
from onlygood.errors import FolderError, LabelledSetError, ModelFileError, SettingError
from textures import FAST_POOLED, as_colour, save, texture, textures, with_defect


@pytest.fixture(scope="module")
def looser(model: onlygood.Model) -> onlygood.CalibratedModel:
    """The same detector with its threshold between the defect's score and those of good images far above."""
    score = onlygood.Inspector(model)(with_defect(texture(101))).score
    return onlygood.calibrate(model, threshold=score + 0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = {f"good/{number}.png": texture(100 + number) for number in range(5)}
    images |= {f"hole/{number}.png": with_defect(texture(101 + number), level=128 * number) for number in range(2)}
    return save(tmp_path_factory.mktemp("test"), images)


def test_verdicts_are_those_of_each_model_alone(
    model: onlygood.Model, looser: onlygood.CalibratedModel, folder: Path
) -> None:
    found = onlygood.diff(model, looser, folder, threads=1)
    for each in found.images:
        for which, given in (("old", model), ("new", looser)):
            alone = onlygood.Inspector(given, with_map=False)(folder / each.name)
            said = getattr(each, which)
            assert (said.score, said.p_value, said.is_anomaly) == (alone.score, alone.p_value, alone.is_anomaly)
        assert each.flips == (each.old.is_anomaly != each.new.is_anomaly)
    assert [each.name for each in found.images] == [
        *(f"good/{number}.png" for number in range(5)),
        *(f"hole/{number}.png" for number in range(2)),
    ]
    assert found.to_anomalous == ()
    assert "hole/0.png" in {each.name for each in found.to_good}
    assert found.anomalous[0] - found.anomalous[1] == len(found.to_good)


def test_a_typical_good_image_has_the_relative_score_minus_1_in_every_model(
    model: onlygood.Model, folder: Path
) -> None:
    """By hand: score over threshold minus the median of the calibration scores."""
    new = onlygood.calibrate(model, false_alarm_rate=0.3)
    found = onlygood.diff(model, new, folder, threads=1)
    for which, given in (("old", model), ("new", new)):
        known = given.file.calibration_scores
        assert known is not None
        # Of 16 images of their own group each, the eighth has half of the weight at or below it.
        distance = known.threshold - float(known.scores[7])
        for each in found.images:
            said = getattr(each, which)
            assert said.relative_score == pytest.approx(said.score / distance)
    assert found.images[0].change == pytest.approx(
        found.images[0].new.relative_score - found.images[0].old.relative_score  # type: ignore[operator]
    )


def test_without_a_distance_p_values_alone_compare(model: onlygood.Model, folder: Path) -> None:
    strict = onlygood.calibrate(model, threshold=-100)
    found = onlygood.diff(model, strict, folder, threads=1)
    assert {each.new.relative_score for each in found.images} == {None}
    assert {each.change for each in found.images} == {None}
    assert found.notes == (
        "The new model has no threshold above the median of calibration scores, so that there are no relative scores "
        "to compare: compare p-values.",
    )
    differences = [abs(each.new.p_value - each.old.p_value) for each in found.flips]
    assert differences == sorted(differences, reverse=True)


def test_the_largest_change_comes_first(model: onlygood.Model, tmp_path: Path) -> None:
    other = fit(textures(16), method="knn", **FAST_POOLED)
    save(tmp_path, {f"{number}.png": texture(900 + number) for number in range(20)})
    found = onlygood.diff(model, other, tmp_path, false_alarm_rate=0.4, threads=1)
    changes = [abs(each.change) for each in found.flips if each.change is not None]
    assert len(changes) == len(found.flips) > 0
    assert changes == sorted(changes, reverse=True)
    assert found.old.guarantee.requested_rate == found.new.guarantee.requested_rate == 0.4


def test_labels_say_which_flips_are_right(
    model: onlygood.Model, looser: onlygood.CalibratedModel, folder: Path
) -> None:
    found = onlygood.diff(model, looser, folder, labelled=True, threads=1)
    assert found.is_labelled
    by_name = {each.name: each for each in found.images}
    assert by_name["hole/0.png"].is_right is False
    missed = sum(not each.new.is_anomaly for each in found.images if each.name.startswith("hole"))
    wrong = sum(each.name.startswith("hole") for each in found.flips)
    assert found.sentences[2] == (
        f"By the labels the new model is right in {len(found.flips) - wrong} of these {len(found.flips)}, and the old "
        f"one in {wrong}."
    )
    assert (
        f"the new model calls 0 of 5 good images anomalous and misses {missed} of 2 anomalous ones."
        in found.sentences[3]
    )
    assert found.to_dict()["images"][-1]["label"] == "hole"
    back = onlygood.diff(looser, model, folder, labelled=True, threads=1)
    assert {each.name: each.is_right for each in back.flips}["hole/0.png"] is True


def test_images_that_a_model_refuses_are_named(model: onlygood.Model, folder: Path, tmp_path: Path) -> None:
    """A model for grey images refuses colour; one for colour takes both."""
    colour = fit([_coloured(image) for image in textures(16)], method="knn", **FAST_POOLED)
    save(tmp_path, {"a.png": texture(100), "b.png": _coloured(texture(101))})
    (tmp_path / "c.png").write_bytes(b"no image")
    found = onlygood.diff(model, colour, tmp_path, threads=1)
    assert [each.name for each in found.images] == ["a.png"]
    grey, torn = found.refused
    assert (grey.name, torn.name) == ("b.png", "c.png")
    assert grey.old is not None and grey.new is None
    assert grey.sentence == f"refused by the old model: {grey.old}"
    assert torn.sentence.startswith("refused by both models: c.png")
    assert found.sentences[-1] == "2 images are refused by at least one model: b.png, c.png."
    assert found.notes == ("The old model takes grey images alone, and the new one colour, too.",)
    assert repr(found).endswith("; 2 refused>")
    with pytest.raises(FolderError, match="needs at least one image that both models can inspect, and none of 1 is"):
        onlygood.diff(model, colour, tmp_path / "b.png", threads=1)


def _coloured(image: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    colour = as_colour(image).copy()
    colour[..., 0] = 255 - colour[..., 0]
    return colour


def test_the_same_model_twice_is_refused(model: onlygood.Model, model_path: Path, folder: Path) -> None:
    with pytest.raises(SettingError, match=r"diff needs two models, got the old model and .*, which are the same"):
        onlygood.diff(model, model_path, folder, threads=1)


def test_models_for_other_depths_are_refused(
    model: onlygood.Model, sixteen_bit_model: onlygood.Model, folder: Path
) -> None:
    with pytest.raises(SettingError) as caught:
        onlygood.diff(model, sixteen_bit_model, folder, threads=1)
    assert str(caught.value) == (
        "diff needs two models that take the same images, got the old model for uint8 and the new model for uint16: "
        "fit both on images of the same depth"
    )


def test_other_mistakes_are_those_of_the_pieces(
    model: onlygood.Model, looser: onlygood.CalibratedModel, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        onlygood.diff(tmp_path / "none.onnx", model, folder, threads=1)
    with pytest.raises(FolderError, match="is empty"):
        onlygood.diff(model, looser, tmp_path, threads=1)
    with pytest.raises(SettingError, match="labelled images must be one folder or CSV file, got 2 paths"):
        onlygood.diff(model, looser, [folder, folder], labelled=True, threads=1)
    with pytest.raises(LabelledSetError):
        onlygood.diff(model, looser, [folder / "good"], labelled=True, threads=1)
    with pytest.raises(SettingError, match="the false-alarm rate must be between 0 and 1"):
        onlygood.diff(model, looser, folder, false_alarm_rate=2.0, threads=1)


def test_an_inspector_is_used_as_it_is(model: onlygood.Model, folder: Path) -> None:
    other = onlygood.Inspector(model, false_alarm_rate=0.3)
    found = onlygood.diff(model, other, folder, threads=1)
    assert found.new.guarantee.requested_rate == 0.3
    small = onlygood.Inspector(model, false_alarm_rate=0.3, max_pixels=10)
    with pytest.raises(FolderError, match="is refused by the new model: good/0"):
        onlygood.diff(model, small, folder, threads=1)


def test_no_flip_is_said_so(model: onlygood.Model, folder: Path) -> None:
    barely = onlygood.calibrate(model, threshold=1e-6)
    found = onlygood.diff(model, barely, folder, threads=1)
    assert found.flips == ()
    assert found.sentences[0] == "No verdict changes in 7 images."
    assert repr(found) == "<Diff: 0 of 7 images become anomalous, 0 good>"
    assert replace(found, refused=found.refused) == found


def test_everything_is_in_the_dictionary(model: onlygood.Model, looser: onlygood.CalibratedModel, folder: Path) -> None:
    found = onlygood.diff(model, looser, folder, threads=1)
    values = found.to_dict()
    assert (values["to_anomalous"], values["to_good"]) == (0, len(found.flips))
    assert values["old"]["anomalous"] == found.anomalous[0]
    assert [each["name"] for each in values["images"]] == [each.name for each in found.images]
    assert values["images"][0]["old"] == found.images[0].old.to_dict()
    assert values["sentences"] == list(found.sentences)
    assert [each["field"] for each in values["differing"]] == [fact.field for fact in found.facts]
