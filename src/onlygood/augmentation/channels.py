"""Changes and turned copies of images of several channels and of images with a mask.

Each group of channels (see `onlygood.images.channels`) goes through the same change as grey or colour does, with levels
of its own and noise of its own. The mask moves with them, and nothing else is done to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from onlygood.augmentation.changes import Change, change_image, turn_image
from onlygood.augmentation.drawing import augmentation_window
from onlygood.images.channels import channel_groups, is_grey_or_colour, split_mask
from onlygood.images.pixels import ImageArray, with_mask
from onlygood.images.window import Window


def change_channels(
    image: ImageArray,
    change: Change,
    *,
    windows: Sequence[Window],
    border: str,
    border_level: float | None = None,
    noise: np.random.Generator,
    has_mask: bool = False,
) -> ImageArray:
    """As `onlygood.augmentation.changes.change_image`, of an image of any number of channels, and its mask with it.

    Args:
        image: uint8 or uint16 [H, W, C], C 1 to 16 and one more with a mask.
        change: what to do.
        windows: the levels of black and white of each group of channels; one for grey or colour.
        border: what comes into view; beside what is on one level, nothing is looked at.
        border_level: with "constant", a level of the image.
        noise: where the noise is drawn from.
        has_mask: whether the last channel is a mask.
    """

    def change_group(group: ImageArray, place: int) -> ImageArray:
        window = windows[min(place, len(windows) - 1)]
        return change_image(group, change, window=window, border=border, border_level=border_level, noise=noise)

    def move_mask(mask: ImageArray) -> ImageArray:
        moved = replace(change, brightness=0.0, contrast=1.0, gamma=1.0, noise=0.0, blur=0.0, jpeg=0)
        window = Window(0, np.iinfo(mask.dtype).max)
        return change_image(mask, moved, window=window, border=border, border_level=0.0, noise=noise)

    return _by_group(image, change_group, move_mask, has_mask=has_mask)


def turn_channels(image: ImageArray, degrees: float, *, border: str, has_mask: bool = False) -> ImageArray:
    """As `onlygood.augmentation.changes.turn_image`, of an image of any number of channels, and its mask with it."""

    def turn_group(group: ImageArray, _: int) -> ImageArray:
        return turn_image(group, degrees, border=border)

    return _by_group(image, turn_group, lambda mask: turn_image(mask, degrees, border=border), has_mask=has_mask)


def windows_of(images: Sequence[ImageArray], window: tuple[float, float] | None, *, has_mask: bool) -> list[Window]:
    """The levels of black and white of each group of channels, as for `augmentation_window`; one for grey or colour."""
    looked_at = []
    for image in images:
        colours, mask = split_mask(image, has_mask=has_mask)
        looked_at.append(colours if mask is None else colours[mask][None])
    counts = {image.shape[2] for image in looked_at}
    if len(counts) > 1 or is_grey_or_colour(next(iter(counts))):
        return [augmentation_window(looked_at, window)]
    return [
        augmentation_window([image[:, :, sorted(set(group))] for image in looked_at], window)
        for group in channel_groups(counts.pop())
    ]


def _by_group(
    image: ImageArray,
    change_group: Callable[[ImageArray, int], ImageArray],
    move_mask: Callable[[ImageArray], ImageArray],
    *,
    has_mask: bool,
) -> ImageArray:
    """The image whose groups of channels and whose mask were changed."""
    channels = image.shape[2] - has_mask
    if is_grey_or_colour(channels) and not has_mask:
        return change_group(image, 0)
    groups = [(0, 1, 2)[:channels]] if is_grey_or_colour(channels) else channel_groups(channels)
    parts = [
        change_group(np.ascontiguousarray(image[:, :, sorted(set(group))]), place) for place, group in enumerate(groups)
    ]
    changed: ImageArray = np.concatenate(parts, axis=2)
    if not has_mask:
        return changed
    mask = move_mask(np.ascontiguousarray(image[:, :, -1:]))
    return with_mask(changed, mask > np.iinfo(mask.dtype).max // 2)
