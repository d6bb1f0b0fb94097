"""`onlygood drift`: what it prints where, its exit codes, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from command_line import left, one_sentence
from textures import numbered, save, texture, textures


@pytest.fixture(scope="module")
def known_path(model: onlygood.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("known") / "part.onnx"
    onlygood.calibrate(model, textures(30, start=5000)).save(path)
    return path


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("stable"), numbered(textures(12, start=6000)))


@pytest.fixture(scope="module")
def brighter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = [np.clip(image.astype(int) + 60, 0, 255).astype(np.uint8) for image in textures(15, start=6100)]
    return save(tmp_path_factory.mktemp("brighter"), numbered(images))


def test_a_stable_process_is_no_drift(run: Any, known_path: Path, stable: Path) -> None:
    ran = run("drift", known_path, stable)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [*onlygood.drift(known_path, stable).sentences]
    assert ran.out.startswith("No drift in 12 images.\n")


def test_drift_is_code_1_and_is_described(run: Any, known_path: Path, brighter: Path) -> None:
    ran = run("drift", known_path, brighter)
    assert (ran.code, ran.err) == (1, "")
    lines = ran.out.splitlines()
    assert lines[0] == "Drift in 15 images."
    assert lines[1].startswith("What changed: all scores are higher, not those of some images alone; look at what all")
    assert lines[2].startswith("It begins with the first image, so that all images differ from those that they are")
    assert lines[-1] == (
        "A process that never changes is called drift with a probability of at most 0.01, however many images come."
    )


def test_json_has_all_of_it_and_nothing_else(run: Any, known_path: Path, brighter: Path) -> None:
    ran = run("drift", known_path, brighter, "--json", "--false-drift-rate", "5%", "-q")
    assert (ran.code, ran.err) == (1, "")
    expected = onlygood.drift(known_path, brighter, false_drift_rate=0.05).to_dict()
    assert json.loads(ran.out) == {"model": str(known_path), **expected}


def test_a_state_goes_on(run: Any, known_path: Path, stable: Path, brighter: Path, tmp_path: Path) -> None:
    state = tmp_path / "drift.json"
    assert run("drift", known_path, stable, "--state", state).code == 0
    ran = run("drift", known_path, brighter, "--state", state)
    assert (ran.code, ran.out.splitlines()[0]) == (1, "Drift in 27 images.")
    assert left(tmp_path) == ["drift.json"]
    # What was found stays found.
    assert run("drift", known_path, stable, "--state", state).code == 1


def test_an_image_that_cannot_be_read_is_code_2_and_the_others_count(
    run: Any, known_path: Path, stable: Path, tmp_path: Path
) -> None:
    save(tmp_path, {"1.png": texture(1)})
    (tmp_path / "2.png").write_bytes(b"no image")
    ran = run("drift", known_path, tmp_path, "--state", tmp_path / "drift.json")
    assert ran.code == 2
    assert ran.out.startswith("No drift in 1 image.\n")
    assert ran.err.startswith("onlygood: 2.png is ")
    assert onlygood.DriftTest.load(tmp_path / "drift.json").result.images == 1


def test_mistakes_get_one_sentence(run: Any, model_path: Path, known_path: Path, stable: Path, tmp_path: Path) -> None:
    assert "needs at least 20 independent calibration images, got 16" in one_sentence(run("drift", model_path, stable))
    state = tmp_path / "drift.json"
    run("drift", known_path, stable, "--state", state)
    assert "give that model, or begin with a new state" in one_sentence(
        run("drift", model_path, stable, "--state", state)
    )
    assert "baseline must be 0 or at least 20, got 7" in one_sentence(
        run("drift", known_path, stable, "--baseline", "7")
    )
    (tmp_path / "empty").mkdir()
    assert "is empty" in one_sentence(run("drift", known_path, tmp_path / "empty"))
    ran = run("drift", known_path, stable, "--order", "tme")
    assert "--order must be one of name, time, got 'tme': did you mean time?" in ran.err
