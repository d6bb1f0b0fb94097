"""Channels of an image beyond grey and colour, and the mask that may stand behind them: which belong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onlygood.images.limits import MOST_CHANNELS
from onlygood.images.pixels import ImageArray

__all__ = [
    "MOST_CHANNELS",
    "channel_groups",
    "count_channels",
    "is_grey_or_colour",
    "name_channels",
    "shown_channels",
    "split_mask",
]


def channel_groups(channels: int) -> tuple[tuple[int, int, int], ...]:
    """Which channels go through a network of three inputs together: as many groups of three as there are, in their
    order, then each that is left on its own, given to all three inputs as grey is.

    So four RGB lightings are four groups, and RGB with depth or infrared is a group and one channel.

    Args:
        channels: 2 or from 4 to MOST_CHANNELS; grey and colour, 1 and 3, are one group.
    """
    threes = channels // 3 * 3
    return (
        *((first, first + 1, first + 2) for first in range(0, threes, 3)),
        *((alone, alone, alone) for alone in range(threes, channels)),
    )


def is_grey_or_colour(channels: int) -> bool:
    """Whether an image with so many channels is one of those that every model on either takes."""
    return channels in (1, 3)


def name_channels(channels: int) -> str:
    """What an image with so many is called: "grey", "colour" or "4 channels"."""
    return {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")


def count_channels(channels: int) -> str:
    """What an image must have or has: "1 channel (grey)", "3 channels (colour)" or "4 channels"."""
    return {1: "1 channel (grey)", 3: "3 channels (colour)"}.get(channels, f"{channels} channels")


def split_mask(image: ImageArray, *, has_mask: bool) -> tuple[ImageArray, NDArray[np.bool_] | None]:
    """The channels of an image without its mask, and the mask, bool [H, W]; None where it has none.

    Args:
        image: [H, W, C], as `read_image` gives it.
        has_mask: whether the last channel is a mask.
    """
    if not has_mask:
        return image, None
    return image[:, :, :-1], image[:, :, -1] > np.iinfo(image.dtype).max // 2


def shown_channels(image: ImageArray, *, has_mask: bool = False) -> ImageArray:
    """What a person is shown of an image, [H, W, 1] or [H, W, 3]: its first group of channels, as grey or red, green
    and blue.

    Args:
        image: [H, W, C], as `read_image` gives it.
        has_mask: whether the last channel is a mask.
    """
    colours, _ = split_mask(image, has_mask=has_mask)
    channels = colours.shape[2]
    return np.ascontiguousarray(colours[:, :, : 3 if channels >= 3 else 1])
