"""The demo: learn good solar cells, inspect cells not seen, and leave what a person can look at.

    python scripts/demo.py demo-output

The images are those of the PyPI package elpv-dataset: electroluminescence images of solar cells, graded by experts
from 0 (functional) to 1 (defective). Monocrystalline cells graded 0 are the good ones; those graded 1 are defective;
the uncertain grades between are left out. Sixty of a hundred good cells, drawn at random, are learned from; the rest
and all defective ones are inspected. Nothing about the inspected cells reaches the model.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

RATE = 0.05
SHARE_LEARNED = 0.6
SHOWN = 6


def elpv_cells() -> tuple[list[Path], list[Path]]:
    """Paths of the good and of the defective monocrystalline cells."""
    package = importlib.util.find_spec("elpv_dataset")
    if package is None or package.origin is None:
        raise SystemExit("demo: the package elpv-dataset is needed: pip install elpv-dataset==1.0.0.post1")
    data = Path(package.origin).parent / "data"
    good, defective = [], []
    with (data / "labels.csv").open() as file:
        for path, grade, kind in csv.reader(file, delimiter=" ", skipinitialspace=True):
            if kind.strip() == "mono" and float(grade) in (0.0, 1.0):
                (good if float(grade) == 0.0 else defective).append(data / path)
    if not good or not defective:
        raise SystemExit(f"demo: {data} must list good and defective cells, got {len(good)} and {len(defective)}")
    return good, defective


def copy_into(folder: Path, paths: list[Path]) -> None:
    """Put images into a folder, as a person would have them."""
    folder.mkdir(parents=True)
    for path in paths:
        shutil.copy(path, folder / path.name)


def onlygood(*arguments: str | Path, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person would, and show the line."""
    print("$ onlygood", *arguments, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "onlygood", *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"demo: onlygood ended with exit code {done.returncode}")
    if not quiet:
        print(done.stdout)
    return done


def draw_sheet(rows: list[tuple[str, list[tuple[Path, float]]]], target: Path) -> None:
    """Heat maps in labelled rows: each the cell, and beside it the cell with its map; the score below."""
    cell, margin, label = 200, 10, 24
    width = SHOWN * (2 * cell + margin) + margin
    height = len(rows) * (cell + 2 * label + margin)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (title, entries) in enumerate(rows):
        top = number * (cell + 2 * label + margin)
        draw.text((margin, top + 4), title, fill="black", font_size=16)
        for column, (path, score) in enumerate(entries):
            left = margin + column * (2 * cell + margin)
            with Image.open(path) as heatmap:
                sheet.paste(heatmap.resize((2 * cell, cell)), (left, top + label))
            draw.text((left, top + label + cell + 3), f"score {score:+.2f}", fill="black", font_size=15)
    sheet.save(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="a folder for all that the demo leaves; replaced if it is there")
    output = parser.parse_args().output
    if output.exists():
        if not (output / "report.html").exists() and any(output.iterdir()):
            raise SystemExit(f"demo: {output} is not empty and not an earlier demo's: name another folder")
        shutil.rmtree(output)
    good, defective = elpv_cells()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(good))
    learned = round(SHARE_LEARNED * len(good))
    copy_into(output / "good", [good[position] for position in order[:learned]])
    copy_into(output / "incoming" / "good", [good[position] for position in order[learned:]])
    copy_into(output / "incoming" / "defective", defective)

    model, report = output / "cells.onnx", output / "report.html"
    started = time.perf_counter()
    onlygood("fit", output / "good", "-o", model, "--false-alarm-rate", str(RATE))
    fit_s = time.perf_counter() - started
    lines = onlygood(
        "inspect", model, output / "incoming", "--heatmaps", output / "heatmaps", "--json", quiet=True
    ).stdout.splitlines()
    (output / "inspections.jsonl").write_text("\n".join(lines) + "\n")
    onlygood("evaluate", model, output / "incoming", "--report", report)

    results = [json.loads(line) for line in lines]
    of_good = [result for result in results if result["name"].startswith("good/")]
    of_defective = [result for result in results if result["name"].startswith("defective/")]

    def heatmaps(chosen: list[dict[str, Any]]) -> list[tuple[Path, float]]:
        folder = output / "heatmaps"
        return [(folder / f"{result['name'].removesuffix('.png')}_heatmap.png", result["score"]) for result in chosen]

    by_score = sorted(of_defective, key=lambda result: -float(result["score"]))
    middle = len(by_score) // 2
    draw_sheet(
        [
            ("Defective, clearest", heatmaps(by_score[:SHOWN])),
            ("Defective, middling", heatmaps(by_score[middle : middle + SHOWN])),
            ("Good, drawn at random", heatmaps([of_good[place] for place in rng.permutation(len(of_good))[:SHOWN]])),
        ],
        output / "sheet.png",
    )
    print(f"learned from {learned} good cells in {fit_s:.1f} s, the whole command")
    print(f"\nOpen {report} in a browser; heat maps are in {output / 'heatmaps'}.")


if __name__ == "__main__":
    main()
