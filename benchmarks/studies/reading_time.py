"""What it costs to read images so that damage is found: milliseconds of `onlygood.read_image` and of Pillow.

    python -m benchmarks.studies.reading_time

Pillow decodes the same bytes to the same pixels, and drops libjpeg's warnings of damage. Each figure is the least
processor time of several runs, one image at a time, so that other work on the machine counts little.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import onlygood

SIZES = ((480, 640), (1080, 1920), (3000, 4000))
KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "JPEG": ("JPEG", {"quality": 90}),
    "JPEG, progressive": ("JPEG", {"quality": 90, "progressive": True}),
    "JPEG, grey": ("JPEG", {"quality": 90}),
    "TIFF, JPEG": ("TIFF", {"compression": "jpeg"}),
    "WebP": ("WEBP", {"quality": 90, "method": 0}),
    "WebP without loss": ("WEBP", {"lossless": True, "method": 0}),
    "GIF": ("GIF", {}),
    "PNG": ("PNG", {"compress_level": 1}),
}


def texture(height: int, width: int) -> NDArray[np.uint8]:
    """Waves with some noise, as surfaces have it."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 17) + np.cos(y / 23), 2 * np.sin((x + y) / 31), 2 * np.cos(x / 9)], axis=2)
    noisy = 128 + 40 * waves + np.random.default_rng(0).normal(0, 4, waves.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def by_pillow(data: bytes) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(data))
    return np.asarray(image.convert("RGB") if image.mode == "P" else image)


def least_ms(read: Callable[[bytes], object], data: bytes, runs: int = 7) -> float:
    times = []
    for _ in range(runs):
        started = time.process_time()
        read(data)
        times.append(time.process_time() - started)
    return 1000 * min(times)


def encoded(kind: str, height: int, width: int) -> bytes:
    name, options = KINDS[kind]
    image = Image.fromarray(texture(height, width))
    image = image.convert("L") if "grey" in kind else image.convert("P") if name == "GIF" else image
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def main() -> None:
    """A table of all kinds and sizes."""
    print("| | size | Pillow | onlygood | ratio |\n|---|---|---:|---:|---:|")
    for kind in KINDS:
        for height, width in SIZES:
            data = encoded(kind, height, width)
            pillow, ours = least_ms(by_pillow, data), least_ms(onlygood.read_image, data)
            print(
                f"| {kind} | {width} x {height} | {pillow:.1f} ms | {ours:.1f} ms | {ours / pillow:.2f} |", flush=True
            )


if __name__ == "__main__":
    main()
