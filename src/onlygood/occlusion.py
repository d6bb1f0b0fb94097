"""Where to look, by hiding: how much the score falls when a part of the image cannot be seen.

It asks nothing of the model but scores, so it serves where a map from inside says little: a network whose latent space
has no places, such as the LeNets of Deep SVDD. It costs as many inspections as there are windows.

Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood.images.channels import split_mask
from onlygood.images.reading import ImageArray

# Cells a side unless asked otherwise. A window hides two by two, so that every cell is hidden four times.
CELLS = 8
# Pixels and channels of hidden images that are scored at once.
_AT_ONCE = 8_000_000


def occlusion_map(
    image: ImageArray,
    scores: Callable[[ImageArray], NDArray[np.float32]],
    *,
    cells: int = CELLS,
    has_mask: bool = False,
) -> NDArray[np.float32]:
    """How much the score falls, float32 [H, W] and at least 0, in the score's unit.

    What is hidden gets the image's median level, channel by channel: the background of most images of parts.

    Args:
        image: uint8 or uint16 [H, W, C].
        scores: of a batch [n, H, W, C] to float32 [n].
        cells: a side of the grid that it is computed on, or as many as there are pixels if that is fewer.
        has_mask: whether the last channel is a mask, which stays as it is.
    """
    height, width, _ = image.shape
    rows = _edges(height, min(cells, height))
    columns = _edges(width, min(cells, width))
    whole = float(scores(image[None])[0])
    fall = np.zeros((len(rows) - 1, len(columns) - 1))
    count = np.zeros_like(fall)
    windows = [
        (slice(max(row, 0), row + 2), slice(max(column, 0), column + 2))
        for row in range(-1, len(fall))
        for column in range(-1, fall.shape[1])
    ]
    at_once = max(1, _AT_ONCE // image.size)
    for begin in range(0, len(windows), at_once):
        part = windows[begin : begin + at_once]
        hidden = scores(np.stack(list(_hide(image, part, rows, columns, has_mask=has_mask))))
        for window, score in zip(part, hidden.tolist(), strict=True):
            fall[window] += whole - score
            count[window] += 1
    small = Image.fromarray(np.maximum(fall / count, 0.0).astype(np.float32))
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)


def _edges(length: int, cells: int) -> NDArray[np.int64]:
    """Where each cell begins, and the last ends."""
    return np.linspace(0, length, cells + 1).round().astype(np.int64)


def _hide(
    image: ImageArray,
    windows: list[tuple[slice, slice]],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    *,
    has_mask: bool,
) -> Iterator[ImageArray]:
    channels = image.shape[2] - has_mask
    colours, mask = split_mask(image, has_mask=has_mask)
    levels = colours.reshape(-1, channels) if mask is None else colours[mask]
    background = np.median(levels, axis=0).astype(image.dtype)
    for down, across in windows:
        bottom, right = min(down.stop, len(rows) - 1), min(across.stop, len(columns) - 1)
        hidden = image.copy()
        hidden[rows[down.start] : rows[bottom], columns[across.start] : columns[right], :channels] = background
        yield hidden
