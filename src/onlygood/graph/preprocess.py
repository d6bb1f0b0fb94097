"""From raw pixels to what a backbone takes, as part of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.backbones.backbone import Card
from onlygood.graph.subgraph import OPSET, in_trunk, subgraph
from onlygood.images.window import Window


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that go through the network together.

    Attributes:
        channels: positions of three of them, the same three times for one alone.
        window: their levels of black and white.
    """

    channels: tuple[int, int, int]
    window: Window


# Of an input that is looked at in part: 1 where it is, float32 [N, 1, height, width].
LOOK = "look"


def preprocess(
    card: Card,
    *,
    input_shape: tuple[int, int],
    dtype: np.dtype[np.generic],
    window: Window,
    source: str = "image",
    has_mask: bool = False,
    groups: Sequence[ChannelGroup] = (),
    opset: int = OPSET,
) -> onnx.ModelProto:
    """The subgraph from `image` to the backbone's input.

    `image` is uint8 or uint16 [N, H, W, C] with C = 1 (grey, given to all three inputs of the network) or 3. It is
    resized to the input's height and width, each on its own, in floating point, with a triangle filter as wide as the
    reduction (antialiasing) that gives what lies outside the image no weight, as Pillow's BILINEAR does. The window
    maps its black level to 0 and its white level to 255, without clipping: what is brighter than every good image
    stays brighter. Then the card's mean and std apply.

    With a mask, the last channel of `image`, pixels where it is 0 get the level that becomes 0 before anything else is
    done, so that nothing of them is left; LOOK says how much of each pixel of the input is looked at.

    An image of other than 1 or 3 channels goes in as several groups of three, one after another in the batch: the input
    is float32 [N * g, 3, height, width], and `onlygood.graph.channels` brings the groups together behind the backbone.

    Args:
        card: of the backbone.
        input_shape: height and width of the backbone's input, in pixels.
        dtype: uint8 or uint16, of `image`.
        window: the levels of black and white.
        source: what `image` is called in the whole graph.
        has_mask: whether the last channel of `image` is a mask.
        groups: of the channels, each with a window of its own; none for grey or colour.
        opset: of the standard operators.
    """
    mean = np.array(card.mean, dtype=np.float64)
    std = np.array(card.std, dtype=np.float64)
    windows = [group.window for group in groups] or [window]
    stretches = [255.0 / (each.white - each.black) for each in windows]
    gain = np.concatenate([stretch / std for stretch in stretches])
    offset = np.concatenate(
        [(-each.black * stretch - mean) / std for each, stretch in zip(windows, stretches, strict=True)]
    )
    height, width = input_shape
    resize = (
        'Resize <antialias = 1, exclude_outside = 1, axes = [2, 3], mode = "linear", '
        'coordinate_transformation_mode = "half_pixel">'
    )
    looking, looked, levels = "", "", "levels"
    # The mask's planes come without a transposition: ONNX Runtime's optimiser (seen up to 1.31) would move one through
    # Resize, and lose the sizes there.
    if has_mask:
        levels = "filled"
        looked = f", float[N, 1, {height}, {width}] {LOOK}"
        looking = f"""
        mask = Slice (image, mask_channel, behind_mask, mask_axis)
        mask_levels = Cast <to = {onnx.TensorProto.FLOAT}> (mask)
        mask_without_channel = Squeeze (mask_levels, mask_axis)
        mask_plane = Unsqueeze (mask_without_channel, colours_axis)
        colours = Slice (levels, first_colour, mask_channel, colours_axis)
        is_looked_at = Greater (mask_plane, no_level)
        filled = Where (is_looked_at, colours, fill_level)
        looked_at = Cast <to = {onnx.TensorProto.FLOAT}> (is_looked_at)
        {LOOK} = {resize} (looked_at, , , input_size)"""
    resized, result, grouping, ungrouping, batch = "resized", "normalised", "", "", "N"
    if groups:
        resized, result, batch = "grouped", "normalised_groups", "groups"
        grouping = """
        grouped = Gather <axis = 1> (resized, group_channels)"""
        ungrouping = """
        normalised = Reshape (normalised_groups, group_shape)"""
    text = f"""
    preprocess ({np.dtype(dtype).name}[N, H, W, C] image)
        => (float[{batch}, 3, {height}, {width}] normalised{looked}) {{
        planes = Transpose <perm = [0, 3, 1, 2]> (image)
        levels = Cast <to = {onnx.TensorProto.FLOAT}> (planes){looking}
        resized = {resize} ({levels}, , , input_size){grouping}
        scaled = Mul ({resized}, input_gain)
        {result} = Add (scaled, input_offset){ungrouping}
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "input_size": np.array([height, width], dtype=np.int64),
        "input_gain": gain.astype(np.float32).reshape(1, -1, 1, 1),
        "input_offset": offset.astype(np.float32).reshape(1, -1, 1, 1),
    }
    if groups:
        arrays["group_channels"] = np.array([group.channels for group in groups], dtype=np.int64).reshape(-1)
        arrays["group_shape"] = np.array([-1, 3, height, width], dtype=np.int64)
    if has_mask:
        fills = [
            (each.black * stretch + float(mean.mean())) / stretch
            for each, stretch in zip(windows, stretches, strict=True)
        ]
        arrays |= mask_arrays(axis=1, fill=by_channel(groups, fills).reshape(1, -1, 1, 1) if groups else fills[0])
        arrays["mask_axis"] = np.array([3], dtype=np.int64)
    return subgraph(text, arrays, names={"image": source, "normalised": in_trunk(card.input)}, opset=opset)


def by_channel(groups: Sequence[ChannelGroup], values: Sequence[float]) -> NDArray[np.float64]:
    """A value for each channel, [C], of one for each group that it is in.

    Args:
        groups: of all channels.
        values: of each.
    """
    found = np.empty(1 + max(max(group.channels) for group in groups))
    for group, value in zip(groups, values, strict=True):
        found[list(group.channels)] = value
    return found


def mask_arrays(*, axis: int, fill: float | NDArray[Any]) -> dict[str, NDArray[np.generic]]:
    """The initializers with which the last channel is split off and pixels are filled where it is 0.

    Args:
        axis: of the channels.
        fill: the level that pixels get, or one for each channel in the shape of the channels' axis.
    """
    return {
        "first_colour": np.array([0], dtype=np.int64),
        "mask_channel": np.array([-1], dtype=np.int64),
        "behind_mask": np.array([2**31 - 1], dtype=np.int64),
        "colours_axis": np.array([axis], dtype=np.int64),
        "no_level": np.array(0.0, dtype=np.float32),
        "fill_level": np.array(fill, dtype=np.float32),
    }
