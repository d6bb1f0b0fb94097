"""One benchmark run, in a process of its own: `python -m benchmarks.one_run ORDER.json ANSWER.json`.

`benchmarks.runs.execute` starts it. The answer is written if all went well; otherwise stderr says why, and the exit
code is not 0.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, precision_recall_curve

from benchmarks.datasets.files import read_mask
from benchmarks.datasets.opening import open_dataset
from benchmarks.datasets.reference import task_with_reference
from benchmarks.datasets.tasks import Dataset, Task
from benchmarks.fitting import describe, fit_method, split_method
from benchmarks.machine import peak_memory_mb, versions_of
from benchmarks.peers.anomalib import run_anomalib
from benchmarks.peers.detectors import run_peer
from benchmarks.peers.names import is_peer
from benchmarks.runs import PeerEnvironment, Run, run_from_json
from onlygood import Inspector, OnlygoodError, PixelTally, image_auroc, read_image

OUR_PACKAGES = ("onlygood", "onnxruntime", "onnx", "numpy")
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a method says of one test image.

    Attributes:
        score: higher is more anomalous.
        is_anomaly: the method's own verdict; None if it has none that good images alone decided.
        inspect_ms: how long it took, the image decoded beforehand, one at a time, warm, with its map if there is one.
        anomaly_map: float32 at the image's own size [H, W]; None if the method has none, or no one needs it.
    """

    score: float
    is_anomaly: bool | None
    inspect_ms: float
    anomaly_map: NDArray[np.float32] | None


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A method that has learned a task.

    Attributes:
        judgements: of the test images, in their order, made as they are asked for.
        fit_s: wall time of learning, in seconds.
        model_bytes: size of the model file; None if the method has none.
        peak_memory_mb: of the process that did the work; None for this one.
        settings: all that decides the result.
        versions: of the packages that did the work.
    """

    judgements: Iterable[Judgement]
    fit_s: float
    model_bytes: int | None
    peak_memory_mb: float | None
    settings: dict[str, Any]
    versions: dict[str, str]


def ours(run: Run, task: Task) -> Contestant:
    """One of our methods, fitted as `onlygood fit` does, saved and loaded."""
    method, settings = split_method(run.method)
    reference = None
    if method == "doc":
        reference = {name: [image.source for image in group] for name, group in task.reference.items()}
    started = time.perf_counter()
    model = fit_method(
        [image.source for image in task.good],
        method,
        settings,
        reference=reference,
        false_alarm_rate=run.false_alarm_rate,
        seed=run.seed,
        threads=run.threads,
    )
    fit_s = time.perf_counter() - started
    with tempfile.TemporaryDirectory(prefix="onlygood-bench-") as folder:
        path = Path(folder) / "part.onnx"
        model.save(path)
        size = path.stat().st_size
        inspector = Inspector(path)
    inspector(task.test[0].source)  # the first run of a session prepares it

    def judgements() -> Iterator[Judgement]:
        for image in task.test:
            found = inspector(image.source, name=image.name)
            yield Judgement(
                score=found.score,
                is_anomaly=found.is_anomaly,
                inspect_ms=found.latency_ms,
                anomaly_map=found.anomaly_map,
            )

    return Contestant(
        judgements=judgements(),
        fit_s=fit_s,
        model_bytes=size,
        peak_memory_mb=None,
        settings=describe(model)["settings"],
        versions=versions_of(*OUR_PACKAGES),
    )


def peer(run: Run, task: Task, environment: PeerEnvironment) -> Contestant:
    """One of the methods that ours are compared with."""
    if run.method.startswith("anomalib:"):
        result = run_anomalib(
            task,
            model=run.method.partition(":")[2],
            seed=run.seed,
            python=environment.python,
            weights=environment.weights,
        )
    else:
        result = run_peer(run.method, task, seed=run.seed)

    def judgements() -> Iterator[Judgement]:
        for position, image in enumerate(task.test):
            yield Judgement(
                score=float(result.scores[position]),
                is_anomaly=None if result.is_anomaly is None else bool(result.is_anomaly[position]),
                inspect_ms=result.inspect_ms[position],
                anomaly_map=None if result.maps is None else _enlarged(result.maps(position), read_image(image.source)),
            )

    return Contestant(
        judgements=judgements(),
        fit_s=result.fit_s,
        model_bytes=result.model_bytes,
        peak_memory_mb=result.peak_memory_mb,
        settings=result.settings,
        versions=result.versions,
    )


def measure(task: Task, contestant: Contestant) -> dict[str, Any]:
    """The figures of a method on a task, as plain JSON values. The same code for ours and for peers."""
    has_masks = any(image.mask is not None for image in task.test)
    scores, verdicts, times = [], [], []
    notes = list(task.notes)
    pixel = None
    with PixelTally() as tally:
        masks = left_out = 0
        for image, judgement in zip(task.test, contestant.judgements, strict=True):
            scores.append(judgement.score)
            verdicts.append(judgement.is_anomaly)
            times.append(judgement.inspect_ms)
            if has_masks and judgement.anomaly_map is not None and (image.mask or not image.is_anomalous):
                height, width = judgement.anomaly_map.shape
                mask = None if image.mask is None else read_mask(image.mask, height=height, width=width)
                if image.mask is not None and mask is None:
                    left_out += 1
                    continue
                tally.add(judgement.anomaly_map, mask)
                masks += mask is not None
        if left_out:
            notes.append(
                f"masks that mark nothing or do not fit: {left_out}; their images are left out of pixel figures"
            )
        if masks:
            pixel = tally.result().to_dict()
    labels = np.array([image.is_anomalous for image in task.test])
    values = np.array(scores, dtype=np.float64)
    defects = np.array([image.defect for image in task.test])
    metrics: dict[str, Any] = {
        "image_auroc": image_auroc(values, labels).to_dict(),
        "average_precision": float(average_precision_score(labels, values)),
        "f1_max": _f1_max(values, labels),
        "image_auroc_per_defect": {
            str(defect): image_auroc(values[~labels | (defects == defect)], labels[~labels | (defects == defect)]).value
            for defect in np.unique(defects[labels])
        },
        "pixel": pixel,
    }
    if all(verdict is not None for verdict in verdicts):
        anomalous = np.array(verdicts, dtype=bool)
        metrics["false_alarms"] = _share(int(anomalous[~labels].sum()), int((~labels).sum()))
        metrics["misses"] = _share(int((~anomalous[labels]).sum()), int(labels.sum()))
    peak = contestant.peak_memory_mb
    return {
        "metrics": metrics,
        "times": {
            "fit_s": round(contestant.fit_s, 3),
            "inspect_ms": {
                "median": round(float(np.median(times)), 3),
                "p95": round(float(np.percentile(times, 95)), 3),
            },
        },
        "peak_memory_mb": peak_memory_mb() if peak is None else peak,
        "model_bytes": contestant.model_bytes,
        "counts": {
            "good": len(task.good),
            **({"reference": sum(map(len, task.reference.values()))} if task.reference else {}),
            "test_good": int((~labels).sum()),
            "test_anomalous": int(labels.sum()),
        },
        "settings": contestant.settings,
        "versions": contestant.versions,
        "notes": notes,
    }


def main(arguments: Sequence[str]) -> int:
    """Read the order, run, write the answer."""
    order_path, answer_path = map(Path, arguments)
    order = json.loads(order_path.read_text())
    run = run_from_json(order["run"])
    environment = PeerEnvironment(
        python=None if order["peer_python"] is None else Path(order["peer_python"]),
        weights=None if order["peer_weights"] is None else Path(order["peer_weights"]),
    )
    try:
        dataset = open_dataset(run.data, None if run.path is None else Path(run.path))
        task = _task(dataset, run)
        contestant = peer(run, task, environment) if is_peer(run.method) else ours(run, task)
        answer = {**measure(task, contestant), "classes": list(dataset.classes), "kind": dataset.kind}
    except OnlygoodError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    answer_path.write_text(json.dumps(answer))
    return 0


def _enlarged(anomaly_map: NDArray[np.float32], image: NDArray[Any]) -> NDArray[np.float32]:
    """A peer's map at the size of the image, bilinear: peers give it at the size that they resize images to."""
    height, width = image.shape[:2]
    small = Image.fromarray(anomaly_map.astype(np.float32))
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)


def _task(dataset: Dataset, run: Run) -> Task:
    if run.reference is None:
        return dataset.task(run.class_name, seed=run.seed, max_train=run.max_train, max_test=run.max_test)
    return task_with_reference(
        dataset,
        run.class_name,
        reference=run.reference,
        reference_path=run.reference_path,
        max_reference=run.max_reference,
        seed=run.seed,
        max_train=run.max_train,
        max_test=run.max_test,
    )


def _f1_max(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """The best F1 that any threshold reaches."""
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float((2.0 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)).max())


def _share(events: int, trials: int) -> dict[str, Any]:
    """A share that was counted, with its exact binomial interval (Clopper and Pearson, 1934)."""
    interval = binomtest(events, trials).proportion_ci(CONFIDENCE, method="exact")
    return {
        "value": events / trials,
        "events": events,
        "trials": trials,
        "low": float(interval.low),
        "high": float(interval.high),
        "confidence": CONFIDENCE,
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
