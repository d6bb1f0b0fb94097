"""A threshold at hand, and what programs read: regions, CSV."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from onlygood.rates import binomial_interval
from textures import DEFECT, save, texture, with_defect


@pytest.fixture
def images(tmp_path: Path) -> Path:
    good = {f"good{number}.png": texture(60 + number) for number in range(3)}
    return save(tmp_path / "new", {**good, "bad.png": with_defect(texture(70))})


def scores_of(ran: Any) -> dict[str, float]:
    return {each["name"]: each["score"] for each in map(json.loads, ran.out.splitlines())}


def test_a_threshold_moves_all_scores_and_says_what_it_means(run: Any, model_path: Path, images: Path) -> None:
    before = scores_of(run("inspect", model_path, images, "--json"))
    highest = max(before.values())
    ran = run("inspect", model_path, images, "--json", "--threshold", "0.25")
    assert scores_of(ran) == pytest.approx({name: score - 0.25 for name, score in before.items()}, abs=1e-5)
    assert "note: This run uses a threshold at score +0.25 of the model file, which stays as it is" in ran.err
    assert (
        "note: The threshold was given, not calibrated: of the scores of 16 good images, each scored without" in ran.err
    )
    ran = run("inspect", model_path, images, "--threshold", str(highest))
    assert ran.code == 0
    assert "4 images: 0 anomalous, 4 good" in ran.out
    assert run("inspect", model_path, images, "--threshold", str(min(before.values()) - 0.01)).out.endswith(
        "4 images: 4 anomalous, 0 good\n"
    )


def test_calibrate_writes_a_threshold_and_info_says_it(
    run: Any, model_path: Path, images: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.onnx"
    ran = run("calibrate", model_path, "--threshold", "0.25", "-o", new)
    assert ran.code == 0, ran.err
    assert ran.out.startswith(
        f"{new}: threshold at score +0.25 of {model_path}\nThe threshold was given, not calibrated"
    )
    at_hand = scores_of(run("inspect", model_path, images, "--json", "--threshold", "0.25"))
    assert scores_of(run("inspect", new, images, "--json")) == at_hand
    assert "The threshold was given, not calibrated" in run("info", new).out
    # And the file can be given a rate again.
    back = onlygood.calibrate(new, false_alarm_rate=0.1)
    original = onlygood.calibrate(model_path, false_alarm_rate=0.1)
    assert back.calibration.threshold == original.calibration.threshold


def test_a_given_threshold_counts_calibration_scores(model: onlygood.Model) -> None:
    scores = onlygood.Inspector(model).calibration_scores
    assert scores is not None
    raw = scores.scores.astype(float)
    for above in (0, 1, 5, len(raw)):
        cut = (np.inf if above == 0 else raw[-above]) if above else raw[-1]
        threshold = raw[-1] + 1 if above == 0 else cut - 1e-4
        guarantee = onlygood.Inspector(model, threshold=threshold - scores.threshold).metadata.guarantee
        assert guarantee.rule == "given"
        assert guarantee.stated_rate == pytest.approx(min((above + 1) / (len(raw) + 1), 0.999999), rel=5e-3)
        assert guarantee.interval == pytest.approx(binomial_interval(above, len(raw)), rel=1e-2)


@pytest.mark.parametrize(("events", "trials"), [(0, 1), (0, 20), (3, 20), (19, 20), (20, 20), (50, 1000)])
def test_the_interval_is_that_of_clopper_and_pearson(events: int, trials: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    exact = stats.binomtest(events, trials).proportion_ci(0.9, method="exact")
    assert binomial_interval(events, trials) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            ("inspect", "{model}", "x", "--threshold", "nan"),
            "a threshold must be a finite number, a score of this model",
        ),
        (("inspect", "{model}", "x", "--threshold", "-1e300"), "a score of this model and at most 1e+30, got -1e+300"),
        (
            ("inspect", "{model}", "{images}", "--threshold", "1", "--false-alarm-rate", "0.1"),
            "without a false-alarm rate",
        ),
        (("inspect", "{model}", "x", "--threshold", "high"), "--threshold must be a number, got 'high'"),
        (("calibrate", "{model}", "{images}", "--threshold", "1", "-o", "x.onnx"), "a threshold goes without images"),
    ],
)
def test_thresholds_that_cannot_be_used_are_one_sentence(
    run: Any, model_path: Path, images: Path, line: tuple[str, ...], said: str
) -> None:
    save(images / "x", {"a.png": texture(1)})
    places = {"{model}": model_path, "{images}": images, "x": images / "x"}
    ran = run(*(places.get(word, word) for word in line))
    assert ran.code == 2
    assert said in ran.err


def test_a_rate_that_was_counted_has_three_digits(run: Any, model_path: Path, images: Path, tmp_path: Path) -> None:
    save(tmp_path / "good", {"0.png": texture(1)})
    ran = run("evaluate", model_path, tmp_path, "--threshold", "0.25")
    assert "and about 0.0588 was estimated" in ran.out


def test_a_threshold_may_be_written_with_an_exponent(run: Any, model_path: Path, images: Path) -> None:
    ran = run("inspect", model_path, images, "--threshold", "-2.5e-05", "--json")
    assert ran.code in (0, 1)
    assert re.search("a threshold at score -2[.0-9]*e-05 of the model file", ran.err)


def test_advice_on_costs_says_the_commands_that_apply_it(
    run: Any, model_path: Path, images: Path, tmp_path: Path
) -> None:
    test = tmp_path / "test"
    save(test / "good", {f"{number}.png": texture(60 + number) for number in range(8)})
    # Two of them show nothing, so that only a lower threshold finds them.
    unseen = {f"unseen{number}.png": texture(90 + number) for number in range(2)}
    save(test / "hole", {f"{number}.png": with_defect(texture(80 + number)) for number in range(4)} | unseen)
    ran = run("evaluate", model_path, test, "--cost-false-alarm", "1", "--cost-miss", "1000")
    (line,) = [each for each in ran.out.splitlines() if each.startswith("To apply it: ")]
    words = line.split()
    score = words[words.index("--threshold") + 1].rstrip(";")
    assert line == (
        f"To apply it: onlygood inspect {model_path} IMAGES --threshold {score}; or in a new file: onlygood calibrate "
        f"{model_path} --threshold {score} -o NEW.onnx"
    )
    report = json.loads(
        run("evaluate", model_path, test, "--json", "--cost-false-alarm", "1", "--cost-miss", "1000").out
    )["advice"]
    applied = json.loads(run("evaluate", model_path, test, "--json", "--threshold", score).out)["image"]
    assert applied["misses"]["value"] == report["cheapest"]["miss_rate"]
    assert applied["false_alarms"]["value"] == report["cheapest"]["false_alarm_rate"]
    # Said of a run at another threshold, it is the same place on the file's scale.
    again = run("evaluate", model_path, test, "--cost-false-alarm", "1", "--cost-miss", "1000", "--threshold", "0.5")
    (other,) = [each for each in again.out.splitlines() if each.startswith("To apply it: ")]
    assert float(other.split("--threshold ")[1].split(";")[0]) == pytest.approx(float(score), abs=1e-4)


# Where it is


def test_json_has_the_regions_to_look_at(run: Any, model_path: Path, images: Path) -> None:
    found = {
        each["name"]: each for each in map(json.loads, run("inspect", model_path, images, "--json").out.splitlines())
    }
    rows, columns = DEFECT
    region = found["bad.png"]["regions"][0]
    left, top, right, bottom = region["box"]
    assert left < columns.stop and right > columns.start and top < rows.stop and bottom > rows.start
    assert columns.start - 8 <= region["center"][0] <= columns.stop + 8
    assert rows.start - 8 <= region["center"][1] <= rows.stop + 8
    assert 0 < region["area"] <= (right - left) * (bottom - top)
    inspector = onlygood.Inspector(model_path)
    inspection = inspector(images / "bad.png")
    assert inspection.anomaly_map is not None
    assert region["peak"] == pytest.approx(float(inspection.anomaly_map.max()))
    assert region["peak"] > inspector.map_levels[1]
    assert onlygood.Inspector(model_path, with_map=False)(images / "bad.png").regions is None


def test_csv_has_a_row_an_image_and_spreadsheets_run_none_of_it(run: Any, model_path: Path, images: Path) -> None:
    save(images, {"=1+1.png": texture(61)})
    (images / "broken.png").write_bytes(b"no image")
    ran = run("inspect", model_path, images, "--csv")
    assert ran.code == 2
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(ran.out))}
    assert set(rows) == {"'=1+1.png", "bad.png", "broken.png", "good0.png", "good1.png", "good2.png"}
    as_json = {
        each["name"]: each for each in map(json.loads, run("inspect", model_path, images, "--json").out.splitlines())
    }
    bad, region = rows["bad.png"], as_json["bad.png"]["regions"][0]
    assert (bad["verdict"], float(bad["score"])) == ("anomalous", as_json["bad.png"]["score"])
    assert [int(bad[side]) for side in ("left", "top", "right", "bottom")] == region["box"]
    assert int(bad["regions"]) == len(as_json["bad.png"]["regions"])
    assert rows["good0.png"]["verdict"] == "good"
    assert rows["broken.png"]["error"] == as_json["broken.png"]["error"]
    assert rows["broken.png"]["score"] == ""
    assert run("inspect", model_path, images, "--csv", "--json").err.startswith("onlygood: --json does not go with")
