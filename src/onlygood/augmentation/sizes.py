"""Good images made smaller, for a model that is used at several sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from onlygood._plurals import pluralize
from onlygood.datasets.sources import Source
from onlygood.errors import SettingError
from onlygood.images.reading import ImageArray


def sized_sources(images: Sequence[Source], sizes: Sequence[int]) -> list[Source]:
    """The images, each followed by itself at every other size; all of one image have its label.

    They are learned and they calibrate like images that were taken so: what is left out with an image are its copies,
    too, and the threshold holds at every size.

    Args:
        images: as they were given.
        sizes: the long side of the copies, in pixels.
    """
    return [each for image in images for each in (image, *(_at_size(image, size) for size in sizes))]


def size_notes(images: int, sizes: Sequence[int]) -> list[str]:
    """At which other sizes so many images were learned, as a sentence; none where there are none."""
    if not sizes:
        return []
    named = " and ".join(f"{size:,}" for size in sizes)
    return [
        f"Each of {pluralize(images, 'good image')} is also learned, and calibrates, made smaller to a long side of "
        f"{named} pixels: what is said of good images counts these copies."
    ]


def make_smaller(image: ImageArray, size: int, name: str) -> ImageArray:
    """The image with a long side of `size` pixels, each the mean of those that it covers.

    Args:
        image: [H, W, C].
        size: the long side, in pixels.
        name: what errors call the image.

    Raises:
        SettingError: the image is not larger than that.
    """
    height, width, channels = image.shape
    long_side = max(height, width)
    if long_side <= size:
        raise SettingError(
            f"sizes must be smaller than the good images, got {size} for {name} of {width} x {height} pixels: leave it "
            "out, and to use a model at a larger size give good images of that size, too"
        )
    shape = max(1, round(width * size / long_side)), max(1, round(height * size / long_side))
    planes = [
        np.asarray(Image.fromarray(image[:, :, channel].astype(np.float32)).resize(shape, Image.Resampling.BOX))
        for channel in range(channels)
    ]
    smaller: ImageArray = np.rint(np.stack(planes, axis=2)).astype(image.dtype)
    return smaller


def _at_size(image: Source, size: int) -> Source:
    name = f"{image.name} at {size} pixels"
    return Source(
        name, image.label, lambda: make_smaller(image.read(), size, image.name), image.file_format, is_copy=True
    )
