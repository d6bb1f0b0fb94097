"""What the README shows is run as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import onlygood

README = Path(__file__).resolve().parents[1] / "README.md"


def strangers_script() -> str:
    found = re.search(r"<!-- more anomalous's script.*?-->\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found, "the README must show the more anomalous's script"
    return found.group(1)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve good images and, of new ones, grey JPEG, colour PNG of other sizes, one with a blot."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for part, count in (("good", 12), ("new", 4)):
        (folder / part).mkdir()
        for number in range(count):
            levels = rng.normal(120, 12, (90 + number, 110, 3)).clip(0, 255).astype(np.uint8)
            if part == "new" and number == 3:
                levels[30:60, 40:70] = 250
            Image.fromarray(levels).save(folder / part / f"{number}.{'jpg' if number % 2 else 'png'}", quality=95)
    return folder


def test_a_stranger_with_onnxruntime_alone_gets_the_verdicts_of_inspect(images: Path, tmp_path: Path) -> None:
    script = tmp_path / "more anomalous.py"
    script.write_text(strangers_script())
    imported = re.findall(r"^(?:import|from) ([\w, ]+?)(?: import.*)?$", script.read_text(), re.MULTILINE)
    assert {name.strip() for names in imported for name in names.split(",")} == {"sys", "numpy", "onnxruntime", "PIL"}
    model = tmp_path / "part.onnx"
    onlygood.fit(images / "good", false_alarm_rate=0.1, bank_size=200).save(model)
    paths = sorted((images / "new").iterdir())

    strange = subprocess.run([sys.executable, script, model, *paths], capture_output=True, text=True, check=True)
    ours = subprocess.run(
        [sys.executable, "-m", "onlygood", "inspect", model, images / "new", "--json"], capture_output=True, text=True
    )

    assert ours.returncode == 1, "the image with a blot is anomalous"
    lines = strange.stdout.splitlines()
    results = [json.loads(line) for line in ours.stdout.splitlines()]
    assert len(lines) == len(results) == len(paths)
    for line, result in zip(lines, results, strict=True):
        path, verdict, score, p_value = line.rsplit(" ", 3)
        assert Path(path).name == result["name"]
        assert (verdict == "ANOMALOUS") is result["is_anomaly"]
        assert float(score) == pytest.approx(result["score"], abs=1e-4)
        assert float(p_value) == pytest.approx(result["p_value"], abs=1e-4)


def test_the_strangers_script_is_twelve_lines_of_code() -> None:
    assert len([line for line in strangers_script().splitlines() if line.strip()]) <= 12


def test_every_option_that_the_readme_names_exists() -> None:
    text = README.read_text()
    helps = "".join(
        subprocess.run([sys.executable, "-m", "onlygood", *command, "--help"], capture_output=True, text=True).stdout
        for command in (
            [],
            ["fit"],
            ["inspect"],
            ["evaluate"],
            ["calibrate"],
            ["explore"],
            ["info"],
            ["bench", "run"],
            ["bench", "table"],
        )
    )
    lines = [line for line in text.splitlines() if "export_timm" not in line]
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", "\n".join(lines)))
    assert named
    assert {option for option in named if option not in helps} == set()
