"""What reports cost: seconds beyond inspecting, and megabytes, of ten thousand images and of a labelled set.

    python -m benchmarks.studies.report --data PATH/magnetic_tile --output benchmarks/results/report.json

The command is run with a report and without one, in turns, each time in a process of its own; what counts is the
difference within a turn. For the report of an inspection the images of the test set stand for ten thousand, under
different names: a report does not see that files are the same. The model is a small one (knn, 64 pixels a side), so
that what reports cost is not lost in what inspecting costs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.datasets.files import images_below
from benchmarks.fitting import fit_method
from benchmarks.machine import machine_facts, onlygood_command, versions_of
from benchmarks.progress import running
from benchmarks.records import write_result
from benchmarks.studies.timing import spread

RATE = 0.05
SMALL = ("knn", {"input_size": 64, "bank_size": 100})


def linked(images: Sequence[Path], count: int, folder: Path) -> Path:
    """A folder of so many links to the images, each under a name of its own."""
    folder.mkdir()
    for number in range(count):
        image = images[number % len(images)]
        (folder / f"{number:05}{image.suffix}").symlink_to(image.resolve())
    return folder


def measure(title: str, command: Sequence[object], page: Path, runs: int) -> dict[str, Any]:
    """A command with a report beside the same one without."""
    without, with_report, peaks = [], [], []
    for number in range(1, runs + 1):
        with running(title, number=number, total=runs):
            without.append(onlygood_command(*command))
            with_report.append(onlygood_command(*command, "--report", page))
        peaks.append((without[-1][1], with_report[-1][1]))
    return {
        "command_s": spread([wall_s for wall_s, _ in without]),
        "report_s": spread([more[0] - less[0] for more, less in zip(with_report, without, strict=True)]),
        "page_mb": page.stat().st_size / 1e6,
        "csv_mb": page.with_suffix(".csv").stat().st_size / 1e6,
        "peak_memory_mb_without": max(peak for peak, _ in peaks),
        "peak_memory_mb": max(peak for _, peak in peaks),
    }


def machine() -> dict[str, Any]:
    versions = versions_of("onlygood", "onnxruntime", "numpy", "pillow", "matplotlib", "jinja2")
    return {**machine_facts(), **versions, "date": time.strftime("%Y-%m-%d")}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder magnetic_tile, in MVTec layout")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--images", type=int, default=10_000, help="in the report of an inspection")
    parser.add_argument("--runs", type=int, default=5, help="of each command, with and without a report")
    options = parser.parse_args()
    test = options.data / "test"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "part.onnx"
        method, settings = SMALL
        fit_method(options.data / "train" / "good", method, settings, false_alarm_rate=RATE).save(model)
        many = linked(images_below(test), options.images, folder / "many")
        results = {
            "machine": machine(),
            "inspection": {
                "images": options.images,
                "files": len(images_below(test)),
                **measure("inspect", ("inspect", model, many), folder / "inspection.html", options.runs),
            },
            "evaluation": {
                "images": len(images_below(test)),
                **measure("evaluate", ("evaluate", model, test), folder / "evaluation.html", options.runs),
            },
        }
    print(json.dumps(results, indent=1))
    write_result(options.output, results)


if __name__ == "__main__":
    main()
