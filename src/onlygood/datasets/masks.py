"""Masks of defects: which picture each belongs to, and which pixels it marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from onlygood.datasets.folders import PictureFile
from onlygood.errors import LabelledSetError, PictureError
from onlygood.images.reading import DEFAULT_LIMITS, ReadingLimits, read_picture

_ENDINGS = ("_mask", "")  # what a mask's name has after its picture's stem, the one that says so first
_LOSSY_HALF = 127


class Masked(Protocol):
    """A picture that may have a mask: what is read of it here."""

    @property
    def name(self) -> str:
        """For errors."""

    @property
    def mask(self) -> Path | None:
        """The file that marks its anomalous pixels."""


def pair_masks(
    pictures: Sequence[PictureFile], masks: Sequence[PictureFile]
) -> tuple[dict[PictureFile, Path], list[PictureFile]]:
    """The mask of each picture that has one, and the masks that are left over.

    The mask of `crack/lot3/7.jpg` is `crack/lot3/7_mask` or, if there is none, `crack/lot3/7`, with any extension that
    pictures have. Pages of a file with several pictures have none: a mask's name does not say which page it is of.

    Args:
        pictures: with defects; their relative paths begin with the type of defect.
        masks: with relative paths from the folder of masks.

    Raises:
        LabelledSetError: if a picture has two masks of one kind of name, or two pictures share one.
    """
    by_stem: dict[str, dict[str, PictureFile]] = {}
    for mask in masks:
        by_stem.setdefault(_stem(mask), {})[mask.relative] = mask  # the pages of one file are one mask
    paired: dict[PictureFile, Path] = {}
    for ending in _ENDINGS:
        owners: dict[str, PictureFile] = {}
        for picture in pictures:
            stem = _stem(picture) + ending
            if picture in paired or picture.pages > 1 or stem not in by_stem:
                continue
            if stem in owners:
                raise LabelledSetError(
                    f"a mask must belong to one picture, and {next(iter(by_stem[stem]))} may belong to "
                    f"{owners[stem].relative} or to {picture.relative}: give the pictures different names"
                )
            first, *others = by_stem[stem].values()
            if others:
                raise LabelledSetError(
                    f"a picture must have one mask, and {picture.relative} has {first.relative} and "
                    f"{others[0].relative}: remove one of them"
                )
            owners[stem] = picture
            paired[picture] = first.path
        for stem in owners:
            del by_stem[stem]
    return paired, [mask for named in by_stem.values() for mask in named.values()]


def read_mask(picture: Masked, *, height: int, width: int, limits: ReadingLimits = DEFAULT_LIMITS) -> NDArray[np.bool_]:
    """Which pixels of a picture are anomalous, bool [H, W]; at least one is. Safe to call from many threads.

    A pixel is marked if any of its channels is not 0: masks of 0 and 1, of 0 and 255 and of several labels all work,
    and of a palette the colours count. In JPEG and WebP, where compression leaves a halo around what was drawn, a
    channel counts above 127. Masks are read as pictures are: upright by their orientation, and with transparent
    pixels black, so that these are not marked.

    Args:
        picture: one that has a mask.
        height: of the picture, in pixels, as `read_picture` returns it.
        width: likewise.
        limits: bounds on pixels and bytes.

    Raises:
        LabelledSetError: if the mask cannot be read, has another size than the picture, or marks nothing.
        ValueError: if the picture has no mask.
    """
    if picture.mask is None:
        raise ValueError(f"read_mask needs a picture with a mask, got {picture.name} without")
    try:
        pixels = read_picture(picture.mask, limits=limits)
    except PictureError as error:
        raise LabelledSetError(f"the mask of {picture.name} cannot be used: {error}") from error
    if pixels.shape[:2] != (height, width):
        raise LabelledSetError(
            f"a mask must have the size of its picture, and {picture.mask.name} has {pixels.shape[1]} x "
            f"{pixels.shape[0]} pixels where {picture.name} has {width} x {height}: draw it at the picture's size"
        )
    is_lossy = _is_lossy(picture.mask)
    level = _LOSSY_HALF if is_lossy else 0
    marked: NDArray[np.bool_] = pixels[:, :, 0] > level
    for channel in range(1, pixels.shape[2]):
        marked |= pixels[:, :, channel] > level
    if not marked.any():
        no_pixel = f"no pixel is above {level}, as a JPEG or WebP mask needs" if is_lossy else "every pixel is 0"
        raise LabelledSetError(
            f"a mask must mark a defect, and {picture.mask.name} of {picture.name} marks none ({no_pixel}): draw the "
            "defect, or remove the mask"
        )
    return marked


def _stem(file: PictureFile) -> str:
    return file.relative.rpartition(".")[0]


def _is_lossy(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head.startswith(b"\xff\xd8\xff") or (head[:4] == b"RIFF" and head[8:] == b"WEBP")
