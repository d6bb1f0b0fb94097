"""Defects of 8 x 8 pixels in images of 4000 x 3000, in tiles and as wholes; memory and seams at 100 megapixels.

    python -m benchmarks.studies.tiles small          # detection, a few minutes for each texture
    python -m benchmarks.studies.tiles large          # memory of a process that inspects 100 megapixels, and seams

The textures are those of the tests: blurred noise in grey, in colour and of a 12-bit camera, and two kinds of stripes
with a little noise. A defect is a square of one level, at a place drawn at random; its contrast is named.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import onlygood
from benchmarks.fitting import fit_method
from tests.textures import as_colour, texture

Image = NDArray[Any]

SIZE = (3000, 4000)
SIDE = 8
GOOD, TESTED = 12, 10
# Side and overlap of tiles of 100 megapixels.
LARGE = (320, 40)


def colour(seed: int, size: tuple[int, int]) -> Image:
    return as_colour(texture(seed, size))


def camera(seed: int, size: tuple[int, int]) -> Image:
    return texture(seed, size).astype(np.uint16) * 8 + 500


def stripes(seed: int, size: tuple[int, int]) -> Image:
    """Stripes across, of one width, at a phase and with a noise of their own."""
    random = np.random.default_rng(seed)
    rows = (np.arange(size[0]) + random.integers(14)) // 7 % 2 * 160 + 40
    noisy = rows[:, None] + random.normal(0, 6, size)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def along(seed: int, size: tuple[int, int]) -> Image:
    return np.ascontiguousarray(stripes(seed, size[::-1]).T)


TEXTURES: dict[str, Callable[[int, tuple[int, int]], Image]] = {
    "grey": texture,
    "colour": colour,
    "12 bit": camera,
    "stripes across": stripes,
    "stripes along": along,
}


def planted(image: Image, seed: int, share: float) -> Image:
    """The image with a square whose level is that share of the way from its mean to black."""
    random = np.random.default_rng([seed, 1])
    top, left = (int(random.integers(side - SIDE)) for side in image.shape[:2])
    changed = image.copy()
    changed[top : top + SIDE, left : left + SIDE] = round(float(image.mean()) * (1 - share))
    return changed


def small(names: list[str], *, seed: int) -> None:
    for name in names:
        make = TEXTURES[name]
        good = [make(seed + number, SIZE) for number in range(GOOD)]
        for tiles in (None, "auto"):
            started = time.perf_counter()
            model = fit_method(good, tiles=tiles)
            fitted = time.perf_counter() - started
            inspector = onlygood.Inspector(model, with_map=False)
            line = [f"{name}, tiles {tiles}: fit of {GOOD} in {fitted:.0f} s"]
            flagged = dict.fromkeys((0.0, 0.25, 0.5, 1.0), 0)
            started = time.perf_counter()
            for number in range(TESTED):
                image = make(seed + 1000 + number, SIZE)
                for share in flagged:
                    changed = planted(image, number, share) if share else image
                    flagged[share] += inspector(changed).is_anomaly
            each = (time.perf_counter() - started) / TESTED / len(flagged)
            line += [
                f"{'false alarms' if not share else f'found at contrast {share:g}'} {count}/{TESTED}"
                for share, count in flagged.items()
            ]
            print("; ".join(line), f"; {each:.2f} s an image", flush=True)


def large() -> None:
    """100 megapixels by a process of its own, whose peak memory the kernel tells; and how the map goes on over borders
    of tiles, as shares of its range.
    """
    random = np.random.default_rng(0)
    crops = [texture(number, (1500, 1500)) for number in range(4)]
    whole = [np.tile(crop, (7, 7))[:10000, :10000] for crop in crops]
    model = fit_method(whole, tiles=LARGE, near_duplicates="ignore", progress=True)
    with tempfile.TemporaryDirectory() as folder:
        path, image = Path(folder, "model.onnx"), Path(folder, "image.png")
        model.save(path)
        from PIL import Image as Pillow

        Pillow.MAX_IMAGE_PIXELS = None
        tested = np.tile(texture(99, (1500, 1500)), (7, 7))[:10000, :10000].copy()
        top, left = random.integers(9000, size=2)
        tested[top : top + SIDE, left : left + SIDE] = 0
        Pillow.fromarray(tested).save(image)
        code = (
            "import re, sys, onlygood, numpy as np\n"
            "from pathlib import Path\n"
            "inspector = onlygood.Inspector(sys.argv[1], max_pixels=10**9)\n"
            "found = inspector(sys.argv[2])\n"
            "peak = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]\n"
            "y, x = np.unravel_index(found.anomaly_map.argmax(), found.anomaly_map.shape)\n"
            "print(f'{int(peak) / 1e6:.2f} GB at most, {found.latency_ms / 1e3:.1f} s', flush=True)\n"
            "print(f'anomalous: {found.is_anomaly}, highest at {y}, {x}', flush=True)\n"
            "np.save(sys.argv[3], found.anomaly_map)\n"
        )
        print("planted at", top, left)
        seen = Path(folder, "map.npy")
        subprocess.run([sys.executable, "-c", code, str(path), str(image), str(seen)], check=True)
        seams(np.load(seen, mmap_mode="r"))


def seams(anomaly_map: Image) -> None:
    """Prints how the map changes from column to column near borders of tiles and elsewhere."""
    side, (tile, overlap) = anomaly_map.shape[1], LARGE
    count = -(-(side - overlap) // (tile - overlap))
    begins = [round(number * (side - tile) / (count - 1)) for number in range(count)]
    near = np.zeros(side - 1, dtype=bool)
    for border in [*begins[1:], *(begin + tile for begin in begins[:-1])]:
        near[border - 9 : border + 9] = True
    span = float(anomaly_map.max()) - float(anomaly_map.min())
    steps = np.zeros(side - 1)
    largest = 0.0
    for begin in range(0, len(anomaly_map), 500):
        rows = np.abs(np.diff(anomaly_map[begin : begin + 500].astype(np.float64), axis=1))
        steps += rows.sum(axis=0) / len(anomaly_map)
        largest = max(largest, float(rows[:, near].max()))
    print(
        f"mean step between columns {steps[near].mean() / span:.3%} of the range near borders, "
        f"{steps[~near].mean() / span:.3%} elsewhere; the largest of all near borders {largest / span:.2%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("small", "large"))
    parser.add_argument("--textures", default=",".join(TEXTURES))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.what == "large":
        large()
    else:
        small(given.textures.split(","), seed=given.seed)


if __name__ == "__main__":
    main()
