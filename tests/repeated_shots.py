"""Generated images of parts that were photographed several times, of variants of a part, and of passing parts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]

GREY = (150, 150, 150)
COLOURS = (GREY, (190, 60, 50), (60, 90, 190), (70, 160, 70))
SIZE = 96


def smooth(levels: Array, sigma: float) -> Array:
    """Noise blurred with a Gaussian and scaled to a standard deviation of 1; the borders are periodic."""
    rows, columns = (np.fft.fftfreq(size) for size in levels.shape)
    spectrum = np.fft.fft2(levels) * np.exp(-2 * (np.pi * sigma) ** 2 * (rows[:, None] ** 2 + columns**2))
    blurred = np.fft.ifft2(spectrum).real
    return blurred / blurred.std()


def part(seed: int, *, colour: Sequence[int] = GREY, size: int = SIZE, variation: float = 3.0) -> Array:
    """A disc with a ring and holes, float [H, W, 3]; its place, its angle, its grain and its shading are its own."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size - 0.5
    x, y = x - random.normal(0, 0.012 * variation), y - random.normal(0, 0.012 * variation)
    turned = random.uniform(-0.12, 0.12) * variation
    radius = np.hypot(x, y)

    def within(distance: Array) -> Array:
        return 1 / (1 + np.exp(-np.clip(distance / 0.012, -30, 30)))

    body = within(0.38 - radius)
    levels = 40 * (1 - body) + 150 * body
    levels *= 1 - 0.35 * within(0.30 - radius) * within(radius - 0.24)
    levels *= 1 - 0.6 * within(0.09 - radius)
    for angle in turned + 2 * np.pi * np.arange(5) / 5:
        levels *= 1 - 0.7 * within(0.035 - np.hypot(x - 0.19 * np.cos(angle), y - 0.19 * np.sin(angle)))
    levels += body * variation * 4 * smooth(random.normal(size=(size, size)), 1.5)
    levels += body * variation * 5 * smooth(random.normal(size=(size, size)), 12)
    return np.clip(levels[:, :, None] * np.array(colour) / 150, 0, 255)


def shot(
    scene: Array, seed: int, *, noise: float = 2.0, gain: float = 0.03, shift: float = 0.3, jpeg: int = 0
) -> Array:
    """One image of it, uint8: moved by fractions of a pixel, at another exposure, with noise and compression."""
    random = np.random.default_rng(seed)
    padded = np.pad(scene, ((3, 3), (3, 3), (0, 0)), mode="edge")
    down, right = np.clip(random.normal(0, shift, 2), -0.6, 0.6)
    rows, columns = (np.fft.fftfreq(size) for size in padded.shape[:2])
    phase = np.exp(-2j * np.pi * (rows[:, None] * down + columns * right))[:, :, None]
    moved = np.fft.ifft2(np.fft.fft2(padded, axes=(0, 1)) * phase, axes=(0, 1)).real[3:-3, 3:-3]
    levels = moved * (1 + np.clip(random.normal(0, gain), -2 * gain, 2 * gain)) + random.normal(0, noise, moved.shape)
    image = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    if not jpeg:
        return image
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=jpeg)
    return np.asarray(Image.open(stream))


def repeated(
    parts: int, each: int, *, colours: Sequence[Sequence[int]] = (GREY,), start: int = 0, **how: Any
) -> tuple[list[Array], list[int]]:
    """Images of so many parts, each photographed so often, and which part each image is of."""
    images, owners = [], []
    for number in range(parts):
        scene = part(start + number, colour=colours[number % len(colours)])
        images += [shot(scene, 1000 * (start + number) + 7 * frame + 1, **how) for frame in range(each)]
        owners += [start + number] * each
    return images, owners


def video(parts: int, frames: int, *, step: int = 1) -> tuple[list[Array], list[int]]:
    """Parts that pass one after the other, by so many pixels a frame."""
    images, owners = [], []
    for number in range(parts):
        scene = part(number, size=SIZE + step * frames)
        for frame in range(frames):
            view = scene[step * frames // 2 :][:SIZE, step * frame :][:, :SIZE]
            images.append(shot(view, 1000 * number + 7 * frame + 1, noise=1, gain=0.01, shift=0))
        owners += [number] * frames
    return images, owners
