"""Images of a made-up part that lies anywhere, drawn where it lies and not moved afterwards, and where that is."""

from __future__ import annotations

import numpy as np

from textures import Array

HEIGHT, WIDTH = 96, 128


def part(
    seed: int = 0,
    *,
    degrees: float = 0.0,
    right: float = 0.0,
    down: float = 0.0,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    noise: float = 2.0,
    defect: bool = False,
    scale: float = 1.0,
) -> Array:
    """A bracket with a notch and a hole on a plain background, uint8 [H, W]: turned clockwise, then shifted.

    Args:
        seed: of the noise.
        degrees: clockwise, about the centre of the image.
        right: pixels.
        down: pixels.
        size: height and width.
        noise: standard deviation, in levels.
        defect: a dark spot at DEFECT, seen from the part.
        scale: pixels of this image in a pixel of the part.
    """
    y, x = (np.arange(side) + 0.5 - side / 2 for side in size)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    across, along = np.meshgrid((x - right) / scale, (y - down) / scale)
    u, v = cos * across + sin * along, cos * along - sin * across

    def inside(distance: Array) -> Array:
        return np.asarray(1 / (1 + np.exp(np.clip(2.0 * distance, -50, 50))))

    body = inside(np.maximum(np.abs(u) - 32, np.abs(v) - 14))
    body = np.maximum(body, inside(np.maximum(np.abs(u + 24) - 8, np.abs(v + 14) - 14)))
    body = body * (1 - inside(np.hypot(u - 18, v) - 6))
    levels = 190 - 110 * body + 20 * body * np.sin(u / 4) * np.cos(v / 5)
    if defect:
        levels = levels - 60 * inside(np.hypot(u - DEFECT[0], v - DEFECT[1]) - 5)
    levels = levels + np.random.default_rng(seed).normal(0, noise, size)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


# Right of and below the centre of the part, in pixels.
DEFECT = (-8.0, 4.0)


def place_of(point: tuple[float, float], degrees: float, right: float, down: float) -> tuple[float, float]:
    """The row and the column in an image of HEIGHT and WIDTH at which a point of the part lies."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    u, v = point
    return HEIGHT / 2 - 0.5 + down + sin * u + cos * v, WIDTH / 2 - 0.5 + right + cos * u - sin * v
