"""One benchmark run from end to end, ours and a peer, with the same figures as other roads give."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from benchmarks.datasets.tasks import Task, TaskImage
from benchmarks.fitting import fit_method
from benchmarks.one_run import Contestant, Judgement, main, measure
from benchmarks.runs import PeerEnvironment, Run, execute, read_results
from textures import DEFECT, SIZE, save, texture, with_defect

PATCH = "patch@input_size=64+bank_size=300"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in MVTec's layout, with masks."""
    root = tmp_path_factory.mktemp("parts")
    bad = {f"black/{number}.png": with_defect(texture(300 + number)) for number in range(4)}
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[DEFECT] = 255
    save(root / "train" / "good", {f"{number:02}.png": texture(number) for number in range(16)})
    save(root / "test", {**{f"good/{number}.png": texture(200 + number) for number in range(6)}, **bad})
    save(root / "ground_truth", {name.replace(".png", "_mask.png"): mask for name in bad})
    return root


def ran(tmp_path: Path, run: Run) -> dict[str, Any]:
    """What the run answers, in this process."""
    order, answer = tmp_path / "order.json", tmp_path / "answer.json"
    order.write_text(json.dumps({"run": run.to_dict(), "peer_python": None, "peer_weights": None}))
    assert main([str(order), str(answer)]) == 0
    values: dict[str, Any] = json.loads(answer.read_text())
    return values


def test_ours_gives_the_figures_of_fit_and_evaluate(parts: Path, tmp_path: Path) -> None:
    run = Run(data="parts", path=str(parts), class_name="all", method=PATCH, seed=0, false_alarm_rate=0.1)
    found = ran(tmp_path, run)
    paths = sorted((parts / "train" / "good").iterdir())
    model = fit_method(paths, "patch", {"input_size": 64, "bank_size": 300}, false_alarm_rate=0.1)
    expected = onlygood.evaluate(model, parts / "test")
    assert expected.image.auroc is not None and expected.image.misses is not None and expected.pixel is not None
    metrics = found["metrics"]
    assert metrics["image_auroc"]["value"] == pytest.approx(expected.image.auroc.value)
    assert metrics["misses"]["events"] == expected.image.misses.events
    assert metrics["pixel"]["aupro"] == pytest.approx(expected.pixel.metrics.aupro, abs=1e-6)
    assert metrics["image_auroc_per_defect"] == {"black": pytest.approx(expected.image.auroc.value)}
    assert found["settings"]["bank_size"] == 300 and found["settings"]["seed"] == 0
    assert found["model_bytes"] == pytest.approx(len(model.file.content), rel=0.01)
    assert found["counts"] == {"good": 16, "test_good": 6, "test_anomalous": 4}
    assert found["classes"] == ["all"]
    assert found["peak_memory_mb"] > 50
    assert 0 < found["times"]["inspect_ms"]["median"] <= found["times"]["inspect_ms"]["p95"]


def test_a_peer_runs_on_the_same_images_without_maps(parts: Path, tmp_path: Path) -> None:
    run = Run(data="parts", path=str(parts), class_name="all", method="sklearn:lof", seed=0)
    found = ran(tmp_path, run)
    assert found["metrics"]["pixel"] is None
    assert found["metrics"]["image_auroc"]["value"] > 0.9
    assert found["counts"] == {"good": 16, "test_good": 6, "test_anomalous": 4}
    assert "scikit-learn" in found["versions"]


def test_a_run_in_its_own_process_leaves_its_result(parts: Path, tmp_path: Path) -> None:
    run = Run(data="parts", path=str(parts), class_name="all", method=PATCH, seed=1, max_train=8, max_test=6)
    result = execute(run, tmp_path / "runs.jsonl", peer=PeerEnvironment(), timeout_s=300)
    assert result["status"] == "ok", result
    assert result["counts"]["good"] == 8
    assert result["run"]["max_test"] == 6
    assert read_results(tmp_path / "runs.jsonl") == [result]


def test_what_is_wrong_with_the_data_is_the_error_of_the_run(tmp_path: Path) -> None:
    run = Run(data="parts", path=str(tmp_path / "none"), class_name="all", method=PATCH, seed=0)
    result = execute(run, tmp_path / "runs.jsonl", peer=PeerEnvironment(), timeout_s=300)
    assert result["status"] == "failed"
    assert result["error"].startswith(f"{tmp_path / 'none'} does not exist: check the path of")


def test_figures_are_counted_by_hand() -> None:
    """Two good and two bad images, one of each called anomalous; three of four pairs in the right order."""
    pixels = np.zeros((4, 4), np.uint8)
    test = tuple(
        TaskImage(name=str(number), source=pixels, is_anomalous=number > 1, defect="good" if number < 2 else "dent")
        for number in range(4)
    )
    task = Task(data="d", class_name="c", good=test[:1], test=test, notes=("a note",))
    said = [(1.0, False), (3.0, True), (2.0, False), (4.0, True)]
    contestant = Contestant(
        judgements=[
            Judgement(score=score, is_anomaly=verdict, inspect_ms=10.0 * score, anomaly_map=None)
            for score, verdict in said
        ],
        fit_s=1.5,
        model_bytes=None,
        peak_memory_mb=77.0,
        settings={"k": 3},
        versions={"x": "1"},
    )
    found = measure(task, contestant)
    assert found["metrics"]["image_auroc"]["value"] == 0.75
    assert (found["metrics"]["false_alarms"]["value"], found["metrics"]["misses"]["value"]) == (0.5, 0.5)
    assert found["times"] == {"fit_s": 1.5, "inspect_ms": {"median": 25.0, "p95": pytest.approx(38.5)}}
    assert (found["peak_memory_mb"], found["model_bytes"], found["notes"]) == (77.0, None, ["a note"])


def test_a_method_without_verdicts_has_no_false_alarms() -> None:
    pixels = np.zeros((4, 4), np.uint8)
    test = tuple(TaskImage(name=str(n), source=pixels, is_anomalous=bool(n), defect="dent") for n in range(2))
    contestant = Contestant(
        judgements=[Judgement(score=n, is_anomaly=None, inspect_ms=1.0, anomaly_map=None) for n in (0.0, 1.0)],
        fit_s=0.0,
        model_bytes=None,
        peak_memory_mb=None,
        settings={},
        versions={},
    )
    found = measure(Task(data="d", class_name="c", good=test[:1], test=test, notes=()), contestant)
    assert "false_alarms" not in found["metrics"] and found["metrics"]["image_auroc"]["value"] == 1.0


def test_a_mask_that_cannot_be_used_is_left_out_with_a_note(parts: Path, tmp_path: Path) -> None:
    shutil.copytree(parts, tmp_path / "parts")
    save(tmp_path / "parts" / "ground_truth", {"black/0_mask.png": np.zeros((SIZE, SIZE), np.uint8)})
    run = Run(data="parts", path=str(tmp_path / "parts"), class_name="all", method=PATCH, seed=0)
    found = ran(tmp_path, run)
    assert found["metrics"]["pixel"]["regions"] == 3
    assert "masks that mark nothing or do not fit: 1; their images are left out of pixel figures" in found["notes"]
    assert found["counts"]["test_anomalous"] == 4
