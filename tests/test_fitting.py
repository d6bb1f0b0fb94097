"""From good images to a calibrated model: what is guaranteed, what is noted, what is refused, what is written down."""

import dataclasses
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

import onlygood
from flat import fit
from onlygood.detectors.patch.head import Unit
from onlygood.errors import FolderError, ImageError, SettingError, VerificationError
from onlygood.graph.model_file import FORMAT
from onlygood.graph.verdict import verdict
from onlygood.metadata import Metadata
from onlygood.settings import FitSettings
from textures import FAST, GOOD, SIZE, Array, numbered, save, texture, textures, with_defect


def false_alarms(model: onlygood.Model, images: Sequence[Array]) -> int:
    inspect = onlygood.Inspector(model)
    return sum(inspect(image).is_anomaly for image in images)


# What is guaranteed


@pytest.mark.parametrize("calibration", ["split", "leave-one-out"])
def test_good_images_that_were_not_seen_are_called_anomalous_as_rarely_as_guaranteed(calibration: str) -> None:
    """Twelve fits to other images of one material, 20 new ones each: 240 verdicts at a rate of 0.2.

    Verdicts of one fit share its threshold, whose own coverage varies like Beta(k, n + 1 - k): with 9 images to
    calibrate with its variance is 0.2 * 0.8 / 11. The margin is 3 standard errors, for the worst case that a fit's
    verdicts all agree beyond that.
    """
    rate, fits, new, calibrated = 0.2, 12, 20, 9
    total = guaranteed = 0.0
    for seed in range(fits):
        model = fit(
            textures(30, start=1000 * (seed + 1)),
            **{**FAST, "false_alarm_rate": rate, "calibration": calibration, "seed": seed, "bank_size": 100},
        )
        guaranteed = max(guaranteed, model.guarantee.stated_rate)
        total += false_alarms(model, textures(new, start=1000 * (seed + 1) + 500))
    spread = math.sqrt(rate * (1 - rate) * (1 / (calibrated + 2) / fits + 1 / (fits * new)))
    assert guaranteed == rate
    assert total / (fits * new) <= rate + 3 * spread
    # A threshold that nothing exceeds would pass as well; this one must be near where it should be.
    assert total / (fits * new) >= rate / 10


@pytest.mark.parametrize("count", [8, 24])
def test_leave_one_out_with_few_images_does_not_call_most_new_ones_anomalous(count: int) -> None:
    """With fewer images than an embedding has directions, a whitening that has seen them finds all else strange."""
    alarms = 0
    for seed in range(3):
        model = fit(textures(count, start=100 * seed), **FAST)
        alarms += false_alarms(model, textures(20, start=5000 + 100 * seed))
    # 60 verdicts at 0.11 (8 images) or 0.1: 6 or 7 expected; the bound is three standard errors higher.
    assert alarms <= 60 * 0.11 + 3 * math.sqrt(60 * 0.11 * 0.89)


def test_leave_one_out_calibrates_with_every_image_and_split_with_some(good_images: list[Array]) -> None:
    alone = fit(good_images, **FAST).guarantee
    split = fit(good_images, calibration="split", calibration_fraction=0.25, **FAST).guarantee
    assert (alone.is_exact, alone.calibration_images, alone.fitted_images) == (False, GOOD, GOOD)
    assert (split.is_exact, split.calibration_images, split.fitted_images) == (True, GOOD // 4, GOOD - GOOD // 4)


def test_split_calibrates_with_the_scores_that_the_file_gives_the_images_held_out(good_images: list[Array]) -> None:
    model = fit(good_images, calibration="split", **FAST)
    inspect = onlygood.Inspector(model)
    raw = np.array([inspect(image).score for image in good_images]) + model.calibration.threshold
    for score in model.calibration.scores:
        assert np.isclose(raw, score, rtol=1e-4, atol=1e-3).any()


def test_a_rate_finer_than_the_images_support_makes_a_model_that_says_what_it_can_guarantee() -> None:
    model = fit(textures(9), **{**FAST, "false_alarm_rate": 0.01})
    guarantee = model.guarantee
    assert (guarantee.requested_rate, guarantee.stated_rate, guarantee.groups_needed) == (0.01, 0.1, 99)
    assert model.calibration.threshold == model.calibration.scores.max()
    stored = model.metadata.to_dict()["guarantee"]
    assert (stored["requested_rate"], stored["stated_rate"]) == (0.01, 0.1)
    assert stored["statement"].startswith("At most 0.1 of good images will be called anomalous (approximate, ")
    assert "The rate asked for, 0.01, needs at least 99 images to calibrate with, got 9" in stored["statement"]


def test_a_rate_that_the_images_support_is_the_one_guaranteed() -> None:
    guarantee = fit(textures(9), **{**FAST, "false_alarm_rate": 0.1}).guarantee
    assert guarantee.stated_rate == guarantee.requested_rate == 0.1
    assert not any("The rate asked for" in sentence for sentence in guarantee.sentences)


# Groups


def lots(tmp_path: Path) -> Path:
    """Six lots of three images."""
    images = {f"lot{lot}/{number}.png": texture(10 * lot + number) for lot in range(6) for number in range(3)}
    return save(tmp_path, images)


@pytest.mark.parametrize("group_by", ["folder", r"lot(\d+)"])
def test_images_of_a_group_stay_on_one_side(tmp_path: Path, group_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    from onlygood import learning_images

    keep = learning_images.hold_out

    def spy(groups: Sequence[int], fraction: float, *, seed: int) -> Any:
        seen["groups"], seen["held"] = list(groups), keep(groups, fraction, seed=seed)
        return seen["held"]

    monkeypatch.setattr(learning_images, "hold_out", spy)
    model = fit(lots(tmp_path), group_by=group_by, calibration="split", **FAST)
    labels = np.array([number // 3 for number in range(18)])
    assert seen["groups"] == labels.tolist()
    held = seen["held"]
    assert 0 < held.sum() < 18
    assert all(len(set(held[labels == lot])) == 1 for lot in range(6))
    assert model.guarantee.groups == held.sum() // 3
    assert model.guarantee.calibration_images == held.sum()
    assert "independent groups" in model.guarantee.sentences[0]


def test_leave_one_out_leaves_out_the_whole_group() -> None:
    """Each image has a shifted copy in its group: with the copy in the memory its score would be next to nothing."""
    settings = {**FAST, "near_duplicates": "ignore"}

    def median_p_value(model: onlygood.Model, first: int) -> float:
        """Of new images: about 0.5 if calibration images count as new."""
        inspect = onlygood.Inspector(model)
        return float(np.median([inspect(texture(seed)).p_value for seed in range(first + 50, first + 90)]))

    of_groups, of_images = [], []
    for first in (0, 200, 400):
        images, groups = [], []
        for seed in range(first, first + 10):
            big = texture(seed, (SIZE + 1, SIZE + 1))
            images += [big[1:, 1:], big[:-1, :-1]]
            groups += [str(seed)] * 2
        together = fit(images, groups=groups, **settings)
        apart = fit(images, **settings)
        assert (together.guarantee.groups, apart.guarantee.groups) == (10, 20)
        of_groups.append(median_p_value(together, first))
        of_images.append(median_p_value(apart, first))
    # Ten images may happen to be odder than new ones, so it is the mean of three draws that is looked at.
    assert 0.35 < np.mean(of_groups) < 0.8
    # Every calibration image seems better than new ones, whose p-values are then the least of 20 images.
    assert np.mean(of_images) < 0.1


def test_groups_of_arrays_are_given_as_labels() -> None:
    model = fit(textures(6), groups=["a", "a", "b", "b", "c", "c"], **FAST)
    assert (model.guarantee.groups, model.guarantee.stated_rate) == (3, 0.25)


def test_near_duplicates_are_noted_and_kept_together() -> None:
    images = textures(12)
    noise = np.random.default_rng(0)
    doubled = [*images, *((p + noise.integers(0, 3, p.shape)).astype(np.uint8) for p in images[:4])]
    model = fit(doubled, **FAST)
    assert model.guarantee.groups == 12
    (note,) = model.notes
    assert note == (
        "8 of 16 good images are near-duplicates of one another, in 4 sets: each set is kept on one side of every "
        "split and counts as one."
    )
    assert model.metadata.notes == (note,)


def test_near_duplicates_are_not_looked_for_when_they_are_to_be_ignored_but_equal_images_still_count_once() -> None:
    images = textures(12)
    softened = np.asarray(Image.fromarray(images[0]).filter(ImageFilter.GaussianBlur(0.3)))
    model = fit([*images, softened, images[1]], **{**FAST, "near_duplicates": "ignore"})
    assert model.guarantee.groups == 13


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"groups": ["a"]}, SettingError, "groups must have one label an image, got 1 for 4 images"),
        ({"groups": ["a"] * 4}, FolderError, "at least 3 independent things, got 4 images in 1 group"),
        ({"group_by": "folder"}, SettingError, "group_by needs paths, got a sequence with others"),
        ({"calibration": "split", "groups": list("aabc")}, FolderError, "at least 3 independent things beside those"),
    ],
)
def test_groups_that_cannot_be_used_are_refused(settings: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        fit(textures(4), **{**FAST, **settings})


def test_a_folder_takes_no_labels(good_folder: Path) -> None:
    with pytest.raises(SettingError, match="groups goes with a sequence of images, got one path: use group_by"):
        fit(good_folder, groups=["a"] * GOOD)


# Images


def test_a_folder_a_list_of_paths_and_arrays_give_the_same_calibration(
    good_folder: Path, good_images: list[Array]
) -> None:
    paths = sorted(good_folder.iterdir())
    forms: list[Any] = [
        good_folder,
        str(good_folder),
        paths,
        [path.read_bytes() for path in paths],
        [Image.fromarray(image) for image in good_images],
        np.stack(good_images)[:, :, :, None],
    ]
    first, *others = (fit(form, **FAST) for form in forms)
    for other in others:
        np.testing.assert_array_equal(other.calibration.scores, first.calibration.scores)


@pytest.mark.parametrize("one", [b"x", Image.new("L", (9, 9)), np.zeros((9, 9), np.uint8)])
def test_one_image_instead_of_several_is_refused(one: Any) -> None:
    with pytest.raises(FolderError, match="fit needs a folder or a sequence of good images, got one image"):
        fit(one)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "a.png",
            "a.png is one image where a folder of good ones is meant: give a folder, or add --golden to learn from",
        ),
        ("parts.tar.gz", "parts.tar.gz is a gzip archive, which is not read: unpack it"),
        (
            "part.onnx",
            "part.onnx is a file that is no image, where good ones are meant: give their folder, a ZIP archive",
        ),
    ],
)
def test_a_file_instead_of_a_folder_is_named_as_what_it_is(
    name: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(save(tmp_path, {"a.png": texture(1)}))
    for other in ("parts.tar.gz", "part.onnx"):
        Path(other).write_bytes(b"\x08\x08")
    with pytest.raises(FolderError) as caught:
        fit(name)
    assert str(caught.value).startswith(sentence)


def test_what_looks_like_several_and_is_none_gets_its_remedy(good_images: list[Array]) -> None:
    with pytest.raises(
        FolderError, match=r"got an array \[16, 96, 96\]: if it holds 16 grey images, give list\(images\)"
    ):
        fit(np.stack(good_images))
    with pytest.raises(
        FolderError, match="got a mapping: give its values, with keys as groups if they say what belongs"
    ):
        fit({"a": good_images[0]})  # type: ignore[arg-type]


def test_an_unreadable_image_among_many_is_named(good_images: list[Array], tmp_path: Path) -> None:
    save(tmp_path, numbered(good_images))
    (tmp_path / "07.png").write_bytes((tmp_path / "07.png").read_bytes()[:300])
    with pytest.raises(FolderError) as caught:
        fit(tmp_path, **FAST)
    assert str(caught.value).startswith(
        "good images must be readable, got 1 of 16 that cannot be read (remove or repair them, or use "
        "--skip-unreadable), the first: 07.png "
    )


def test_unreadable_images_are_left_out_on_request_and_noted(good_images: list[Array], tmp_path: Path) -> None:
    save(tmp_path, numbered(good_images))
    for name in ("00.png", "07.png"):
        (tmp_path / name).write_bytes(b"")
    model = fit(tmp_path, skip_unreadable=True, **FAST)
    assert model.guarantee.calibration_images == GOOD - 2
    assert (model.metadata.good_images.count, model.metadata.good_images.unreadable) == (GOOD - 2, 2)
    (note,) = (note for note in model.notes if "readable" in note)
    assert note.startswith("2 images are left out, as not readable, the first: 00.png is empty (0 bytes): copy or ")


@pytest.mark.parametrize("skip", [True, False])
def test_images_none_of_which_can_be_read_are_refused(skip: bool, tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(FolderError, match=r"must be readable, got none among 3: a\.png is a text file"):
        fit(tmp_path, skip_unreadable=skip, **FAST)


def test_images_beyond_the_limits_are_refused_with_the_limit(good_folder: Path) -> None:
    with pytest.raises(FolderError, match=r"00\.png has 96 x 96 = 9,216 pixels, and at most 9,000 are read"):
        fit(good_folder, max_pixels=9000, **FAST)
    with pytest.raises(FolderError, match=r"00\.png has [\d,]+ bytes, and at most 100 are read"):
        fit(good_folder, max_bytes=100, **FAST)


def test_an_image_that_vanishes_during_the_fit_is_named(
    good_images: list[Array], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, numbered(good_images))
    from onlygood import fitting

    extract_features = fitting.extract_features

    def extract_then_lose(*arguments: Any, **keywords: Any) -> Any:
        found = extract_features(*arguments, **keywords)
        (tmp_path / "03.png").unlink()
        return found

    monkeypatch.setattr("onlygood.features.extraction.KEPT_BYTES", 0)
    monkeypatch.setattr(fitting, "extract_features", extract_then_lose)
    with pytest.raises(ImageError, match=r"03\.png does not exist"):
        fit(tmp_path, **FAST)


# What is written down


def test_the_metadata_says_all_that_people_need_to_know(model: onlygood.Model) -> None:
    metadata = model.metadata
    described = metadata.to_dict()
    assert set(described) == {
        *("format", "content_sha256", "method", "description", "settings", "input", "backbone", "detector"),
        *("good_images", "calibration", "guarantee", "map_levels", "notes", "made_with", "recalibrations"),
        *("updates", "kept"),
    }
    assert described["recalibrations"] == described["updates"] == []
    assert metadata.format == FORMAT
    assert metadata.method == "patch"
    recorded = (set(FitSettings.model_fields) | set(onlygood.Patch.model_fields)) - {"threads"}
    assert set(metadata.settings) == recorded
    assert described["input"] == {
        "dtype": "uint8",
        "channels": 1,
        "channel_order": "rgb",
        "window": [0, 255],
        "input_shape": [64, 64],
    }
    assert metadata.backbone is not None
    assert metadata.backbone.licence == "Apache-2.0"
    assert len(metadata.backbone.sha256) == len(metadata.good_images.sha256) == 64
    assert metadata.good_images.count == GOOD
    assert metadata.good_images.heights == metadata.good_images.widths == (SIZE, SIZE)
    assert described["calibration"] == {
        "method": "leave-one-out",
        "threshold": model.calibration.threshold,
        "rule": "conformal",
        "odd": [],
        "decided_by": model.deciding,
    }
    assert metadata.guarantee == model.guarantee
    assert metadata.guarantee.to_dict() == {
        "requested_rate": 0.1,
        "stated_rate": 0.1,
        "is_exact": False,
        "calibration_images": GOOD,
        "groups": GOOD,
        "fitted_images": GOOD,
        "golden_images": 0,
        "augmentations": 0,
        "rotations": 1,
        "rule": "conformal",
        "interval": None,
        "odd": 0,
        "folds": 0,
        "is_split": False,
        "rescored": 0,
        "statement": " ".join(model.guarantee.sentences),
    }
    # In the file, what there is not is left out.
    assert {"interval": None, **described["guarantee"]} == metadata.guarantee.to_dict()
    assert set(described["map_levels"]) == {"typical", "high"}
    assert set(metadata.made_with) == {"onlygood", "onnx", "onnxruntime", "numpy"}
    assert json.loads(json.dumps(described)) == described
    assert Metadata.from_dict(described, "x") == metadata


def test_the_file_holds_no_paths_and_no_names_of_good_images(good_folder: Path, model: onlygood.Model) -> None:
    for text in (str(good_folder), good_folder.name, str(Path.home()), "05.png", str(Path(onlygood.__file__).parent)):
        assert text.encode() not in model.file.content


def test_a_backbone_given_by_path_leaves_its_name_alone(tmp_path: Path) -> None:
    shipped = Path(onlygood.__file__).parent / "backbones"
    for suffix in ("onnx", "json"):
        shutil.copy(shipped / f"lite0.{suffix}", tmp_path / f"mine.{suffix}")
    model = fit(textures(4), backbone=str(tmp_path / "mine.onnx"), **FAST)
    assert model.metadata.settings["backbone"] == "mine.onnx"
    assert str(tmp_path).encode() not in model.file.content


def test_equal_images_make_equal_files_wherever_they_lie_and_whenever(
    model: onlygood.Model, good_images: list[Array], tmp_path: Path
) -> None:
    elsewhere = save(tmp_path / "elsewhere", numbered(good_images))
    assert fit(elsewhere, **FAST).file.content == model.file.content


def test_other_images_have_another_digest(model: onlygood.Model, good_images: list[Array]) -> None:
    changed = [*good_images[:-1], good_images[-1].copy()]
    changed[-1][0, 0] ^= 1
    other = fit(changed, **FAST)
    assert other.metadata.good_images.sha256 != model.metadata.good_images.sha256


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"taps": ("stage9",)}, "taps must be different names out of stage0, .* got stage9"),
        ({"taps": ()}, "taps must be different names out of .* got none"),
        ({"taps": ("stage2", "stage2")}, "taps must be different names"),
        ({"input_size": 0}, "input_size must be a whole number of pixels from 16 to 4096, got 0"),
    ],
)
def test_settings_that_the_backbone_cannot_meet_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        fit(textures(3), **settings)


def test_taps_and_input_size_are_those_asked_for() -> None:
    model = fit(textures(4), taps=("stage3", "stage1"), **{**FAST, "input_size": 96, "bank_size": 50})
    patches, regions = model.metadata.detector["levels"]
    assert patches["taps"] == regions["taps"] == ["stage3", "stage1"]
    assert (patches["grid"], regions["grid"]) == ([6, 6], [2, 2])
    assert patches["memory_bank"] == [50, 80 + 24]
    assert regions["memory_bank"] == [4 * 2 * 2, 80 + 24]
    assert model.metadata.input.input_shape == (96, 96)


def test_the_levels_of_the_card_and_the_regions_have_a_memory_each(model: onlygood.Model) -> None:
    described = model.metadata.detector
    assert set(described) == {"levels", "region_size"}
    # The coarsest comes first: it describes the whole image. Of 64 x 64 pixels there are 4 x 4 patches of 16.
    assert [(level["taps"], level["grid"], level["top_patches"]) for level in described["levels"]] == [
        (["stage4", "stage5"], [4, 4], 1),
        (["stage1", "stage2"], [8, 8], 1),
        (["stage2", "stage4"], [4, 4], 1),
        (["stage4", "stage5"], [2, 2], 1),
    ]
    assert [level["memory_bank"] for level in described["levels"]] == [
        [GOOD * 4 * 4, 112 + 192],
        [300, 24 + 40],
        [GOOD * 4 * 4, 40 + 112],
        [GOOD * 2 * 2, 112 + 192],
    ]
    assert described["region_size"] == [2, 2]
    assert all(level["scale"] > 0 and level["center"] > 0 for level in described["levels"])


# Verification


def test_a_finished_graph_that_gives_other_scores_is_refused(
    good_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(calibration: Any, **keywords: Any) -> Any:
        graph = verdict(calibration, **keywords)
        next(node for node in graph.graph.node if "score" in node.output).op_type = "Add"
        return graph

    monkeypatch.setattr("onlygood.fitting.verdict", shifted)
    with pytest.raises(
        VerificationError, match=r"the finished model must give 00\.png the raw score .* nothing was wr"
    ):
        fit(good_folder, **FAST)


def test_a_finished_graph_that_gives_no_number_is_refused(good_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(calibration: Any, **keywords: Any) -> Any:
        return verdict(dataclasses.replace(calibration, threshold=math.nan), **keywords)

    monkeypatch.setattr("onlygood.fitting.verdict", broken)
    with pytest.raises(VerificationError, match="got nan"):
        fit(good_folder, **FAST)


def test_a_threshold_far_above_the_scores_of_images_remembered_is_no_reason_to_refuse(
    good_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file gives raw score - threshold, in which a small raw score drowns in the rounding of a large threshold."""
    monkeypatch.setattr(
        "onlygood.detectors.patch.good_scores.unit_of", lambda scores: Unit(center=float(scores.min()), scale=1e-6)
    )
    model = fit(good_folder, calibration="split", **FAST)
    assert model.calibration.threshold > 1e6


def test_a_fit_in_which_all_scores_are_nearly_equal_is_verified_all_the_same() -> None:
    images = [np.roll(texture(0), number, axis=0) for number in range(16)]
    settings = {**FAST, "near_duplicates": "ignore", "calibration": "split"}
    assert fit(images, **settings).guarantee.is_exact


def test_a_model_prints_as_a_line(good_images: list[Array]) -> None:
    assert len(repr(fit(good_images, **FAST))) < 2000


def test_every_good_image_has_a_score_about_the_threshold() -> None:
    """The calibration's own scores, centred, with the names that they lost when they were sorted."""
    model = fit(textures(24), **FAST)
    assert [image.name for image in model.good_images] == [f"image {number}" for number in range(24)]
    assert all(image.calibrates for image in model.good_images)
    found = sorted(image.score + model.calibration.threshold for image in model.good_images)
    np.testing.assert_allclose(found, model.calibration.scores, rtol=1e-6)


def test_only_images_held_out_calibrate_with_split() -> None:
    model = fit(textures(24), **FAST, calibration="split")
    calibrating = [image for image in model.good_images if image.calibrates]
    assert len(calibrating) == model.guarantee.calibration_images
    found = sorted(image.score + model.calibration.threshold for image in calibrating)
    np.testing.assert_allclose(found, model.calibration.scores, rtol=1e-6)


def test_the_strangest_good_image_is_shown_where_it_is_strange() -> None:
    images = textures(30)
    images[7] = with_defect(images[7])
    model = fit(images, **FAST)
    assert len(model.highest_scoring) == 24
    assert [each.image.score for each in model.highest_scoring] == sorted(
        (image.score for image in model.good_images), reverse=True
    )[:24]
    highest_scoring = model.highest_scoring[0]
    assert highest_scoring.image.name == "image 7"
    np.testing.assert_array_equal(highest_scoring.source.read()[:, :, 0], images[7])
    assert highest_scoring.patch_scores.shape == (8, 8)
    # Without its own rows: an image scored by a memory that holds it would have patches at distance (nearly) 0.
    assert highest_scoring.patch_scores.max() > model.metadata.map_levels.typical
