"""`onlygood evaluate`: what it prints where, its report, its exit codes."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import onlygood
from command_line import left, one_sentence
from onlygood.calibration.threshold import calibrate
from onlygood.graph.model_file import pack
from onlygood.graph.verdict import replace_calibration
from textures import DEFECT, SIZE, save, texture, with_defect


@pytest.fixture
def test_folder(tmp_path: Path) -> Path:
    """MVTec's layout with masks: 6 good images and 4 with a black patch."""
    good = {f"good/{number}.png": texture(200 + number) for number in range(6)}
    bad = {f"black/{number}.png": with_defect(texture(300 + number)) for number in range(4)}
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[DEFECT] = 255
    save(tmp_path / "set" / "test", {**good, **bad})
    save(tmp_path / "set" / "ground_truth", {name.replace(".png", "_mask.png"): mask for name in bad})
    return tmp_path / "set" / "test"


def test_figures_are_printed_and_the_exit_code_is_0(run: Any, model_path: Path, test_folder: Path) -> None:
    ran = run("evaluate", model_path, test_folder)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"{model_path} on {test_folder}: 10 images, 6 good, 4 anomalous"
    assert lines[1] == "Found 4 of 4 anomalous images; missed 0.000 (0.000-0.602)."
    assert re.match(r"The guarantee is not contradicted: \d of 6 good images were called anomalous", lines[2])
    table = {line.split("  ")[0]: line for line in lines if line.startswith(("all", "defect"))}
    assert list(table) == ["all", "defect black"]
    assert "1.000 (" in table["all"]
    assert any(line.startswith("Pixels, at the images' own size: AUROC 0.9") for line in lines)
    assert "4 masks with 4 regions" in ran.out
    assert re.search(r"An image takes \d+\.\d ms on one thread", ran.out)


def test_exit_code_is_0_whatever_was_measured(run: Any, model_path: Path, tmp_path: Path) -> None:
    """Here every good image is refused, and the guarantee is contradicted."""
    save(tmp_path, {f"good/{number}.png": with_defect(texture(number)) for number in range(20)})
    ran = run("evaluate", model_path, tmp_path)
    assert ran.code == 0
    assert "The guarantee is CONTRADICTED: 20 of 20 good images" in ran.out
    assert "no anomalous images: only false alarms can be measured" in ran.err


def test_json_is_one_object_with_every_image(run: Any, model_path: Path, test_folder: Path) -> None:
    ran = run("evaluate", model_path, test_folder, "--json")
    values = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert values["model"] == str(model_path) and values["test"] == str(test_folder)
    evaluation = onlygood.evaluate(model_path, test_folder)
    assert values["image"] == json.loads(json.dumps(evaluation.image.to_dict()))
    assert [image["name"] for image in values["images"]] == [each.labelled.name for each in evaluation.images]


def test_sessions_and_costs_are_shown(run: Any, model_path: Path, test_folder: Path) -> None:
    ran = run(
        *("evaluate", model_path, test_folder, "--group-by", r"/(\d)"),
        *("--cost-false-alarm", 1, "--cost-miss", 100, "--anomaly-share", 0.02),
    )
    assert ran.code == 0
    assert [line.split("  ")[0] for line in ran.out.splitlines() if line.startswith("session")] == [
        f"session {number}" for number in range(6)
    ]
    assert "per thousand parts" in ran.out and "0.02 of them anomalous (as given)" in ran.out


def test_misses_and_false_alarms_are_tabulated_by_rate(run: Any, model_path: Path, test_folder: Path) -> None:
    lines = run("evaluate", model_path, test_folder).out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Misses and false alarms by false-al"))
    assert "from the calibration scores in the model" in lines[start]
    assert "measured on these test images" in lines[start]
    assert lines[start + 1].split() == ["rate", "guaranteed", "threshold", "missed", "false", "alarms"]
    rows = [line.split() for line in lines[start + 2 : start + 5]]
    expected = onlygood.evaluate(model_path, test_folder).at_rates
    assert [row[:2] for row in rows] == [["0.01", "0.0589"], ["0.05", "0.0589"], ["0.1", "0.1"]]
    for row, outcome in zip(rows, expected, strict=True):
        assert outcome.misses is not None and outcome.false_alarms is not None
        assert (float(row[3]), float(row[5])) == pytest.approx(
            (outcome.misses.value, outcome.false_alarms.value), abs=5e-4
        )
    assert lines[start + 4].endswith("(the model's own)")


def test_what_another_rate_would_give_follows_the_guarantee(
    run: Any, model: onlygood.Model, test_folder: Path, tmp_path: Path
) -> None:
    """A threshold above all defects, as too few images and a low rate would give it."""
    highest = max(each.score for each in onlygood.evaluate(model, test_folder).images) + model.calibration.threshold
    scores = [*np.repeat(model.calibration.scores, 3), np.float32(highest + 1)]
    calibration = calibrate(np.array(scores, np.float32), range(len(scores)), 0.01)
    graph = onnx.load_model_from_string(model.file.content)
    replace_calibration(graph, calibration)
    guarantee = model.metadata.guarantee.replaced(
        requested_rate=0.01, stated_rate=1 / 50, groups=calibration.groups, calibration_images=len(scores)
    )
    found = model.metadata.calibration.replaced(threshold=calibration.threshold)
    metadata = model.metadata.replaced(guarantee=guarantee, calibration=found)
    (tmp_path / "blind.onnx").write_bytes(pack(graph, metadata).content)
    lines = run("evaluate", tmp_path / "blind.onnx", test_folder).out.splitlines()
    assert lines[1].startswith("Found 0 of 4 anomalous images")
    assert lines[2].startswith("The guarantee is not contradicted")
    assert re.fullmatch(
        r"At the model's threshold 4 of 4 anomalous images are missed\. At a rate of 0\.05 \(guaranteed approximately "
        r"from these calibration scores\) 0 of 4 would be missed instead of 4, with \d of 6 good images called "
        r"anomalous\.",
        lines[3],
    )


def test_another_rate_holds_for_this_run_and_is_said(
    run: Any, model_path: Path, test_folder: Path, tmp_path: Path
) -> None:
    content = model_path.read_bytes()
    ran = run("evaluate", model_path, test_folder, "--false-alarm-rate", 0.4, "--report", tmp_path / "out.html")
    lines = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert lines[0] == (
        "This run uses the threshold for a false-alarm rate of 0.4; the model file, which asks for 0.1, stays as it is."
    )
    assert lines[1].startswith("At most 0.4 of good images will be called anomalous (approximate")
    assert lines[2].startswith(f"{model_path} on {test_folder}: 10 images")
    assert "and at most 0.4 was guaranteed" in ran.out
    assert "a false-alarm rate of 40.0%" in (tmp_path / "out.html").read_text()
    as_json = run("evaluate", model_path, test_folder, "--false-alarm-rate", 0.4, "--json")
    assert as_json.err.startswith("note: This run uses the threshold for a false-alarm rate of 0.4")
    values = json.loads(as_json.out)
    assert [each["requested_rate"] for each in values["at_rates"] if each["is_own"]] == [0.4]
    assert values["guarantee"]["stated_rate"] == 0.4
    assert model_path.read_bytes() == content
    refused = run("evaluate", model_path, test_folder, "--false-alarm-rate", 1)
    assert "the false-alarm rate must be between 0 and 1" in one_sentence(refused)


def test_a_csv_file_stands_for_a_folder(run: Any, model_path: Path, test_folder: Path) -> None:
    rows = ["path,label,defect"]
    rows += [f"good/{number}.png,good," for number in range(6)]
    rows += [f"black/{number}.png,bad,soot" for number in range(4)]
    (test_folder / "list.csv").write_text("\n".join(rows))
    ran = run("evaluate", model_path, test_folder / "list.csv")
    assert ran.code == 0
    assert "10 images, 6 good, 4 anomalous" in ran.out and "defect soot" in ran.out


def test_a_report_and_a_csv_file_are_written(run: Any, model_path: Path, test_folder: Path, tmp_path: Path) -> None:
    ran = run("evaluate", model_path, test_folder, "--report", tmp_path / "out.html", "--json")
    assert ran.code == 0
    assert [name for name in left(tmp_path) if name.startswith("out")] == ["out.csv", "out.html"]
    page = (tmp_path / "out.html").read_text()
    assert "part.onnx" in page and "<script" not in page
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 11
    json.loads(ran.out)


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_inspected(
    run: Any, monkeypatch: pytest.MonkeyPatch, model_path: Path, test_folder: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(onlygood.Inspector, "__call__", lambda *_: pytest.fail("inspected"))
    target = tmp_path / "none" / "out.html"
    assert "there is no folder" in one_sentence(run("evaluate", model_path, test_folder, "--report", target))


def test_what_cannot_be_measured_is_one_sentence(run: Any, model_path: Path, test_folder: Path, tmp_path: Path) -> None:
    def refused(*arguments: object) -> str:
        return one_sentence(run("evaluate", *arguments))

    assert "does not exist" in refused(model_path, tmp_path / "none")
    assert "does not exist" in refused(tmp_path / "none.onnx", test_folder)
    flat = save(tmp_path / "flat", {"a.png": texture(1)})
    assert "good/1.png" in refused(model_path, flat)
    (tmp_path / "list.csv").write_text(f"path,label\n{test_folder}/good/0.png,fine\n")
    sentence = refused(model_path, tmp_path / "list.csv")
    assert "'fine'" in sentence and "line 2" in sentence
    assert "cost_miss goes with cost_false_alarm" in refused(model_path, test_folder, "--cost-miss", 3)


def test_masks_that_cannot_be_used_are_said_and_the_rest_is_measured(
    run: Any, model_path: Path, test_folder: Path
) -> None:
    masks = test_folder.parent / "ground_truth" / "black"
    Image.new("L", (SIZE + 5, SIZE)).save(masks / "0_mask.png")
    (masks / "1_mask.png").rename(masks / "one_mask.png")
    ran = run("evaluate", model_path, test_folder)
    assert ran.code == 0
    assert f"0_mask.png has {SIZE + 5} x {SIZE} pixels where black/0.png has {SIZE} x {SIZE}" in ran.err
    assert "one_mask.png" in ran.err and "black/1.png" in ran.err
    assert "2 masks with 2 regions" in ran.out


def test_without_scikit_learn_the_line_that_installs_it_is_said(
    run: Any, monkeypatch: pytest.MonkeyPatch, model_path: Path, test_folder: Path
) -> None:
    monkeypatch.setattr("onlygood._extras.find_spec", lambda name: None)
    sentence = one_sentence(run("evaluate", model_path, test_folder))
    assert sentence == "evaluate needs scikit-learn, which is not installed: run pip install 'onlygood[report]'"
