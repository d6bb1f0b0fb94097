"""What README and documentation show is run as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import onlygood
from flat import METHODS, fit

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DEPLOYMENT = ROOT / "docs" / "guides" / "deployment.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts and "_generated" not in page.parts]


def strangers_script() -> str:
    found = re.search(r"<!-- stranger's script.*?-->\n```python\n(.*?)```", DEPLOYMENT.read_text(), re.DOTALL)
    assert found, "the documentation must show the stranger's script"
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
    script = tmp_path / "stranger.py"
    script.write_text(strangers_script())
    imported = re.findall(r"^(?:import|from) ([\w, ]+?)(?: import.*)?$", script.read_text(), re.MULTILINE)
    assert {name.strip() for names in imported for name in names.split(",")} == {"sys", "numpy", "onnxruntime", "PIL"}
    model = tmp_path / "part.onnx"
    fit(images / "good", false_alarm_rate=0.1, bank_size=200).save(model)
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


@pytest.fixture(scope="module")
def helps() -> str:
    """The help of all commands."""
    commands: tuple[list[str], ...] = (
        [],
        ["audit"],
        ["roi"],
        *(["fit", "--golden", "--method", method] for method in METHODS),
        ["methods"],
        ["inspect"],
        ["evaluate"],
        ["compare"],
        ["calibrate"],
        ["update"],
        ["explore"],
        ["products"],
        ["drift"],
        ["diff"],
        ["info"],
        ["sign"],
        ["station"],
        ["watch"],
    )
    runs = [
        [sys.executable, "-m", "onlygood", *command, "--help-all" if command[:1] == ["fit"] else "--help"]
        for command in commands
    ]
    runs += [[sys.executable, "-m", "benchmarks", command, "--help"] for command in ("run", "table")]
    return "".join(subprocess.run(run, capture_output=True, text=True, cwd=ROOT).stdout for run in runs)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_that_a_page_names_exists(page: Path, helps: str) -> None:
    others = ("export_timm", "pip install", "git ", "systemctl", "journalctl", "useradd", "curl ", "docker ")
    others += ("--device", "scripts/")  # of Docker, in a sentence; and of programs beside the package
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")  # a command that goes on in the next line is one line
    lines = [line for line in text.splitlines() if not any(word in line for word in others)]
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", "\n".join(lines)))
    assert {option for option in named if option not in helps} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        assert "://" in link or (page.parent / link).exists(), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_stand_in_blocks(page: Path) -> None:
    """A command that lost its indentation would be shown as prose."""
    is_code = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            is_code = not is_code
        assert is_code or not re.match(r"(onlygood [a-z]+ [a-z./-]|pip install|make [a-z])", line), line


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_example_of_fitting_and_inspecting_runs(images: Path, tmp_path: Path) -> None:
    script = ROOT / "examples" / "fit_and_inspect.py"
    command = [sys.executable, script, images / "good", images / "new"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    verdicts = dict(re.findall(r"^(\d\.\w+): (\w+),", ran.stdout, re.MULTILINE))
    assert len(verdicts) == 4
    assert verdicts["3.jpg"] == "ANOMALOUS"


def test_the_example_with_a_camera_gives_the_verdicts_of_inspect(images: Path, tmp_path: Path) -> None:
    """With a module in the place of OpenCV that gives the same frames, B, G, R, as a camera would."""
    model = tmp_path / "part.onnx"
    fit(images / "good", false_alarm_rate=0.1, bank_size=200).save(model)
    frames = sorted((images / "new").iterdir())
    (tmp_path / "cv2.py").write_text(
        f"""
import numpy
from PIL import Image

class VideoCapture:
    def __init__(self, source):
        assert source == 0
        self.paths = {[str(path) for path in frames]!r}

    def read(self):
        if not self.paths:
            return False, None
        return True, numpy.asarray(Image.open(self.paths.pop(0)).convert("RGB"))[:, :, ::-1]
"""
    )
    ran = subprocess.run(
        [sys.executable, ROOT / "examples" / "camera.py", model, "0"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    inspect = onlygood.Inspector(model)
    expected = ["ANOMALOUS" if inspect(path).is_anomaly else "good" for path in frames]
    assert [line.split()[0] for line in ran.stdout.splitlines()] == expected
