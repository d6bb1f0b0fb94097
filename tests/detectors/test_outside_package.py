"""Another package brings a method, and everything of ours knows it: see `tests/outside_package`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textures import numbered, save, texture, textures, with_defect

PACKAGE = Path(__file__).parents[1] / "outside_package"
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and new images, and the package, installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("outside")
    save(folder / "good", numbered(textures(16)))
    save(folder / "test" / "good", numbered([texture(seed) for seed in range(200, 206)]))
    save(folder / "test" / "blot", numbered([with_defect(texture(seed)) for seed in range(300, 304)]))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", folder / "packages", PACKAGE], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def onlygood(folder: Path) -> Command:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "packages"), *sys.path[1:]])}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "onlygood", *map(str, arguments)]
        return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def model(folder: Path, onlygood: Command) -> Path:
    line = ("good", "-o", "part.onnx", "--method", "cells", "--cells", 8, "--false-alarm-rate", "10%")
    fitted = onlygood("fit", *line, "--report", "fit.html")
    assert fitted.returncode == 0, fitted.stderr
    return folder / "part.onnx"


def test_it_is_listed(onlygood: Command) -> None:
    listed = {each["name"]: each for each in json.loads(onlygood("methods", "--json").stdout)}
    assert listed["cells"]["trains"] is False
    assert listed["cells"]["settings"]["properties"]["cells"]["default"] == 16
    assert "cells" in onlygood("methods").stdout


def test_a_region_that_it_would_not_heed_is_refused(onlygood: Command) -> None:
    fitted = onlygood("fit", "good", "-o", "tiles.onnx", "--method", "cells", "--tiles", 48)
    assert fitted.returncode == 2
    assert "method cells must take 'tile' to look at regions or tiles of images" in fitted.stderr


def test_its_options_are_on_the_command_line_and_checked(onlygood: Command) -> None:
    said = " ".join(onlygood("fit", "--method", "cells", "--help").stdout.split())
    assert "--cells CELLS cells along each side of an image (default: 16)" in said
    assert "parts that always lie in one place" in said
    assert "--bank-size" not in said
    refused = onlygood("fit", "good", "-o", "x.onnx", "--method", "cells", "--cells", 1)
    assert refused.returncode == 2
    assert refused.stderr == "onlygood: cells must be a whole number from 2 to 64, got 1\n"


def test_it_fits_and_is_described(model: Path, onlygood: Command) -> None:
    metadata: dict[str, Any] = json.loads(onlygood("info", model, "--json").stdout)
    assert metadata["method"] == "cells"
    assert metadata["settings"]["cells"] == 8
    assert metadata["detector"]["cells"] == 8
    assert metadata["calibration"]["method"] == "leave-one-out"
    assert "method:    cells: 8 x 8 cells" in onlygood("info", model).stdout


def test_it_inspects(model: Path, onlygood: Command) -> None:
    bad = onlygood("inspect", model, "test/blot", "--json")
    assert bad.returncode == 1
    assert all(json.loads(line)["is_anomaly"] for line in bad.stdout.splitlines())
    assert onlygood("inspect", model, "test/good", "--heatmaps", "maps").returncode in (0, 1)


def test_it_is_calibrated_again(model: Path, onlygood: Command, folder: Path) -> None:
    again = onlygood("calibrate", model, "--false-alarm-rate", "20%", "-o", "again.onnx")
    assert again.returncode == 0, again.stderr
    assert json.loads(onlygood("info", "again.onnx", "--json").stdout)["detector"]["cells"] == 8


def test_it_evaluates(model: Path, onlygood: Command) -> None:
    evaluated = onlygood("evaluate", model, "test", "--json", "--report", "evaluation.html")
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["image"]["auroc"]["value"] == 1.0


def test_it_explores(model: Path, onlygood: Command, folder: Path) -> None:
    explored = onlygood("explore", model, "test", "-o", "map.html")
    assert explored.returncode == 0, explored.stderr
    assert "cells" in (folder / "map.html").read_text()


def test_its_pages_say_what_it_is(model: Path, onlygood: Command, folder: Path) -> None:
    onlygood("evaluate", model, "test", "--report", "evaluation.html")
    for page in ("fit.html", "evaluation.html"):
        assert "cells: 8 x 8 cells" in (folder / page).read_text()


def test_a_package_that_cannot_be_imported_is_named(folder: Path, onlygood: Command) -> None:
    broken = folder / "packages" / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[onlygood.methods]\nbroken = nowhere.settings:Broken\n")
    try:
        ran = onlygood("fit", "good", "-o", "x.onnx", "--method", "broken")
    finally:
        for file in broken.iterdir():
            file.unlink()
        broken.rmdir()
    assert ran.returncode == 2
    assert (
        "method broken of broken must be importable as nowhere.settings:Broken, got ModuleNotFoundError" in ran.stderr
    )


def test_a_graph_that_no_model_file_may_hold_is_refused_by_the_fit(folder: Path) -> None:
    """In the head when the file is made, in the embedding before anything is learned."""
    shutil.copytree(folder / "packages", folder / "other-packages")
    source = folder / "other-packages" / "onlygood_cells" / "detector.py"
    written = source.read_text()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "other-packages"), *sys.path[1:]])}
    for before, after in (
        ("Abs (cell_deviations)", "RandomUniformLike (cell_deviations)"),
        ("cell_levels = Cast <to = 1> (image)", "cell_levels = RandomUniformLike <dtype = 1> (image)"),
    ):
        assert before in written
        source.write_text(written.replace(before, after))
        line = [sys.executable, "-m", "onlygood", "fit", "good", "-o", "x.onnx", "--method", "cells"]
        ran = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 2
        assert ran.stderr == (
            "onlygood: the model that was made must use standard ONNX operators only, those of feed-forward networks, "
            "got RandomUniformLike: nothing is written that would be refused when it is read; fit with another method, "
            "backbone or settings\n"
        )
        assert not (folder / "x.onnx").exists()
