"""Model files and images, as those who use a station send them."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from textures import texture, with_defect

MODELS = Path(__file__).parents[1] / "models"
# They learned from grey textures, and take a few milliseconds an image.
PATCH = (MODELS / "format-2-patch.onnx").read_bytes()
KNN = (MODELS / "format-2-knn.onnx").read_bytes()


def png(seed: int, *, is_good: bool = True) -> bytes:
    """The bytes of a PNG file with a grey texture of 96 x 96 pixels, good or with a black square."""
    pixels = texture(seed) if is_good else with_defect(texture(seed))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def colour_png() -> bytes:
    """The bytes of a PNG file in colour, which the models of this file do not take."""
    buffer = io.BytesIO()
    Image.new("RGB", (96, 96), (200, 20, 90)).save(buffer, format="PNG")
    return buffer.getvalue()
