"""The figures of the patch method on the magnetic-tile images: accuracy, time, memory, size, false alarms.

    python -m benchmarks.studies.magnetic_tile --data PATH/magnetic_tile \
        --output benchmarks/results/magnetic_tile.json

Times are ratios within one run: to the bare backbone, cut at the taps that the detector uses and doing nothing but
embed the same images, decoded, resized and normalised beforehand, through ONNX Runtime with its default threads.
Measurements of the two alternate, and medians are compared, because machines are shared and noisy.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

import onlygood
from benchmarks.fitting import describe, fit_method
from benchmarks.machine import ROOT, machine_facts, onlygood_command, versions_of
from benchmarks.model_parts import backbone_of, whole_backbone
from benchmarks.progress import running
from benchmarks.records import write_result
from benchmarks.studies.timing import seconds, spread

RATE = 0.05

Bare: TypeAlias = tuple[onnxruntime.InferenceSession, str, Callable[[Path], NDArray[np.float32]]]


def bare_backbone(model: onlygood.Model) -> Bare:
    """The trunk as the model uses it, and a function that prepares an image for it."""
    metadata = describe(model)
    card = metadata["backbone"]
    names = dict.fromkeys(name for level in metadata["detector"]["levels"] for name in level["taps"])
    trunk, entry = backbone_of(model, list(names))
    height, width = metadata["input"]["input_shape"]

    def prepare(path: Path) -> NDArray[np.float32]:
        pixels = np.asarray(Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
        levels = (pixels - np.array(card["mean"])) / np.array(card["std"])
        return np.asarray(levels, np.float32).transpose(2, 0, 1)[None]

    return onnxruntime.InferenceSession(trunk.SerializeToString()), entry, prepare


def measure_accuracy(data: Path, model: Path) -> dict[str, Any]:
    """Ranking and verdicts on the test images."""
    inspector = onlygood.Inspector(model, with_map=False)
    scores, labels, kinds, alarms = [], [], [], []
    for path in sorted((data / "test").rglob("*.jpg")):
        inspection = inspector(path)
        scores.append(inspection.score)
        alarms.append(inspection.is_anomaly)
        kinds.append(path.parent.name)
        labels.append(int(path.parent.name != "good"))
    good = [score for score, kind in zip(scores, kinds, strict=True) if kind == "good"]
    per_defect = {}
    for kind in sorted(set(kinds) - {"good"}):
        bad = [score for score, other in zip(scores, kinds, strict=True) if other == kind]
        per_defect[kind] = roc_auc_score([0] * len(good) + [1] * len(bad), good + bad)
    of_good = [alarm for alarm, label in zip(alarms, labels, strict=True) if not label]
    of_bad = [alarm for alarm, label in zip(alarms, labels, strict=True) if label]
    halves = {}
    for half, name in ((0, "half_used_in_development"), (1, "other_half")):
        # Development used every second image of each folder, by sorted name, beginning with the first.
        places = [kinds[:number].count(kind) % 2 == half for number, kind in enumerate(kinds)]
        halves[name] = roc_auc_score(np.array(labels)[places], np.array(scores)[places])
    return {
        "images": len(scores),
        "image_auroc": roc_auc_score(labels, scores),
        "image_auroc_halves": halves,
        "average_precision": average_precision_score(labels, scores),
        "image_auroc_per_defect": per_defect,
        "at_rate": RATE,
        "false_alarms": statistics.mean(of_good),
        "misses": 1 - statistics.mean(of_bad),
    }


def measure_fit(data: Path, folder: Path, model: onlygood.Model, runs: int) -> dict[str, Any]:
    """The whole command against embedding its images with the bare backbone, in turns."""
    session, name, prepare = bare_backbone(model)
    prepared = [prepare(path) for path in sorted((data / "train" / "good").glob("*.jpg"))]
    embed, fit, peaks = [], [], []
    for _ in range(runs):
        embed.append(seconds(lambda: [session.run(None, {name: pixels}) for pixels in prepared]))
        wall, peak = onlygood_command("fit", data / "train" / "good", "-o", folder / "timed.onnx")
        fit.append(wall)
        peaks.append(peak)
    ratios = [whole / bare for whole, bare in zip(fit, embed, strict=True)]
    return {
        "images": len(prepared),
        "embed_s": spread(embed),
        "fit_s": spread(fit),
        "ratio": spread(ratios),
        "peak_memory_mb": max(peaks),
    }


def measure_inspect(data: Path, model: onlygood.Model, rounds: int) -> dict[str, Any]:
    """One decoded image in a warm process: the call, with its map, against the bare forward pass, in turns."""
    inspector = onlygood.Inspector(model)
    session, name, prepare = bare_backbone(model)
    trunk, full_name = whole_backbone()
    full = onnxruntime.InferenceSession(trunk.SerializeToString())
    paths = sorted((data / "test").rglob("*.jpg"))[:: max(1, 582 // rounds)]
    bare: list[float] = []
    whole: list[float] = []
    deep: list[float] = []
    for position, path in enumerate([*paths[:10], *paths]):
        pixels, prepared = np.asarray(Image.open(path)), prepare(path)
        times = (
            seconds(partial(session.run, None, {name: prepared})),
            seconds(partial(inspector, pixels)),
            seconds(partial(full.run, None, {full_name: prepared})),
        )
        if position >= 10:
            for values, taken in zip((bare, whole, deep), times, strict=True):
                values.append(1e3 * taken)
    return {
        "bare_ms": spread(bare),
        "inspect_ms": spread(whole),
        "whole_backbone_ms": spread(deep),
        "ratio": statistics.median(whole) / statistics.median(bare),
        "ratio_to_whole_backbone": statistics.median(whole) / statistics.median(deep),
    }


def measure_memory_growth(data: Path, folder: Path) -> dict[str, Any]:
    """Peak memory of fit with ten times the images: each written ten times with another brightness and crop."""
    many = folder / "ten_times"
    many.mkdir()
    rng = np.random.default_rng(0)
    paths = sorted((data / "train" / "good").glob("*.jpg"))
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("L"), dtype=np.float32)
        for copy in range(10):
            top, left = rng.integers(0, 24, 2)
            changed = np.clip(
                pixels[top:, left:] * rng.uniform(0.9, 1.1) + rng.normal(0, 2, pixels[top:, left:].shape), 0, 255
            )
            Image.fromarray(changed.astype(np.uint8)).save(many / f"{path.stem}_{copy}.jpg", quality=92)
    wall_one, one = onlygood_command("fit", data / "train" / "good", "-o", folder / "one.onnx")
    wall_ten, ten = onlygood_command("fit", many, "-o", folder / "ten.onnx")
    shutil.rmtree(many)
    return {
        "images": [len(paths), 10 * len(paths)],
        "peak_memory_mb": [one, ten],
        "ratio": ten / one,
        "fit_s": [wall_one, wall_ten],
    }


def measure_false_alarms(data: Path, resplits: int) -> dict[str, Any]:
    """False alarms on good images not seen, over seeded resplits of all good ones, at RATE.

    `images`: 762 drawn at random, so that a tile's other exposures may be among them. `tiles`: whole tiles are drawn,
    as far as the numbers in the names tell them apart (numbers within 60 of the next are one tile).
    """
    paths = sorted([*(data / "train" / "good").glob("*.jpg"), *(data / "test" / "good").glob("*.jpg")])
    numbers = np.array([int(re.sub(r".*num_(\d+).*", r"\1", path.name)) for path in paths])
    order = np.argsort(numbers)
    tiles = np.empty(len(paths), dtype=int)
    tiles[order] = np.cumsum(np.diff(numbers[order], prepend=numbers[order[0]]) > 60)
    arrays = [np.asarray(Image.open(path)) for path in paths]
    found: dict[str, dict[str, Any]] = {}
    for unit in ("images", "tiles"):
        for calibration in ("split", "leave-one-out"):
            rates, guaranteed = [], []
            for seed in range(resplits):
                rng = np.random.default_rng(seed)
                if unit == "images":
                    unseen = np.zeros(len(paths), dtype=bool)
                    unseen[rng.permutation(len(paths))[: len(paths) // 5]] = True
                else:
                    drawn = rng.permutation(tiles.max() + 1)[: (tiles.max() + 1) // 5]
                    unseen = np.isin(tiles, drawn)
                model = fit_method(
                    [array for array, new in zip(arrays, unseen, strict=True) if not new],
                    false_alarm_rate=RATE,
                    calibration=calibration,
                    seed=seed,
                )
                inspector = onlygood.Inspector(model, with_map=False)
                alarms = [inspector(array).is_anomaly for array, new in zip(arrays, unseen, strict=True) if new]
                rates.append(float(np.mean(alarms)))
                guaranteed.append(model.guarantee.stated_rate)
            found.setdefault(unit, {})[calibration] = {
                "rate": RATE,
                "guaranteed": max(guaranteed),
                "mean": float(np.mean(rates)),
                "standard_error": float(np.std(rates, ddof=1) / np.sqrt(resplits)),
                "rates": rates,
            }
            print(f"false alarms, {unit}, {calibration}: {np.mean(rates):.4f}", flush=True)
    return found


def measure_install(folder: Path) -> dict[str, Any]:
    """Megabytes that `pip install .` brings into an empty environment, and the time of `onlygood --help` there."""
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    packages = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    before = megabytes(packages)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", ROOT], check=True)
    helps = [
        seconds(lambda: subprocess.run([environment / "bin" / "onlygood", "--help"], check=True, capture_output=True))
        for _ in range(10)
    ]
    return {
        "installed_mb": megabytes(packages) - before,
        "has_torch": (packages / "torch").exists(),
        "help_s": spread(helps),
    }


def megabytes(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def machine() -> dict[str, Any]:
    versions = versions_of("onlygood", "onnxruntime", "numpy")
    return {**machine_facts(), **versions, "date": time.strftime("%Y-%m-%d")}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder magnetic_tile, in MVTec layout")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--only", nargs="*", help="measure these parts alone")
    parser.add_argument("--runs", type=int, default=5, help="of the fit command")
    parser.add_argument("--resplits", type=int, default=20, help="for the false alarms")
    options = parser.parse_args()
    data = options.data
    results: dict[str, Any] = json.loads(options.output.read_text()) if options.output.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = fit_method(data / "train" / "good", false_alarm_rate=RATE)
        path = folder / "part.onnx"
        model.save(path)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "accuracy": lambda: measure_accuracy(data, path),
            "fit": lambda: measure_fit(data, folder, model, options.runs),
            "inspect": lambda: measure_inspect(data, model, rounds=200),
            "memory_growth": lambda: measure_memory_growth(data, folder),
            "install": lambda: measure_install(folder),
            "false_alarms": lambda: measure_false_alarms(data, options.resplits),
        }
        chosen = [part for part in parts if not options.only or part in options.only]
        for number, part in enumerate(chosen, start=1):
            started = time.perf_counter()
            with running(part, number=number, total=len(chosen)):
                results[part] = {"machine": machine(), **parts[part]()}
            print(f"{part}: {time.perf_counter() - started:.0f} s", flush=True)
            print(json.dumps({k: v for k, v in results[part].items() if k != "machine"}, indent=1)[:2000], flush=True)
            write_result(options.output, results)


if __name__ == "__main__":
    main()
