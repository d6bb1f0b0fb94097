"""What evaluating costs beyond inspecting, on the magnetic-tile images with their masks.

    python benches/evaluate.py --data PATH/magnetic_tile --output benches/results/evaluate.json

Inspecting is reading every test image and running the model on it, anomaly map included, on as many threads as
evaluate uses. Evaluating is that and all metrics, image and pixel level, with intervals. The two alternate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import onlygood
from onlygood._machine import machine_facts, versions_of
from onlygood._parallel import map_in_order
from onlygood.datasets.labelled import find_labelled
from onlygood.datasets.labelled_set import LabelledImage
from onlygood.images.reading import read_image


def inspect_all(inspector: onlygood.Inspector, folder: Path) -> None:
    images = find_labelled(folder).images

    def inspect(labelled: LabelledImage) -> float:
        file = labelled.file
        return inspector(read_image(file.path, name=file.name, page=file.page), name=file.name).score

    for _ in map_in_order(inspect, images, threads=0):
        pass


def seconds(work: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder magnetic_tile, in MVTec layout")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    model = onlygood.fit(options.data / "train" / "good", false_alarm_rate=0.05)
    inspector = onlygood.Inspector(model, threads=1)
    test = options.data / "test"
    inspect_all(inspector, test)
    evaluation = onlygood.evaluate(inspector, test)
    inspecting, evaluating = [], []
    for _ in range(options.rounds):
        inspecting.append(seconds(inspect_all, inspector, test))
        evaluating.append(seconds(onlygood.evaluate, inspector, test))
    result = {
        "machine": {**machine_facts(), **versions_of("onlygood", "onnxruntime", "numpy", "scikit-learn")},
        "images": len(evaluation.images),
        "masks": evaluation.pixel.masks if evaluation.pixel else 0,
        "inspect_s": inspecting,
        "evaluate_s": evaluating,
        "ratio_of_medians": statistics.median(evaluating) / statistics.median(inspecting),
        "ratio_of_minima": min(evaluating) / min(inspecting),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
