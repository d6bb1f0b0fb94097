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
from onlygood.errors import FolderError, ImageError, SettingError
from onlygood.graph.preprocess import ChannelGroup
from onlygood.graph.view import View
from onlygood.images.channels import channel_groups, is_grey_or_colour, split_mask
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
        channels: of the images, without a mask; 3 for grey or colour or both.
        groups: of other than grey or colour, with the window of each; else none.
    """

    dtype: np.dtype[Any]
    window: Window
    size: tuple[int, int]
    source: str = "image"
    has_mask: bool = False
    looked_at: float = 1.0
    channels: int = 3
    groups: tuple[ChannelGroup, ...] = ()

    @property
    def windows(self) -> list[Window]:
        """The levels of black and white of each group of channels; one for grey or colour."""
        return [group.window for group in self.groups] or [self.window]

    def takes(self, channels: int) -> bool:
        """Whether images of so many channels, without a mask, are of this kind."""
        return channels == self.channels if self.groups else is_grey_or_colour(channels)

    def shown(self, view: View) -> InputKind:
        """The kind of what a detector is shown of images of this kind."""
        shown = replace(self, source=view.source, has_mask=view.has_mask)
        if view.region is None:
            return shown
        return replace(
            shown,
            size=view.region.view_size(self.size),
            looked_at=self.looked_at * view.region.looked_at,
        )


def input_kind(
    sources: Sequence[Source], settings: FitSettings, *, show_progress: bool, what: str = "good"
) -> InputKind:
    """The bit depth and the channels of the first image that can be read, the window (given, or chosen from all
    images), and the median size of some images, evenly spaced among all.

    Raises:
        FolderError: no image can be read.
        SettingError: a window that cannot be used, or transparency as a mask where no image has any.
    """
    first = next((image for source in sources if (image := try_read(source)) is not None), None)
    if first is None:
        raise FolderError(f"{what} images must be readable, got none among {len(sources)}: {_reason(sources[0])}")
    dtype, has_alpha = first.dtype, settings.alpha == "mask"
    channels = first.shape[2] - has_alpha
    size, looked_at = _median_size(sources, settings, show_progress=show_progress)
    if has_alpha and looked_at == 1.0 and what == "good":
        _require_transparency(sources)
    groups = () if is_grey_or_colour(channels) else channel_groups(channels)
    windows = _windows(sources, settings, dtype, channels, groups, show_progress=show_progress)
    return InputKind(
        dtype=dtype,
        window=windows[0],
        size=size,
        looked_at=looked_at,
        channels=channels if groups else 3,
        groups=tuple(ChannelGroup(group, window) for group, window in zip(groups, windows, strict=False)),
    )


def _windows(
    sources: Sequence[Source],
    settings: FitSettings,
    dtype: np.dtype[Any],
    channels: int,
    groups: Sequence[tuple[int, int, int]],
    *,
    show_progress: bool,
) -> list[Window]:
    """The levels of black and white, of each group of channels where there are some.

    Channels of a group have one window, which keeps the balance of their colours; groups have each their own, as the
    levels of depth or infrared have nothing to do with those of colour.
    """
    count = max(1, len(groups))
    if settings.window is not None:
        return [Window(*settings.window)] * count
    if dtype == np.uint8:
        return [FULL_8_BIT] * count
    histograms = [LevelHistogram() for _ in range(count)]
    images = map_in_order(try_read, sources, threads=settings.threads)
    for image in track(images, total=len(sources), description="levels", show=show_progress):
        # An image that cannot be read, or of another kind, is reported when its features are extracted, with its name.
        if image is None or image.dtype != dtype:
            continue
        colours, mask = split_mask(image, has_mask=settings.alpha == "mask")
        looked_at = colours if mask is None else colours[mask]
        if not groups:
            histograms[0].add(looked_at)
        elif colours.shape[2] == channels:
            for group, histogram in zip(groups, histograms, strict=True):
                histogram.add(looked_at[..., sorted(set(group))])
    return [histogram.window() for histogram in histograms]


def _require_transparency(sources: Sequence[Source]) -> None:
    """Raises SettingError if all of all images is looked at."""
    for source in sources:
        image = try_read(source)
        if image is not None and not image[:, :, -1].all():
            return
    raise SettingError(
        f"alpha as a mask needs good images with transparent pixels, got {len(sources)} without any: leave alpha out, "
        "or save them with their transparency, as PNG or TIFF"
    )


def _median_size(
    sources: Sequence[Source], settings: FitSettings, *, show_progress: bool
) -> tuple[tuple[int, int], float]:
    """Height and width in pixels, and which share of an image is looked at."""
    chosen = evenly_spaced(len(sources), SIZED_IMAGES)
    images = map_in_order(try_read, [sources[position] for position in chosen], threads=settings.threads)
    looked_at = track(images, total=len(chosen), description="sizes", show=show_progress)
    has_alpha = settings.alpha == "mask"
    found = [(*image.shape[:2], _opaque_share(image, has_alpha)) for image in looked_at if image is not None]
    if not found:  # the first that can be read is another
        first = next(image for source in sources if (image := try_read(source)) is not None)
        found = [(*first.shape[:2], _opaque_share(first, has_alpha))]
    height, width, share = np.median(found, axis=0)
    return (max(1, round(height)), max(1, round(width))), float(share)


def _opaque_share(image: ImageArray, has_alpha: bool) -> float:
    return float((image[:, :, -1] > 0).mean()) if has_alpha else 1.0


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
