"""What --align does for parts that lie anywhere: how well images are registered, what is found, and what it costs.

    python -m benchmarks.studies.alignment registration --data data --set aliens --align rigid --degrees 15
    python -m benchmarks.studies.alignment detection --data data --set aliens --align rigid --degrees 15
    python -m benchmarks.studies.alignment cost --height 2000 --width 3000

Images are laid on a square canvas of the median level of their outermost pixels, so large that parts stay in view, and
moved there: turned about the centre by up to `--degrees` either way and shifted by up to `--shift` of the side of the
image, with Pillow's bicubic resampling. What comes into view has that level, too.

`registration` compares where the model's own output `alignment` says that a part lies in a moved image with where it
says that it lies in the image as it was, moved by what is known: points on a circle of 0.35 of the side of the image
about the centre are so far apart in the mean, in pixels. What is common to both, an error of the image as it was, is
not seen. For `deeppcb`, where each image is of another board, the golden sample is the defect-free image of the same
board, which lies at the same place: there nothing is common to both.

`detection` fits to good images that lie as they were, without alignment, with it, and with it and a region of interest,
the place of the image on the canvas, and inspects test images as they were and moved. `cost` compares inspections with
maps, alternating in one run. One line of JSON each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image
from sklearn.metrics import roc_auc_score

import onlygood
from benchmarks.fitting import fit_method
from benchmarks.progress import running
from benchmarks.studies.rotations import draw
from benchmarks.studies.timing import seconds

CANVAS = 1.3
CIRCLE = 0.35


def files(folder: Path, most: int) -> list[Path]:
    """So many of a folder's files, evenly spaced."""
    found = sorted(file for file in folder.iterdir() if file.suffix in (".png", ".jpg", ".jpeg"))
    return [found[at] for at in np.unique(np.linspace(0, len(found) - 1, most).astype(int))]


def on_canvas(image: Any) -> Any:
    """The image in the middle of a square canvas, uint8 [side, side, C]."""
    side = round(CANVAS * max(image.shape[:2]))
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    canvas = np.empty((side, side, image.shape[2]), np.uint8)
    canvas[:] = np.median(border, axis=0).astype(np.uint8)
    canvas[place_on_canvas(image)] = image
    return canvas


def place_on_canvas(image: Any) -> tuple[slice, slice]:
    side = round(CANVAS * max(image.shape[:2]))
    height, width = image.shape[:2]
    top, left = (side - height) // 2, (side - width) // 2
    return slice(top, top + height), slice(left, left + width)


def move(image: Any, degrees: float, right: float, down: float) -> Any:
    """The image turned clockwise about its centre and then shifted by so many pixels, uint8 [H, W, C]."""
    height, width = image.shape[:2]
    margin = max(height, width) // 2
    wide = np.empty((height + 2 * margin, width + 2 * margin, image.shape[2]), np.uint8)
    wide[:] = image[0, 0]
    wide[margin : margin + height, margin : margin + width] = image
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y = wide.shape[1] / 2, wide.shape[0] / 2
    inverse = (
        *(cos, sin, x - cos * (x + right) - sin * (y + down)),
        *(-sin, cos, y + sin * (x + right) - cos * (y + down)),
    )
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(wide[:, :, channel])).transform(
                (wide.shape[1], wide.shape[0]), Image.Transform.AFFINE, inverse, Image.Resampling.BICUBIC
            )
        )
        for channel in range(wide.shape[2])
    ]
    return np.ascontiguousarray(np.stack(planes, axis=-1)[margin : margin + height, margin : margin + width])


def turned(degrees: float) -> Any:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, -sin], [sin, cos]])


def apart(one: Any, other: Any, radius: float) -> float:
    """The mean distance of points on a circle as two motions move them, in pixels."""
    around = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    points = radius * np.stack([np.cos(around), np.sin(around)])
    lie = [turned(degrees) @ points + np.array([[right], [down]]) for degrees, right, down in (one, other)]
    return float(np.hypot(*(lie[0] - lie[1])).mean())


def motions(options: argparse.Namespace, count: int, side: float) -> list[tuple[float, float, float]]:
    random = np.random.default_rng(options.seed)
    most = options.degrees if options.align == "rigid" else 0.0
    found = []
    for _ in range(count):
        degrees = float(random.uniform(-most, most))
        right, down = (float(each) for each in random.uniform(-1, 1, 2) * options.shift * side)
        found.append((degrees, right, down))
    return found


def alignment_of(model: onlygood.Model) -> Any:
    """A function that gives degrees, pixels to the right and down, and the correlation of an image."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.file.content, options)
    return lambda image: session.run(["alignment"], {"image": image[None]})[0][0].astype(float)


def registration(options: argparse.Namespace) -> None:
    folder = options.data / options.set
    settings = {"input_size": 64, "bank_size": 200}
    errors, angles, correlations = [], [], []
    if options.set == "deeppcb":
        pairs = [
            (folder / "test" / "good" / file.name, file)
            for file in files(folder / "test" / "defect", options.test)
            if (folder / "test" / "good" / file.name).exists()
        ]
    else:
        fitted = [on_canvas(onlygood.read_image(file)) for file in files(folder / "train" / "good", options.good)]
        model = fit_method(fitted, "patch", settings, align=options.align, threads=1)
        locate = alignment_of(model)
        kinds = sorted((folder / "test").iterdir())
        pairs = [(None, file) for kind in kinds for file in files(kind, options.test // len(kinds))]
    for number, (golden, file) in enumerate(pairs):
        image = on_canvas(onlygood.read_image(file))
        side = max(image.shape[:2]) / CANVAS
        motion = motions(options, len(pairs), side)[number]
        before = np.zeros(3)
        if golden is not None:
            sample = on_canvas(onlygood.read_image(golden))
            few = [move(sample, 0.0, float(step), 0.0) for step in range(4)]
            locate = alignment_of(fit_method(few, "patch", settings, align=options.align, align_to=sample, threads=1))
        else:
            before = locate(image)[:3]
        found = locate(move(image, *motion))
        degrees, right, down = motion
        wanted = (before[0] + degrees, *(turned(degrees) @ before[1:] + [right, down]))
        errors.append(apart(wanted, found[:3], CIRCLE * side))
        angles.append(abs((wanted[0] - found[0] + 180) % 360 - 180))
        correlations.append(found[3])
    shifts_only = options.align == "translation"
    print(
        json.dumps(
            {
                **about(options),
                "images": len(errors),
                "side": round(side),
                "median_px": round(float(np.median(errors)), 2),
                "p95_px": round(float(np.quantile(errors, 0.95)), 2),
                "within_1_percent": round(float(np.mean(np.array(errors) <= 0.01 * side)), 3),
                **({} if shifts_only else {"median_degrees": round(float(np.median(angles)), 2)}),
                **({} if shifts_only else {"p95_degrees": round(float(np.quantile(angles, 0.95)), 2)}),
                "median_correlation": round(float(np.median(correlations)), 2),
            }
        ),
        flush=True,
    )


def about(options: argparse.Namespace) -> dict[str, Any]:
    names = ("what", "set", "align", "shift", "seed", *(("degrees",) if options.align == "rigid" else ()))
    return {name: getattr(options, name) for name in names}


def detection(options: argparse.Namespace) -> None:
    folder = options.data / options.set
    good = [on_canvas(onlygood.read_image(file)) for file in files(folder / "train" / "good", options.good)]
    kinds = sorted((folder / "test").iterdir())
    bad_kinds = [kind for kind in kinds if kind.name != "good"]
    test = [(file, False) for file in files(folder / "test" / "good", options.test)]
    test += [(file, True) for kind in bad_kinds for file in files(kind, options.test // len(bad_kinds))]
    still = [on_canvas(onlygood.read_image(file)) for file, _ in test]
    labels = np.array([is_bad for _, is_bad in test])
    moved = [
        move(image, *motion)
        for image, motion in zip(still, motions(options, len(still), max(still[0].shape[:2]) / CANVAS), strict=True)
    ]
    roi = np.zeros(good[0].shape[:2], bool)
    roi[place_on_canvas(onlygood.read_image(test[0][0]))] = True
    asked = ((None, None), (options.align, None), (options.align, roi))
    for number, (align, region) in enumerate(asked, start=1):
        with running(f"{options.set} {align or 'as they are'}", number=number, total=len(asked)):
            began = time.perf_counter()
            settings = {} if options.bank_size is None else {"bank_size": options.bank_size}
            model = fit_method(good, "patch", settings, align=align, roi=region, threads=2, seed=options.seed)
            took = time.perf_counter() - began
            inspect = onlygood.Inspector(model, with_map=False)
            for which, images in (("as they were", still), ("moved", moved)):
                scores = np.array([inspect(image).score for image in images])
                row = {
                    **about(options),
                    "fitted": len(good),
                    "aligned": align is not None,
                    "region": region is not None,
                    "test": which,
                    "auroc": round(float(roc_auc_score(labels, scores)), 4),
                    "missed": f"{int((scores[labels] <= 0).sum())} of {int(labels.sum())}",
                    "false_alarms": f"{int((scores[~labels] > 0).sum())} of {int((~labels).sum())}",
                    "fit_s": round(took, 1),
                }
                print(json.dumps(row), flush=True)


def cost(options: argparse.Namespace) -> None:
    shape = options.height, options.width
    parts = [draw(number, 0.0, shape=shape, length=0.6 * min(shape)) for number in range(8)]
    inspectors = {}
    for align in ("none", "translation", "rigid"):
        asked = None if align == "none" else align
        model = fit_method(parts, "patch", {"bank_size": 2000}, align=asked, near_duplicates="ignore", threads=2)
        inspectors[align] = onlygood.Inspector(model)
    times: dict[str, list[float]] = {align: [] for align in inspectors}
    for number in range(options.rounds + 2):
        for align, inspect in inspectors.items():
            image = parts[number % len(parts)]
            took = 1e3 * seconds(lambda inspect=inspect, image=image: inspect(image))  # type: ignore[misc]
            if number >= 2:
                times[align].append(took)
    medians = {align: statistics.median(each) for align, each in times.items()}
    row = {
        "what": "cost",
        "height": options.height,
        "width": options.width,
        "ms": {align: round(each, 1) for align, each in medians.items()},
        "ratio": {align: round(each / medians["none"], 2) for align, each in medians.items()},
    }
    print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("registration", "detection", "cost"))
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--set", default="aliens")
    parser.add_argument("--align", choices=("translation", "rigid"), default="translation")
    parser.add_argument("--degrees", type=float, default=15.0, help="largest angle either way, for rigid")
    parser.add_argument("--shift", type=float, default=0.1, help="largest shift, as a share of the image's side")
    parser.add_argument("--good", type=int, default=30, help="images to learn from")
    parser.add_argument("--test", type=int, default=40, help="images; for detection, good and as many defective ones")
    parser.add_argument("--bank-size", type=int)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    {"registration": registration, "detection": detection, "cost": cost}[options.what](options)


if __name__ == "__main__":
    main()
