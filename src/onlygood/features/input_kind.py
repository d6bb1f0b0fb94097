"""What a model will take: bit depth, window and size of the good images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onlygood._parallel import map_in_order
from onlygood._progress import track
from onlygood._spacing import evenly_spaced
from onlygood.datasets.sources import Source
from onlygood.errors import FolderError, ImageError
from onlygood.graph.view import View
from onlygood.images.reading import ImageArray
from onlygood.images.window import FULL_8_BIT, LevelHistogram, Window
from onlygood.settings import FitSettings

# Images whose sizes are looked at before the first is embedded.
SIZED_IMAGES = 25


@dataclass(frozen=True)
class InputKind:
    """What the model will take.

    Attributes:
        dtype: uint8 or uint16.
        window: the levels of black and white.
        size: the median height and width of some of the images, in pixels, or of what is looked at of them.
        source: name of the value in the graph that a detector's subgraphs take, [N, H, W, C] of this dtype.
        has_mask: whether that value has one channel more, the last: 0 where nothing is looked at.
        looked_at: which share of the pixels of that value is looked at.
    """

    dtype: np.dtype[Any]
    window: Window
    size: tuple[int, int]
    source: str = "image"
    has_mask: bool = False
    looked_at: float = 1.0

    def shown(self, view: View) -> InputKind:
        """The kind of what a detector is shown of images of this kind."""
        found = replace(self, source=view.source, has_mask=view.has_mask)
        if view.region is None:
            return found
        return replace(found, size=view.region.view_size(self.size), looked_at=view.region.looked_at)


def input_kind(
    sources: Sequence[Source], settings: FitSettings, *, show_progress: bool, what: str = "good"
) -> InputKind:
    """The bit depth of the first image that can be read, the window (given, or chosen from all images), and the
    median size of some images, evenly spaced among all.

    Raises:
        FolderError: no image can be read.
        SettingError: a window that cannot be used.
    """
    dtype = next((image.dtype for source in sources if (image := try_read(source)) is not None), None)
    if dtype is None:
        raise FolderError(f"{what} images must be readable, got none among {len(sources)}: {_reason(sources[0])}")
    size = _median_size(sources, settings, show_progress=show_progress)
    if settings.window is not None:
        return InputKind(dtype=dtype, window=Window(*settings.window), size=size)
    if dtype == np.uint8:
        return InputKind(dtype=dtype, window=FULL_8_BIT, size=size)
    histogram = LevelHistogram()
    images = map_in_order(try_read, sources, threads=settings.threads)
    for image in track(images, total=len(sources), description="levels", show=show_progress):
        # An image that cannot be read, or of another depth, is reported when its features are extracted, with its name.
        if image is not None and image.dtype == dtype:
            histogram.add(image)
    return InputKind(dtype=dtype, window=histogram.window(), size=size)


def _median_size(sources: Sequence[Source], settings: FitSettings, *, show_progress: bool) -> tuple[int, int]:
    """Height and width in pixels."""
    chosen = evenly_spaced(len(sources), SIZED_IMAGES)
    images = map_in_order(try_read, [sources[position] for position in chosen], threads=settings.threads)
    looked_at = track(images, total=len(chosen), description="sizes", show=show_progress)
    sizes = [image.shape[:2] for image in looked_at if image is not None]
    if not sizes:  # the first that can be read is another
        sizes = [next(image.shape[:2] for source in sources if (image := try_read(source)) is not None)]
    height, width = np.median(sizes, axis=0)
    return max(1, round(height)), max(1, round(width))


def try_read(source: Source) -> ImageArray | None:
    """The image of a source; None where it cannot be read."""
    try:
        return source.read()
    except ImageError:
        return None


def _reason(source: Source) -> str:
    try:
        source.read()
    except ImageError as error:
        return str(error)
    raise AssertionError(f"{source.name} could not be read a moment ago, and now it can")
