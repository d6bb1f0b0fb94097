"""Ten updates in a row against one fit to the same images: what is found, false alarms, misses, and what they cost.

    python -m benchmarks.studies.updates --data data --output benchmarks/results/updates.jsonl

For each set and seed the good images are put in a random order. A model is fitted to the first of them and updated ten
times with the next, without those before; another is fitted to all of them at once. Both are measured on the set's own
test images. Nothing is chosen on any of these. Each run is a line of the output; one that is there already is not
repeated.

The cost of an update is its time over that of the embeddings of its images: reading them, and the model's own graph
from image to embeddings, two images at a time as in the update. Both are taken in turn, of each update.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import onlygood
from benchmarks.fitting import fit_method
from benchmarks.model_parts import part_of
from benchmarks.progress import running
from benchmarks.records import append_line, read_lines
from benchmarks.studies.sets import Tested, labelled, load_set

# Of each set: images of the first fit, and of each update.
SETS = {"magnetic_tile": (50, 50), "casting": (50, 50), "deeppcb": (20, 24), "elpv-mono": (50, 30)}
UPDATES = 10
THREADS = 2
# What may come before the head; the model has those of its method.
EMBEDDINGS = ("embedding", "embedding_0", "embedding_1", "embedding_2", "regions")


def embedding_of(model: Any) -> Callable[[Sequence[str]], None]:
    """Reads images and embeds them with a model's own graph."""
    made = {name for node in onnx.load_model_from_string(model.file.content).graph.node for name in node.output}
    names = [name for name in EMBEDDINGS if name in made]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    content = part_of(model, ["image"], names).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def embed(images: Sequence[str]) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda path: session.run(names, {"image": onlygood.read_image(path)[None]}), images))

    return embed


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it returns, its wall time and its time on all processors."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - processor


def found(model: Any, test: Sequence[Tested]) -> dict[str, Any]:
    """What a model says of the test images."""
    with tempfile.TemporaryDirectory() as folder:
        evaluation = onlygood.evaluate(model, labelled(test, Path(folder)))
    scores = np.array([each.score for each in evaluation.images])
    bad = np.array([each.labelled.is_anomalous for each in evaluation.images])
    return {
        "image_auroc": onlygood.image_auroc(scores, bad).value,
        "false_alarms": float(np.mean(scores[~bad] > 0)),
        "misses": float(np.mean(scores[bad] <= 0)),
        "bytes": len(model.file.content),
        "calibration_images": model.guarantee.calibration_images,
        "groups": model.guarantee.groups,
        "rule": model.guarantee.rule,
    }


def measure(name: str, data: Path, seed: int, method: str) -> dict[str, Any]:
    parts, (first, each) = load_set(name, data), SETS[name]
    order = np.random.default_rng(seed).permutation(len(parts.good))
    images = [str(parts.good[place]) for place in order]
    updated: Any = fit_method(images[:first], method, threads=THREADS)
    embed = embedding_of(updated)
    embed(images[:first])
    costs = []
    for number in range(UPDATES):
        begin = first + number * each
        further = images[begin : begin + each]
        _, embedding_s, embedding_cpu_s = timed(lambda further=further: embed(further))  # type: ignore[misc]
        updated, update_s, update_cpu_s = timed(
            lambda further=further, before=updated: onlygood.update(  # type: ignore[misc]
                before, further, threads=THREADS, accept_anomalous=True
            )
        )
        costs.append([embedding_s, update_s, embedding_cpu_s, update_cpu_s])
    whole = first + UPDATES * each
    model, fit_s, fit_cpu_s = timed(lambda: fit_method(images[:whole], method, threads=THREADS))
    columns = np.array(costs)
    return {
        "set": name,
        "seed": seed,
        "method": method,
        "images": [first, each, whole],
        "good_tested": sum(kind == "good" for _, kind, _ in parts.test),
        "bad_tested": sum(kind != "good" for _, kind, _ in parts.test),
        "rate": model.guarantee.requested_rate,
        "updated": found(updated, parts.test),
        "fitted": found(model, parts.test),
        "update_over_embedding": [round(float(value), 3) for value in columns[:, 1] / columns[:, 0]],
        "update_over_embedding_cpu": [round(float(value), 3) for value in columns[:, 3] / columns[:, 2]],
        "update_s": [round(float(value), 3) for value in columns[:, 1]],
        "fit_s": round(fit_s, 2),
        "fit_cpu_s": round(fit_cpu_s, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the sets")
    parser.add_argument("--output", type=Path, required=True, help="lines of JSON")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sets", default=",".join(SETS), help="separated by commas")
    parser.add_argument("--method", default="patch")
    options = parser.parse_args()
    done = {(row["set"], row["seed"], row["method"]) for row in read_lines(options.output)}
    wanted = [
        (name, seed)
        for seed in range(options.seeds)
        for name in options.sets.split(",")
        if (name, seed, options.method) not in done
    ]
    for number, (name, seed) in enumerate(wanted, start=1):
        with running(f"{name} / seed {seed}", number=number, total=len(wanted)):
            row = measure(name, options.data, seed, options.method)
        append_line(options.output, row)
        for which in ("updated", "fitted"):
            said = row[which]
            print(
                f"{name} seed {seed} {which}: AUROC {said['image_auroc']:.4f}, false alarms "
                f"{said['false_alarms']:.3f}, misses {said['misses']:.3f}, {said['bytes'] / 1e6:.1f} MB",
                flush=True,
            )
        print(f"  update / embedding: {row['update_over_embedding']}, on processors {row['update_over_embedding_cpu']}")


if __name__ == "__main__":
    main()
