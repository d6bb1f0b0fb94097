"""Regions of interest as people give them: a mask in black and white, or polygons and boxes of an annotation tool."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onlygood._paths import given_path, missing
from onlygood._printable import printable
from onlygood.errors import ImageError, SettingError
from onlygood.images.annotations import Drawn, read_annotations
from onlygood.images.limits import DEFAULT_LIMITS, ReadingLimits, reason
from onlygood.images.outlines import mask_of
from onlygood.images.reading import ImageArray, read_image

RoiSource: TypeAlias = str | os.PathLike[str] | NDArray[Any]

# Of a mask of more than two levels, as smooth borders and lossy compression leave them: levels within this share of the
# scale are black or white, and at most this share of the pixels may lie between.
_MARGIN = 3 / 16
_MOST_BETWEEN = 0.05
# At most this share of a mask's pixels may be of a colour.
_MOST_COLOURED = 0.005
_ARRAY = "the array of the region of interest"


def read_roi(
    roi: RoiSource, *, size: tuple[int, int] | None = None, limits: ReadingLimits = DEFAULT_LIMITS
) -> NDArray[np.bool_]:
    """Which pixels are looked at, bool [H, W], at the size of the mask or of the image that was drawn on.

    Args:
        roi: the path of an image that is white where parts are looked at and black elsewhere (transparent is black);
            the path of a JSON file of an annotation tool, whose polygons, boxes and ellipses are looked at (see
            `onlygood.images.annotations`); or an array [H, W] of two levels, of which the higher one is looked at.
        size: height and width of the image that polygons were drawn on, where their file does not state it.
        limits: bounds on bytes and pixels.

    Raises:
        SettingError: it cannot be read, or says nothing that can be looked at.
    """
    if not isinstance(roi, str | os.PathLike):
        return _not_black(_from_array(roi), _ARRAY)
    path = given_path(roi)
    shown = printable(os.fsdecode(roi))
    data = _read(path, shown, limits)
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"{", b"["):
        return _from_json(data, shown, size, limits)
    if start == b"<":
        raise SettingError(
            f"{shown} must be an image or JSON, got XML or SVG: export it as COCO or Datumaro JSON, or as a mask (PNG)"
        )
    try:
        pixels = read_image(data, name=shown, limits=limits)
    except ImageError as error:
        raise SettingError(f"the region of interest must be a mask or JSON with polygons: {error}") from error
    return _not_black(_two_levels(pixels, shown), shown)


def _read(path: Path, shown: str, limits: ReadingLimits) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except FileNotFoundError as error:
        raise SettingError(missing(shown)) from error
    except IsADirectoryError as error:
        raise SettingError(
            f"{shown} is a folder where a region of interest is meant: give one mask (PNG) or JSON file"
        ) from error
    except (OSError, ValueError) as error:
        raise SettingError(
            f"the region of interest {shown} cannot be read ({reason(error)}): check the path and its permissions"
        ) from error
    if len(data) > limits.max_bytes:
        raise SettingError(f"{shown} has more than {limits.max_bytes:,} bytes, the most that are read: make it smaller")
    if not data:
        raise SettingError(f"{shown} is empty (0 bytes): draw the region of interest again")
    return data


# Masks


def _from_array(array: Any) -> NDArray[np.bool_]:
    """The mask in an array of two levels."""
    values = np.asarray(array)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim != 2 or not values.size:
        raise SettingError(f"{_ARRAY} must have the shape [H, W], got {list(values.shape)}")
    if values.dtype == np.bool_:
        return values.copy()
    if values.dtype in (np.uint8, np.uint16):
        return _two_levels(values[:, :, None], _ARRAY)
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise SettingError(f"{_ARRAY} must be of numbers or of True and False, got {values.dtype}")
    levels = np.unique(values)
    if len(levels) > 2:
        raise SettingError(
            f"{_ARRAY} must have two levels, got {len(levels)}: say which are looked at with a comparison"
        )
    return np.asarray(values == levels[-1] if len(levels) == 2 else values > 0)


def _two_levels(pixels: ImageArray, shown: str) -> NDArray[np.bool_]:
    """Which pixels of a mask are white: of two levels the higher, of more those that are nearly white."""
    lowest, highest = pixels.min(axis=2), pixels.max(axis=2)
    scale = np.iinfo(pixels.dtype).max
    coloured = float(((highest - lowest) > _MARGIN * scale).mean())
    if coloured > _MOST_COLOURED:
        raise SettingError(
            f"{shown} must be black and white, white where parts are looked at, got colours on {coloured:.0%} of its "
            "pixels: save the mask alone, in black and white"
        )
    levels = np.unique(highest)
    if len(levels) <= 2:
        return np.asarray(highest == levels[-1] if len(levels) == 2 else highest > 0)
    between = float(((highest > _MARGIN * scale) & (highest < (1 - _MARGIN) * scale)).mean())
    if between > _MOST_BETWEEN or highest.max() <= _MARGIN * scale:
        what = f"{between:.0%} of its pixels between" if between > _MOST_BETWEEN else "no white"
        raise SettingError(
            f"{shown} must have two levels, black and white, got {len(levels)} with {what}: draw the region in black "
            "and white, and save it as PNG"
        )
    return np.asarray(highest > scale / 2)


def _not_black(mask: NDArray[np.bool_], shown: str) -> NDArray[np.bool_]:
    if not mask.any():
        raise SettingError(
            f"{shown} must be white where parts are looked at, got black everywhere: draw the region in white (what is "
            "transparent is black)"
        )
    return mask


# Polygons and boxes


def _from_json(data: bytes, shown: str, size: tuple[int, int] | None, limits: ReadingLimits) -> NDArray[np.bool_]:
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SettingError(f"{shown} is no JSON ({reason(error)}): export the polygons again") from error
    drawn = read_annotations(content, shown, size=size)
    height, width = _size_of(drawn, shown, size, limits)
    mask = np.zeros((height, width), dtype=np.bool_)
    for outline in drawn.outlines:
        corners = outline.corners
        low, high = corners.min(axis=0), corners.max(axis=0)
        if (high <= 0).any() or low[0] >= width or low[1] >= height:
            raise SettingError(
                f"{outline.shown} must lie in the image of {width} x {height} pixels, got x from {low[0]:g} to "
                f"{high[0]:g} and y from {low[1]:g} to {high[1]:g}: draw it on an image of this size, or remove it"
            )
        inside = mask_of(outline, height, width)
        if not inside.any():
            raise SettingError(f"{outline.shown} must hold at least one pixel, got none: draw it larger, or remove it")
        mask |= inside
    return mask


def _size_of(drawn: Drawn, shown: str, size: tuple[int, int] | None, limits: ReadingLimits) -> tuple[int, int]:
    """Height and width of the mask."""
    found = drawn.size or size
    if found is None:
        raise SettingError(
            f"{shown} must state the size of the image that it was drawn on, got none: give the size, or export it as "
            "COCO or labelme"
        )
    if found[0] * found[1] > limits.max_pixels:
        raise SettingError(
            f"{shown} is drawn on an image of {found[1]} x {found[0]} pixels, and at most {limits.max_pixels:,} are "
            "read: draw it on a smaller copy"
        )
    return found
