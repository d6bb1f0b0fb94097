"""Images made small enough for a page, without losing what is small in them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood.heatmap import overlay, to_screen
from onlygood.images.channels import shown_channels
from onlygood.images.reading import ImageArray

LONG_SIDE = 256
QUALITY = 80
# An image is averaged in blocks down to this multiple of its size on the page, and from there resized smoothly.
_BEFORE_RESIZING = 4

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Thumbnail:
    """An image inside the page.

    Attributes:
        uri: `data:image/jpeg;base64,...`.
        width: in pixels.
        height: in pixels.
    """

    uri: str
    width: int
    height: int


def draw_thumbnails(
    image: ImageArray,
    anomaly_map: NDArray[np.float32] | None,
    *,
    levels: tuple[float, float],
    window: tuple[float, float],
    mask: NDArray[np.bool_] | None = None,
    long_side: int = LONG_SIDE,
    quality: int = QUALITY,
) -> tuple[Thumbnail, Thumbnail | None]:
    """The image, and the same with its map (None without a map), at most so many pixels on their long side.

    Everything is made small before it is drawn on. Of the map each small pixel shows the highest level that it covers,
    and of the mask whether anything in it is marked, so that a defect of a few pixels in a large image is seen.

    Args:
        image: [H, W, C], uint8 or uint16; of other channels than grey or colour the first are shown.
        anomaly_map: float32, [H, W], or [h, w] on a coarser grid, which is then interpolated.
        levels: typical and high, of the map.
        window: the levels of black and white.
        mask: bool [H, W].
        long_side: the most pixels.
        quality: of the JPEG.
    """
    plain, marked = draw_small(image, anomaly_map, levels=levels, window=window, mask=mask, long_side=long_side)
    return _thumbnail(plain, quality), None if marked is None else _thumbnail(marked, quality)


def draw_small(
    image: ImageArray,
    anomaly_map: NDArray[np.float32] | None,
    *,
    levels: tuple[float, float],
    window: tuple[float, float],
    mask: NDArray[np.bool_] | None = None,
    long_side: int = LONG_SIDE,
) -> tuple[Image.Image, Image.Image | None]:
    """The images of `draw_thumbnails`, from the same arguments."""
    image = shown_channels(image)
    height, width = fit_in(*image.shape[:2], long_side=long_side)
    base = _resize_image(image, window, height, width)
    plain = base.convert("L") if image.shape[2] == 1 else base
    if anomaly_map is None:
        return plain, None
    small_map = _resize_map(anomaly_map, height, width)
    small_mask = None if mask is None else _cover(mask, height, width)
    return plain, overlay(base, small_map, levels=levels, mask=small_mask)


def fit_in(height: int, width: int, *, long_side: int = LONG_SIDE) -> tuple[int, int]:
    """The size on the page: at most so much on the long side; small images are enlarged by a whole factor."""
    longest = max(height, width)
    if longest <= long_side:
        factor = long_side // longest
        return height * factor, width * factor
    return tuple(max(1, round(side * long_side / longest)) for side in (height, width))  # type: ignore[return-value]


def shrink_map(anomaly_map: NDArray[np.float32], *, long_side: int) -> NDArray[np.float32]:
    """The map with at most so many places on its long side, [h, w]; each has the highest level that it covers.

    Args:
        anomaly_map: float32 [H, W].
        long_side: the most places.
    """
    height, width = anomaly_map.shape
    scale = min(1.0, long_side / max(height, width))
    return _cover(anomaly_map, max(1, round(height * scale)), max(1, round(width * scale)))


def _resize_image(image: ImageArray, window: tuple[float, float], height: int, width: int) -> Image.Image:
    """RGB for eyes, at this size."""
    rows, columns = image.shape[:2]
    if height >= rows and width >= columns:
        return to_screen(_repeat(image, height, width), window)
    rows, columns = min(rows, _BEFORE_RESIZING * height), min(columns, _BEFORE_RESIZING * width)
    if (rows, columns) != image.shape[:2]:
        image = _block_means(image, rows, columns)
    return to_screen(image, window).resize((width, height), Image.Resampling.LANCZOS)


def _resize_map(anomaly_map: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """The highest level that each pixel covers where the map is finer than asked for; interpolated where coarser."""
    rows, columns = anomaly_map.shape
    covered = _cover(anomaly_map, min(rows, height), min(columns, width))
    if covered.shape == (height, width):
        return covered
    plane = Image.fromarray(covered).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(plane, dtype=np.float32)


def _cover(plane: NDArray[Number], height: int, width: int) -> NDArray[Number]:
    """The highest value in each block, [height, width]; enlarged by repeating where the plane is smaller."""
    rows, columns = _starts(plane.shape[0], height), _starts(plane.shape[1], width)
    bands = [np.maximum.reduceat(band.max(axis=0), columns) for band in np.split(plane, rows[1:])]
    return _repeat(np.stack(bands), height, width)


def _block_means(image: ImageArray, height: int, width: int) -> ImageArray:
    """The mean of each block, in the image's own depth."""
    rows, columns = _starts(image.shape[0], height), _starts(image.shape[1], width)
    sizes = np.diff(columns, append=image.shape[1]).astype(np.float32)[:, None]
    # Band by band, so that the whole image is never there as anything wider than it is.
    bands = [
        np.add.reduceat(band.mean(axis=0, dtype=np.float32), columns, axis=0) / sizes
        for band in np.split(image, rows[1:])
    ]
    rounded: ImageArray = np.rint(np.stack(bands)).astype(image.dtype)
    return rounded


def _starts(length: int, blocks: int) -> NDArray[np.int64]:
    """Where the blocks begin that part a length as evenly as whole numbers can; no more blocks than there is length."""
    blocks = min(length, blocks)
    return np.arange(blocks, dtype=np.int64) * length // blocks


def _repeat(array: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Each row and column as often as brings the array to this size."""
    rows = np.arange(height) * array.shape[0] // height
    columns = np.arange(width) * array.shape[1] // width
    repeated: NDArray[Any] = array[rows[:, None], columns]
    return repeated


def _thumbnail(image: Image.Image, quality: int) -> Thumbnail:
    buffer = io.BytesIO()
    # No subsampling of colours: it would smear the contour.
    image.save(buffer, format="JPEG", quality=quality, subsampling=0, optimize=True)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(f"data:image/jpeg;base64,{encoded}", image.width, image.height)
