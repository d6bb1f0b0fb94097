"""What a verdict with its map costs beside the backbone alone, for methods on the pooled output.

    python benches/pooled_map.py --data PATH/magnetic_tile --output benches/results/pooled_map.json

Ratios within one run: of a whole inspection (pixels in; score, verdict and map at the image's own size out) to the
bare backbone, which does nothing but embed an image that was resized and normalised beforehand. Both run in ONNX
Runtime with its default threads, one image at a time, warm; they alternate, and medians are compared, because
machines are shared and noisy.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

import onlygood
from onlygood._machine import machine_facts
from onlygood.backbones.backbone import load_backbone
from onlygood.graph.trunk import cut_trunk
from onlygood.images.reading import read_image

METHODS = ("knn", "lof", "mahalanobis")
LEARNED, ROUNDS = 700, 200


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()

    good = sorted((options.data / "train" / "good").iterdir())[:LEARNED]
    test = [read_image(path, name=path.name) for path in sorted((options.data / "test").rglob("*.*"))[:ROUNDS]]
    backbone = load_backbone("lite0")
    card = backbone.card
    trunk = cut_trunk(backbone, [card.taps[-1]])
    bare = onnxruntime.InferenceSession(trunk.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {bare.get_inputs()[0].name: np.zeros((1, 3, card.input_size, card.input_size), np.float32)}
    results: dict[str, dict[str, float]] = {}
    for method in METHODS:
        inspect = onlygood.Inspector(onlygood.fit(good, method=method))
        for _ in range(10):
            bare.run(None, given)
            inspect(test[0])
        backbone_ms, with_map_ms = [], []
        for image in test:
            backbone_ms.append(milliseconds(lambda: bare.run(None, given)))
            with_map_ms.append(milliseconds(functools.partial(inspect, image)))
        results[method] = {
            "backbone_ms": round(statistics.median(backbone_ms), 3),
            "with_map_ms": round(statistics.median(with_map_ms), 3),
            "ratio": round(statistics.median(with_map_ms) / statistics.median(backbone_ms), 3),
        }
        print(method, results[method])
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"machine": machine_facts(), "methods": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
