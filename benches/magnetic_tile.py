"""The figures of the patch method on the magnetic-tile images: accuracy, time, memory, size, false alarms.

    python benches/magnetic_tile.py --data PATH/magnetic_tile --output benches/results/magnetic_tile.json

Times are ratios within one run: to the bare backbone, cut at the taps that the detector uses and doing nothing but
embed the same images, decoded, resized and normalised beforehand, through ONNX Runtime with its default threads.
Measurements of the two alternate, and medians are compared, because machines are shared and noisy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

import onlygood
from onlygood.backbones.backbone import load_backbone
from onlygood.graph.trunk import cut_trunk

RATE = 0.05


def bare_backbone(model: dict[str, Any]) -> tuple[onnxruntime.InferenceSession, Callable[[Path], np.ndarray]]:
    """The trunk as the model uses it, and a function that prepares an image for it."""
    backbone = load_backbone(model["settings"]["backbone"])
    card = backbone.card
    names = dict.fromkeys(name for level in model["patch"]["levels"] for name in level["taps"])
    trunk = cut_trunk(backbone, card.choose_taps(list(names)))
    height, width = model["input"]["input_shape"]

    def prepare(path: Path) -> np.ndarray:
        pixels = np.asarray(Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
        return ((pixels - np.array(card.mean)) / np.array(card.std)).astype(np.float32).transpose(2, 0, 1)[None]

    return onnxruntime.InferenceSession(trunk.SerializeToString()), prepare


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def command(*arguments: str | Path) -> tuple[float, int]:
    """Wall time in seconds and peak memory in kB of one run of the command line, in a process of its own."""
    script = (
        "import json, resource, subprocess, sys, time\n"
        "started = time.perf_counter()\n"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode\n"
        "print(json.dumps([time.perf_counter() - started, "
        "resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, code]))\n"
    )
    line = [sys.executable, "-c", script, sys.executable, "-m", "onlygood", *map(str, arguments)]
    wall, peak, code = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    if code not in (0, 1):
        raise RuntimeError(f"onlygood {' '.join(map(str, arguments))} ended with {code}")
    return wall, peak


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def measure_accuracy(data: Path, folder: Path, model: Path) -> dict[str, Any]:
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
        "at_rate": inspector.metadata["guarantee"]["requested_rate"],
        "false_alarms": statistics.mean(of_good),
        "misses": 1 - statistics.mean(of_bad),
    }


def measure_fit(data: Path, folder: Path, model: Path, runs: int) -> dict[str, Any]:
    """The whole command against embedding its images with the bare backbone, in turns."""
    session, prepare = bare_backbone(onlygood.Inspector(model).metadata)
    name = session.get_inputs()[0].name
    prepared = [prepare(path) for path in sorted((data / "train" / "good").glob("*.jpg"))]
    embed, fit, peaks = [], [], []
    for _ in range(runs):
        embed.append(seconds(lambda: [session.run(None, {name: pixels}) for pixels in prepared]))
        wall, peak = command("fit", data / "train" / "good", "-o", folder / "timed.onnx")
        fit.append(wall)
        peaks.append(peak / 1e3)
    ratios = [whole / bare for whole, bare in zip(fit, embed, strict=True)]
    return {
        "images": len(prepared),
        "embed_s": spread(embed),
        "fit_s": spread(fit),
        "ratio": spread(ratios),
        "peak_memory_mb": max(peaks),
    }


def measure_inspect(data: Path, model: Path, rounds: int) -> dict[str, Any]:
    """One decoded image in a warm process: the call, with its map, against the bare forward pass, in turns."""
    inspector = onlygood.Inspector(model)
    session, prepare = bare_backbone(inspector.metadata)
    full = onnxruntime.InferenceSession(load_backbone("lite0").model.SerializeToString())
    name = session.get_inputs()[0].name
    paths = sorted((data / "test").rglob("*.jpg"))[:: max(1, 582 // rounds)]
    bare, whole, deep = [], [], []
    for position, path in enumerate([*paths[:10], *paths]):
        pixels, prepared = np.asarray(Image.open(path)), prepare(path)
        times = (
            seconds(lambda prepared=prepared: session.run(None, {name: prepared})),
            seconds(lambda pixels=pixels: inspector(pixels)),
            seconds(lambda prepared=prepared: full.run(["head"], {full.get_inputs()[0].name: prepared})),
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
    wall_one, one = command("fit", data / "train" / "good", "-o", folder / "one.onnx")
    wall_ten, ten = command("fit", many, "-o", folder / "ten.onnx")
    shutil.rmtree(many)
    return {
        "images": [len(paths), 10 * len(paths)],
        "peak_memory_mb": [one / 1e3, ten / 1e3],
        "ratio": ten / one,
        "fit_s": [wall_one, wall_ten],
    }


def measure_false_alarms(data: Path, resplits: int) -> dict[str, Any]:
    """False alarms on good images not seen, over seeded resplits of all good ones, at RATE.

    `images`: 762 drawn at random, so that a tile's other exposures may be among them. `tiles`: whole tiles are drawn,
    as far as the numbers in the names tell them apart (numbers within 60 of the next are one tile).
    """
    paths = sorted([*(data / "train" / "good").glob("*.jpg"), *(data / "test" / "good").glob("*.jpg")])
    numbers = np.array([int(re.search(r"num_(\d+)", path.name).group(1)) for path in paths])
    order = np.argsort(numbers)
    tiles = np.empty(len(paths), dtype=int)
    tiles[order] = np.cumsum(np.diff(numbers[order], prepend=numbers[order[0]]) > 60)
    arrays = [np.asarray(Image.open(path)) for path in paths]
    found: dict[str, dict[str, list[float]]] = {}
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
                model = onlygood.fit(
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
    root = Path(__file__).resolve().parent.parent
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-c", root / "constraints.txt", root], check=True)
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
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())
        model = found.group(1) if found else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "onlygood": onlygood.__version__,
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
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
        model = folder / "part.onnx"
        command("fit", data / "train" / "good", "-o", model, "--false-alarm-rate", str(RATE))
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "accuracy": lambda: measure_accuracy(data, folder, model),
            "fit": lambda: measure_fit(data, folder, model, options.runs),
            "inspect": lambda: measure_inspect(data, model, rounds=200),
            "memory_growth": lambda: measure_memory_growth(data, folder),
            "install": lambda: measure_install(folder),
            "false_alarms": lambda: measure_false_alarms(data, options.resplits),
        }
        for part, measure in parts.items():
            if options.only and part not in options.only:
                continue
            started = time.perf_counter()
            results[part] = {"machine": machine(), **measure()}
            print(f"{part}: {time.perf_counter() - started:.0f} s", flush=True)
            print(json.dumps({k: v for k, v in results[part].items() if k != "machine"}, indent=1)[:2000], flush=True)
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
