"""What the default detector costs: one image with its map beside the bare backbone, a fit beside embedding its images.

    python -m benchmarks.studies.patch_cost --data PATH/casting --output benchmarks/results/patch_cost.json \
        [--before OLD.onnx]

Ratios within one run, since machines are shared and noisy; contestants alternate, and medians are compared.

- Latency: a decoded megapixel image, by a model of such images; score, verdict and map out, warm, on all cores, beside
  the bare backbone at the model's own input size, and beside a model file of an older version if one is given. Once
  alone and once beside busy neighbours, as many as there are cores, each with ONNX Runtime's threads as they wait by
  default (spinning) and as ours do (spinning shortly).
- Fit: reading and embedding the images with the part of the model's own graph that does it, on as many threads as a fit
  uses, beside the whole fit, each in a process of its own, which also says how much memory it took at most.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.synchronize
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from benchmarks.fitting import describe, fit_method
from benchmarks.machine import answer_of, machine_facts, peak_memory_mb
from benchmarks.model_parts import part_of, whole_backbone
from benchmarks.progress import running
from benchmarks.records import write_result
from onlygood import read_image

# How threads wait for work in an inspector: awake for so many microseconds at most, then asleep.
WAITING = {"session.intra_op.allow_spinning": "1", "session.intra_op.spin_duration_us": "200"}

SIDE = 1000
LEARNED = 100
COUNTS = (150, 300, 600)


def session(content: bytes, *, threads: int, spinning: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if not spinning:
        for entry, value in WAITING.items():
            options.add_session_config_entry(entry, value)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def latencies(contestants: dict[str, tuple[bytes, dict[str, NDArray[Any]]]], *, rounds: int) -> dict[str, float]:
    """Median milliseconds of each, with and without spinning threads."""
    cores = os.cpu_count() or 1
    runs = {
        (name, spinning): (session(content, threads=cores, spinning=spinning), feeds)
        for name, (content, feeds) in contestants.items()
        for spinning in (False, True)
    }
    times: dict[tuple[str, bool], list[float]] = {key: [] for key in runs}
    for number in range(rounds + 5):
        for key, (run, feeds) in runs.items():
            started = time.perf_counter()
            run.run(None, feeds)
            if number >= 5:
                times[key].append(1e3 * (time.perf_counter() - started))
    return {f"{name}{', spinning' if spin else ''}": statistics.median(found) for (name, spin), found in times.items()}


def enlarged(file: Path) -> NDArray[np.uint8]:
    """An image of SIDE x SIDE pixels: the model chooses its input size by the images that it learns from."""
    image = Image.fromarray(np.squeeze(read_image(file)))
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def busy(until: multiprocessing.synchronize.Event) -> None:
    values = np.random.default_rng(0).standard_normal(20_000)
    while not until.is_set():
        np.sort(values)


def measure_latency(data: Path, before: Path | None, rounds: int) -> dict[str, object]:
    good = sorted((data / "train" / "good").iterdir())[: LEARNED + 1]
    large = [enlarged(file) for file in good]
    model = fit_method(large[:LEARNED])
    shape = tuple(describe(model)["input"]["input_shape"])
    image: dict[str, NDArray[Any]] = {"image": large[LEARNED][None]}
    trunk, entry = whole_backbone()
    blank: dict[str, NDArray[Any]] = {entry: np.zeros((1, 3, *shape), np.float32)}
    contestants = {"backbone": (trunk.SerializeToString(), blank), "model": (model.file.content, image)}
    if before is not None:
        contestants["before"] = (before.read_bytes(), image)
    found: dict[str, object] = {"input_shape": shape, "pixels": [SIDE, SIDE], "rounds": rounds}
    found["alone"] = latencies(contestants, rounds=rounds)
    until = multiprocessing.Event()
    neighbours = [multiprocessing.Process(target=busy, args=(until,)) for _ in range(os.cpu_count() or 1)]
    for each in neighbours:
        each.start()
    found["beside busy neighbours"] = latencies(contestants, rounds=rounds)
    until.set()
    for each in neighbours:
        each.join()
    return found


def fit_alone(data: Path, count: int) -> dict[str, float]:
    good = sorted((data / "train" / "good").iterdir())[:count]
    fit_method(good[:8], threshold_rule="estimated")  # everything is loaded
    started = time.perf_counter()
    fit_method(good)
    return {"seconds": time.perf_counter() - started, "peak_mb": peak_memory_mb()}


def embed_alone(data: Path, count: int) -> dict[str, float]:
    good = sorted((data / "train" / "good").iterdir())[:count]
    model = fit_method(good[:8], threshold_rule="estimated")
    made = {name for node in onnx.load_model_from_string(model.file.content).graph.node for name in node.output}
    names = sorted(name for name in made if name.startswith("embedding") and name.removeprefix("embedding_").isdigit())
    names += ["embedding", "regions"]
    embed = session(part_of(model, ["image"], names).SerializeToString(), threads=1, spinning=False)

    def one(path: Path) -> None:
        embed.run(names, {"image": read_image(path)[None]})

    one(good[0])
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, good))
    return {"seconds": time.perf_counter() - started}


def measure_fits(data: Path, counts: tuple[int, ...]) -> list[dict[str, float]]:
    found = []
    module, given = "benchmarks.studies.patch_cost", ("--data", data, "--output", "-")
    for number, count in enumerate(counts, start=1):
        with running(f"{count} images", number=number, total=len(counts)):
            embedding = answer_of(module, *given, "--only", "embed", "--count", count)
            fitting = answer_of(module, *given, "--only", "fit", "--count", count)
        found.append(
            {
                "images": count,
                "embedding_s": embedding["seconds"],
                "fit_s": fitting["seconds"],
                "ratio": fitting["seconds"] / embedding["seconds"],
                "peak_mb": fitting["peak_mb"],
            }
        )
        print(found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the set casting")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--before", type=Path, help="a model of an older version, fitted with the same images")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--only", choices=("fit", "embed"), help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps((fit_alone if options.only == "fit" else embed_alone)(options.data, options.count)))
        return
    with running("latency", number=1, total=1):
        latency = measure_latency(options.data, options.before, options.rounds)
    print(json.dumps(latency, indent=1), flush=True)
    results = {"latency": latency, "fits": measure_fits(options.data, COUNTS), "machine": machine_facts()}
    write_result(options.output, results)


if __name__ == "__main__":
    main()
