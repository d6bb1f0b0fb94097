"""The drift test: how often it is wrong, what it finds, how it goes on, and what it refuses."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from calibrated_with import Holder, calibrated_with, centred
from onlygood.errors import ModelFormatError, SettingError, WriteError
from onlygood.monitoring.bets import HIGHEST

SEEDS = range(20)


def skewed(count: int, seed: int) -> list[float]:
    """Scores of a process, as detectors give them: above 0, with a tail on the right."""
    drawn: list[float] = np.random.default_rng(seed).gamma(2.0, size=count).tolist()
    return drawn


@pytest.fixture(scope="module")
def hundred(model: onlygood.Model) -> Holder:
    return calibrated_with(model, skewed(100, 0))


def resampled(model: Holder, count: int, seed: int) -> list[float]:
    drawn: list[float] = np.random.default_rng(seed).choice(centred(model), count).tolist()
    return drawn


def fed(model: Any, scores: list[float], **settings: Any) -> onlygood.DriftTest:
    test = onlygood.DriftTest(model, **settings)
    for score in scores:
        test.add(score)
    return test


def test_stable_processes_are_seldom_called_drift(model: onlygood.Model) -> None:
    """At a rate of 0.1, at most 10 of 100 processes are expected; their number has a deviation of 3."""
    alarms = 0
    for seed in range(100):
        drawn = skewed(30 + 400, seed)
        known = calibrated_with(model, drawn[:30])
        threshold = float(max(drawn[:30]) - max(centred(known)))
        test = onlygood.DriftTest(known, false_drift_rate=0.1)
        alarms += any(test.add(score - threshold) for score in drawn[30:])
    assert alarms <= 10 + 2 * 3


def test_a_hundred_thousand_images_resampled_from_the_calibration_are_no_drift(hundred: Holder) -> None:
    test = fed(hundred, resampled(hundred, 100_000, 1))
    assert not test.is_drift
    assert test.result.images == 100_000
    # Bounded, however many images came.
    assert len(json.dumps(test.to_dict())) < 60_000
    for score in resampled(hundred, 200, 2):
        test.add(score + float(np.std(centred(hundred))))
    change = test.result.change
    assert change is not None
    assert (change.kind, abs(change.start - 100_001) < 50) == ("higher", True)


@pytest.mark.parametrize("stable", [0, 500])
@pytest.mark.parametrize(("sign", "kind"), [(1, "higher"), (-1, "lower")])
def test_a_shift_by_one_standard_deviation_is_found_within_200_images(
    hundred: Holder, sign: int, kind: str, stable: int
) -> None:
    step = sign * float(np.std(centred(hundred)))
    for seed in SEEDS:
        shifted = [score + step for score in resampled(hundred, 200, 1000 + seed)]
        change = fed(hundred, [*resampled(hundred, stable, seed), *shifted]).result.change
        assert change is not None
        assert change.kind == kind
        assert change.found > stable
        assert abs(change.start - (stable + 1)) < 50
        assert change.shift == pytest.approx(sign, abs=0.4)


def test_more_images_far_above_are_a_tail_and_not_a_shift(hundred: Holder) -> None:
    far = 5 * float(np.std(centred(hundred)))
    kinds = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        later = [score + far * (rng.random() < 0.15) for score in resampled(hundred, 400, 1000 + seed)]
        change = fed(hundred, [*resampled(hundred, 500, seed), *later]).result.change
        assert change is not None
        kinds.append(change.kind)
        assert change.highest_share > 2 * HIGHEST
        assert abs(change.start - 501) < 100
    assert kinds.count("tail") >= 16


def test_an_image_that_comes_again_and_again_is_found(hundred: Holder) -> None:
    middle = float(np.median(centred(hundred)))
    change = fed(hundred, [*resampled(hundred, 500, 0), *[middle] * 100]).result.change
    assert change is not None
    assert (change.kind, change.found > 500) == ("narrower", True)


def test_groups_of_calibration_images_count_as_one_each(model: onlygood.Model) -> None:
    """Ten images of each of 30 parts say as much as 30: a first image above all has the p-value of 31 images."""
    scores = np.repeat(np.arange(30.0), 10)
    grouped = calibrated_with(model, scores.tolist(), groups=[int(score) for score in scores])
    test = onlygood.DriftTest(grouped)
    single = onlygood.DriftTest(calibrated_with(model, np.arange(30.0).tolist()))
    assert test._ranks.total == pytest.approx(single._ranks.total)
    assert test._ranks.p_value(1e6, 0.5) == pytest.approx(0.5 / 31)


def test_a_baseline_takes_the_place_of_the_calibration(hundred: Holder) -> None:
    far = [score + 3.0 for score in resampled(hundred, 400, 0)]
    assert fed(hundred, far).result.change.start == 1  # type: ignore[union-attr]
    test = fed(hundred, far, baseline=100)
    result = test.result
    assert (result.is_drift, result.images, result.baseline_images) == (False, 300, 100)
    for score in resampled(hundred, 50, 1):
        test.add(score)
    assert test.result.change.kind == "lower"  # type: ignore[union-attr]


def test_until_the_baseline_is_full_nothing_is_tested(hundred: Holder) -> None:
    result = fed(hundred, [0.0] * 19, baseline=20).result
    assert (result.images, result.p_value, result.is_drift) == (0, 1.0, False)
    assert result.sentences == (
        "No image is tested yet: 19 of the 20 images that later ones are compared with are there.",
    )


def test_a_test_that_was_kept_goes_on_as_if_it_had_not_been_interrupted(hundred: Holder, tmp_path: Path) -> None:
    scores = [*resampled(hundred, 150, 3), *(score + 2 for score in resampled(hundred, 60, 4))]
    whole, parts = fed(hundred, scores), onlygood.DriftTest(hundred)
    for number, score in enumerate(scores):
        parts.add(score)
        if number % 50 == 7:
            parts.save(tmp_path / "state.json")
            parts = onlygood.DriftTest.load(tmp_path / "state.json", hundred)
    assert whole.is_drift
    assert parts.to_dict() == whole.to_dict()
    assert parts.result == whole.result
    assert onlygood.DriftTest.from_dict(whole.to_dict()).result == whole.result


def test_drift_that_was_found_stays_found_and_is_described_where_evidence_is_strongest(hundred: Holder) -> None:
    shifted = [score + 2 for score in resampled(hundred, 60, 4)]
    test = fed(hundred, [*resampled(hundred, 150, 3), *shifted])
    first = test.result.change
    for score in resampled(hundred, 300, 5):
        assert test.add(score)
    last = test.result.change
    assert first is not None and last is not None
    assert (first.found, first.found_name) == (last.found, last.found_name)
    assert last.images < 80


def test_inspections_bring_their_names_and_others_are_numbered(model: onlygood.Model, good_folder: Path) -> None:
    test = onlygood.DriftTest(model, baseline=20)
    test.add(0.0)
    assert test.last_name == "image 1"
    inspection = onlygood.Inspector(model)(good_folder / "00.png", name="lot/\n0.png")
    test.add(inspection)
    assert test.last_name == "lot/\\n0.png"
    test.add(np.float32(0.5), name="n" * 2000)  # type: ignore[arg-type]
    assert len(test.last_name) <= 500


def test_the_probability_is_that_of_the_strongest_evidence(hundred: Holder) -> None:
    test = fed(hundred, [score + 1.5 for score in resampled(hundred, 40, 8)])
    assert test.result.p_value == pytest.approx(math.exp(-test._state.highest_log_capital))
    assert test.result.p_value <= 0.01
    assert repr(test) == "<DriftTest: drift in 40 images>"
    assert repr(test.result) == "<Drift: drift in 40 images>"


# What is refused


def test_too_few_calibration_scores_are_refused_and_a_baseline_does_without(model: onlygood.Model) -> None:
    with pytest.raises(SettingError) as caught:
        onlygood.DriftTest(model)
    assert str(caught.value) == (
        "a drift test needs at least 20 independent calibration images, got 16 in the model in memory: calibrate it "
        "with more good images, or compare with a baseline of at least 20 images of the process"
    )
    assert onlygood.DriftTest(model, baseline=20).add(0.0) is False


def test_groups_are_what_must_be_enough(model: onlygood.Model) -> None:
    scores = skewed(100, 2)
    with pytest.raises(SettingError, match="at least 20 independent calibration images, got 10 in"):
        onlygood.DriftTest(calibrated_with(model, scores, groups=[number % 10 for number in range(100)]))


def test_equal_calibration_scores_are_refused(model: onlygood.Model) -> None:
    with pytest.raises(SettingError, match="needs calibration scores that differ, got 30 equal ones in the model"):
        onlygood.DriftTest(calibrated_with(model, [1.0] * 30))
    # More than half of them equal is no reason.
    assert not onlygood.DriftTest(calibrated_with(model, [1.0] * 25 + [2.0] * 5)).add(0.0)


def test_a_model_without_calibration_scores_is_refused(model: onlygood.Model) -> None:
    with pytest.raises(ModelFormatError, match="must hold its calibration scores for a drift test"):
        onlygood.DriftTest(Holder(replace(model.file, calibration_scores=None)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"false_drift_rate": 0.0}, "the false-drift rate must be between 0 and 1, both excluded .*, got 0.0"),
        ({"false_drift_rate": True}, "the false-drift rate must be between 0 and 1, both excluded .*, got True"),
        ({"baseline": 5}, "baseline must be 0 or at least 20, got 5: fewer scores than that"),
        ({"baseline": -1}, "baseline must be a whole number of at least 0, got -1"),
        ({"seed": 1.5}, "seed must be a whole number from 0 to 4294967295, got 1.5"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(hundred: Holder, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        onlygood.DriftTest(hundred, **settings)


@pytest.mark.parametrize("score", [math.nan, math.inf, "0.5", None, True])
def test_what_is_no_score_is_refused_and_changes_nothing(hundred: Holder, score: Any) -> None:
    test = fed(hundred, [0.1, 0.2])
    before = test.to_dict()
    with pytest.raises(SettingError, match="a score must be a finite number, got"):
        test.add(score)
    assert test.to_dict() == before


def test_a_state_of_another_model_is_refused(model: onlygood.Model, hundred: Holder, tmp_path: Path) -> None:
    fed(hundred, [0.0]).save(tmp_path / "state.json")
    other = calibrated_with(model, skewed(100, 5))
    with pytest.raises(SettingError) as caught:
        onlygood.DriftTest.load(tmp_path / "state.json", other)
    assert str(caught.value) == (
        f"the state {tmp_path / 'state.json'} must be of the model that is given, whose digest is "
        f"{other.file.metadata.content_sha256[:12]}, got one of the model with "
        f"{hundred.file.metadata.content_sha256[:12]}: give that model, or begin with a new state"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "and format in it cannot be used"),
        ({"scale": 0}, "and scale in it cannot be used"),
        ({"scores": [[0, -1]]}, "and scores.0.1 in it cannot be used"),
        ({"scores": [[10**6, 1]]}, "and scores.0.0 in it cannot be used"),
        ({"more": 1}, "and more in it cannot be used"),
        ({"evidence": {"images": 3}}, "every bet must have begun with the first image"),
        ({"evidence": {"runs": []}}, "there must be 8 runs"),
        ({"highest_log_capital": -1e9}, "and highest_log_capital in it cannot be used"),
    ],
)
def test_a_state_that_cannot_be_is_refused(hundred: Holder, change: dict[str, Any], message: str) -> None:
    values = {**fed(hundred, [0.0, 0.1]).to_dict(), **change}
    with pytest.raises(SettingError, match=message):
        onlygood.DriftTest.from_dict(values)


def test_a_bet_cannot_have_begun_after_the_last_image(hundred: Holder) -> None:
    values = fed(hundred, [0.0, 0.1]).to_dict()
    values["evidence"]["runs"][0]["start"] = 3
    with pytest.raises(SettingError, match="a bet must have begun among the images that came"):
        onlygood.DriftTest.from_dict(values)


@pytest.mark.parametrize("content", [b"", b"hello", b"[" * 100_000, b"\xff\xfe", b"[]", b"null", b"NaN"])
def test_a_file_that_is_no_state_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(
        SettingError, match=r"the state .* must be a (JSON file that drift wrote|state of a drift test)"
    ):
        onlygood.DriftTest.load(tmp_path / "state.json")


def test_a_state_that_cannot_be_read_or_written_is_said_so(hundred: Holder, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read: no such file or directory: check its path"):
        onlygood.DriftTest.load(tmp_path / "none.json")
    with pytest.raises(WriteError, match="is a folder"):
        fed(hundred, [0.0]).save(tmp_path)
    (tmp_path / "large.json").write_bytes(b" " * 10_000_001)
    with pytest.raises(SettingError, match="must have at most 10,000,000 bytes, got more"):
        onlygood.DriftTest.load(tmp_path / "large.json")
