"""What evaluating costs beyond inspecting, on the magnetic-tile images with their masks.

    python -m benchmarks.studies.evaluate --data PATH/magnetic_tile --output benchmarks/results/evaluate.json

Inspecting is reading every test image and running the model on it, anomaly map included, on as many threads as
evaluate uses. Evaluating is that and all metrics, image and pixel level, with intervals. The two alternate.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onlygood
from benchmarks.datasets.files import images_below
from benchmarks.fitting import fit_method
from benchmarks.machine import machine_facts, versions_of
from benchmarks.progress import running
from benchmarks.records import write_result
from benchmarks.studies.timing import seconds


def inspect_all(inspector: onlygood.Inspector, folder: Path) -> list[float]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda path: inspector(path).score, images_below(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder magnetic_tile, in MVTec layout")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    model = fit_method(options.data / "train" / "good", false_alarm_rate=0.05)
    inspector = onlygood.Inspector(model, threads=1)
    test = options.data / "test"
    inspect_all(inspector, test)
    evaluation = onlygood.evaluate(inspector, test)
    inspecting, evaluating = [], []
    for number in range(1, options.rounds + 1):
        with running("inspecting and evaluating", number=number, total=options.rounds):
            inspecting.append(seconds(lambda: inspect_all(inspector, test)))
            evaluating.append(seconds(lambda: onlygood.evaluate(inspector, test)))
    result = {
        "machine": {**machine_facts(), **versions_of("onlygood", "onnxruntime", "numpy", "scikit-learn")},
        "images": len(evaluation.images),
        "masks": evaluation.pixel.masks if evaluation.pixel else 0,
        "inspect_s": inspecting,
        "evaluate_s": evaluating,
        "ratio_of_medians": statistics.median(evaluating) / statistics.median(inspecting),
        "ratio_of_minima": min(evaluating) / min(inspecting),
    }
    write_result(options.output, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
