"""Masks of defects: which image each belongs to, and which pixels it marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from onlygood.datasets.folders import ImageFile
from onlygood.errors import ImageError, LabelledSetError
from onlygood.images.reading import DEFAULT_LIMITS, ReadingLimits, read_image

_ENDINGS = ("_mask", "")  # what a mask's name has after its image's stem, the one that says so first
_LOSSY_HALF = 127


class Masked(Protocol):
    """An image that may have a mask: what is read of it here."""

    @property
    def name(self) -> str:
        """For errors."""

    @property
    def mask(self) -> Path | None:
        """The file that marks its anomalous pixels."""


def pair_masks(
    images: Sequence[ImageFile], masks: Sequence[ImageFile]
) -> tuple[dict[ImageFile, Path], list[ImageFile]]:
    """The mask of each image that has one, and the masks that are left over.

    The mask of `crack/lot3/7.jpg` is `crack/lot3/7_mask` or, if there is none, `crack/lot3/7`, with any extension that
    images have. Pages of a file with several images have none: a mask's name does not say which page it is of.

    Args:
        images: with defects; their relative paths begin with the type of defect.
        masks: with relative paths from the folder of masks.

    Raises:
        LabelledSetError: if an image has two masks of one kind of name, or two images share one.
    """
    by_stem: dict[str, dict[str, ImageFile]] = {}
    for mask in masks:
        by_stem.setdefault(_stem(mask), {})[mask.relative] = mask  # the pages of one file are one mask
    paired: dict[ImageFile, Path] = {}
    for ending in _ENDINGS:
        owners: dict[str, ImageFile] = {}
        for image in images:
            stem = _stem(image) + ending
            if image in paired or image.pages > 1 or stem not in by_stem:
                continue
            if stem in owners:
                raise LabelledSetError(
                    f"a mask must belong to one image, and {next(iter(by_stem[stem]))} may belong to "
                    f"{owners[stem].relative} or to {image.relative}: give the images different names"
                )
            first, *others = by_stem[stem].values()
            if others:
                raise LabelledSetError(
                    f"an image must have one mask, and {image.relative} has {first.relative} and "
                    f"{others[0].relative}: remove one of them"
                )
            owners[stem] = image
            paired[image] = first.path
        for stem in owners:
            del by_stem[stem]
    return paired, [mask for named in by_stem.values() for mask in named.values()]


def read_mask(image: Masked, *, height: int, width: int, limits: ReadingLimits = DEFAULT_LIMITS) -> NDArray[np.bool_]:
    """Which pixels of an image are anomalous, bool [H, W]; at least one is. Safe to call from many threads.

    A pixel is marked if any of its channels is not 0: masks of 0 and 1, of 0 and 255 and of several labels all work,
    and of a palette the colours count. In JPEG and WebP, where compression leaves a halo around what was drawn, a
    channel counts above 127. Masks are read as images are: upright by their orientation, and with transparent
    pixels black, so that these are not marked.

    Args:
        image: one that has a mask.
        height: of the image, in pixels, as `read_image` returns it.
        width: of the image, in pixels.
        limits: bounds on pixels and bytes.

    Raises:
        LabelledSetError: if the mask cannot be read, has another size than the image, or marks nothing.
        ValueError: if the image has no mask.
    """
    if image.mask is None:
        raise ValueError(f"read_mask needs an image with a mask, got {image.name} without")
    try:
        pixels = read_image(image.mask, limits=limits)
    except ImageError as error:
        raise LabelledSetError(f"the mask of {image.name} cannot be used: {error}") from error
    if pixels.shape[:2] != (height, width):
        raise LabelledSetError(
            f"a mask must have the size of its image, and {image.mask.name} has {pixels.shape[1]} x "
            f"{pixels.shape[0]} pixels where {image.name} has {width} x {height}: draw it at the image's size"
        )
    is_lossy = _is_lossy(image.mask)
    level = _LOSSY_HALF if is_lossy else 0
    marked: NDArray[np.bool_] = pixels[:, :, 0] > level
    for channel in range(1, pixels.shape[2]):
        marked |= pixels[:, :, channel] > level
    if not marked.any():
        no_pixel = f"no pixel is above {level}, as a JPEG or WebP mask needs" if is_lossy else "every pixel is 0"
        raise LabelledSetError(
            f"a mask must mark a defect, and {image.mask.name} of {image.name} marks none ({no_pixel}): draw the "
            "defect, or remove the mask"
        )
    return marked


def _stem(file: ImageFile) -> str:
    return file.relative.rpartition(".")[0]


def _is_lossy(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head.startswith(b"\xff\xd8\xff") or (head[:4] == b"RIFF" and head[8:] == b"WEBP")
