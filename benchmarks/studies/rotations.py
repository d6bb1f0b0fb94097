"""What --rotations does for parts that lie at any angle: AUROC, misses and false alarms, on castings and drawn parts.

    python -m benchmarks.studies.rotations --parts drawn --turned 0 --rotations 1 8 24
    python -m benchmarks.studies.rotations --parts casting --data data/casting --rotations 1 8

Of castings, images are evenly spaced among all to learn from and among the test images of either kind.
Drawn parts are brackets with two holes on a plain background, drawn at their angle and not turned afterwards; they are
learned as they lie within `--turned` degrees, and inspected at any angle. One line of JSON for each fit.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

import onlygood
from benchmarks.fitting import fit_method
from benchmarks.progress import running

DEFECTS = ("no hole", "scratch", "bite", "stain", "bent")
SHAPES = {"oblong": (160, 240), "square": (200, 200)}


def draw(seed: int, degrees: float, *, shape: tuple[int, int], length: float, defect: str | None = None) -> Any:
    """A bracket, uint8 [H, W]: `length` pixels long, turned clockwise by so many degrees, with noise of a camera."""
    random = np.random.default_rng([seed, 1 + DEFECTS.index(defect) if defect else 0])
    H, W = shape
    y, x = np.mgrid[:H, :W].astype(np.float64)
    x, y = x - (W - 1) / 2 - random.uniform(-3, 3), y - (H - 1) / 2 - random.uniform(-3, 3)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    u, v = cos * x + sin * y, cos * y - sin * x
    if defect == "bent":
        v = v + 0.12 * np.abs(u)

    def inside(distance: Any) -> Any:  # 1 inside and 0 outside, over one pixel
        return np.clip(0.5 - distance, 0, 1)

    def disc(at: float, across: float, radius: float) -> Any:
        return inside(np.hypot(u - at, v - across) - radius)

    a, b = length / 2 * random.uniform(0.99, 1.01), length / 7
    corner = np.hypot(np.maximum(np.abs(u) - a + 8, 0), np.maximum(np.abs(v) - b + 8, 0)) - 8
    part = inside(corner)
    part = part * (1 - inside(np.maximum(np.abs(u - 0.15 * length) - 5, b - 7 - v)))  # a notch on one side
    holes = [disc(-0.34 * length, 0, 0.08 * length), disc(0.36 * length, 0, 0.05 * length)]
    part = part * (1 - holes[0]) * (1 if defect == "no hole" else 1 - holes[1])
    if defect == "bite":
        part = part * (1 - disc(random.uniform(-0.2, 0.05) * length, -b, 6))
    level = 95 + 10 * np.cos(v / 3)  # grooves along it
    if defect == "scratch":
        along, across = random.uniform(-0.2, 0.2) * length, random.uniform(-0.4, 0.4) * b
        level = level - 60 * inside(np.maximum(np.abs((u - along) + 0.6 * (v - across)) - 0.8, np.abs(v - across) - 7))
    if defect == "stain":
        level = level + 35 * disc(random.uniform(-0.2, 0.2) * length, random.uniform(-0.4, 0.4) * b, 5)
    light = random.uniform(0.97, 1.03) * (1 + 0.0004 * (x + y))
    pixels = light * (part * level + (1 - part) * 190) + random.normal(0, 2.5, (H, W))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def drawn_parts(options: argparse.Namespace) -> tuple[list[Any], list[Any], list[Any]]:
    """Good ones to learn from; good and defective ones at any angle."""
    random = np.random.default_rng(options.seed)
    how: dict[str, Any] = {"shape": SHAPES[options.frame], "length": options.length}

    def lying(most: float) -> float:
        return float(random.uniform(-most, most))

    good = [draw(10_000 * options.seed + number, lying(options.turned), **how) for number in range(options.good)]
    new = [draw(10_000 * options.seed + 1000 + number, lying(180), **how) for number in range(options.test)]
    bad = [
        draw(10_000 * options.seed + 2000 + number, lying(180), defect=DEFECTS[number % len(DEFECTS)], **how)
        for number in range(options.test)
    ]
    return good, new, bad


def casting(options: argparse.Namespace) -> tuple[list[Any], list[Any], list[Any]]:
    """Paths: good ones to learn from, evenly spaced among all; good and defective ones to test, likewise."""

    def some(folder: str, count: int) -> list[Any]:
        paths = sorted((options.data / folder).iterdir())
        return [paths[place] for place in np.unique(np.linspace(0, len(paths) - 1, count).astype(int))]

    return some("train/good", options.good), some("test/good", options.test), some("test/defect", options.test)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", choices=("casting", "drawn"), default="drawn")
    parser.add_argument("--data", type=Path, default=Path("data/casting"))
    parser.add_argument("--frame", choices=sorted(SHAPES), default="oblong")
    parser.add_argument("--length", type=float, default=130, help="of a drawn part, in pixels")
    parser.add_argument("--turned", type=float, default=0, help="degrees by which drawn parts to learn from lie turned")
    parser.add_argument("--good", type=int, default=30, help="images to learn from")
    parser.add_argument("--test", type=int, default=60, help="good and as many defective images to inspect")
    parser.add_argument("--rotations", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--method", default="patch")
    parser.add_argument("--bank-size", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    good, new, bad = casting(options) if options.parts == "casting" else drawn_parts(options)
    settings = {} if options.bank_size is None else {"bank_size": options.bank_size}
    for number, rotations in enumerate(options.rotations, start=1):
        with running(f"{rotations} rotations", number=number, total=len(options.rotations)):
            start = time.perf_counter()
            model = fit_method(good, options.method, settings, rotations=rotations, threads=1, seed=options.seed)
            took = time.perf_counter() - start
            inspect = onlygood.Inspector(model, with_map=False)
            scores = np.array([inspect(image).score for image in (*new, *bad)])
        labels = np.arange(len(scores)) >= len(new)
        row = {
            **{name: getattr(options, name) for name in ("parts", "method", "seed", "good")},
            **(
                {name: getattr(options, name) for name in ("frame", "length", "turned")}
                if options.parts == "drawn"
                else {}
            ),
            "rotations": rotations,
            "auroc": round(float(roc_auc_score(labels, scores)), 4),
            "missed": f"{int((scores[labels] <= 0).sum())} of {int(labels.sum())}",
            "false_alarms": f"{int((scores[~labels] > 0).sum())} of {len(new)}",
            "fit_s": round(took, 1),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
