"""Images of a made-up material, good and defective, and settings with which a fit of them takes half a second."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Array = NDArray[Any]

SIZE = 96
FAST: dict[str, Any] = {
    "input_size": 64,
    "bank_size": 300,
    "false_alarm_rate": 0.1,
    "threshold_rule": "conformal",
}
FAST_POOLED: dict[str, Any] = {
    "input_size": 64,
    "false_alarm_rate": 0.1,
    "threshold_rule": "conformal",
    "taps": ("stage4",),
}
FAST_TRAINING: dict[str, Any] = {
    "false_alarm_rate": 0.2,
    "threshold_rule": "conformal",
    "pretrain_epochs": 4,
    "epochs": 6,
    "batch_size": 4,
}
FAST_DOC: dict[str, Any] = {
    "input_size": 64,
    "false_alarm_rate": 0.2,
    "threshold_rule": "conformal",
    "epochs": 4,
    "batch_size": 4,
}
FAST_DISCRIMINATOR: dict[str, Any] = {
    "input_size": 64,
    "false_alarm_rate": 0.2,
    "threshold_rule": "conformal",
    "epochs": 150,
}
GOOD = 16
DEFECT = (slice(36, 60), slice(30, 54))


def texture(seed: int, size: tuple[int, int] = (SIZE, SIZE)) -> Array:
    """A good image, uint8 [H, W]: blurred noise around 128."""
    noise = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1.2)))


def textures(count: int, *, start: int = 0) -> list[Array]:
    return [texture(start + number) for number in range(count)]


def with_defect(image: Array, level: int = 0) -> Array:
    """The image with a patch of one level, at DEFECT."""
    changed = image.copy()
    changed[DEFECT] = level
    return changed


def twelve_bit(seed: int) -> Array:
    """A good image of a 12-bit camera that uses its lower half, uint16 [H, W]: 500 to 2,540."""
    return texture(seed).astype(np.uint16) * 8 + 500


def as_colour(image: Array) -> Array:
    return np.repeat(image.reshape(*image.shape[:2], -1)[:, :, :1], 3, axis=2)


def save(folder: Path, images: dict[str, Array]) -> Path:
    """Images as files of these names, in a folder that is made."""
    for name, image in images.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def numbered(images: list[Array]) -> dict[str, Array]:
    return {f"{number:02}.png": image for number, image in enumerate(images)}


def reference_images(each: int = 6) -> dict[str, list[Array]]:
    """Images of two other materials: stripes across and stripes along, each of another width."""
    widths = [3 + number for number in range(each)]
    across = [np.repeat((np.arange(SIZE) // width % 2 * 200 + 20)[:, None], SIZE, axis=1) for width in widths]
    return {
        "across": [image.astype(np.uint8) for image in across],
        "along": [image.T.astype(np.uint8) for image in across],
    }
