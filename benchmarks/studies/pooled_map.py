"""What a verdict with its map costs beside the backbone alone, for methods on the pooled output.

    python -m benchmarks.studies.pooled_map --data PATH/magnetic_tile --output benchmarks/results/pooled_map.json

Ratios within one run: of a whole inspection (pixels in; score, verdict and map at the image's own size out) to the
bare backbone, which does nothing but embed an image that was resized and normalised beforehand. Both run in ONNX
Runtime with its default threads, one image at a time, warm; they alternate, and medians are compared, because
machines are shared and noisy.
"""

from __future__ import annotations

import argparse
import functools
import statistics
from pathlib import Path

import numpy as np
import onnxruntime

import onlygood
from benchmarks.fitting import fit_method
from benchmarks.machine import machine_facts
from benchmarks.model_parts import whole_backbone
from benchmarks.progress import running
from benchmarks.records import write_result
from benchmarks.studies.timing import seconds

METHODS = ("knn", "lof", "mahalanobis")
LEARNED, ROUNDS = 700, 200
# Of the input that these methods choose.
SIDE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()

    good = sorted((options.data / "train" / "good").iterdir())[:LEARNED]
    test = [onlygood.read_image(path) for path in sorted((options.data / "test").rglob("*.*"))[:ROUNDS]]
    trunk, entry = whole_backbone()
    bare = onnxruntime.InferenceSession(trunk.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {entry: np.zeros((1, 3, SIDE, SIDE), np.float32)}
    results: dict[str, dict[str, float]] = {}
    for number, method in enumerate(METHODS, start=1):
        backbone_ms, with_map_ms = [], []
        with running(method, number=number, total=len(METHODS)):
            inspect = onlygood.Inspector(fit_method(good, method))
            for _ in range(10):
                bare.run(None, given)
                inspect(test[0])
            for image in test:
                backbone_ms.append(1e3 * seconds(lambda: bare.run(None, given)))
                with_map_ms.append(1e3 * seconds(functools.partial(inspect, image)))
        results[method] = {
            "backbone_ms": round(statistics.median(backbone_ms), 3),
            "with_map_ms": round(statistics.median(with_map_ms), 3),
            "ratio": round(statistics.median(with_map_ms) / statistics.median(backbone_ms), 3),
        }
        print(method, results[method])
    write_result(options.output, {"machine": machine_facts(), "methods": results})


if __name__ == "__main__":
    main()
