"""What kind of image an image is, whatever it shows: its size, depth, colour, file format and sharpness."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood.images.channels import split_mask
from onlygood.images.pixels import ImageArray
from onlygood.images.reading import ImageSource
from onlygood.images.signatures import HEAD_BYTES, format_of

# So many rows and columns of an image, at most, give its sharpness, in pieces of so many pixels.
_LINES = 24
_PIECE = 32

Span: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class ImageKind:
    """The kind of one image.

    Attributes:
        height: in pixels.
        width: in pixels.
        channels: 1 (grey, also where it is written as three equal channels), 3 (colour) or another number of them.
        bits: that its highest level needs, at least 8.
        sharpness: the mean squared difference of neighbouring pixels, as a share of twice the variance: 1 for noise
            without any structure, near 0 for what is blurred. The median over short pieces of rows and columns, so that
            a defect, however dark, changes little; None for an image of one level.
        red_minus_blue: the mean of red without that of blue, as a share of the range of levels; None but for colour.
        file_format: "JPEG", "PNG", ...; None for an image in memory.
    """

    height: int
    width: int
    channels: int
    bits: int
    sharpness: float | None
    red_minus_blue: float | None
    file_format: str | None


def kind_of(image: ImageArray, file_format: str | None, *, has_mask: bool = False) -> ImageKind:
    """The kind of an image, without its mask.

    Args:
        image: [H, W, C], as `read_image` gives it.
        file_format: of its file, as `format_of_source` gives it.
        has_mask: whether the last channel is a mask.
    """
    image, _ = split_mask(image, has_mask=has_mask)
    height, width, channels = image.shape
    bits = 8 if image.dtype == np.uint8 else max(8, int(image.max()).bit_length())
    red_minus_blue = None
    if channels == 3:
        rows = image[:: math.ceil(height / _LINES)]
        if (rows == rows[:, :, :1]).all():
            channels = 1
        red_minus_blue = float(rows[:, :, 0].mean() - rows[:, :, 2].mean()) / np.iinfo(image.dtype).max
    return ImageKind(height, width, channels, bits, _sharpness(image), red_minus_blue, file_format)


def format_of_source(source: ImageSource) -> str | None:
    """The format of a file by its first bytes; None for arrays, for PIL images that were made in memory, and for files
    that are in none that is read or cannot be opened.
    """
    if isinstance(source, Image.Image):
        return source.format
    if isinstance(source, bytes):
        return format_of(source[:HEAD_BYTES])
    if not isinstance(source, str | os.PathLike):
        return None
    try:
        with Path(source).open("rb") as file:
            return format_of(file.read(HEAD_BYTES))
    except (OSError, ValueError):  # whoever reads the image says what is wrong
        return None


def _sharpness(image: ImageArray) -> float | None:
    """See `ImageKind`; of the green channel."""
    plane = image[:, :, min(1, image.shape[2] - 1)]
    rows = plane[:: math.ceil(plane.shape[0] / _LINES)]
    columns = plane[:, :: math.ceil(plane.shape[1] / _LINES)].T
    ratios = np.concatenate([_ratios(lines) for lines in (rows, columns)])
    return float(np.median(ratios)) if len(ratios) else None


def _ratios(lines: ImageArray) -> NDArray[np.float32]:
    """The mean squared difference of neighbours over twice the variance, of each piece of some lines [n, length]."""
    length = min(_PIECE, lines.shape[1])
    pieces = lines[:, : lines.shape[1] // length * length].reshape(-1, length).astype(np.float32)
    variance = pieces.var(axis=1)
    differences = np.square(np.diff(pieces, axis=1)).sum(axis=1) / max(1, length - 1)
    ratios: NDArray[np.float32] = differences[variance > 0] / (2 * variance[variance > 0])
    return ratios
