"""A line of two products, and options with which a fit of each takes a second."""

from pathlib import Path
from typing import Any

import numpy as np

import onlygood
from textures import FAST, Array, numbered, save, textures

COUNT = 10
FAST_PATCH = onlygood.Patch(input_size=FAST["input_size"], bank_size=100)
OPTIONS: dict[str, Any] = {
    "method": FAST_PATCH,
    "false_alarm_rate": 0.1,
    "threshold_rule": "conformal",
    "near_duplicates": "ignore",
}


def stripes(seed: int) -> Array:
    """A good image of the other product, uint8 [96, 96]: stripes at a phase of its own, and noise."""
    random = np.random.default_rng(seed)
    rows = (np.arange(96) + random.integers(14)) // 7 % 2 * 160 + 40
    return np.asarray(np.clip(rows[:, None] + random.normal(0, 6, (96, 96)), 0, 255).astype(np.uint8))


def save_line(folder: Path) -> Path:
    """A sub-folder of good images for each product, in a folder that is made."""
    save(folder / "bolt", numbered(textures(COUNT)))
    save(folder / "nut", numbered([stripes(number) for number in range(COUNT)]))
    return folder
