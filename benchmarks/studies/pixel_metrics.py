"""Pixel metrics against what people use for MVTec AD: time, memory and difference.

    python -m benchmarks.studies.pixel_metrics --reference PATH/pro_curve_util.py \
        --output benchmarks/results/pixel_metrics.json

The reference for AUPRO is the file `pro_curve_util.py` of MVTec's evaluation code, which is not ours to copy: get it
from MVTec, or from one of the projects that carry it. Its curve is integrated up to 0.3 by trapezoids. The reference
for pixel AUROC and average precision is scikit-learn.

Maps are seeded smooth random fields, upsampled from a patch grid as those of a detector are; two of three images
have a mask of one to three ellipses in which values are higher. Every measurement runs in a process of its own,
references and ours in turns; times and memory are of the metrics alone, without imports and maps, and the medians of
the ratios within a turn are stated: of wall time, and of processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import answer_of, machine_facts, versions_of
from benchmarks.progress import running
from benchmarks.records import write_result
from benchmarks.studies.timing import spread
from onlygood import PixelTally

FPR_LIMIT = 0.3
WAYS = ("ours", "ours_in_file", "mvtec_aupro", "scikit_learn_auroc", "scikit_learn_average_precision")


def make_images(number: int, size: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Maps float32 and masks bool, one by one."""
    rng = np.random.default_rng(0)
    grid = 32
    places = (np.arange(size) + 0.5) * grid / size - 0.5
    lower = np.clip(np.floor(places).astype(int), 0, grid - 2)
    upsampling = np.zeros((size, grid), dtype=np.float32)  # bilinear
    share = np.clip(places - lower, 0, 1)
    upsampling[np.arange(size), lower], upsampling[np.arange(size), lower + 1] = 1 - share, share
    y, x = np.mgrid[:size, :size]
    for place in range(number):
        mask: NDArray[np.bool_] = np.zeros((size, size), dtype=bool)
        for _ in range(rng.integers(1, 4) if place % 3 else 0):
            height, width = rng.integers(size // 40, size // 12, 2)
            top, left = rng.integers(height, size - height), rng.integers(width, size - width)
            mask |= ((y - top) / height) ** 2 + ((x - left) / width) ** 2 <= 1
        patches = rng.gamma(9, 0.2, (grid, grid)).astype(np.float32)
        levels = upsampling @ patches @ upsampling.T + mask * np.float32(rng.uniform(0.2, 1.5))
        yield np.asarray(levels, np.float32), mask


def load_reference(path: Path) -> Any:
    specification = importlib.util.spec_from_file_location("pro_curve_util", path)
    assert specification is not None and specification.loader is not None, "a Python file"
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def area_up_to(limit: float, x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    within = x < limit
    ends = np.append(x[within], limit), np.append(y[within], np.interp(limit, x, y))
    return float(np.sum(np.diff(ends[0]) * (ends[1][1:] + ends[1][:-1]))) / 2 / limit


def measure_one(way: str, number: int, size: int, reference: Path) -> dict[str, Any]:
    """Seconds of processor and wall, growth of peak memory in MB, and what was found, of one way to measure."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # with SciPy: imports are not measured

    maps, masks = zip(*make_images(number, size), strict=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = time.perf_counter(), time.process_time()
    found: dict[str, Any]
    if way in ("ours", "ours_in_file"):
        with PixelTally(max_pixels_in_memory=64_000_000 if way == "ours" else 8_000_000) as tally:
            for anomaly_map, mask in zip(maps, masks, strict=True):
                tally.add(anomaly_map, mask)
            found = tally.result(fpr_limit=FPR_LIMIT).to_dict()
    elif way == "mvtec_aupro":
        rates, overlaps = load_reference(reference).compute_pro(maps, masks)
        found = {"aupro": area_up_to(FPR_LIMIT, rates, overlaps)}
    elif way == "scikit_learn_auroc":
        found = {"pixel_auroc": roc_auc_score(np.ravel(masks), np.ravel(maps))}
    else:
        found = {"pixel_average_precision": average_precision_score(np.ravel(masks), np.ravel(maps))}
    return {
        "wall_s": time.perf_counter() - wall,
        "processor_s": time.process_time() - processor,
        "peak_memory_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3,
        "found": found,
    }


def in_own_process(way: str, options: argparse.Namespace) -> dict[str, Any]:
    given = ("--reference", options.reference, "--output", options.output, "--images", options.images)
    found: dict[str, Any] = answer_of("benchmarks.studies.pixel_metrics", *given, "--size", options.size, "--one", way)
    return found


def compare(options: argparse.Namespace) -> dict[str, Any]:
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for number in range(options.runs * len(WAYS)):
        way = WAYS[number % len(WAYS)]
        with running(way, number=number + 1, total=options.runs * len(WAYS)):
            runs[way].append(in_own_process(way, options))
        print(f"{way}: {runs[way][-1]['wall_s']:.2f} s", flush=True)
    ours = runs["ours"][0]["found"]
    results: dict[str, Any] = {
        "images": options.images,
        "size": options.size,
        "found": ours,
        "in_file_equals_in_memory": ours == runs["ours_in_file"][0]["found"],
    }
    for way in WAYS:
        results[way] = {
            "wall_s": spread([run["wall_s"] for run in runs[way]]),
            "processor_s": spread([run["processor_s"] for run in runs[way]]),
            "peak_memory_mb": spread([run["peak_memory_mb"] for run in runs[way]]),
        }
        if not way.startswith("ours"):
            for time_of in ("wall_s", "processor_s"):
                ratios = [other[time_of] / own[time_of] for own, other in zip(runs["ours"], runs[way], strict=True)]
                results[way][f"{time_of.removesuffix('_s')}_ratio"] = spread(ratios)
            (name, value), *_ = runs[way][0]["found"].items()
            results[way]["absolute_difference"] = abs(value - ours[name])
    return results


def machine() -> dict[str, Any]:
    versions = versions_of("onlygood", "numpy", "scipy", "scikit-learn")
    return {**machine_facts(), **versions, "date": time.strftime("%Y-%m-%d")}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reference", type=Path, required=True, help="MVTec's pro_curve_util.py")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--size", type=int, default=256, help="of a map, in pixels")
    parser.add_argument("--runs", type=int, default=5, help="of every way to measure, in turns")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure_one(options.one, options.images, options.size, options.reference)))
        return
    results = {"machine": machine(), **compare(options)}
    print(json.dumps(results, indent=1))
    write_result(options.output, results)


if __name__ == "__main__":
    main()
