"""Masks of defects: which image each belongs to, and which pixels it marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from onlygood.datasets.folders import ImageFile
from onlygood.errors import ImageError, LabelledSetError
from onlygood.images.reading import DEFAULT_LIMITS, ImageArray, ReadingLimits, read_image
from onlygood.images.signatures import HEAD_BYTES, format_of

_ENDINGS = ("_mask", "")  # what a mask's name has after its image's stem, the one that says so first
_LOSSY_HALF = 127
_LOSSY_FORMATS = ("JPEG", "WebP", "AVIF", "JPEG 2000", "JPEG XL", "HEIC")
# In lossy masks, levels so far from black and white are between, and at most this share of the pixels may be.
_LOSSY_MARGIN = 48
_LOSSY_BETWEEN = 0.2
# How many of too many levels a sentence names.
_SHOWN_LEVELS = 4


class Masked(Protocol):
    """An image that may have a mask: what is read of it here."""

    @property
    def name(self) -> str:
        """For errors."""

    @property
    def mask(self) -> Path | None:
        """The file that marks its anomalous pixels."""

    @property
    def more_masks(self) -> tuple[Path, ...]:
        """Further ones, each of which marks others of them."""


def pair_masks(
    images: Sequence[ImageFile], masks: Sequence[ImageFile]
) -> tuple[dict[ImageFile, tuple[Path, ...]], list[ImageFile]]:
    """The masks of each image that has any, and those that are left over.

    The mask of `crack/lot3/7.jpg` is `crack/lot3/7_mask` or, if there is none, `crack/lot3/7`, with any extension that
    images have; else all that lie in a folder `crack/lot3/7`, one a defect, as in MVTec LOCO AD. Pages of a file with
    several images have none: a mask's name does not say which page it is of.

    Args:
        images: with defects; their relative paths begin with the type of defect.
        masks: with relative paths from the folder of masks.

    Raises:
        LabelledSetError: if an image has two masks of one kind of name outside such a folder, or two images share one.
    """
    by_stem: dict[str, dict[str, ImageFile]] = {}
    for mask in masks:
        by_stem.setdefault(_stem(mask), {})[mask.relative] = mask  # the pages of one file are one mask
    paired: dict[ImageFile, tuple[Path, ...]] = {}
    for ending in _ENDINGS:
        owners: dict[str, ImageFile] = {}
        for image in images:
            stem = _stem(image) + ending
            if image in paired or image.pages > 1 or stem not in by_stem:
                continue
            if stem in owners:
                raise _shared(next(iter(by_stem[stem])), owners[stem], image)
            first, *others = by_stem[stem].values()
            if others:
                raise LabelledSetError(
                    f"an image must have one mask, and {image.relative} has {first.relative} and "
                    f"{others[0].relative}: remove one of them"
                )
            owners[stem] = image
            paired[image] = (first.path,)
        for stem in owners:
            del by_stem[stem]
    left = [mask for named in by_stem.values() for mask in named.values()]
    in_folders = _masks_in_folders([image for image in images if image not in paired and image.pages == 1], left)
    taken = {mask for those in in_folders.values() for mask in those}
    paired.update({image: tuple(mask.path for mask in those) for image, those in in_folders.items()})
    return paired, [mask for mask in left if mask not in taken]


def _masks_in_folders(images: Sequence[ImageFile], masks: Sequence[ImageFile]) -> dict[ImageFile, list[ImageFile]]:
    """The masks of each image that has a folder of them, which has its name."""
    by_folder: dict[str, list[ImageFile]] = {}
    for mask in masks:
        by_folder.setdefault(mask.relative.rpartition("/")[0], []).append(mask)
    owners: dict[str, ImageFile] = {}
    for image in images:
        folder = _stem(image)
        if folder in by_folder and folder in owners:
            raise _shared(by_folder[folder][0].relative, owners[folder], image)
        if folder in by_folder:
            owners[folder] = image
    return {image: by_folder[folder] for folder, image in owners.items()}


def _shared(mask: str, one: ImageFile, other: ImageFile) -> LabelledSetError:
    return LabelledSetError(
        f"a mask must belong to one image, and {mask} may belong to {one.relative} or to {other.relative}: give the "
        "images different names"
    )


def read_mask(image: Masked, *, height: int, width: int, limits: ReadingLimits = DEFAULT_LIMITS) -> NDArray[np.bool_]:
    """Which pixels of an image are anomalous, bool [H, W]; at least one is. Safe to call from many threads.

    Of several masks, one a defect, each marks pixels, and what any of them marks is anomalous.

    A mask has two levels, or two colours, and the brighter one is marked: masks of 0 and 1, of 0 and 255 and of 20 and
    236 all work, and of a palette the colours count. More than two are no mask. In JPEG, WebP and other lossy formats,
    where compression leaves a halo around what was drawn, a pixel is marked if a channel is above 127, and nearly all
    must be near 0 or 255. Masks are read as images are: upright by their orientation, and with transparent pixels
    black, so that these are not marked.

    Args:
        image: one that has a mask.
        height: of the image, in pixels, as `read_image` returns it.
        width: of the image, in pixels.
        limits: bounds on pixels and bytes.

    Raises:
        LabelledSetError: if the mask cannot be read, has another size than the image or more than two levels, or marks
            nothing.
        ValueError: if the image has no mask.
    """
    if image.mask is None:
        raise ValueError(f"read_mask needs an image with a mask, got {image.name} without")
    marked = np.zeros((height, width), np.bool_)
    for path in (image.mask, *image.more_masks):
        marked |= _read_one(path, image.name, height, width, limits)
    return marked


def _read_one(path: Path, image: str, height: int, width: int, limits: ReadingLimits) -> NDArray[np.bool_]:
    """Which pixels one mask of an image marks, at least one."""
    try:
        pixels = read_image(path, limits=limits.bounds)
    except ImageError as error:
        raise LabelledSetError(f"the mask of {image} cannot be used: {error}") from error
    if pixels.shape[:2] == (width, height) and width != height:
        raise LabelledSetError(
            f"a mask must lie as its image does, and {path.name} has {height} x {width} pixels where {image} has "
            f"{width} x {height}: turn it, as the orientation that cameras write into a file turns the image"
        )
    if pixels.shape[:2] != (height, width):
        raise LabelledSetError(
            f"a mask must have the size of its image, and {path.name} has {pixels.shape[1]} x "
            f"{pixels.shape[0]} pixels where {image} has {width} x {height}: draw it at the image's size"
        )
    is_lossy = _is_lossy(path)
    shown = f"{path.name} of {image}"
    level = _LOSSY_HALF if is_lossy else 0
    marked = _marked_in_lossy(pixels, shown) if is_lossy else _marked_in_exact(pixels, shown)
    if not marked.any():
        no_pixel = f"no pixel is above {level}, as a mask in a lossy format needs" if is_lossy else "every pixel is 0"
        raise LabelledSetError(
            f"a mask must mark a defect, and {shown} marks none ({no_pixel}): draw the defect, or remove the mask"
        )
    return marked


def _marked_in_lossy(pixels: ImageArray, shown: str) -> NDArray[np.bool_]:
    brightest = pixels.max(axis=2)
    between = float(((brightest > _LOSSY_MARGIN) & (brightest < 255 - _LOSSY_MARGIN)).mean())
    if between > _LOSSY_BETWEEN and int(brightest.max()) > _LOSSY_HALF:
        raise LabelledSetError(
            f"a mask must have two levels, and {between:.0%} of the pixels of {shown} are between black and "
            "white: draw it in two levels, and save it as PNG"
        )
    marked: NDArray[np.bool_] = brightest > _LOSSY_HALF
    return marked


def _marked_in_exact(pixels: ImageArray, shown: str) -> NDArray[np.bool_]:
    # One number a pixel: channels have at most 16 bits, and there are at most 3.
    codes = np.zeros(pixels.shape[:2], np.uint64)
    for channel in range(pixels.shape[2]):
        codes = (codes << np.uint64(16)) | pixels[:, :, channel].astype(np.uint64)
    levels, first = np.unique(codes, return_index=True)
    examples = [pixels.reshape(-1, pixels.shape[2])[at].tolist() for at in first[:_SHOWN_LEVELS]]
    if len(levels) > 2:
        raise LabelledSetError(
            f"a mask must have two levels, and {shown} has {len(levels)} ({_listed(examples)}): draw it in two, "
            "the defect brighter than the rest"
        )
    if len(levels) == 1:
        marked: NDArray[np.bool_] = codes > 0
        return marked
    darker, brighter = sorted((sum(examples[number]), number) for number in (0, 1))
    if darker[0] == brighter[0]:
        raise LabelledSetError(
            f"the defect in a mask must be brighter than the rest, and {shown} has {_listed(examples)}: draw it "
            "in black and white"
        )
    result: NDArray[np.bool_] = np.equal(codes, levels[brighter[1]])
    return result


def _listed(levels: list[list[int]]) -> str:
    return ", ".join(str(level[0]) if len(level) == 1 else str(tuple(level)) for level in levels)


def _stem(file: ImageFile) -> str:
    return file.relative.rpartition(".")[0]


def _is_lossy(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return format_of(head) in _LOSSY_FORMATS
