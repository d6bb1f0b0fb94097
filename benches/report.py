"""What reports cost: seconds beyond inspecting, and megabytes, of ten thousand images and of a labelled set.

    python benches/report.py --data PATH/magnetic_tile --output benches/results/report.json

The images of the test set are inspected once. For the report of an inspection they then stand for ten thousand, under
different names: a report does not see that files are the same, and reads and inspects those that it shows once more.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import onlygood
from onlygood._machine import machine_facts, peak_memory_mb, versions_of
from onlygood._parallel import map_in_order
from onlygood.datasets.folders import find_images
from onlygood.evaluation.evaluate import evaluate
from onlygood.report import InspectedImage, report_paths, write_evaluation_report, write_inspection_report

RATE = 0.05


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def measured(page: Path, write: Callable[[], None], runs: int) -> dict[str, Any]:
    """Time of writing a report, and the sizes of its files."""
    times = [seconds(write) for _ in range(runs)]
    html, rows = report_paths(page)
    return {
        "report_s": spread(times),
        "page_mb": html.stat().st_size / 1e6,
        "csv_mb": rows.stat().st_size / 1e6,
        "peak_memory_mb": peak_memory_mb(),
    }


def measure_inspection(data: Path, model: Path, folder: Path, images: int, runs: int) -> dict[str, Any]:
    """The report of an inspection, after the inspection."""
    quick = onlygood.Inspector(model, with_map=False, threads=1)
    files = find_images(data / "test")
    started = time.perf_counter()
    inspections = list(map_in_order(lambda file: quick(file.path, name=file.name), files, threads=0))
    inspect_s = time.perf_counter() - started
    inspected = [
        InspectedImage(
            name=f"{number:05}/{file.name}",
            file=file,
            inspection=replace(inspection, name=f"{number:05}/{file.name}"),
            error=None,
        )
        for number, (file, inspection) in enumerate(islice(cycle(zip(files, inspections, strict=True)), images))
    ]
    inspector, page = onlygood.Inspector(model, threads=1), folder / "inspection.html"
    before = peak_memory_mb()
    return {
        "images": images,
        "files": len(files),
        "anomalous": sum(inspection.is_anomaly for inspection in inspections),
        "inspect_s_each": inspect_s / len(files),
        "peak_memory_mb_before": before,
        **measured(page, lambda: write_inspection_report(page, inspected, inspector, model_name=model.name), runs),
    }


def measure_evaluation(data: Path, model: Path, folder: Path, runs: int) -> dict[str, Any]:
    """The report of an evaluation with masks, after the evaluation."""
    inspector, page = onlygood.Inspector(model, threads=1), folder / "evaluation.html"
    started = time.perf_counter()
    evaluation = evaluate(inspector, data / "test")
    evaluate_s = time.perf_counter() - started
    return {
        "images": len(evaluation.images),
        "evaluate_s": evaluate_s,
        **measured(page, lambda: write_evaluation_report(page, evaluation, inspector, model_name=model.name), runs),
    }


def machine() -> dict[str, Any]:
    versions = versions_of("onlygood", "onnxruntime", "numpy", "pillow", "matplotlib", "jinja2")
    return {**machine_facts(), **versions, "date": time.strftime("%Y-%m-%d")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder magnetic_tile, in MVTec layout")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--model", type=Path, help="a model file; fitted on train/good unless given")
    parser.add_argument("--images", type=int, default=10_000, help="in the report of an inspection")
    parser.add_argument("--runs", type=int, default=5, help="of each report")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model
        if model is None:
            model = folder / "part.onnx"
            onlygood.fit(options.data / "train" / "good", false_alarm_rate=RATE).save(model)
        results = {
            "machine": machine(),
            "inspection": measure_inspection(options.data, model, folder, options.images, options.runs),
            "evaluation": measure_evaluation(options.data, model, folder, options.runs),
        }
    print(json.dumps(results, indent=1))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
