"""Odd good images, planted among ordinary ones: they are named, and blind nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from command_line import Ran
from flat import fit
from onlygood.errors import SettingError
from textures import SIZE, Array, numbered, save, texture, textures, with_defect

SETTINGS: dict[str, Any] = {"input_size": 64, "bank_size": 300}
ORDINARY = 60


def dark(seed: int) -> Array:
    return (texture(seed) * 0.25).astype(np.uint8)


def stripes() -> Array:
    return np.repeat((np.arange(SIZE) // 4 % 2 * 200 + 20)[:, None], SIZE, axis=1).astype(np.uint8)


PLANTED = {
    "defective.png": with_defect(texture(900)),
    "blank.png": np.full((SIZE, SIZE), 7, dtype=np.uint8),
    "another-part.png": stripes(),
    "much-darker.png": dark(901),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("planted"), {**numbered(textures(ORDINARY)), **PLANTED})


@pytest.fixture(scope="module")
def planted(folder: Path) -> onlygood.Model:
    return fit(folder, **SETTINGS)


def odd(model: onlygood.Model) -> set[str]:
    return {each.name for each in model.good_images if each.is_odd}


def test_planted_images_are_named_with_their_scores(planted: onlygood.Model) -> None:
    assert odd(planted) == set(PLANTED)
    assert set(planted.metadata.calibration.odd) == set(PLANTED)
    (note,) = (note for note in planted.notes if "apart" in note)
    assert "4 of 64 good images stand apart from the others" in note
    for each in planted.good_images:
        if each.name in PLANTED:
            assert f"{each.name} (score {each.score:+.3g})" in note
    assert "--exclude" in note and "estimated without them" in note
    assert {each.image.name for each in planted.highest_scoring[:4]} == set(PLANTED)


def test_most_defects_are_still_found_where_the_order_statistic_finds_none(
    folder: Path, planted: onlygood.Model
) -> None:
    defects = [with_defect(texture(1000 + number), level=255) for number in range(40)]
    good = textures(80, start=2000)
    inspect = onlygood.Inspector(planted)
    found = sum(inspect(image).is_anomaly for image in defects)
    alarms = sum(inspect(image).is_anomaly for image in good)
    assert found >= 36
    assert alarms <= 9  # of 80 at a rate of 0.05: more have a chance of 1 %
    ranked = onlygood.Inspector(fit(folder, threshold_rule="conformal", **SETTINGS))
    assert sum(ranked(image).is_anomaly for image in defects) < found


def test_the_threshold_is_about_that_of_the_ordinary_images_alone(planted: onlygood.Model) -> None:
    alone = fit(textures(ORDINARY), **SETTINGS)
    assert odd(alone) == set()
    spread = float(np.std(alone.calibration.scores))
    assert abs(planted.calibration.threshold - alone.calibration.threshold) < 2 * spread


def test_with_the_order_statistic_the_note_says_what_they_cost(folder: Path) -> None:
    model = fit(folder, threshold_rule="conformal", **SETTINGS)
    assert odd(model) == set(PLANTED)
    (note,) = (note for note in model.notes if "apart" in note)
    lower = float(note.split("the threshold would be ")[1].split(" lower")[0])
    # The threshold without the highest four of 64 scores, by the definition of the order statistic.
    scores = np.sort(model.calibration.scores)
    expected = model.calibration.threshold - scores[int(np.ceil(61 * 0.95)) - 1]
    assert lower == pytest.approx(expected, rel=0.01)


def test_excluding_them_is_said_and_is_a_fit_without_them(folder: Path) -> None:
    without = fit(folder, exclude=tuple(PLANTED), **SETTINGS)
    assert odd(without) == set()
    assert without.guarantee.fitted_images == ORDINARY
    assert any(note.startswith("4 images left out, as asked with exclude: another-part.png") for note in without.notes)
    alone = fit(textures(ORDINARY), **SETTINGS)
    np.testing.assert_array_equal(without.calibration.scores, alone.calibration.scores)


def test_a_list_of_names_and_one_by_its_last_part(tmp_path: Path) -> None:
    folder = save(tmp_path / "good", {f"lot{number % 2}/{number:02}.png": texture(number) for number in range(12)})
    listed = tmp_path / "leave-out.txt"
    listed.write_text("lot0/04.png\n\n05.png\n", encoding="utf-8-sig")  # as Notepad may save it
    model = fit(folder, exclude=(f"@{listed}", "07.png"), **SETTINGS)
    names = [each.name for each in model.good_images]
    assert len(names) == 9 and not {"lot0/04.png", "lot1/05.png", "lot1/07.png"} & set(names)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("blnak.png",), "got 'blnak.png': did you mean 'blank.png'?"),
        (("zzz",), "exclude must name good images that are there, got 'zzz'"),
        (("@/nowhere.txt",), "the list of images to exclude, /nowhere.txt, cannot be read: No such file"),
        (("",), "exclude must be a sequence of names of images"),
        ("blank.png", "exclude must be a sequence of names of images"),
    ],
)
def test_names_that_are_not_there_are_refused(folder: Path, names: Any, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence.replace("?", r"\?").replace("(", r"\(")):
        fit(folder, exclude=names, **SETTINGS)


def test_a_name_that_two_have_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, {f"lot{lot}/same.png": texture(lot) for lot in range(4)})
    with pytest.raises(SettingError, match=r"'same.png', which 4 have: add the sub-folder, as in 'lot0/same.png'"):
        fit(folder, exclude=("same.png",), **SETTINGS)


def test_the_command_line_says_what_decides_the_threshold(
    folder: Path, tmp_path: Path, run: Callable[..., Ran]
) -> None:
    ran = run("fit", folder, "-o", tmp_path / "part.onnx", "--input-size", 64, "--bank-size", 300)
    assert ran.code == 0
    assert "About 0.05 of good images will be called anomalous (estimated, not guaranteed" in ran.out
    assert "without 4 that stand apart" in ran.out
    assert "The threshold follows from the tail of 60 scores, not from one image; it would be " in ran.out
    assert "4 of 64 good images stand apart" in ran.err
    ranked = run("fit", folder, "-o", tmp_path / "b.onnx", "--input-size", 64, "--threshold-rule", "conformal")
    assert "The threshold is the score of " in ranked.out and "2 of 64 good images are above it" in ranked.out


@pytest.mark.parametrize(("rate", "held_out"), [(0.05, 20), (0.25, 20), (0.5, 10)])
def test_as_many_are_held_out_as_the_rate_needs_and_at_most_a_third(rate: float, held_out: int) -> None:
    model = fit(textures(ORDINARY), calibration="split", false_alarm_rate=rate, **SETTINGS)
    assert sum(each.calibrates for each in model.good_images) == held_out
